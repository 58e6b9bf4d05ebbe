"""How git merges params.yaml: rules of `ingest.files` one by one, all other lines as git does.

Two branches that each add a rule change the same place, which git calls a conflict. Each rule stands for a file of its
own, so they are merged by what they match, and put into what git makes of the rest.

    python -m stepsift.sources.merge BASE OURS THEIRS

is the merge driver `stepsift` that .gitattributes names: the result is written to OURS, exit code 1 is a conflict.
"""

import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from stepsift.core.errors import StepsiftError
from stepsift.sources.rules import rules, with_rule, without_rule

DRIVERS = {
    "stepsift": f"{shlex.quote(sys.executable)} -P -m stepsift.sources.merge %O %A %B",
    # What a stage writes and git holds: ours stays, and the next `dvc repro` makes it anew.
    "stepsift-made": "true",
}
"""Merge driver of .gitattributes to its command on this machine."""


def register() -> bool:
    """Make the merge drivers known to this clone of the repository; False where there is no git."""
    for name, command in DRIVERS.items():
        try:
            subprocess.run(["git", "config", f"merge.{name}.driver", command], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return False
    return True


def merge(base: Path, ours: Path, theirs: Path) -> bool:
    """Merge three versions of params.yaml into `ours`; False where git finds a conflict, which it then holds marked."""
    merged = _by_rules(base, ours, theirs)
    if merged is not None:
        ours.write_bytes(merged.encode())
        return True
    return subprocess.run(["git", "merge-file", str(ours), str(base), str(theirs)], check=False).returncode == 0


def _by_rules(base: Path, ours: Path, theirs: Path) -> str | None:
    """The merged text; None where a rule was changed on both sides, or the rest conflicts, or cannot be read."""
    texts = [path.read_bytes().decode() for path in (base, ours, theirs)]
    try:
        by_match = [{rule["match"]: rule for rule in rules(text)} for text in texts]
        chosen = []
        for match in sorted(set().union(*by_match)):
            old, here, there = (found.get(match) for found in by_match)
            if old == here == there:
                continue
            if old not in (here, there) and here != there:
                return None
            chosen.append(there if here == old else here)
            texts = [without_rule(text, match) for text in texts]
        merged = _text_merge(base, ours, theirs, texts)
        for rule in chosen:
            merged = merged and (with_rule(merged, rule) if rule else merged)
    except (StepsiftError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return None
    return merged


def _text_merge(base: Path, ours: Path, theirs: Path, texts: list[str]) -> str | None:
    """What git makes of three texts, None for a conflict; the files, which git made for this, are left as they were."""
    scratch = [path.with_name(f"{path.name}.rules") for path in (base, ours, theirs)]
    try:
        for path, text in zip(scratch, texts, strict=True):
            path.write_bytes(text.encode())
        command = ["git", "merge-file", "-p", *map(str, (scratch[1], scratch[0], scratch[2]))]
        done = subprocess.run(command, check=False, capture_output=True)
    finally:
        for path in scratch:
            path.unlink(missing_ok=True)
    return done.stdout.decode() if done.returncode == 0 else None


if __name__ == "__main__":
    raise SystemExit(not merge(*map(Path, sys.argv[1:4])))
