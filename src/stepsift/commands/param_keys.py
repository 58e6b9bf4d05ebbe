"""All keys of params.yaml as a list, made from the models themselves: for `stepsift params` and docs/PARAMS.md."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic.fields import FieldInfo

from stepsift.params import Params, Section

_LIMITS = {
    annotated_types.Gt: ("above", "gt"),
    annotated_types.Ge: ("at least", "ge"),
    annotated_types.Lt: ("below", "lt"),
    annotated_types.Le: ("at most", "le"),
}
_KINDS = {int: "whole number", float: "number", bool: "true or false", str: "text", dict: "mapping", type(None): "null"}
UNITS = {
    "_tokens": "tokens",
    "_chars": "characters",
    "_s": "seconds",
    "_bytes": "bytes",
    "max_depth": "levels",
    "_prompts": "prompts",
    "_examples": "examples",
    "_prompt": "traces",
    "tokens": "response tokens",
    "examples": "examples",
    "prompts": "prompts",
    "window": "steps, or a share of them below 1",
    "epochs": "passes over the set",
    "batch_size": "examples",
    "micro_batch": "examples",
    "learning_rate": "per update",
    "warmup_ratio": "share of the updates",
    "share": "share of the prompts",
    "every": "updates",
    "checkpoint_every": "updates",
    "patience": "measurements",
    "limit": "questions per task",
    "samples": "answers per question",
    "top_p": "probability",
    "alpha": "probability",
    "bootstrap": "resamples",
    "resamples": "resamples",
    "workers": "processes",
    "near_duplicates": "Jaccard similarity",
    "decontaminate": "words",
    "min_margin": "the metric's unit",
    "min_stability": "share of perturbations",
    "dropout": "share",
}
"""Unit by the key's name, or by its ending; of a key that is not here, the sentence says what it counts."""
_OWN_UNITS = {
    "segment.llm.workers": "requests",
    "segment.llm.max_requests": "requests",
    "segment.llm.max_sentences": "sentences",
    "train.lora.alpha": "",
    "evaluate.batch_size": "questions",
    "select.filters.worst.share": "share of the traces",
    "train.steps.share": "share of a trace's tokens",
    "audition.arms[].steps.share": "share of a trace's tokens",
}


@dataclass(frozen=True)
class Key:
    """A key of params.yaml: its path, the values it takes, their unit and limits, its default, and what it says."""

    path: str
    kind: str
    unit: str
    limits: str
    default: str
    about: str


def all_keys() -> list[Key]:
    """Every key, in the order of the file; `[]` in a path stands for each element of a list."""
    return list(_of(Params, ""))


def about_sections() -> dict[str, str]:
    """Section to its sentence."""
    return {name: _one_line(field.annotation.__doc__ or "") for name, field in Params.model_fields.items()}


def _of(model: type[Section], prefix: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        inner = _section_in(field.annotation)
        if prefix or inner is None:
            yield _key(path, name, field, inner)
        if inner is not None:
            many = get_origin(_plain(field.annotation)) is tuple
            yield from _of(inner, f"{path}[]." if many else f"{path}.")


def _key(path: str, name: str, field: FieldInfo, inner: type[Section] | None) -> Key:
    default = "required" if field.is_required() else _shown(field.get_default(call_default_factory=True))
    kind = "keys below" if inner is _plain(field.annotation) else _kind(field.annotation)
    plain = _plain(field.annotation)
    if inner is not None and get_origin(plain) is tuple and _plain(get_args(plain)[0]) is inner:
        kind = "list of names, or of keys below"
    return Key(path, kind, _unit(path, name), _limits(field), default, _one_line(field.description or ""))


def _shown(value: Any) -> str:
    """A default as params.yaml would have it."""
    if isinstance(value, Section):
        return _shown(value.model_dump(exclude_defaults=True))
    if isinstance(value, tuple):
        value = [v.name if hasattr(v, "name") else v for v in value]
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).splitlines()[0]


def _plain(annotation: Any) -> Any:
    """The type without `| None` and what is annotated to it."""
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [a for a in get_args(annotation) if a is not type(None)]
        return _plain(parts[0]) if len(parts) == 1 else annotation
    return _plain(get_args(annotation)[0]) if hasattr(annotation, "__metadata__") else annotation


def _section_in(annotation: Any) -> type[Section] | None:
    """The section that a key holds, or a list of."""
    plain = _plain(annotation)
    if get_origin(plain) is tuple:
        plain = _plain(get_args(plain)[0])
    parts = map(_plain, get_args(plain)) if get_origin(plain) in (Union, types.UnionType) else (plain,)
    return next((p for p in parts if isinstance(p, type) and issubclass(p, Section)), None)


def _kind(annotation: Any) -> str:
    """The values of a type, in words."""
    if hasattr(annotation, "__metadata__"):
        return _kind(get_args(annotation)[0])
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_kind, parts)))
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin is tuple:
        return f"list of {_kind(parts[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "keys below"
    return _KINDS.get(origin or annotation, "value")


def _limits(field: FieldInfo) -> str:
    metadata = [*field.metadata]
    todo = [field.annotation]
    while todo:
        annotation = todo.pop()
        metadata += getattr(annotation, "__metadata__", ())
        todo += [a for a in get_args(annotation) if get_origin(annotation) is not Literal]
    parts = [m for item in metadata for m in getattr(item, "metadata", [item])]
    words = [f"{word} {getattr(p, name):,}" for kind, (word, name) in _LIMITS.items() for p in parts if type(p) is kind]
    return ", ".join(dict.fromkeys(words))


def _unit(path: str, name: str) -> str:
    if path in _OWN_UNITS:
        return _OWN_UNITS[path]
    if name in UNITS:
        return UNITS[name]
    return next((unit for ending, unit in UNITS.items() if ending.startswith("_") and name.endswith(ending)), "")


def _one_line(text: str) -> str:
    return " ".join(text.split())
