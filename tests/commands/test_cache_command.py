"""What `stepsift cache` shows, verifies and prunes, over all caches at once."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from stepsift import sidecache
from stepsift.commands import cache as cache_command
from stepsift.core import disk
from stepsift.core.errors import CacheError
from stepsift.score.cache.scores import ScoreCache
from stepsift.score.forward.request import TokenValues
from stepsift.sidecache import SideCache

DAY = 24 * 3600


def values(n: int) -> TokenValues:
    ones = np.ones(n, dtype=np.float32)
    return TokenValues(-ones, np.ones(n, dtype=np.int32), ones, ones)


def fill(folder: Path) -> None:
    (folder / "weights").write_bytes(b"x" * 1_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Scores of three traces in one space, two models, one evaluation."""
    with ScoreCache(tmp_path, "f" * 64, {"device": "cpu", "batch_tokens": 512}) as cache:
        cache.put(b"a" * 16, values(7))
        cache.put(b"b" * 16, values(3))
        cache.get_many([b"a" * 16, b"b" * 16, b"c" * 16, b"d" * 16])
    for name in ("one", "two"):
        SideCache(tmp_path / "models").get_or_make(name, fill)
    SideCache(tmp_path / "evaluations").get_or_make("three", fill)
    return tmp_path


def age(path: Path, days: float) -> None:
    """Make a folder's files look as old as that."""
    then = time.time() - days * DAY
    for p in path.rglob("*"):
        os.utime(p, (then, then))


def space(root: Path) -> Path:
    [folder] = (root / "scores").iterdir()
    return folder


def shard(root: Path) -> Path:
    [path] = (space(root) / "tokens").glob("*.parquet")
    return path


def test_an_empty_cache_says_so(tmp_path: Path) -> None:
    assert cache_command.show(tmp_path / "none") == [f"{tmp_path / 'none'} holds nothing yet"]
    assert cache_command.verify(tmp_path / "none") == []
    assert cache_command.prune(tmp_path / "none", 1, False) == ["there is nothing to remove"]


def test_show_counts_everything(root: Path) -> None:
    head, name, counts, models, evaluations, auditions, students, groups, every = cache_command.show(root)
    assert re.fullmatch(r"scores +1 space, [\d.]+ kB", head)
    assert name == f"  {space(root).name[:12]}  student ffffffffffff: batch_tokens 512, device cpu"
    today = time.strftime("%Y-%m-%d")
    expected = rf" +1 shard, 2 keys with 10 tokens, 0 keys of step sums, [\d.]+ kB, last used {today} \d\d:\d\d, "
    assert re.fullmatch(expected + re.escape("its last run found 2 of 4 keys (50%)"), counts)
    assert re.fullmatch(rf"models +2 entries, 2\.\d kB, last used {today} \d\d:\d\d", models)
    assert re.fullmatch(rf"evaluations +1 entry, 1\.\d kB, last used {today} \d\d:\d\d", evaluations)
    assert auditions == "auditions   0 entries, 0 B"
    assert students == "students    0 entries, 0 B"
    assert groups == "groups      0 entries, 0 B"
    total = sum(p.stat().st_size for p in root.rglob("*") if p.is_file())
    assert every == f"all         {total / 1_000:.1f} kB in {root}"


def test_hit_rates_of_other_runs(root: Path) -> None:
    import polars as pl

    from stepsift.core import tables

    with ScoreCache(root, "f" * 64, {"device": "cpu", "batch_tokens": 512}) as cache:
        row = {c: None if c in tables.STEP_SCORES.nullable else 1 for c in tables.STEP_SCORES.schema}
        cache.put_sums(b"s" * 16, pl.DataFrame([row | {"trace_id": "t"}], schema=tables.STEP_SCORES.schema))
        cache.get_many([b"c" * 16])
        cache.get_sums([b"s" * 16])
    assert "2 shards, 2 keys with 10 tokens, 1 key of step sums" in cache_command.show(root)[2]
    assert cache_command.show(root)[2].endswith("its last run found 0 of 1 key (0%) and 1 trace from step sums")
    with ScoreCache(root, "f" * 64, {"device": "cpu", "batch_tokens": 512}):
        pass
    assert cache_command.show(root)[2].endswith("its last run asked for nothing")
    (space(root) / "last_run.json").unlink()
    (space(root) / "space.json").write_text("{")
    _, name, counts, *_ = cache_command.show(root)
    assert name.endswith("no student named: no numerics named") and counts.endswith("no run ended with it")
    (space(root) / "space.json").write_text("[" * 100_000)
    assert cache_command.show(root)[1] == name


