"""The command `verify`: every link from the sources to the exports."""

import argparse
from dataclasses import asdict
from pathlib import Path

from stepsift import params
from stepsift.commands import LOCK, arguments
from stepsift.core.console import Voice
from stepsift.core.errors import LineageError
from stepsift.core.text import count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift verify`."""
    sample = "traces that are scored anew, without caches (default: %(default)s)"
    parser.add_argument("--sample", type=arguments.count, default=8, metavar="N", help=sample)
    parser.add_argument("--seed", type=int, help="seed of that sample (default: score.seed of params.yaml)")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--fast", action="store_const", dest="level", const="fast", help="compare hashes, compute nothing"
    )
    full = "score all traces, train all students and evaluate them again, as long as that takes"
    effort.add_argument("--full", action="store_const", dest="level", const="full", help=full)
    parser.add_argument("--attestation", type=Path, metavar="FILE", help="also check a statement of 'stepsift attest'")
    key = "public key in PEM with which the attestation must be signed"
    parser.add_argument("--key", type=Path, metavar="FILE", help=key)


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print a line per link; raises LineageError where one is broken."""
    settings = params.load()
    from stepsift.lineage.verify import Effort, check_links

    if args.key is not None and args.attestation is None:
        raise LineageError("--key checks the signature of a statement; name the statement with --attestation FILE")
    stated = []
    if args.attestation is not None:
        from stepsift.lineage import lock as locks
        from stepsift.lineage.attest import check_attestation

        # First: it takes no time, and a statement or key that cannot be read is not to be said after hours.
        stated = check_attestation(args.attestation, args.key, locks.read(LOCK))
    seed = settings.score.seed if args.seed is None else args.seed
    links = []
    for link in check_links(LOCK, settings, Effort(args.level or "default", args.sample, seed)):
        links.append(link)
        voice.lines([link.line()])
    voice.lines(link.line() for link in stated)
    links += stated
    voice.data([asdict(link) for link in links])
    broken = [link.name for link in links if link.broken]
    if broken:
        raise LineageError(
            f"{count(len(broken), 'broken link')}, the first is '{broken[0]}'; 'dvc checkout' brings outputs back, "
            "'dvc repro' makes what is out of date"
        )
