"""Training gets exactly the ids of render(), is repeatable, and pays once for each set and seed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from helpers.student_files import copy_tokenizer, write_gguf
from helpers.training import STUDENT, files_in, row, train_one, write
from stepsift import params, train
from stepsift.core import pace, table_files, tables
from stepsift.core.errors import TrainingError
from stepsift.student import StudentFiles, StudentSource, load_renderer

SETTINGS = params.Train(epochs=2, batch_size=2, learning_rate=1e-2)
FAMILIES = [("llama", "plain"), ("qwen2", "qwen2"), ("gemma2", "gemma")]
Folder = Callable[..., Path]


ROWS = [row("2 + 3 ?", "Let x be 2.\nThen it is 5.", 0), row("7 * 6 ?", "42 🙂", 1), row("12 + 30 ?", "42. Yes!", 2)]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, list]]:
    """The batches that the model was given, as lists."""
    from trl import SFTTrainer

    batches: list[dict[str, list]] = []
    compute = SFTTrainer.compute_loss

    def spy(self: Any, model: Any, inputs: Any, **kwargs: Any) -> Any:
        batches.append({name: tensor.tolist() for name, tensor in inputs.items() if hasattr(tensor, "tolist")})
        return compute(self, model, inputs, **kwargs)

    monkeypatch.setattr(SFTTrainer, "compute_loss", spy)
    return batches


@dataclass(frozen=True)
class Trained:
    """A student that was trained with seed 0, and what was logged."""

    folder: Path
    result: train.TrainResult
    logged: list[tuple[int, dict[str, float]]]


@pytest.fixture(scope="module")
def llama(student_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained on ROWS with SETTINGS, for reading only."""
    folder, logged = tmp_path_factory.mktemp("llama"), []
    data = write(ROWS, folder / "t.jsonl")
    files = files_in(student_folder("llama"))
    result = train_one(files, SETTINGS, data, 0, folder / "out", lambda *values: logged.append(values))
    return Trained(folder / "out", result, logged)


@pytest.mark.parametrize(("family", "tokenizer"), FAMILIES)
def test_the_model_gets_the_ids_of_render_and_labels_on_the_response_alone(
    family: str, tokenizer: str, student_folder: Folder, tmp_path: Path, seen: list[dict[str, list]]
) -> None:
    files = files_in(student_folder(family, tokenizer))
    settings = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 3})
    train_one(files, settings, write(ROWS, tmp_path / "t.jsonl"), 0, tmp_path / "out")
    renderer = load_renderer(files, STUDENT)
    expected = set()
    for r in ROWS:
        prompt, completion = renderer.render(r["messages"][:-1], r["messages"][-1]["content"]).training_ids()
        assert completion[-1] == renderer.end_id
        assert renderer.end_id not in completion[:-1]
        expected.add((tuple(prompt + completion), tuple([-100] * len(prompt) + completion)))
    [batch] = seen
    got = set()
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        n = sum(mask)
        assert mask[:n] == [1] * n
        assert labels[n:] == [-100] * (len(labels) - n)
        got.add((tuple(ids[:n]), tuple(labels[:n])))
    assert got == expected


def test_an_example_of_1500_tokens_is_trained_on_whole(
    student_folder: Folder, tmp_path: Path, seen: list[dict[str, list]]
) -> None:
    folder = shutil.copytree(student_folder("llama"), tmp_path / "long")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 4096}))
    long = row("?", "".join(chr(ord("a") + i * i % 26) for i in range(1_500)))
    settings = SETTINGS.model_copy(update={"epochs": 1})
    result = train_one(files_in(folder), settings, write([long], tmp_path / "t"), 0, tmp_path / "out")
    n_labels = sum(label != -100 for label in seen[0]["labels"][0])
    assert n_labels == result.response_tokens > 1_400
    assert result.rejected.is_empty()


def test_an_example_that_is_too_long_is_left_out_with_its_reason(student_folder: Folder, tmp_path: Path) -> None:
    files = files_in(student_folder("llama"))
    rows = [*ROWS[:2], row("?", "too long " * 400, 2)]
    result = train_one(files, SETTINGS, write(rows, tmp_path / "t.jsonl"), 0, tmp_path / "out")
    assert result.examples == 2
    [left_out] = result.rejected.to_dicts()
    assert (left_out["source_line"], left_out["trace_id"], left_out["reason"]) == (3, "t2", "too_long")
    assert "at most 512" in left_out["detail"]