@pytest.mark.parametrize(
    ("n", "said"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_234_567, "1.2 MB"), (5e9, "5.0 GB"), (7e15, "7,000.0 TB")],
)
def test_size(n: float, said: str) -> None:
    assert cache_command.size(n) == said


def test_verify_finds_damage_everywhere_and_sets_it_aside(root: Path) -> None:
    assert cache_command.verify(root) == []
    with shard(root).open("r+b") as f:
        f.seek(40)
        f.write(b"damage")
    damaged = shard(root).name
    (root / "models" / "one" / "weights").write_bytes(b"y")
    (root / "evaluations" / "three" / "entry.json").unlink()
    scores, model, evaluation = cache_command.verify(root)
    assert f"shard {shard_path(root, damaged)} is damaged" in scores and "set aside as " in scores
    assert model == f"cache entry {root / 'models/one'} is damaged (changed: weights): set aside as one.damaged-1"
    assert evaluation.endswith("(no readable entry.json): set aside as three.damaged-1")
    assert cache_command.verify(root) == []
    assert "models      1 entry" in "\n".join(cache_command.show(root))


def shard_path(root: Path, name: str) -> Path:
    return space(root) / "tokens" / name


def test_prune_removes_what_serves_nobody_and_nothing_else(root: Path) -> None:
    (root / "models" / "one" / "weights").write_bytes(b"y" * 500)
    cache_command.verify(root)
    leftover = root / "evaluations" / f".tmp-four-{2**22 + 1}-{os.uname().nodename}"
    leftover.mkdir()
    (leftover / "half").write_bytes(b"z" * 200)
    alive = root / "evaluations" / f".tmp-five-{os.getpid()}-{os.uname().nodename}"
    alive.mkdir()
    # What a run is making is no entry, and not damaged because it lacks its list of files.
    assert cache_command.verify(root) == []
    assert "evaluations 1 entry," in "\n".join(cache_command.show(root))
    before = sorted(root.rglob("*"))
    aside = root / "models" / "one.damaged-1"
    size = cache_command.size(disk.n_bytes(aside) + 200)
    assert cache_command.prune(root, None, True) == [
        f"would remove {aside}", f"would remove {leftover}", f"would remove {size} in all",
    ]  # fmt: skip
    assert sorted(root.rglob("*")) == before
    assert cache_command.prune(root, None, False)[-1] == f"removed {size} in all"
    kept = [p for p in before if not p.is_relative_to(aside) and not p.is_relative_to(leftover)]
    assert sorted(root.rglob("*")) == kept


def test_prune_by_age_goes_by_the_last_use(root: Path) -> None:
    for folder in ("scores", "models", "evaluations"):
        age(root / folder, days=10)
    # Used today.
    assert SideCache(root / "models").get_or_make("two", lambda _: pytest.fail("made again"))[1]
    assert cache_command.prune(root, 11, False) == ["there is nothing to remove"]
    removed = cache_command.prune(root, 9, False)
    assert removed[:-1] == [
        f"removed {p}" for p in (root / "scores" / removed[0].rpartition("/")[2], root / "models/one",
                                 root / "evaluations/three")
    ]  # fmt: skip
    assert [e.folder.name for e in SideCache(root / "models").entries()] == ["two"]
    assert cache_command.verify(root) == []


