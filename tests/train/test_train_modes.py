"""Ways to train that must not change what is learned, adapters, and stopping by a held-out loss."""

import itertools
import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from helpers.training import STUDENT, files_in, row, train_one, write
from stepsift import params, train
from stepsift.core.errors import ParamsError, TrainingError
from stepsift.student import load_renderer
from stepsift.train.examples import Ids, hold_out_places

ANSWERS = [
    "It is 5.",
    "42 🙂 and a good deal more of it",
    "42. Yes!",
    "Let x be 2.\nThen it is 5.",
    "7",
    "No, 8!",
    "9 it is",
]
ROWS = [row(f"{i} + {i} ?", a, i) for i, a in enumerate(ANSWERS)]
PLAIN = params.Train(epochs=3, batch_size=4, learning_rate=1e-3)
"""21 showings: five updates of 4, and one of a single example."""


def settings(**changes: Any) -> params.Train:
    return params.Train.model_validate(PLAIN.model_dump(exclude_none=True) | changes)


@pytest.fixture(scope="module")
def train_weights(student_folder, tmp_path_factory: pytest.TempPathFactory):
    """`train_weights("llama", packing=True)`: what training with PLAIN and this setting gives."""
    folder = tmp_path_factory.mktemp("weights")
    data = write(ROWS, folder / "t.jsonl")
    numbers = itertools.count()

    def call(family: str = "llama", **changes: Any) -> dict[str, torch.Tensor]:
        out = folder / f"out-{next(numbers)}"
        train_one(files_in(student_folder(family)), settings(**changes), data, 0, out)
        return load_file(out / "model.safetensors")

    return call


@pytest.fixture(scope="module")
def weights(train_weights):
    """The same, trained once for all tests: not for one that changes how training is done."""
    made: dict[str, dict[str, torch.Tensor]] = {}

    def call(family: str = "llama", **changes: Any) -> dict[str, torch.Tensor]:
        key = json.dumps([family, changes], sort_keys=True)
        if key not in made:
            made[key] = train_weights(family, **changes)
        return made[key]

    return call


def gap(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[n].float() - other[n].float()).abs().max()) for n in one)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
@pytest.mark.parametrize(
    "changes",
    [{"micro_batch": 2}, {"micro_batch": 1}, {"gradient_checkpointing": True}, {"packing": True}],
    ids=["two", "one", "checkpointing", "packing"],
)
def test_how_an_update_is_computed_does_not_change_what_is_learned(weights, family, changes):
    assert gap(weights(family), weights(family, **changes)) < 1e-5
    assert gap(weights(family), weights(family, learning_rate=1.1e-3)) > 5e-5


def test_packed_and_cut_up_at_once(weights):
    assert gap(weights(), weights(packing=True, micro_batch=2, gradient_checkpointing=True)) < 1e-5


def test_packed_rows_hold_no_padding_and_every_example_starts_anew(student_folder, tmp_path, monkeypatch):
    from trl import SFTTrainer

    seen: list[dict[str, torch.Tensor]] = []
    compute = SFTTrainer.compute_loss

    def spy(self: Any, model: Any, inputs: Any, **kwargs: Any) -> Any:
        seen.append(dict(inputs))
        return compute(self, model, inputs, **kwargs)

    monkeypatch.setattr(SFTTrainer, "compute_loss", spy)
    files = files_in(student_folder("llama"))
    result = train_one(
        files, settings(packing=True, epochs=1, batch_size=7), write(ROWS, tmp_path / "t"), 0, tmp_path / "o"
    )
    [batch] = seen
    assert batch["input_ids"].shape == (1, result.prompt_tokens + result.response_tokens)
    assert int((batch["position_ids"] == 0).sum()) == len(ROWS)
    assert "attention_mask" not in batch


def test_a_leak_between_packed_examples_would_show(train_weights, weights, monkeypatch):
    """With positions that run on, transformers takes a packed row for one text."""
    from trl.trainer import sft_trainer

    collate = sft_trainer.DataCollatorForLanguageModeling.torch_call

    def leaking(self: Any, examples: Any) -> Any:
        batch = collate(self, examples)
        batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]
        return batch

    right = weights()
    monkeypatch.setattr(sft_trainer.DataCollatorForLanguageModeling, "torch_call", leaking)
    assert gap(right, train_weights(packing=True)) > 1e-4


def test_mixed_precision_keeps_float32_weights_and_rounds_products(weights):
    right, mixed = weights(), weights(dtype="mixed")
    assert {w.dtype for w in mixed.values()} == {torch.float32}
    assert 1e-5 < gap(right, mixed) < 0.1
    assert {w.dtype for w in weights(dtype="bfloat16").values()} == {torch.bfloat16}


def test_a_micro_batch_must_divide_the_batch(monkeypatch):
    with pytest.raises(ParamsError, match=r"micro_batch is 3, which does not divide batch_size, 8"):
        params.parse({"train": {"micro_batch": 3}})
    # How many processes share an update is known when they have started.
    from stepsift.train import fit

    launched = params.Train(micro_batch=4, launch="some.yaml")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert fit.micro_batch(launched) == 4
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(TrainingError, match=r"micro_batch is 4, which does not divide each process's part .*, 2"):
        fit.micro_batch(launched)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(TrainingError, match=r"batch_size is 8, which 3 processes cannot share evenly"):
        fit.micro_batch(launched)


# adapters