@pytest.mark.parametrize(("rows", "why"), [(ROWS, "all 3 were left out .*at most 8"), ([], "is empty")])
def test_a_set_without_a_usable_example_is_an_error(
    rows: list[dict[str, Any]], why: str, student_folder: Folder, tmp_path: Path
) -> None:
    files, data = files_in(student_folder("llama")), write(rows, tmp_path / "t.jsonl")
    with pytest.raises(TrainingError, match=why):
        train_one(files, params.Train(max_tokens=8), data, 0, tmp_path / "out")


def test_a_prompt_that_the_template_refuses_is_left_out(student_folder: Folder, tmp_path: Path) -> None:
    system = row("2 ?", "2", 1)
    system["messages"].insert(0, {"role": "system", "content": "Be brief."})
    path = write([ROWS[0], system], tmp_path / "t.jsonl")
    renderer = load_renderer(files_in(student_folder("gemma2", "gemma")), STUDENT)
    examples = train.load_examples(path, renderer, 512, "t.jsonl")
    assert len(examples.ids) == 1
    assert examples.rejected["reason"].to_list() == ["template"]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"messages": []}', '{"messages": [{"role": "user", "content": "?"}]}', '{"messages": 3}']
)
def test_a_broken_set_is_an_error_that_names_the_line(line: str, student_folder: Folder, tmp_path: Path) -> None:
    path = write(ROWS[:1], tmp_path / "t.jsonl")
    path.write_text(path.read_text() + line + "\n")
    renderer = load_renderer(files_in(student_folder("llama")), STUDENT)
    with pytest.raises(TrainingError, match=r"t.jsonl, line 2"):
        train.load_examples(path, renderer, 512, "t.jsonl")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    llama: Trained, student_folder: Folder, tmp_path: Path
) -> None:
    files, data = files_in(student_folder("llama")), write(ROWS, tmp_path / "t.jsonl")
    shutil.copytree(llama.folder, tmp_path / "a")
    logged = [*llama.logged]
    for name, seed in {"b": 0, "c": 1}.items():
        train_one(files, SETTINGS, data, seed, tmp_path / name, lambda *values: logged.append(values))
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in "abc"}
    assert weights["a"] == weights["b"] != weights["c"]
    assert {p.name for p in (tmp_path / "a").iterdir()} == {
        *("config.json", "curve.jsonl", "generation_config.json", "model.safetensors", "tokenizer.json"),
        *("tokenizer_config.json", "training.json"),
    }
    assert [step for step, _ in logged] == [1, 2, 3] * 3
    assert all(set(values) == {"loss", "learning_rate", "grad_norm"} for _, values in logged)
    for name in "abc":
        for text in (tmp_path / name).glob("*.json*"):
            assert "/" + tmp_path.parts[1] not in text.read_text()


def test_a_trained_student_loads_and_renders_as_the_untrained_one(
    llama: Trained, student_folder: Folder, tmp_path: Path
) -> None:
    for family, tokenizer in FAMILIES:
        files, out, result = files_in(student_folder(family, tokenizer)), llama.folder, llama.result
        if family != "llama":
            out = tmp_path / family
            result = train_one(files, SETTINGS, write(ROWS, tmp_path / "t.jsonl"), 0, out)
        before, after = (load_renderer(f, STUDENT) for f in (files, files_in(out)))
        assert before.end_id == after.end_id
        for r in ROWS:
            messages, text = r["messages"][:-1], r["messages"][-1]["content"]
            assert before.render(messages, text).training_ids() == after.render(messages, text).training_ids()
        old, new = (json.loads((f / "config.json").read_text()) for f in (files.folder, out))
        differing = {k for k in old.keys() | new.keys() if old.get(k) != new.get(k)}
        # The trainer lets the configuration name the tokenizer's own tokens.
        assert differing <= {"bos_token_id", "eos_token_id", "pad_token_id"}
        assert before.tokenizer.special_tokens_map == after.tokenizer.special_tokens_map
        AutoModelForCausalLM.from_pretrained(out)
        assert result.updates == 3


def test_a_gguf_student_is_trained_and_saved_as_an_ordinary_one(
    llama: Trained, student_folder: Folder, tmp_path: Path
) -> None:
    folder = student_folder("llama")
    write_gguf(AutoModelForCausalLM.from_pretrained(folder), tmp_path / "tiny.gguf")
    copy_tokenizer(folder, tmp_path)
    data = write(ROWS, tmp_path / "t.jsonl")
    result = train_one(StudentFiles(tmp_path, "tiny.gguf"), SETTINGS, data, 0, tmp_path / "gguf")
    assert result.final_loss == pytest.approx(llama.result.final_loss, rel=1e-4)
    AutoModelForCausalLM.from_pretrained(tmp_path / "gguf")
    renderer = load_renderer(files_in(tmp_path / "gguf"), STUDENT)
    assert renderer.prompt([{"role": "user", "content": "?"}])


