"""Sets of the hub, from a stand-in for its cache: what is pinned, noted, copied and said; nothing is downloaded."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import yaml

from helpers.hub import COMMIT, gsm8k, put_into_cache
from helpers.source_project import held, refused, row
from stepsift.ingest.run import ingest
from stepsift.params import load

pytestmark = pytest.mark.slow

CARD = "---\nlicense: apache-2.0\n---\n# Two teachers\n"
FILES = {
    "README.md": CARD,
    "dataset_infos.json": "{}",
    "data/train-00000-of-00002.jsonl": row("p", "\\boxed{1}", teacher="Q") + row("q", "\\boxed{2}", teacher="Q"),
    "data/train-00001-of-00002.jsonl": row("s", "\\boxed{4}", teacher="Q", license="MIT"),
    "extra/other.jsonl": row("t", "\\boxed{5}", teacher="O"),
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache without network that holds `FILES` as the set org/two-teachers, whose branch main is COMMIT."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    put_into_cache(cache, "org/two-teachers", FILES)
    return cache


def test_a_set_is_pinned_noted_and_read(project: Path, cache: Path, run_cli):
    before = held(project)
    code, out, err = run_cli("add", "hub:org/two-teachers@main", "--files", "data/*.jsonl")
    assert (code, err) == (0, [])
    assert out[:2] == [
        f"hub         org/two-teachers at commit {COMMIT}, which 'main' is today",
        "            apache-2.0",
    ]
    assert "rows        3 read, 3 kept, 0 rejected" in out
    assert "licences    apache-2.0 2, MIT 1" in out
    place = "data/sources/two-teachers"
    rule = {"licence": "apache-2.0", "repository": "org/two-teachers", "revision": COMMIT}
    assert yaml.safe_load((project / f"{place}.rule.yaml").read_text()) == rule
    shards = [f"{place}/data/train-0000{n}-of-00002.jsonl" for n in (0, 1)]
    assert sorted(set(held(project)) - set(before)) == sorted(
        [f"{place}.rule.yaml", *shards, *(f"{shard}.dvc" for shard in shards)]
    )
    # The files are copies, which stay when the cache is emptied.
    shutil.rmtree(cache)
    ingest(Path("data/sources"), Path("data/ingest"), load().ingest)
    about = json.loads(Path("data/ingest/sources.json").read_text())["two-teachers/data/train-00000-of-00002.jsonl"]
    assert (about["repository"], about["revision"]) == ("org/two-teachers", COMMIT)
    assert about["licences"] == {"apache-2.0": 2}
    assert "repository" not in json.loads(Path("data/ingest/sources.json").read_text())["anna.jsonl"]
    assert run_cli("remove", "two-teachers")[0] == 0
    assert {k: v for k, v in held(project).items() if "ingest" not in k.split("/")} == before


def test_without_a_pattern_all_files_of_kinds_that_are_read_are_taken(project: Path, cache: Path, run_cli):
    code, out, _ = run_cli(
        "add", f"hub:org/two-teachers@{COMMIT}", "--licence", "MIT", "--name", "two", "--dry-run", "--json"
    )
    [part] = json.loads("\n".join(out))["parts"]
    assert (code, part["target"], len(part["files"])) == (0, "data/sources/two", 3)
    assert part["rule"] == {"repository": "org/two-teachers", "revision": COMMIT, "licence": "MIT"}
    assert not (project / "data/sources/two").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hub:org/nothing@main", "org/nothing at revision main is not on this machine and cannot be downloaded"),
        (f"hub:org/two-teachers@{'0' * 40}", f"revision {'0' * 40} is not on this machine"),
        ("hub:org/two-teachers@v9", "org/two-teachers at revision v9 is not on this machine"),
        ("hub:not a name!", "check the name (it is hub:OWNER/NAME@REVISION)"),
        ("hub:", "check the name (it is hub:OWNER/NAME@REVISION)"),
    ],
)
def test_a_set_that_is_not_here_is_one_sentence(name: str, says: str, project: Path, cache: Path, run_cli):
    assert says in refused(run_cli, name)


def test_a_licence_that_the_rows_or_a_preset_name_needs_no_rule(project: Path, cache: Path, run_cli):
    put_into_cache(cache, "openai/gsm8k", gsm8k(4))
    code, out, _ = run_cli("add", "hub:openai/gsm8k", "--files", "main/train*", "--dry-run", "--json")
    answer = json.loads("\n".join(out))
    assert (code, answer["licences"]) == (0, {"MIT": 4})
    assert answer["parts"][0]["rule"] == {"repository": "openai/gsm8k", "revision": COMMIT}
    assert answer["columns"]["gsm8k/main/train-00000-of-00001.parquet"]["preset"] == "gsm8k"


def test_a_download_that_was_interrupted_is_not_taken_for_a_set(project: Path, cache: Path, run_cli):
    (cache / f"datasets--org--two-teachers/snapshots/{COMMIT}/data/train-00001-of-00002.jsonl").unlink()
    assert "is not on this machine and cannot be downloaded" in refused(run_cli, "hub:org/two-teachers@main")
    assert run_cli("add", "hub:org/two-teachers@main", "--files", "extra/*", "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: [mit, cc-by-4.0]\n---\n", "mit, cc-by-4.0"),
        ("---\nlicense: other\nlicense_name: own-terms\n---\n", "own-terms"),
        ("---\ntags: [x]\n---\n", None),
        ("no front matter", None),
        ("---\nlicense: [\n---\n", None),
        ("---\n- a\n---\n", None),
    ],
)
def test_the_licence_is_that_of_the_card(card: str, licence: str | None, project: Path, cache: Path, run_cli):
    put_into_cache(cache, "org/other", {"README.md": card, "a.jsonl": row("z", "Z.")})
    code, out, _ = run_cli("add", "hub:org/other@main", "--dry-run", "--json")
    assert code == 0
    assert json.loads("\n".join(out))["parts"][0]["rule"].get("licence") == licence


def test_the_card_is_downloaded_with_any_files_and_bars_are_shown_unless_the_command_is_quiet(
    project: Path, cache: Path, run_cli, monkeypatch
):
    from huggingface_hub.utils import are_progress_bars_disabled

    bars, patterns = [], []
    download = huggingface_hub.snapshot_download

    def watch(*arguments: object, **named: object) -> str:
        bars.append(not are_progress_bars_disabled())
        patterns.append(named["allow_patterns"])
        return download(*arguments, **named)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", watch)
    assert run_cli("add", "hub:org/two-teachers@main", "--dry-run")[0] == 0
    assert run_cli("add", "hub:org/two-teachers@main", "--files", "extra/*", "--dry-run", "--quiet")[0] == 0
    assert bars == [True, False]
    assert "*.jsonl" in patterns[0] and patterns[1] == ["extra/*", "README.md"] and "README.md" in patterns[0]
    assert not are_progress_bars_disabled()
