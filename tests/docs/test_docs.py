"""README.md and docs/ say what is: commands and options exist, links and paths lead somewhere, no page is lost."""

import argparse
import re
import shlex

import pytest

from helpers.doc_pages import PAGES, ROOT, Block, blocks, inline
from stepsift.commands.main import build_parser
from stepsift.metrics import all_metrics

BLOCKS = [block for page in PAGES for block in blocks(page)]
FOLDERS = (
    "src/",
    "docs/",
    "tests/",
    "scripts/",
    "stages/",
    "demo/",
    "configs/",
    "requirements/",
    "bench/",
    ".github/",
    "recipes/",
)


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(next(found, {}))


def wrong_words(command: str) -> list[str]:
    """Commands and options of `stepsift ..` that do not exist; words in capitals and quotes stand for something."""
    parser, known, wrong = build_parser(), set(), []
    words = shlex.split(command.replace("[", " ").replace("]", " "), comments=True)[1:]
    while words and words[0] in subparsers(parser):
        known |= options(parser)
        parser = subparsers(parser)[words.pop(0)]
    if parser.prog == "stepsift" and words and not words[0].startswith("-"):
        wrong.append(words[0])
    return wrong + [w for w in words if w.startswith("--") and w.partition("=")[0] not in known | options(parser)]


def test_the_checker_of_words_sees_what_is_wrong():
    assert wrong_words("stepsift check --student") == []
    assert wrong_words("stepsift cache warm --rev REV") == []
    assert wrong_words("stepsift chek") == ["chek"]
    assert wrong_words("stepsift check --studnt") == ["--studnt"]


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_of_stepsift_exist(page: str):
    said = [c for block in blocks(page) for c in block.commands()] + inline(page)
    for command in said:
        if re.match(r"stepsift [a-z-]", command):
            assert wrong_words(command) == [], command


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_exist(page: str):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for command in [c for block in blocks(page) for c in block.commands()] + inline(page):
        if command.startswith("make "):
            named = [w for w in shlex.split(command)[1:] if "=" not in w and w not in ("...", "..")]
            assert set(named) <= targets, command


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_lead_somewhere(page: str):
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link and not link.startswith("#"):
            assert ((ROOT / page).parent / link.partition("#")[0]).exists(), link
    for path in inline(page):
        if path.startswith(FOLDERS) and not set(path) & set("<>*{} "):
            assert (ROOT / path.rstrip("/")).exists() or ".stepsift" in path, path


def test_every_page_is_linked_from_the_readme():
    text = (ROOT / "README.md").read_text()
    assert [page for page in PAGES if page.startswith("docs/") and f"({page})" not in text] == []


def test_every_recipe_is_linked_from_the_page_on_auditions():
    text = (ROOT / "docs/AUDITION.md").read_text()
    recipes = [page for page in PAGES if page.startswith("recipes/")]
    assert recipes
    assert [page for page in recipes if f"(../{page})" not in text] == []


def test_every_metric_is_explained():
    text = (ROOT / "docs/METRICS.md").read_text()
    assert [name for name in all_metrics() if f"`{name}`" not in text] == []


@pytest.mark.parametrize("block", [b for b in BLOCKS if not b.is_run], ids=lambda b: f"{b.page}:{b.line}")
def test_a_block_that_is_not_run_says_why(block: Block):
    kind, _, what = block.said.partition(": ")
    assert what
    if kind == "elsewhere":
        return
    assert kind == "tested"
    text = "".join((ROOT / name).read_text() for name in what.split(", "))
    for command in block.commands():
        if command.startswith(("cd ", "pip ")):
            continue
        words = [w for w in shlex.split(command) if re.fullmatch(r"[a-z][a-z._/-]*", w) and w != "python"][:2]
        assert all(w.rpartition("/")[2] in text for w in words), f"{what} does not hold {words}"
