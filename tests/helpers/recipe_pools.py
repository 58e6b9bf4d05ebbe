"""Stand-ins for the sets that recipes read: the same files and columns, our own content."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

LIMO = "A rope of {n} metres is cut in two equal parts. How long is each part, in metres?"
SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
RSR_TEACHERS = (
    *("deepseek-r1-0528", "gptoss-120b-high", "gptoss-20b-high", "magistral-small-2506", "nemotron-super-v15"),
    *("phi4-reason-plus", "qwen3-235b-2507", "qwen3-30b-2507", "qwen3-4b-2507", "qwen3-8b", "qwq-32b"),
)
"""Folders of Umean/RSR_data; the last one's name is a guess of ours."""


def limo_set(n_prompts: int) -> dict[str, str | bytes]:
    """Files in the shape of GAIR/LIMO."""
    rows = [{"question": LIMO.format(n=n), "solution": f"{n} / 2", "answer": f"{n / 2:g}"} for n in range(n_prompts)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {"README.md": "---\nlicense: apache-2.0\n---\n# Ropes\n", "limo.jsonl": lines}


def vllm_answers(requests: Sequence[dict[str, Any]], teacher: str) -> Iterator[dict[str, Any]]:
    """Lines as `vllm run-batch` writes them, of one teacher as some of its pages show them, without a body; the last
    answer is cut off, the one before it an error."""
    for number, request in enumerate(requests):
        half = number / 2
        thought, answer = f"Half of {number} is {half:g}. I am {teacher}.", f"It is \\boxed{{{half:g}}}."
        messages = {
            "DeepSeek-R1": {"content": answer, "reasoning_content": thought},
            "QwQ-32B": {"content": f"{thought}\n</think>\n\n{answer}"},
            "Qwen3-32B": {"content": f"<think>\n{thought}\n</think>\n\n{answer}"},
        }
        finish = "length" if number == len(requests) - 1 else "stop"
        choice = {"index": 0, "message": {"role": "assistant", **messages[teacher]}, "finish_reason": finish}
        failed = number == len(requests) - 2
        completion: dict[str, Any] = {} if failed else {"choices": [choice]}
        within = {"status_code": 500 if failed else 200, "body": completion}
        response = completion if teacher == "Qwen3-32B" else within
        yield {"id": f"vllm-{number}", "custom_id": request["custom_id"], "response": response, "error": None}


def rsr_set(n_prompts: int) -> dict[str, str | bytes]:
    """Files in the shape of Umean/RSR_data: JSON arrays of conversations, by teacher and run."""
    files: dict[str, str | bytes] = {"README.md": "---\nlicense: mit\n---\n# Ropes\n"}
    for teacher in RSR_TEACHERS:
        for run in (1, 2, 3):
            rows = [{"messages": _conversation(n, f"{teacher}, run {run}")} for n in range(n_prompts)]
            files[f"{teacher}/short-sys_5k_gen{run}.json"] = json.dumps(rows, indent=2)
    chosen = [{"messages": _conversation(0, "chosen")}]
    files["selected_by_rsr/rsr-min_for_qwen25-7b-base.json"] = json.dumps(chosen)
    return files


def _conversation(n: int, who: str) -> list[dict[str, str]]:
    answer = f"<think>\nHalf of {n} is {n / 2:g}, says {who}.\n</think>\n\nIt is \\boxed{{{n / 2:g}}}."
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": LIMO.format(n=n)},
        {"role": "assistant", "content": answer},
    ]
