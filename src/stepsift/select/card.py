"""The data set card: README.md of a curated set, with what is known of it and what is not."""

import json
import re
from typing import Any

import polars as pl
import yaml

from stepsift.core.tables import UNKNOWN_LICENCE
from stepsift.core.text import count, markdown_cell, markdown_code
from stepsift.select.compared import compared_section
from stepsift.select.export import messages
from stepsift.select.how_to_train import training_section
from stepsift.select.manifest import Manifest, SelectionCounts

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9.+-]*")
"""What an SPDX identifier looks like; `unknown` is one of the hub's own."""
_OTHER = "other"
"""What hubs call a licence that has a name and no identifier."""


def card_text(manifest: Manifest, examples: pl.DataFrame) -> str:
    """Markdown with the front matter that hubs read, of which `datasets.load_dataset` takes `train.jsonl` alone.

    `manifest` is that of the curated set, `examples` its rows with teacher, domain, licence, source, verdict and
    response.
    """
    selector, student = manifest["selector"], manifest["student"]
    licences = examples["licence"].fill_null(UNKNOWN_LICENCE)
    by = f"{markdown_code(student['path'])}, fingerprint `{student.get('student', 'unknown')}`"
    sections = [
        _front_matter(licences, examples.height),
        f"# Reasoning traces selected by {selector['name']}",
        f"{count(examples.height, 'response')} to {count(examples['prompt_id'].n_unique(), 'prompt')} by "
        f"{count(examples['teacher'].n_unique(), 'teacher')}, selected by stepsift for one student ({by}).",
        "## How it was chosen",
        _how(manifest),
        "## From the pool to this set",
        _tree(manifest["counts"]),
        "## How the teachers compare",
        compared_section(manifest["ranking"], selector["by"]),
        "## Teachers and domains",
        _shares(examples, "teacher"),
        _shares(examples.with_columns(pl.col("domain").fill_null("none")), "domain"),
        "## Sources and licences",
        _sources(examples, licences, manifest["inputs"]["sources"]),
        "## What to know before using it",
        _limits(examples, licences),
        "## How to train on it",
        training_section(student.get("rendering"), examples),
        "## How to make it again",
        _AGAIN,
    ]
    return "\n\n".join(sections) + "\n"


_AGAIN = """`manifest.json` has the md5 of every source and table, all parameters, the student's fingerprint, a hash of
the code, fitted coefficients and the fingerprint of this selection. With these, `dvc repro select` makes it again in
the repository where it was made. `stepsift why ID` tells of any row where it comes from and why it is here."""


def _front_matter(licences: pl.Series, rows: int) -> str:
    names = sorted(set(licences))
    others = [name for name in names if not _IDENTIFIER.fullmatch(name)]
    shown = sorted({_OTHER if name in others else name.lower() for name in names})
    about = {
        "license": shown[0] if len(shown) == 1 else shown,
        **({"license_name": ", ".join(others)} if others else {}),
        "task_categories": ["text-generation"],
        "size_categories": [next((name for most, name in _SIZES if rows < most), "n>1M")],
        # Without it, a hub would take every file of the folder for data.
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": messages.FILE}]}],
    }
    return f"---\n{yaml.safe_dump(about, sort_keys=False, allow_unicode=True)}---"


def _how(manifest: Manifest) -> str:
    selector, numerics = manifest["selector"], manifest["student"].get("numerics", {})
    default = {"per_prompt": 1, "each_epoch": False, "quotas": {"teacher": {}, "domain": {}}}
    rules = [
        f"{k}: {_rule(v)}" for k, v in selector.items() if k not in ("name", "by") and v not in (None, default.get(k))
    ]
    lines = [f"- by `{selector['by']}`" + (f", {'; '.join(rules)}" if rules else ", the best trace of each prompt")]
    lines.append(f"- verdicts: `select.correct: {manifest['parameters']['correct']}`")
    weights = manifest["parameters"].get("weights", "none")
    if weights != "none":
        shown = weights if isinstance(weights, str) else ", ".join(f"{k} {v}" for k, v in weights.items())
        lines.append(
            "- weights: column `weight` is 1 in each row, since a pass shows one trace per prompt"
            if selector.get("each_epoch")
            else f"- weights: column `weight`, one in all per prompt (`select.weights`: {shown}); stepsift's own "
            "training weighs its loss by it, TRL's SFTTrainer, axolotl and LLaMA-Factory ignore it and train on all "
            "rows alike"
        )
    if selector.get("each_epoch"):
        lines.append(
            "- column `turn`: each pass of stepsift's own training shows one trace per prompt, the next one each time; "
            "TRL's SFTTrainer, axolotl and LLaMA-Factory ignore it and train on all rows in every pass"
        )
    if steps := manifest.get("train_steps"):
        lines.append(_masked(steps))
    if numerics:
        lines.append(f"- scores: {', '.join(f'{k} {v}' for k, v in sorted(numerics.items()))}")
    return "\n".join(lines)