def test_training_lowers_the_loss(student_folder: Folder, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 20})
    data = write(ROWS, tmp_path / "t.jsonl")
    result = train_one(files_in(student_folder("llama")), settings, data, 0, tmp_path / "out")
    first = json.loads((tmp_path / "out" / "curve.jsonl").read_text().splitlines()[0])["loss"]
    assert result.final_loss < first / 4


def test_a_training_of_one_update_is_not_spent_on_warming_up(student_folder: Folder, tmp_path: Path) -> None:
    files = files_in(student_folder("llama"))
    settings = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 8, "warmup_ratio": 0.9})
    train_one(files, settings, write(ROWS, tmp_path / "t.jsonl"), 0, tmp_path / "out")
    [update] = (tmp_path / "out" / "curve.jsonl").read_text().splitlines()
    assert json.loads(update)["learning_rate"] == settings.learning_rate
    before, after = (load_file(folder / "model.safetensors") for folder in (files.folder, tmp_path / "out"))
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_warm_up_takes_its_share_of_many_updates(student_folder: Folder, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 5, "warmup_ratio": 0.45})
    train_one(files_in(student_folder("llama")), settings, write(ROWS, tmp_path / "t.jsonl"), 0, tmp_path / "out")
    lines = (tmp_path / "out" / "curve.jsonl").read_text().splitlines()
    rates = [json.loads(line)["learning_rate"] for line in lines]
    # 45 % of eight updates, rounded down, is three: the fourth has the whole rate.
    assert len(rates) == 8
    assert rates.index(settings.learning_rate) == 3


def test_a_loss_that_is_no_number_stops_the_training(student_folder: Folder, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 1.0, "epochs": 40, "schedule": "constant_with_warmup"})
    folder = shutil.copytree(student_folder("llama"), tmp_path / "broken")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.lm_head.weight.data.fill_(float("nan"))
    model.save_pretrained(folder)
    with pytest.raises(TrainingError, match=r"update 1 .*'loss': nan.*train.learning_rate"):
        train_one(files_in(folder), settings, write(ROWS, tmp_path / "t"), 0, tmp_path / "out")


