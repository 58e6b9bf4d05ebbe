"""A changed byte is found, and the link that broke is named."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from helpers import lineage_project as project
from helpers.dvc_here import dvc_here
from stepsift import params, sidecache
from stepsift.core import disk, table_files, tables
from stepsift.core.disk import file_md5
from stepsift.core.errors import LineageError
from stepsift.lineage import outputs, rescore, verify
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.exports import check_exports
from stepsift.lineage.lock import read
from stepsift.lineage.rerun import check_stage, declared_stages
from stepsift.lineage.sources import check_sources

SETTINGS = params.Params()


@pytest.fixture(autouse=True)
def _here(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests look at the copied repository; its student is no model, so nothing is scored.

    DVC answers in this process (a process of its own imports it for half a second): test_commands.py has the other way.
    """
    monkeypatch.setattr(verify, "check_scores", lambda *_: CheckResult("scores", "not looked at"))
    monkeypatch.setattr(outputs, "subprocess", SimpleNamespace(run=dvc_here))


@pytest.fixture
def outputs_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC is not asked, which is half of the time where no test looks at what it says."""
    monkeypatch.setattr(verify, "check_outputs", lambda _: [])


def broken() -> dict[str, tuple[str, ...]]:
    """What broke, by link, of those that run no stage."""
    found = verify.check_links(project.LOCK, SETTINGS, verify.Effort("fast"))
    return {link.name: link.broken for link in found if link.broken}


def broken_sets() -> dict[str, tuple[str, ...]]:
    """The same of the curated sets alone."""
    return {link.name: link.broken for link in check_exports(read(project.LOCK).folders()) if link.broken}


def again(stage: str) -> tuple[str, ...]:
    """What broke when one stage ran again."""
    return check_stage(stage, read(project.LOCK), declared_stages()).broken


def sources() -> tuple[str, ...]:
    """What broke of the sources."""
    return check_sources(Path("data/sources"), Path("data/ingest/sources.json")).broken


def flip(path: str, old: bytes, new: bytes) -> None:
    """Change bytes of a file, with its size and times as they were."""
    file = Path(path)
    before = file.stat()
    content = file.read_bytes()
    assert len(old) == len(new)
    assert old in content
    file.chmod(0o644)
    file.write_bytes(content.replace(old, new, 1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_all_is_well():
    links = list(verify.check_links(project.LOCK, SETTINGS, verify.Effort()))
    assert [link.line() for link in links] == [
        "ok      sources           1 file, 6 rows: as ingest read them",
        "ok      outputs           5 outputs of 4 stages: as dvc.lock has them",
        "ok      stages            commands, parameters, code and inputs: as dvc.lock has them",
        "ok      ingest run again  5 files: the same bytes",
        "ok      segment run again 1 file: the same bytes",
        "ok      select run again  8 files: the same bytes",
        "ok      scores            not looked at",
        "ok      set lalp          2 traces, manifest and train.jsonl agree with the tables",
        "ok      set random        2 traces, manifest and train.jsonl agree with the tables",
        "ok      caches            0 entries of models and evaluations: whole",
        "taken   runs              not recomputed: MLflow's runs: there is no mlflow.db",
    ]


def test_fast_says_that_nothing_was_computed():
    [link] = [
        link for link in verify.check_links(project.LOCK, SETTINGS, verify.Effort("fast")) if link.name == "recomputed"
    ]
    assert link.line() == (
        "taken   recomputed        not recomputed: what the stages ingest, score, segment, select made"
    )


def replace_in(path: str, old: str, new: str) -> None:
    """Change a text file that must hold the old text."""
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


@pytest.mark.usefixtures("outputs_unseen")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("python -P stages/segment.py", "touch owned; python -P stages/segment.py"),
        ("python -P stages/segment.py", "python -P evil.py"),
        ("data/ingest/traces.parquet data/segment", "data/ingest/traces.parquet data/../data/segment"),
    ],
)
def test_a_command_of_the_lock_file_alone_never_runs(old: str, new: str):
    Path("evil.py").write_text("from pathlib import Path\nPath('owned').touch()\n")
    replace_in("dvc.lock", old, new)
    links = {link.name: link for link in verify.check_links(project.LOCK, SETTINGS, verify.Effort())}
    [said] = links["segment run again"].broken
    assert said.startswith("dvc.lock says that stage segment ran '")
    assert said.endswith("data/segment'; it was not run")
    assert not Path("owned").exists()
    assert links["select run again"].broken == ()


def test_a_stage_that_dvc_yaml_does_not_have_is_a_finding_and_does_not_run():
    replace_in("dvc.lock", "  segment:\n", "  cutting:\n    cmd: touch owned\n    outs: []\n  segment:\n")
    links = list(verify.check_links(project.LOCK, SETTINGS, verify.Effort()))
    found = {"stages": [said for link in links if link.name == "stages" for said in link.broken]}
    assert "dvc.lock has stages that dvc.yaml of this checkout does not have: cutting" in found["stages"]
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("path", "links"),
    [
        ("data/ingest/sources.json", {"sources", "outputs", "ingest run again", "exports"}),
        ("data/select/lalp/manifest.json", {"outputs", "select run again", "set lalp"}),
        ("data/score/step_scores.parquet", {"outputs", "set lalp", "set random"}),
        ("data/segment/steps.parquet", {"outputs", "segment run again"}),
    ],
)
def test_a_file_that_was_cut_is_a_finding_of_every_link_that_reads_it(path: str, links: set[str]):
    content = Path(path).read_bytes()
    Path(path).chmod(0o644)
    Path(path).write_bytes(content[: len(content) // 2])
    found = {one.name: one.broken for one in verify.check_links(project.LOCK, SETTINGS, verify.Effort()) if one.broken}
    assert set(found) == links
    assert found["outputs"] == (f"{path} was changed",)


@pytest.mark.usefixtures("outputs_unseen")
@pytest.mark.parametrize(
    ("path", "text", "link"),
    [
        ("data/ingest/sources.json", "[" * 100_000, "sources"),
        ("data/select/lalp/manifest.json", "[" * 100_000, "set lalp"),
        ("data/select/lalp/manifest.json", '{"files": 3}', "set lalp"),
        ("data/select/lalp/train.jsonl", "[" * 100_000, "set lalp"),
        ("data/select/lalp/train.jsonl", "3", "set lalp"),
        ("data/select/lalp/train.jsonl", '{"trace_id": "aaaa0001"}', "set lalp"),
    ],
)
def test_what_was_forged_so_that_nobody_can_read_it_is_a_finding(path: str, text: str, link: str):
    Path(path).chmod(0o644)
    Path(path).write_text(text)
    links = {one.name: one for one in verify.check_links(project.LOCK, SETTINGS, verify.Effort("fast"))}
    assert links[link].broken
    # The others are checked all the same.
    assert {"runs", "caches"} <= links.keys()


@pytest.mark.parametrize("share", [0, 0.02, 0.1, 0.3, 0.5, 0.7])
def test_a_lock_file_that_was_cut_is_one_sentence(share: float):
    content = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(content[: int(share * len(content))])
    with pytest.raises(LineageError) as caught:
        broken()
    assert "dvc.lock" in str(caught.value) or "were not run here" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_of_caches_and_runs_is_found_and_nothing_is_moved():
    store = sidecache.SideCache(sidecache.root() / "models")
    entry, _ = store.get_or_make("one", lambda folder: (folder / "weights").write_text("12"))
    (entry / "weights").write_text("13")
    database = Path("mlflow.db")
    database.write_bytes(b"SQLite format 3\x00" + bytes(5_000))
    found = broken()
    assert found["caches"] == (
        f"cache entry {entry} is damaged (changed: weights); 'stepsift cache verify' sets it aside",
    )
    assert found["runs"][0].startswith("mlflow.db is damaged (")
    assert entry.is_dir()


@pytest.mark.parametrize(
    ("scored", "sample", "forged", "probability"),
    [(10, 1, 1, 0.1), (10, 10, 1, 1.0), (4, 2, 2, 5 / 6), (10, 3, 0, 0.0)],
)
def test_the_chance_to_draw_a_forged_trace(scored: int, sample: int, forged: int, probability: float):
    assert rescore.chance(scored, sample, forged) == pytest.approx(probability)


def test_a_byte_in_a_source():
    flip("data/sources/a.jsonl", b"aaaa0001", b"aaaa0009")
    found = broken()
    assert list(found) == ["sources", "stages"]
    assert found["sources"][0].startswith("data/sources/a.jsonl was changed (MD5 ")
    assert found["stages"] == ("data/sources was changed since the pipeline ran",)


def test_sources_that_came_and_went():
    Path("data/sources/a.jsonl").rename("data/sources/b.jsonl")
    assert sources() == ("data/sources/a.jsonl is missing", "data/sources/b.jsonl is new, ingest did not read it")
    Path("data/sources/b.jsonl").unlink()
    assert "data/sources" in sources()[0]
    Path("data/ingest/sources.json").unlink()
    assert sources() == ("there is no data/ingest/sources.json, which ingest writes; run 'dvc repro ingest'",)


@pytest.mark.parametrize(
    ("path", "links"),
    [
        ("data/ingest/traces.parquet", ["outputs", "set lalp", "set random"]),
        ("data/select/lalp/curated.parquet", ["outputs", "set lalp"]),
    ],
)
def test_a_byte_in_a_table(path: str, links: list[str]):
    flip(path, b"PAR1", b"PAR2")
    found = broken()
    assert found["outputs"] == (f"{path} was changed",)
    assert set(links) <= set(found)
    assert "sources" not in found
    assert "stages" not in found


def test_a_byte_in_an_export():
    # DVC has seen the file, and what is changed looks as it did: same size, same times.
    dvc_here([sys.executable, "-m", "dvc", "data", "status", "--granular"])
    flip("data/select/lalp/train.jsonl", b"t aaa0001", b"t aaa0002")
    found = broken()
    assert list(found) == ["outputs", "set lalp"]
    assert found["outputs"] == ("data/select/lalp/train.jsonl was changed",)
    assert found["set lalp"][0].startswith("data/select/lalp/train.jsonl was changed (MD5 ")
    assert found["set lalp"][1] == (
        "data/select/lalp/train.jsonl row 2: trace aaaa0001 has a different prompt or response in the tables"
    )


def rewrite_export(change: Callable[[list[str]], list[str]]) -> None:
    """Change an export so that the manifest knows the new file."""
    path = Path("data/select/lalp/train.jsonl")
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))
    manifest = Path("data/select/lalp/manifest.json")
    content = json.loads(manifest.read_text())
    content["files"]["train.jsonl"]["md5"] = file_md5(path)
    disk.write_json(content, manifest)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda rows: [rows[0].replace("What is", "What was"), rows[1]],
            ["row 1: trace bbbb0002 has a different prompt or response in the tables"],
        ),
        (lambda rows: rows[:1], ["lacks trace aaaa0001: 1 row of 2 chosen traces"]),
        (lambda rows: [*rows, rows[0]], ["holds a trace more than once: 3 rows of 2 chosen traces"]),
        (
            lambda rows: [rows[0].replace('"bbbb0002"', '"aaaa0002"'), rows[1]],
            ["row 1: trace aaaa0002 was not chosen", "lacks trace bbbb0002: 2 rows of 2 chosen traces"],
        ),
        (
            lambda rows: [rows[0].replace('d": "more-than-42', 'd": "sum-of-numbers').replace("bob", "bo"), rows[1]],
            ["row 1: trace bbbb0002 has a different prompt_id, teacher in the tables"],
        ),
    ],
)
def test_an_export_that_md5s_cannot_convict(change: Callable[[list[str]], list[str]], said: list[str]):
    rewrite_export(change)
    assert broken_sets() == {"set lalp": tuple(f"data/select/lalp/train.jsonl {s}" for s in said)}


def test_other_layouts_are_compared_too():
    rows = list(map(json.loads, Path("data/select/lalp/train.jsonl").read_text().splitlines()))
    folder = Path("data/select/lalp")
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    kept = [{k: r[k] for k in ("trace_id", "prompt_id")} for r in rows]
    layouts = {
        "prompt_completion.jsonl": [
            k | {"prompt": r["messages"][:-1], "completion": r["messages"][-1:]}
            for k, r in zip(kept, rows, strict=True)
        ],
        "sharegpt.jsonl": [
            k
            | {
                "system": r["messages"][0]["content"],
                "conversations": [{"from": names[m["role"]], "value": m["content"]} for m in r["messages"][1:]],
            }
            for k, r in zip(kept, rows, strict=True)
        ],
    }
    for name, content in layouts.items():
        disk.write_lines((json.dumps(r) + "\n" for r in content), folder / name)
    pl.DataFrame(rows).write_parquet(folder / "train.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in (*layouts, "train.parquet"):
        manifest["files"][name] = {"md5": file_md5(folder / name), "rows": 2}
    # It describes another file and has no rows.
    disk.write_json({"stepsift": {}}, folder / "dataset_info.json")
    manifest["files"]["dataset_info.json"] = {"md5": file_md5(folder / "dataset_info.json"), "rows": None}
    disk.write_json(manifest, folder / "manifest.json")
    assert broken_sets() == {}
    for name in (*layouts, "train.parquet"):
        good = (folder / name).read_bytes()
        if name.endswith(".parquet"):
            pl.DataFrame([r | {"messages": r["messages"][1:]} for r in rows]).write_parquet(folder / name)
        else:
            (folder / name).write_bytes(good.replace(b"t bbb0002", b"t bbb0003"))
        said = f"{folder}/{name} row 1: trace bbbb0002 has a different prompt or response in the tables"
        assert said in broken_sets()["set lalp"]
        (folder / name).write_bytes(good)


def test_files_that_came_and_went():
    Path("data/select/lalp/more.jsonl").write_text("{}\n")
    Path("data/select/lalp/train.jsonl").unlink()
    Path("metrics/ingest.json").write_text("{ }")
    shutil.rmtree("data/segment")
    found = broken()
    assert found["outputs"] == (
        "data/segment/steps.parquet is missing",
        "data/select/lalp/more.jsonl is new",
        "data/select/lalp/train.jsonl is missing",
        "metrics/ingest.json was changed",
    )
    assert found["set lalp"] == (
        "data/select/lalp/train.jsonl is missing",
        "data/select/lalp/more.jsonl is in no manifest",
    )


def test_a_file_is_named_even_where_dvc_has_lost_the_list_of_the_folder():
    # What lies here as it should is no broken link because DVC has no copy of it.
    shutil.rmtree(".dvc/cache")
    flip("data/select/lalp/train.jsonl", b"t aaa0001", b"t aaa0002")
    found = broken()
    assert found["outputs"] == ("data/select/ was changed",)
    assert found["set lalp"][0].startswith("data/select/lalp/train.jsonl was changed")


def test_parameters_code_and_commands_that_are_not_those_of_the_run():
    content = Path("params.yaml").read_text()
    Path("params.yaml").write_text(content.replace("correct: prefer", "correct: require"))
    Path("stages/ingest.py").write_text("# another\n")
    Path("dvc.yaml").write_text(
        Path("dvc.yaml").read_text().replace("data/segment data/score", "data/segment data/score --more")
    )
    assert broken() == {
        "stages": (
            "stages/ingest.py was changed since the pipeline ran",
            "select of params.yaml was changed since the pipeline ran",
            "the command of stage score was changed since the pipeline ran",
        )
    }


def test_a_stage_that_was_never_run_is_not_missed():
    content = Path("dvc.yaml").read_text()
    later = "  train:\n    cmd: python -P stages/train.py\n    deps: [data/select]\n    outs: [data/train]\n"
    Path("dvc.yaml").write_text(content + later)
    assert broken() == {}


def test_a_source_that_dvc_tracks_is_an_output_too():
    dvc_here([sys.executable, "-m", "dvc", "add", "data/sources"])
    flip("data/sources/a.jsonl", b"aaaa0001", b"aaaa0009")
    found = broken()
    assert found["sources"][0].startswith("data/sources/a.jsonl was changed (MD5 ")
    assert found["outputs"] == ("data/sources/a.jsonl was changed",)


def test_a_stage_that_makes_something_else():
    table_files.write(tables.STEPS, pl.DataFrame(schema=tables.STEPS.schema), Path("made/segment/steps.parquet"))
    Path("made/select/lalp/manifest.json").unlink()
    Path("made/select/lalp/train.jsonl").write_text("{}\n")
    Path("made/ingest/new.json").write_text("{}\n")
    assert again("ingest") == ("data/ingest/new.json is missing",)
    assert again("segment") == ("data/segment/steps.parquet comes out differently",)
    assert again("select") == ("data/select/lalp/manifest.json is not made by the stage",)
    pl.read_parquet("data/segment/steps.parquet").write_parquet("made/segment/steps.parquet")
    same_rows = "the same rows in other bytes: another version of a library wrote it"
    assert again("segment") == (f"data/segment/steps.parquet comes out differently ({same_rows})",)
    Path("made/segment/steps.parquet").write_bytes(b"PAR1")
    assert again("segment") == ("data/segment/steps.parquet comes out differently (it is no readable table)",)
    flip("data/select/lalp/train.jsonl", b"t aaa0001", b"t aaa0002")
    flip("metrics/ingest.json", b"{", b"[")
    Path("made/ingest/new.json").unlink()
    assert again("ingest") == ("metrics/ingest.json comes out differently",)


def test_a_stage_that_fails():
    shutil.rmtree("made/segment")
    said = again("segment")[0]
    assert said.startswith("stage segment fails on these inputs and parameters: FileNotFoundError: ")


def change_manifest(**change: object) -> None:
    path = Path("data/select/lalp/manifest.json")
    disk.write_json(json.loads(path.read_text()) | change, path)


def test_a_manifest_of_something_else():
    inputs = json.loads(Path("data/select/lalp/manifest.json").read_text())["inputs"]
    change_manifest(fingerprint="0" * 64)
    assert broken_sets()["set lalp"] == (
        "data/select/lalp/manifest.json has the fingerprint of a selection that differs from curated.parquet",
    )
    project.write(project.pool())
    change_manifest(inputs=inputs | {"tables": inputs["tables"] | {"traces.parquet": "0" * 32}})
    assert broken_sets()["set lalp"] == ("data/select/lalp/manifest.json was made from a different traces.parquet",)
    change_manifest(inputs=inputs | {"sources": {}})
    assert broken_sets()["set lalp"] == (
        "data/select/lalp/manifest.json was made from other sources than sources.json names",
    )
    change_manifest(inputs=inputs, reference={"name": "teacher", "md5": disk.file_md5(Path("dvc.yaml"))})
    table = Path("data/score/references/teacher/step_scores.parquet")
    assert broken_sets()["set lalp"] == (
        f"data/select/lalp/manifest.json names scores of reference 'teacher', and there is no {table}",
    )
    table.parent.mkdir(parents=True)
    shutil.copy("dvc.yaml", table)
    assert "set lalp" not in broken_sets()
    table.write_text("forged")
    assert broken_sets()["set lalp"] == (f"data/select/lalp/manifest.json was made from other scores than {table}",)
    Path("data/select/lalp/manifest.json").write_text("{}")
    assert "cannot be read as a curated set (KeyError('files'))" in broken_sets()["set lalp"][0]


@pytest.mark.parametrize("change", [pl.lit(-0.3).alias("score"), pl.lit("carl").alias("teacher")])
def test_a_curated_row_that_the_tables_do_not_bear_out(change: pl.Expr):
    path = Path("data/select/lalp/curated.parquet")
    curated = table_files.read(tables.CURATED, path)
    first = pl.col("trace_id") == "aaaa0001"
    name = change.meta.output_name()
    table_files.write(
        tables.CURATED, curated.with_columns(pl.when(first).then(change).otherwise(name).alias(name)), path
    )
    assert "curated row of trace aaaa0001 is not what traces and trace_scores hold" in broken_sets()["set lalp"]


def test_no_curated_set_at_all():
    shutil.rmtree("data/select")
    Path("data/select").mkdir()
    assert broken_sets()["exports"] == ("data/select holds no curated set; run 'dvc repro select'",)


def test_a_pipeline_that_did_not_run_to_the_end():
    content = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(content.replace("  select:", "  choose:"))
    with pytest.raises(LineageError, match="stages select were not run here; run 'dvc repro'"):
        broken()


def test_many_breaks_are_one_line():
    link = CheckResult("sources", "", tuple(f"file {i}" for i in range(7)))
    assert link.line() == "broken  sources           file 0; file 1; file 2; file 3; file 4; and 2 more"


def steps(*rows: tuple[str, int, int, float | None]) -> pl.DataFrame:
    names = ("trace_id", "step", "n_tokens", "local_logprob")
    data = [dict(zip(names, row, strict=True)) | {"n_first": 1, "local_rank": 5.0} for row in rows]
    return pl.DataFrame(data, schema=tables.STEP_SCORES.schema)


@pytest.mark.parametrize(
    ("new", "exact", "tolerant"),
    [
        (("t", 1, 4, -2.0), [], []),
        (("t", 1, 4, -2.0039), ["t"], []),
        (("t", 1, 4, -2.0041), ["t"], ["t"]),
        (("t", 1, 5, -2.0), ["t"], ["t"]),
        (("t", 1, 4, None), ["t"], ["t"]),
        (("t", 2, 4, -2.0), ["t"], ["t"]),
        (("u", 1, 4, -2.0), ["t", "u"], ["t", "u"]),
    ],
)
def test_scores_that_differ(new: tuple[str, int, int, float | None], exact: list[str], tolerant: list[str]):
    old = steps(("t", 1, 4, -2.0))
    for tolerance, names in ((None, exact), (1e-3, tolerant)):
        found = rescore.differences(old, steps(new), tolerance)
        assert [said.split(" ")[1] for said in found] == names
    ranks = old.with_columns(local_rank=pl.lit(6.0))
    assert rescore.differences(old, ranks, None) == ["trace t has other scores in 1 step, from step 1 on"]
    assert rescore.differences(old, ranks, 1e-3) == []
