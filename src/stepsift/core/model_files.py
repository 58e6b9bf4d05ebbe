"""The files of a model's folder that are loaded, and what is refused of them before anything heavy begins.

A folder may come from anybody. Whatever is loaded of it lies in it and is part of its fingerprint; what its
configuration says of sizes is possible.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from stepsift.core.disk import IN_DVC_CACHE
from stepsift.core.errors import StudentError

WEIGHTS = ("*.safetensors", "*.bin")
_WEIGHT_MAPS = ("*.safetensors.index.json", "*.bin.index.json", "adapter_config.json")
_CONFIGURATION = ("config.json", "generation_config.json")
_TOKENIZER = (
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "processor_config.json", "chat_template*"),
    *("additional_chat_templates/*.jinja", "*.model", "*.tiktoken", "tekken.json", "vocab*", "merges.txt"),
)
_SIZES = {
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2_000),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "head_dim"), 1_000_000),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_key_value_heads"), 100_000),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim"), 10_000_000),
    **dict.fromkeys(("vocab_size", "max_position_embeddings", "n_positions"), 1_000_000_000),
}
"""Keys of a configuration to the largest value that is taken for possible; the smallest is 1."""


def loaded_files(folder: Path, weights: bool = True, tokenizer: bool = True) -> list[Path]:
    """Paths of what transformers may load of a model's folder, sorted; those in folders below it are named by indexes.

    Raises StudentError for a file that lies elsewhere (an index or a link says so), or is a pipe or a device.
    """
    patterns = (*(_CONFIGURATION + WEIGHTS + _WEIGHT_MAPS if weights else ()), *(_TOKENIZER if tokenizer else ()))
    paths = {path for pattern in patterns for path in folder.glob(pattern) if not path.is_dir()}
    if weights:
        paths |= {folder / shard for index in sorted(folder.glob("*.index.json")) for shard in _shards(index)}
    for path in sorted(paths):
        require_inside(path, folder)
    return sorted(path for path in paths if path.is_file())


def require_inside(path: Path, folder: Path) -> None:
    """Raise StudentError if a path leads out of `folder`, or to a pipe or a device.

    What lies in the caches of DVC and of a hub, which link files to them, is taken for a part of the folder.
    """
    real, inside = path.resolve(), folder.resolve()
    places = [inside]
    if inside.parent.name == "snapshots":
        places.append(inside.parent.parent / "blobs")
    if not any(real.is_relative_to(place) for place in places) and not IN_DVC_CACHE.search(real.as_posix()):
        raise StudentError(
            f"'{path}' leads to '{real}', outside of the student's folder; copy that file into the folder, so that it "
            "is part of what is known of the student"
        )
    if real.exists() and not (real.is_file() or real.is_dir()):
        raise StudentError(f"'{path}' is a pipe or a device, and no file of a model; remove it")


def _shards(index: Path) -> Iterator[str]:
    """Names of the files of weights that an index lists; raises StudentError where it is none, or names one outside."""
    if not index.is_file():
        return
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # loading the model says what is wrong with it
    for name in sorted(map(str, names)):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise StudentError(
                f"'{index}' names the file of weights '{name[:200]}', outside of the student's folder; copy them into "
                "the folder and correct the names in the index"
            )
        yield name


def require_possible_sizes(config: dict[str, Any], path: Path) -> None:
    """Raise StudentError where a model's configuration, or that of its text part, has a size that no model has."""
    for part in (config, config.get("text_config")):
        for key, most in _SIZES.items():
            size = part.get(key) if isinstance(part, dict) else None
            if isinstance(size, int | float) and not 1 <= size <= most:
                raise StudentError(
                    f"the configuration in '{path}' says {key}: {size}, which must be 1 to {most:,}; put the model's "
                    "own config.json there"
                )
