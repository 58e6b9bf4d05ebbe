"""From a folder of trace files to a curated set, with stepsift as a library: no DVC, no MLflow, no params.yaml.

    python examples/pipeline.py traces/ student/ curated.jsonl

`traces/` holds JSONL files in any layout that stepsift reads, `student/` the model that is to be trained. One line per
prompt is written, in chat form: the trace that suits the student best, as a trainer such as TRL reads it.
"""

import argparse
import json
from pathlib import Path

import polars as pl

import stepsift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("traces", type=Path, help="folder with trace files")
    parser.add_argument("student", type=Path, help="the model that will be trained")
    parser.add_argument("out", type=Path, help="JSONL file for the curated set")
    parser.add_argument("--by", default="lalp", help="metric to choose by (default: %(default)s)")
    args = parser.parse_args()

    # Every response that can be used, its answer verified where the file has a gold answer.
    traces = stepsift.read(args.traces)

    # The student's view of each step: in a window of the steps before it, and in its whole context.
    scorer = stepsift.Scorer(args.student)
    parts = []
    for _, group in traces.group_by("prompt_id", maintain_order=True):
        scores = scorer.score(group["prompt"][0].to_list(), group["response"].to_list())
        parts.append(pl.concat([group, scores], how="horizontal"))
    scored = pl.concat(parts)

    # Which teacher suits the student, with how much certainty.
    for row in stepsift.rank(scored).filter(pl.col("metric") == args.by).iter_rows(named=True):
        rank, mean, low, high = (row[name] for name in ("rank", "mean", "ci_low", "ci_high"))
        interval = "no interval: too few prompts" if low is None else f"{low:.3f}, {high:.3f}"
        print(f"{rank}  {row['teacher']}: {mean:.3f} [{interval}]" if rank else f"-  {row['teacher']}: not comparable")

    # The best trace of each prompt; a correct one where there is one.
    chosen = stepsift.select(scored, by=args.by, correct="prefer")
    with args.out.open("w", encoding="utf-8") as file:
        for row in chosen.iter_rows(named=True):
            messages = [*row["prompt"], {"role": "assistant", "content": row["response"]}]
            file.write(json.dumps({"messages": messages, "teacher": row["teacher"]}, ensure_ascii=False) + "\n")
    print(f"{chosen.height} of {traces.height} traces chosen by {args.by}: {args.out}")


if __name__ == "__main__":
    main()