def test_nothing_is_printed_sent_or_left_behind(
    student_folder: Folder, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import trl.trainer.base_trainer

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("telemetry")

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(trl.trainer.base_trainer, "send_telemetry", refuse)
    monkeypatch.chdir(tmp_path)
    train_one(files_in(student_folder("llama")), SETTINGS, write(ROWS, Path("t")), 0, Path("out"))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert {p.name for p in tmp_path.iterdir()} == {"t", "out"}


class Pool:
    """Curated sets in a folder, trained into another, with a cache beside them."""

    def __init__(self, folder: Path, student: Path):
        self.folder, self.files = folder, files_in(student)

    def write(self, **sets: list[dict[str, Any]]) -> None:
        for selector, rows in sets.items():
            write(rows, self.folder / "select" / selector / "train.jsonl")

    def train(self, *selectors: str, settings: params.Train = SETTINGS, **kwargs: Any) -> train.Trained:
        training = train.Training(StudentSource(self.files, STUDENT), settings, self.folder / "cache")
        return train.train_all(training, self.folder / "select", selectors, self.folder / "train", **kwargs)

    def bytes_of(self, selector: str, seed: int = 0) -> bytes:
        return (self.folder / "train" / selector / f"seed-{seed}" / "model.safetensors").read_bytes()


@pytest.fixture
def pool(tmp_path: Path, student_folder: Folder) -> Pool:
    made = Pool(tmp_path, student_folder("llama"))
    made.write(lalp=ROWS, galp=ROWS[:2], random=ROWS)
    return made


@pytest.fixture(scope="module")
def cache_of_lalp(student_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Pool(tmp_path_factory.mktemp("lalp"), student_folder("llama"))
    made.write(lalp=ROWS)
    made.train("lalp")
    return made.folder / "cache"


@pytest.fixture
def warm_pool(pool: Pool, cache_of_lalp: Path) -> Pool:
    """The pool, with the student of `lalp` in its cache."""
    shutil.copytree(cache_of_lalp, pool.folder / "cache")
    return pool


def counts(trained: train.Trained) -> tuple[int, int]:
    return trained.trained, trained.reused


def test_a_selector_more_trains_one_student_and_one_less_trains_none(pool: Pool) -> None:
    assert counts(pool.train("lalp")) == (1, 0)
    first = pool.bytes_of("lalp")
    assert counts(pool.train("lalp", "galp")) == (1, 1)
    assert pool.bytes_of("lalp") == first
    # `random` chose what `lalp` chose.
    assert counts(pool.train("lalp", "galp", "random")) == (0, 3)
    assert counts(pool.train("galp")) == (0, 1)
    assert {p.name for p in (pool.folder / "train").iterdir()} == {"galp", "rejected.parquet", "keys.json"}


def test_what_decides_the_weights_is_in_the_key_and_what_does_not_is_not(pool: Pool) -> None:
    def settings(**changes: Any) -> params.Train:
        return SETTINGS.model_copy(update=changes)

    assert counts(pool.train("galp")) == (1, 0)
    assert counts(pool.train("galp", settings=settings(seeds=(0, 1)))) == (1, 1)
    assert counts(pool.train("galp", settings=settings(max_tokens=500))) == (0, 1)
    assert counts(pool.train("galp", settings=settings(learning_rate=2e-2))) == (1, 0)
    pool.write(galp=ROWS[1:])
    assert counts(pool.train("galp")) == (1, 0)


def test_numbers_and_curve_of_a_cached_student_are_those_of_its_training(pool: Pool) -> None:
    logs: list[list[Any]] = [[], []]
    results = [pool.train("lalp", on_log=lambda *v, log=log: log.append(v)) for log in logs]
    assert results[0].metrics() == results[1].metrics()
    assert logs[0] == logs[1] != []
    assert results[0].metrics()["lalp"]["seed-0"]["examples"] == 3


@pytest.mark.parametrize(
    ("settings", "updates"),
    [
        (SETTINGS, [3, 2]),  # two passes of 3 and of 2 rows, 2 an update
        (SETTINGS.model_copy(update={"early_stop": params.EarlyStop(every=1, patience=9, share=0.4)}), [2, 1]),
    ],
)
def test_how_far_training_is_is_told(
    pool: Pool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, settings: params.Train, updates: Any
) -> None:
    monkeypatch.setattr(pace, "EVERY_S", 0.0)
    caplog.set_level("INFO", logger="stepsift")
    for _ in range(2):  # what comes from the cache is told as if it were trained
        pool.train("lalp", "galp", settings=settings)
        told = [line.partition(", loss")[0] for line in caplog.messages if "update" in line]
        sets = zip(("lalp", "galp"), updates, strict=True)
        assert told == [f"train {s}, seed 0: update {i} of {n}" for s, n in sets for i in range(1, n + 1)]
        caplog.clear()


def test_the_chart_has_a_mean_for_every_so_many_updates(warm_pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = warm_pool.train("lalp")
    result = trained.results["lalp", 0]
    losses = [json.loads(line)["loss"] for line in (result.folder / "curve.jsonl").read_text().splitlines()]
    assert len(losses) == 3
    points = trained.curves()
    assert points == [
        {"student": "lalp/seed-0", "update": i, "loss": pytest.approx(loss, abs=1e-6)}
        for i, loss in enumerate(losses, 1)
    ]
    monkeypatch.setattr(train.run, "CURVE_POINTS", 2)
    two, last = trained.curves()
    assert two == {"student": "lalp/seed-0", "update": 2, "loss": pytest.approx(sum(losses[:2]) / 2, abs=1e-6)}
    assert last == {"student": "lalp/seed-0", "update": 3, "loss": pytest.approx(losses[2], abs=1e-6)}


def test_rejected_rows_of_all_sets_are_a_table(warm_pool: Pool) -> None:
    warm_pool.write(lalp=[*ROWS, row("?", "long " * 600, 7)])
    trained = warm_pool.train("lalp", "galp")
    table = table_files.read(tables.REJECTED, warm_pool.folder / "train" / "rejected.parquet")
    assert table.equals(trained.rejected)
    [row_out] = table.select("source", "source_line", "trace_id", "reason").rows()
    assert row_out == ("lalp/train.jsonl", 4, "t7", "too_long")


def test_a_damaged_entry_is_set_aside_and_trained_again(warm_pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    assert counts(warm_pool.train("lalp")) == (0, 1)
    good = warm_pool.bytes_of("lalp")
    [entry] = (warm_pool.folder / "cache").iterdir()
    weights = entry / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert counts(warm_pool.train("lalp")) == (1, 0)
    assert "damaged" in caplog.text
    assert warm_pool.bytes_of("lalp") == good


def test_a_missing_set_is_an_error_before_anything_is_trained(pool: Pool) -> None:
    with pytest.raises(TrainingError, match="selector 'entropy'"):
        pool.train("lalp", "entropy")
    assert not (pool.folder / "cache").exists()
    assert not (pool.folder / "train").exists()