def test_adapters_change_their_targets_alone_and_are_merged_in(student_folder, tmp_path):
    folder = student_folder("llama")
    data = write(ROWS, tmp_path / "t.jsonl")
    chosen = settings(lora={"rank": 2, "alpha": 4, "targets": ["q_proj", "down_proj"]})
    train_one(files_in(folder), chosen, data, 0, tmp_path / "out")
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "q_proj" in name or "down_proj" in name}
    for name in changed:
        assert int(torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-3)) <= 2
    adapter = load_file(tmp_path / "out/adapter/adapter_model.safetensors")
    assert {min(w.shape) for w in adapter.values()} == {2}

    from peft import PeftModel

    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")(ids).logits
        base = AutoModelForCausalLM.from_pretrained(folder)
        beside = PeftModel.from_pretrained(base, tmp_path / "out/adapter")(ids).logits
    assert torch.allclose(merged, beside, atol=1e-5)


def test_adapters_on_all_linear_modules_leave_head_and_embeddings_alone(student_folder, tmp_path):
    folder = student_folder("llama")
    train_one(files_in(folder), settings(lora={"rank": 1}), write(ROWS, tmp_path / "t"), 0, tmp_path / "out")
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {n for n in before if "embed" in n or "norm" in n or "lm_head" in n} == same
    assert same < before.keys()


def test_a_target_that_is_not_there_is_one_sentence(weights):
    with pytest.raises(
        TrainingError, match=r"train.lora.targets names 'query', which the student has not; it has .*q_proj"
    ):
        weights(lora={"targets": ["query"]})


# early stop


def ids_of(*prompts: int) -> train.Examples:
    import polars as pl

    return train.Examples([([p, p + 1], [9, i]) for i, p in enumerate(prompts)], pl.DataFrame())


def hold_out(examples: train.Examples, share: float) -> tuple[Ids, Ids]:
    """What is trained on and what is held out."""
    rest, held = ([examples.ids[i] for i in places] for places in hold_out_places(examples, share))
    return rest, held


def test_held_out_are_whole_prompts_the_same_ones_for_every_set():
    rest, held = hold_out(ids_of(1, 2, 3, 4, 1, 2, 3, 4), 0.25)
    [prompt] = {tuple(p) for p, _ in held}
    assert len(held) == 2
    assert len(rest) == 6
    assert list(prompt) not in [p for p, _ in rest]
    # Another order, other completions: the same prompt.
    assert {tuple(p) for p, _ in hold_out(ids_of(4, 3, 2, 1), 0.25)[1]} == {prompt}


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.floats(0.01, 0.5))
def test_split_loses_nothing_and_keeps_the_order(prompts, share):
    examples = ids_of(*prompts)
    if len(set(prompts)) == 1:
        with pytest.raises(TrainingError, match="needs prompts to hold out"):
            hold_out(examples, share)
        return
    rest, held = hold_out(examples, share)
    assert sorted([*rest, *held], key=lambda pair: pair[1][1]) == examples.ids
    for part in (rest, held):
        assert [c[1] for _, c in part] == sorted(c[1] for _, c in part)
    assert not {tuple(p) for p, _ in rest} & {tuple(p) for p, _ in held}
    assert len({tuple(p) for p, _ in held}) == max(1, round(share * len(set(prompts))))


STOP = {"early_stop": {"share": 0.3, "every": 2, "patience": 2}, "epochs": 40, "learning_rate": 3e-2}


def test_training_stops_when_the_held_out_loss_no_longer_falls_and_keeps_the_best_weights(student_folder, tmp_path):
    files = files_in(student_folder("llama"))
    data = write(ROWS, tmp_path / "t.jsonl")
    result = train_one(files, settings(**STOP), data, 0, tmp_path / "out")
    curve = [json.loads(line) for line in (tmp_path / "out/curve.jsonl").read_text().splitlines()]
    looks = {line["step"]: line["held_out_loss"] for line in curve if "held_out_loss" in line}
    assert result.updates == len(curve) == max(looks) < 50
    assert list(looks) == list(range(2, result.updates + 1, 2))
    assert looks[result.kept_update] == min(looks.values()) == result.held_out_loss
    assert result.updates == result.kept_update + 2 * 2
    assert (result.examples, result.held_out_examples) == (5, 2)
    assert result.presented_examples == 4 * result.updates
    # The kept weights have the loss that was seen at the look: by hand, one example at a time.
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    renderer = load_renderer(files, STUDENT)
    _, held = hold_out(train.load_examples(data, renderer, 512, "t"), 0.3)
    total, n = 0.0, 0
    for prompt, completion in held:
        with torch.no_grad():
            logits = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
        total -= sum(float(logits[len(prompt) + i - 1, token]) for i, token in enumerate(completion))
        n += len(completion)
    assert total / n == pytest.approx(result.held_out_loss, abs=1e-5)


def test_looks_do_not_move_the_weights(weights):
    """A share that holds one prompt out of seven leaves six: the same six without looks until the end."""
    often = {"early_stop": {"share": 0.1, "every": 1, "patience": 1000}}
    once = {"early_stop": {"share": 0.1, "every": 1000, "patience": 1000}}
    # All looks are better than those before them, or the kept weights would differ.
    assert gap(weights(**often, epochs=2, learning_rate=1e-3), weights(**once, epochs=2, learning_rate=1e-3)) == 0.0


def test_a_held_out_loss_in_packed_rows_is_the_same(student_folder, tmp_path):
    files, data = files_in(student_folder("llama")), write(ROWS, tmp_path / "t.jsonl")
    stop = {"early_stop": {"share": 0.5, "every": 3, "patience": 9}}
    losses = [
        train_one(files, settings(**stop, packing=packing), data, 0, tmp_path / str(packing)).held_out_loss
        for packing in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
