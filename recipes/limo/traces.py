"""A teacher's traces on LIMO's prompts: requests in the form of OpenAI's batches, and their answers to a trace file.

    python -P recipes/limo/traces.py ask --model Qwen/QwQ-32B > requests.jsonl
    vllm run-batch -i requests.jsonl -o answers.jsonl --model Qwen/QwQ-32B
    python -P recipes/limo/traces.py read answers.jsonl --teacher QwQ-32B > traces/QwQ-32B.jsonl

The prompts come from the hub; a branch is resolved to a commit, which stands in every request and every trace. An
answer that reached the limit of tokens is no trace: how many were left out is said.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stepsift.sources import hub

PROMPTS = "hub:GAIR/LIMO@main"
SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
"""LIMO's system prompt in training; teachers are asked so in the user's words, as cards of such models advise."""
SAMPLING = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 32_768}
"""What the cards of the three teachers advise; the paper's own are not known to us."""

Row = dict[str, Any]


def requests(rows: Iterable[Row], commit: str, model: str) -> Iterator[Row]:
    """One request for each row of LIMO (columns question, solution, answer), numbered from 0."""
    for number, row in enumerate(rows):
        content = f"{row['question']}\n\n{SYSTEM}"
        body = {"model": model, "messages": [{"role": "user", "content": content}], **SAMPLING}
        yield {"custom_id": f"{commit}-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def traces(answers: Iterable[Row], rows: list[Row], commit: str, teacher: str) -> Iterator[Row | str]:
    """A trace for each whole answer, and for each other one, in a word, why it is none.

    Raises ValueError where an answer is to a prompt of another commit.
    """
    for answer in answers:
        prompts_commit, _, number = str(answer["custom_id"]).rpartition("-")
        if prompts_commit != commit:
            raise ValueError(
                f"an answer is to a prompt of {prompts_commit}, and the prompts are those of {commit}; name the first "
                "with --prompts hub:GAIR/LIMO@COMMIT"
            )
        response = answer.get("response") or {}
        # Servers differ in whether the completion is the response or its body.
        choices = (response.get("body") or response).get("choices") or []
        if not choices:
            yield "no answer"
        elif choices[0].get("finish_reason") != "stop":
            yield "cut off"
        else:
            row, message = rows[int(number)], choices[0]["message"]
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            apart = {"reasoning": reasoning} if reasoning else {}
            trace = {"prompt_id": f"limo-{number}", "system": SYSTEM, "prompt": row["question"], **apart}
            origin = {"teacher": teacher, "answer": str(row["answer"]), "prompts": f"GAIR/LIMO@{commit}"}
            yield {**trace, "response": message["content"], **origin}


def load_prompts(name: str) -> tuple[list[Row], str]:
    """The rows of LIMO, from the hub or its cache on this machine, and their commit."""
    prompt_set = hub.download(name, ("limo.jsonl",))
    return read_lines(prompt_set.folder / "limo.jsonl"), prompt_set.revision


def read_lines(path: Path) -> list[Row]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def main() -> None:
    """Read the command line; write lines to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    ask = commands.add_parser("ask", help="write requests")
    ask.add_argument("--model", required=True, help="the teacher, as the server knows it")
    read = commands.add_parser("read", help="write traces")
    read.add_argument("answers", type=Path, help="what the server wrote")
    read.add_argument("--teacher", required=True, help="the teacher's name in the pool")
    for command in (ask, read):
        command.add_argument("--prompts", default=PROMPTS, metavar=hub.FORM, help="the set (default: %(default)s)")
    args = parser.parse_args()
    rows, commit = load_prompts(args.prompts)
    if args.command == "ask":
        lines: Iterable[Row | str] = requests(rows, commit, args.model)
    else:
        lines = traces(read_lines(args.answers), rows, commit, args.teacher)
    left_out = Counter[str]()
    for line in lines:
        if isinstance(line, str):
            left_out[line] += 1
        else:
            print(json.dumps(line))
    print(f"{len(rows)} prompts of GAIR/LIMO at commit {commit}", file=sys.stderr)
    for reason, n in sorted(left_out.items()):
        print(f"left out: {n} ({reason})", file=sys.stderr)


if __name__ == "__main__":
    main()
