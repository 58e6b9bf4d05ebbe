"""The command `attest`: the provenance of a curated set as an in-toto statement, signed if a key is given."""

import argparse
import os
from pathlib import Path

from stepsift.commands import LOCK
from stepsift.core import disk
from stepsift.core.console import Voice
from stepsift.core.text import count

FOLDER = Path("attestations")
PASSPHRASE = "STEPSIFT_KEY_PASSPHRASE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift attest`."""
    parser.add_argument("selector", metavar="SELECTOR", help="name of a curated set")
    key = f"private key in PEM that signs; its passphrase, if it has one, is in {PASSPHRASE}"
    parser.add_argument("--key", type=Path, metavar="FILE", help=key)
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default: {FOLDER}/SELECTOR.intoto.json")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Write the statement; outside of the stage's output, which is DVC's."""
    from stepsift.lineage import lock as locks
    from stepsift.lineage.attest import sign, statement
    from stepsift.tracking.provenance import git_tags

    out = args.out or FOLDER / f"{args.selector}.intoto.json"
    lock = locks.read(LOCK)
    generated = [path for stage in lock.stages for path in lock.outs(stage)]
    content = statement(args.selector, lock, git_tags([*generated, FOLDER.as_posix()]), _images())
    disk.write_json(sign(content, args.key, os.environ.get(PASSPHRASE)) if args.key else content, out)
    how = f"signed with {args.key}" if args.key else "not signed (--key FILE signs)"
    voice.lines([f"{out}: {count(len(content['subject']), 'file')} of {args.selector}, {how}"])
    voice.data({"file": out, "signed": bool(args.key), "statement": content})


def _images() -> dict[str, str]:
    """Name of each container image that was built here to its digest."""
    notes = sorted(Path(".stepsift").glob("image-*.txt"))
    return dict(line.split() for note in notes for line in note.read_text(encoding="utf-8").splitlines() if line)
