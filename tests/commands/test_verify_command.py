"""What `stepsift verify` and `rank` pass on, and what `verify` calls broken; the links themselves are made by hand."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stepsift.commands import rank
from stepsift.commands.ranking_lines import Ranked
from stepsift.lineage import attest, lock, verify
from stepsift.lineage.check_result import CheckResult

pytestmark = pytest.mark.slow  # what checks links imports DVC

FINE = CheckResult("ingest", "3 files")
TORN = CheckResult("set lalp", "", ("its export is not the one that was stated",))


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a stand-in for the checks of a project was asked for, whose seed is 3; its answers are `links`."""
    (tmp_path / "params.yaml").write_text("score: {seed: 3}\n")
    monkeypatch.chdir(tmp_path)
    seen: dict[str, Any] = {"links": [FINE], "stated": [FINE]}

    def check_links(_: Path, __: object, effort: verify.Effort) -> list[CheckResult]:
        seen["effort"] = effort
        return seen["links"]

    def rank_sources(*arguments: Any) -> Ranked:
        seen["size"] = next(a for a in arguments if isinstance(a, rank.SampleSize))
        return Ranked([], pl.DataFrame())

    monkeypatch.setattr(verify, "check_links", check_links)
    monkeypatch.setattr(lock, "read", lambda path: path)
    monkeypatch.setattr(attest, "check_attestation", lambda *_: seen["stated"])
    monkeypatch.setattr(rank, "rank_sources", rank_sources)
    return seen


@pytest.mark.parametrize(("options", "seed"), [((), 3), (("--seed", 0), 0), (("--seed", 7), 7)])
def test_a_seed_that_is_given_is_taken_zero_too(options: tuple, seed: int, checked: dict[str, Any], run_cli):
    assert run_cli("verify", *options)[0] == 0
    assert checked["effort"] == verify.Effort("default", 8, seed)
    assert run_cli("rank", "--prompts", 5, *options)[0] == 0
    assert checked["size"] == rank.SampleSize(5, seed)


@pytest.mark.parametrize(
    ("links", "stated", "broken"),
    [
        ([FINE], [FINE], None),
        ([FINE, TORN], [], "1 broken link, the first is 'set lalp'"),
        ([FINE], [FINE, TORN], "1 broken link, the first is 'set lalp'"),
        ([TORN], [TORN], "2 broken links, the first is 'set lalp'"),
    ],
)
def test_a_broken_link_or_attestation_is_told_and_ends_in_an_error(
    links: list, stated: list, broken: str | None, checked: dict[str, Any], run_cli
):
    checked.update(links=links, stated=stated)
    code, out, err = run_cli("verify", "--attestation", "a.json")
    assert out == [link.line() for link in (*links, *stated)]
    assert (code, len(err)) == ((0, 0) if broken is None else (1, 1))
    assert broken is None or err[0].startswith(f"error: {broken}; ")
    # Without the option nobody looks at an attestation.
    assert run_cli("verify")[0] == (1 if TORN in links else 0)