def test_what_may_not_be_removed_is_one_sentence(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    age(root / "models", days=10)
    monkeypatch.setattr("stepsift.sidecache.shutil.rmtree", refuse)
    with pytest.raises(
        CacheError, match="models/one' cannot be removed: Permission denied; allow writing to its folder"
    ):
        cache_command.prune(root, 9, False)


@pytest.fixture
def here(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caches, as the command finds them; logging stays as it is."""
    monkeypatch.setenv(sidecache.ROOT_VARIABLE, str(root))
    monkeypatch.setattr("stepsift.core.console.logging.basicConfig", lambda **_: None)
    return root


def test_the_command_shows_verifies_and_prunes(here: Path, run_cli) -> None:
    assert run_cli("cache") == (0, cache_command.show(here), [])
    assert run_cli("cache", "verify") == (0, [f"nothing is damaged in {here}"], [])
    (here / "models" / "one" / "weights").unlink()
    code, out, err = run_cli("cache", "verify")
    assert (code, out) == (1, []) and err[0].startswith(
        f"error: cache entry {here / 'models/one'} is damaged (files miss"
    )
    code, out, _ = run_cli("cache", "prune", "--dry-run")
    assert code == 0 and out[0] == f"would remove {here / 'models/one.damaged-1'}"
    assert (here / "models/one.damaged-1").exists()
    age(here / "evaluations", days=3)
    code, out, _ = run_cli("cache", "prune", "--unused-days", "2")
    assert code == 0 and f"removed {here / 'evaluations/three'}" in out
    assert not (here / "models/one.damaged-1").exists()


@pytest.mark.parametrize(
    "wrong", [("prune", "--unused-days", "0"), ("prune", "--unused-days", "nan"), ("warm",), ("w",)]
)
def test_a_wrong_call_is_exit_2(here: Path, run_cli, wrong: tuple[str, ...]) -> None:
    assert run_cli("cache", *wrong)[0] == 2


def test_warm_prints_what_was_filled_and_fails_for_what_was_not(
    here: Path, monkeypatch, run_cli, tmp_path: Path
) -> None:
    from stepsift.commands import warm

    (tmp_path / "params.yaml").write_text("student: {}\n")
    monkeypatch.chdir(tmp_path)
    asked = []

    def filled(rev: str, settings: object, root: Path) -> warm.Warmed:
        asked.append((rev, root))
        return warm.Warmed(["models      2 filled in"], ["scores are nowhere"])

    monkeypatch.setattr(warm, "warm_caches", filled)
    assert run_cli("cache", "warm", "--rev", "v1") == (
        1, ["models      2 filled in"], ["error: scores are nowhere"],
    )  # fmt: skip
    assert asked == [("v1", here)]


@pytest.mark.slow
def test_tune_takes_the_sample_of_the_sources(here: Path, monkeypatch, run_cli, tmp_path: Path) -> None:
    from stepsift import params
    from stepsift.commands import tuning
    from stepsift.ingest.run import SampleTrace

    (tmp_path / "params.yaml").write_text("segment: {min_step_chars: 2}\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool").mkdir()
    row = '{"prompt": "p?", "completion": "It is 4. So it is.", "teacher": "anna"}\n'
    (tmp_path / "pool" / "a.jsonl").write_text(row + row.replace("anna", "bob"))
    asked = []

    def tuned(settings: params.Params, sample: list[SampleTrace], seconds: float) -> list[str]:
        asked.append((settings.segment.min_step_chars, [(s.prompt, s.response) for s in sample], seconds))
        return ["score:", "  batch_tokens: 64"]

    monkeypatch.setattr(tuning, "propose", tuned)
    assert run_cli("tune", "--sources", "pool", "--seconds", "3") == (
        0, ["score:", "  batch_tokens: 64"], [],
    )  # fmt: skip
    trace = ([{"role": "user", "content": "p?"}], "It is 4. So it is.")
    assert asked == [(2, [trace, trace], 3.0)]
    assert (tmp_path / "params.yaml").read_text() == "segment: {min_step_chars: 2}\n"
