"""The part of a data set card that says what a trainer must do to train what was scored."""

from typing import Any

import polars as pl

from stepsift.core.text import CLOSE, OPEN, count, markdown_code

_PROMPTS = {
    True: "the prompt through the student's chat template with its generation prompt",
    False: "the prompt as plain text and a newline",
}
_FORMS = {
    (
        "open",
        "kept",
    ): f"The generation prompt opens `{OPEN}`, which is not opened again; `{CLOSE}` stands before an answer "
    "without reasoning.",
    ("open", "dropped"): f"Reasoning is left out (`student.thinking: drop`). The generation prompt opens `{OPEN}`; "
    f"`{CLOSE}` stands before each answer.",
    (
        "closed",
        "kept",
    ): "The generation prompt closes the reasoning, and `student.thinking: keep` trains a second block.",
    ("closed", "dropped"): "The generation prompt closes the reasoning: it is left out, answers alone are trained.",
    (None, "dropped"): "Reasoning is left out (`student.thinking: drop`): answers alone are trained.",
}
_MESSAGES = {
    "same": "A trainer that applies the student's template to the messages of `train.jsonl` trains the same text.",
    "other": "**A trainer that applies the student's template to the messages of `train.jsonl` trains other text** "
    "than was scored. Train with stepsift, or give the trainer a template that writes the assistant's turn as it is.",
    "no reasoning": "**A trainer that applies the student's template to the messages of `train.jsonl` loses the "
    "reasoning**: the template drops it. Train with stepsift, or give the trainer a template that keeps it.",
}
_UNKNOWN = (
    "A trainer that applies a chat template to the messages of `train.jsonl` may lose the reasoning: many templates "
    "drop it. `stepsift check --student` says what the student's does."
)


def training_section(rendering: dict[str, Any] | None, examples: pl.DataFrame) -> str:
    """A list in Markdown; `rendering` is what the score stage says of the student (`stepsift.score.rendering`), None in
    a pool that an older version scored, `examples` has the responses."""
    n = examples["response"].str.starts_with(OPEN).sum()
    prompt = _PROMPTS[rendering is None or rendering["template"]]
    lines = [
        f"{n:,} of {count(examples.height, 'response')} hold reasoning, between `{OPEN}` and `{CLOSE}` before the "
        "answer.",
        f"Scored and trained (`dvc repro train`) are the same token ids: {prompt}, the response encoded by itself, and "
        "the token that ends a turn. The loss is on what follows the prompt.",
    ]
    if rendering is None:
        return _list([*lines, _UNKNOWN])
    if form := _FORMS.get((rendering["prompt"], rendering["reasoning"])):
        lines.append(form)
    if n and rendering["reasoning"] == "kept" and rendering["form"] != OPEN:
        lines.append(
            f"Reasoning is written in the form of the student's template: {markdown_code(rendering['form'])} .."
        )
    if rendering["template"]:
        kinds = {"reasoning": n, "answer": examples.height - n}
        trained = {rendering["messages"][kind] for kind, count in kinds.items() if count}
        lines.append(_MESSAGES[next((worst for worst in reversed(_MESSAGES) if worst in trained), "same")])
    return _list(lines)


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
