"""The commands `why`, `verify`, `diff` and `report`. Nothing heavy is imported before one of them runs."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from stepsift import params
from stepsift.core import disk
from stepsift.core.console import Voice
from stepsift.core.errors import LineageError

LOCK = Path("dvc.lock")


def add_why(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift why`."""
    what = "a trace or prompt id, at least 6 characters of its beginning, or FILE:LINE of the sources"
    parser.add_argument("id", metavar="ID", help=what)
    parser.add_argument("--selector", metavar="NAME", help="one curated set (default: all)")


def add_verify(parser: argparse.ArgumentParser, count: Callable[[str], int]) -> None:
    """Arguments of `stepsift verify`; `count` reads a number that is at least 1."""
    sample = "traces that are scored anew, without caches (default: %(default)s)"
    parser.add_argument("--sample", type=count, default=8, metavar="N", help=sample)
    parser.add_argument("--seed", type=int, help="seed of that sample (default: score.seed of params.yaml)")
    parser.add_argument("--fast", action="store_true", help="run no stage again and score nothing")


def add_diff(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift diff`."""
    parser.add_argument("before", metavar="REV1", help="branch, tag or commit whose pipeline was run")
    parser.add_argument("after", metavar="REV2", nargs="?", help="another one (default: the working folder)")
    parser.add_argument("--selector", metavar="NAME", help="one curated set (default: all)")
    parser.add_argument("--markdown", action="store_true", help="for a pull request")


def add_report(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift report`."""
    parser.add_argument(
        "--since", metavar="REV", help="branch, tag or commit to compare with (default: the last commit)"
    )
    page = "the page that stage report wrote (default: %(default)s)"
    parser.add_argument("--page", type=Path, default=Path("report/index.html"), metavar="FILE", help=page)
    parser.add_argument(
        "--out", type=Path, default=Path("report/since.html"), metavar="FILE", help="default: %(default)s"
    )


def run_why(args: argparse.Namespace, voice: Voice) -> None:
    """Print the story of a trace or a prompt."""
    from stepsift.lineage.why import explain
    from stepsift.lineage.why_lines import lines_of

    answer = explain(args.id, LOCK, args.selector)
    voice.lines(lines_of(answer))
    voice.data(answer.as_json())


def run_verify(args: argparse.Namespace, voice: Voice) -> None:
    """Print a line for each link; raises LineageError where one is broken."""
    settings = params.load()
    from stepsift.lineage.verify import check_links

    seed = settings.score.seed if args.seed is None else args.seed
    links = []
    for link in check_links(LOCK, settings, args.sample, seed, args.fast):
        links.append(link)
        voice.lines([link.line()])
    voice.data([asdict(link) for link in links])
    broken = [link.name for link in links if link.broken]
    if broken:
        raise LineageError(
            f"{len(broken)} links are broken, the first is '{broken[0]}'; 'dvc checkout' brings outputs back, "
            "'dvc repro' makes what is out of date"
        )


def run_diff(args: argparse.Namespace, voice: Voice) -> None:
    """Print what changed in the curated sets."""
    from stepsift.lineage import render
    from stepsift.lineage.diff import compare
    from stepsift.lineage.snapshot import of_folder, of_revision

    after = of_folder(LOCK) if args.after is None else of_revision(args.after)
    comparison = compare(of_revision(args.before), after, args.selector)
    voice.lines(render.markdown(comparison) if args.markdown else render.terminal(comparison))
    voice.data(comparison.as_json())


def run_report(args: argparse.Namespace, voice: Voice) -> None:
    """Write the report's page once more, with what changed since a revision in its place."""
    from stepsift.lineage.since import with_changes

    disk.write_text(with_changes(args.page, args.since, LOCK), args.out)
    voice.lines([f"{args.out}: the report, with what changed since {args.since or 'the last commit'}"])
    voice.data({"page": str(args.out)})