def _rule(value: Any) -> str:
    """A value of a selector as params.yaml has it; names of teachers and domains may be anybody's."""
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if v}
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return markdown_code(text) if isinstance(value, str | dict) else text


def _masked(steps: dict[str, Any]) -> str:
    rule = ", ".join(f"{k} {v}" for k, v in steps.items() if v is not None)
    cut = ""
    if steps["drop"] == "last":
        cut = "; `train_end: false` marks a trace that is cut, after which only stepsift leaves out the end token too"
    return (
        f"- steps: `train.steps` ({rule}) leaves the spans out of the loss that `train_detail` of the assistant's "
        "message marks with `train: false` (`masked_steps.parquet` has them as a table; in `train.parquet` they are a "
        "column); stepsift's own training does so, and axolotl with `message_field_training_detail: train_detail`; "
        f"TRL's SFTTrainer and LLaMA-Factory ignore it and train on all of each response{cut}"
    )


def _tree(counts: SelectionCounts) -> str:
    lines = [
        f"- {count(counts['traces'], 'trace')} in the pool",
        f"  - {counts['scored']:,} scored",
        *(f"    - {n:,} dropped by the filter `{reason}`" for reason, n in counts["filtered"].items()),
        f"    - {counts['not_correct']:,} dropped for their verdict",
        f"    - {count(counts['candidates'], 'candidate')}",
        *(f"      - {n:,} left out by this selector: `{reason}`" for reason, n in counts["dropped"].items()),
        f"      - {counts['chosen']:,} chosen, of {count(counts['prompts'], 'prompt')}",
    ]
    return "\n".join(lines)


def _shares(examples: pl.DataFrame, column: str) -> str:
    groups = examples.group_by(column).agg(
        pl.len(), (pl.col("verdict") == "correct").mean().alias("correct"), pl.col("response").str.len_chars().mean()
    )
    rows = groups.sort(pl.col("len"), column, descending=[True, False]).rows()
    lines = [f"| {column} | traces | share | verdict correct | mean characters |", "|---|---|---|---|---|"]
    lines += [
        f"| {markdown_cell(name)} | {n:,} | {n / examples.height:.1%} | {correct:.1%} | {chars:,.0f} |"
        for name, n, correct, chars in rows
    ]
    return "\n".join(lines)


def _sources(examples: pl.DataFrame, licences: pl.Series, about: dict[str, Any]) -> str:
    counts = examples.select("source", licences.alias("licence")).group_by("source", "licence").len()
    rows = counts.sort("source", "licence").rows()
    if not any("repository" in about.get(source, {}) for source, _, _ in rows):
        lines = ["| file | licence | rows |", "|---|---|---|"]
        lines += [f"| {markdown_cell(source)} | {markdown_cell(licence)} | {n:,} |" for source, licence, n in rows]
        return "\n".join(lines)
    lines = ["| file | licence | rows | published as | revision |", "|---|---|---|---|---|"]
    for source, licence, n in rows:
        published = [markdown_cell(about.get(source, {}).get(key, "")) for key in ("repository", "revision")]
        lines.append(f"| {markdown_cell(source)} | {markdown_cell(licence)} | {n:,} | {' | '.join(published)} |")
    return "\n".join(lines)


def _limits(examples: pl.DataFrame, licences: pl.Series) -> str:
    unchecked, wrong, unknown = (
        flags.sum() / max(1, len(flags))
        for flags in (
            ~examples["verdict"].is_in(["correct", "wrong"]),
            examples["verdict"] == "wrong",
            licences == UNKNOWN_LICENCE,
        )
    )
    return (
        f"- {_SCORES}\n"
        f"- A verdict compares the final answer alone. {wrong:.1%} of the rows are wrong, {unchecked:.1%} could not be "
        "judged (no gold answer, no answer found, or no time).\n"
        f"- The licence of {unknown:.1%} of the rows is not known. A licence is what the sources say of themselves; "
        "terms of the models that wrote the traces may hold besides."
    )


_SCORES = """A score is a likelihood under one student. It says how natural a trace is to that student, not whether it
  is right, and not whether another student learns from it. That this choice of traces trains a better student than
  another is not measured by scores: `stepsift audition` measures it."""
