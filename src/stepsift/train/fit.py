"""The trainer: TRL's SFTTrainer on ids. Importing this module takes seconds; `run.py` does so when it has to train.

TRL would by default cut at 1,024 tokens, append an end token of its own and report to whatever tracker it finds; here
it gets ids and labels that are final, and saves nothing but model and tokenizer.
"""

import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from stepsift import params
from stepsift.errors import TrainingError
from stepsift.quiet import quiet
from stepsift.render import Renderer
from stepsift.student import StudentFiles, load_model
from stepsift.train.examples import Examples
from stepsift.train.order import presentation

OnLog = Callable[[int, dict[str, float]], None]
"""Called after every update (the first is 1) with `loss` (nats a token), `learning_rate` and `grad_norm`."""

CURVE = "curve.jsonl"
SUMMARY = "training.json"
IGNORED = -100
"""The label of tokens that are not in the loss."""


class _Trainer(SFTTrainer):
    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        """The data are in their order already."""
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def _send_telemetry(self) -> None:
        """Nothing about a user's training leaves the machine."""


class _Progress(ProgressCallback):
    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """Values of every update go to `on_log`, not to the terminal."""


class _Curve(TrainerCallback):
    """Keeps the values of every update, hands them on, and stops at a loss that is no number."""

    def __init__(self, on_log: OnLog | None):
        self.on_log_values = on_log
        self.values: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs:
            return
        values = {name: float(logs[name]) for name in ("loss", "learning_rate", "grad_norm")}
        if not all(math.isfinite(v) for v in values.values()):
            raise TrainingError(
                f"loss or gradient is no finite number at update {state.global_step} ({values}); lower "
                "train.learning_rate, or set train.dtype: float32"
            )
        self.values.append(values)
        if self.on_log_values is not None:
            self.on_log_values(state.global_step, values)

    def mean_loss(self, updates: int) -> float:
        """Mean loss over the last so many updates."""
        last = [v["loss"] for v in self.values[-updates:]]
        return sum(last) / len(last)


def fit(
    files: StudentFiles,
    settings: params.Train,
    renderer: Renderer,
    examples: Examples,
    seed: int,
    out: Path,
    on_log: OnLog | None = None,
) -> None:
    """Train and save model, tokenizer, `training.json` and `curve.jsonl` into `out`.

    Prompt tokens have no label, response tokens and end token have one. Raises TrainingError if loss or gradient become
    infinite or no number.
    """
    set_seed(seed)
    curve = _Curve(on_log)
    shown = presentation([len(completion) for _, completion in examples.ids], settings, seed)
    # The trainer reports at length which token ids it writes into the configuration.
    with tempfile.TemporaryDirectory() as scratch, quiet("transformers.trainer", "transformers.trainer_utils"):
        model = load_model(files, settings.dtype, "cpu")
        trainer = _Trainer(
            model=model,
            args=_arguments(settings, len(shown), seed, scratch, model.config),
            train_dataset=dataset(examples).select(shown),
            processing_class=renderer.tokenizer,
            # Given, because TRL would otherwise write a padding token into tokenizer and configuration.
            data_collator=DataCollatorForLanguageModeling(pad_token_id=_pad_id(renderer)),
            callbacks=[curve],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        if sys.stderr.isatty():
            trainer.add_callback(_Progress)
        trainer.train()
        out.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(out)
        renderer.tokenizer.save_pretrained(out)
    summary = {
        "examples": len(examples.ids),
        "prompt_tokens": sum(len(prompt) for prompt, _ in examples.ids),
        "response_tokens": sum(len(completion) for _, completion in examples.ids),
        "presented_examples": len(shown),
        "presented_tokens": sum(len(examples.ids[i][1]) for i in shown),
        "distinct_examples": len(set(shown)),
        "updates": len(curve.values),
        "final_loss": curve.mean_loss(math.ceil(min(len(shown), len(examples.ids)) / settings.batch_size)),
    }
    (out / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    lines = [json.dumps({"step": step} | values) + "\n" for step, values in enumerate(curve.values, start=1)]
    (out / CURVE).write_text("".join(lines), encoding="utf-8")


def dataset(examples: Examples) -> Dataset:
    """Columns `input_ids` and `labels`: final, TRL takes such a dataset as it is."""
    return Dataset.from_dict(
        {
            "input_ids": [prompt + completion for prompt, completion in examples.ids],
            "labels": [[IGNORED] * len(prompt) + completion for prompt, completion in examples.ids],
        }
    )


def warmup_updates(settings: params.Train, n_shown: int) -> int:
    """Updates in which the learning rate rises, rounded down: the first of them has none, so a single one had none.

    Given as a ratio, transformers would round it up.
    """
    return math.floor(settings.warmup_ratio * math.ceil(n_shown / settings.batch_size))


def _arguments(settings: params.Train, n_shown: int, seed: int, scratch: str, config: Any) -> SFTConfig:
    on_cpu = not torch.cuda.is_available()
    arguments = SFTConfig(
        output_dir=scratch,
        use_cpu=on_cpu,
        seed=seed,
        num_train_epochs=1,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_steps=warmup_updates(settings, n_shown),
        lr_scheduler_type=settings.schedule,
        weight_decay=settings.weight_decay,
        max_length=None,
        packing=False,
        # `train.dtype` is the precision of the weights themselves; mixed precision is another thing.
        bf16=False,
        activation_checkpointing=False,
        # The trainer writes this into the configuration that is saved with the student.
        use_cache=getattr(config, "use_cache", True),
        dataloader_pin_memory=not on_cpu,
        logging_steps=1,
        # By default a loss that is no number is logged as the mean of those before it.
        logging_nan_inf_filter=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        # Without a launcher the trainer would split batches over all GPUs in one process, which TRL refuses.
        arguments._n_gpu = 1
    return arguments


def _pad_id(renderer: Renderer) -> int:
    """Any token does: padding is masked and has no label."""
    pad = renderer.tokenizer.pad_token_id
    return renderer.end_id if pad is None else pad
