"""The command `params`: every key of params.yaml with default, unit, limits and what it does."""

import argparse
from dataclasses import asdict

from stepsift.core.console import Voice
from stepsift.core.errors import ParamsError

PAGE_HEAD = """# Every key of params.yaml

Written by `stepsift params --markdown` from the models in `src/stepsift/params/`; a test compares the two. The few keys
that people change stand in `params.yaml` itself, with a comment each; every other key has the default below until you
write it there. What DVC reads has to stay there: all sections but `audition` and `tracking`; `student.path`;
`selectors`, `seed`, `stability` and `stability_prompts` of `select`; `train.steps`; `evaluate.tasks`. `[]` stands for
each element of a list. `stepsift check` reads the file back and says what is wrong.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift params`."""
    what = "only keys that begin so, e.g. score or select.filters (default: all)"
    parser.add_argument("prefix", nargs="?", default="", metavar="KEY", help=what)
    parser.add_argument("--markdown", action="store_true", help="the page docs/PARAMS.md")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print the keys; raises ParamsError where there is none of that name."""
    from stepsift.commands.param_keys import Key, about_sections, all_keys

    keys = [k for k in all_keys() if f"{k.path}.".startswith(args.prefix) or k.path.startswith(args.prefix)]
    if not keys:
        raise ParamsError([f"no key begins with '{args.prefix}'; sections are {', '.join(about_sections())}"])

    def limits(key: Key) -> str:
        return "; ".join(part for part in (key.kind, key.unit, key.limits) if part)

    if args.markdown:
        voice.lines(PAGE_HEAD.split("\n"))
        for section, about in about_sections().items():
            rows = [k for k in keys if k.path.startswith(f"{section}.")]
            if rows:
                voice.lines([f"## {section}", "", about, "", "| key | default | values | |", "|---|---|---|---|"])
            voice.lines(f"| `{k.path}` | `{k.default}` | {limits(k)} | {k.about} |" for k in rows)
            voice.lines([""] if rows else [])
    else:
        for key in keys:
            voice.lines([f"{key.path}: {key.default}  ({limits(key)})", f"    {key.about}"])
    voice.data([asdict(key) for key in keys])
