"""The trainer: TRL's SFTTrainer on ids. Importing this module takes seconds; `run.py` does so when it has to train.

TRL would by default cut at 1,024 tokens, append an end token of its own and report to whatever tracker it finds; here
it gets ids and labels that are final, in the order in which they are shown.
"""

import json
import math
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, ProgressCallback, set_seed
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from stepsift import params
from stepsift.core.errors import TrainingError
from stepsift.core.memory import freed_memory_kept
from stepsift.core.quiet import silenced
from stepsift.render import Renderer
from stepsift.train import head, lora
from stepsift.train.callbacks import CURVE, Checkpoints, Curve, OnLog, Stopper
from stepsift.train.examples import IGNORED, Examples, Ids, Labels, hold_out_places
from stepsift.train.launch import Job, may_use_own_head
from stepsift.train.order import presentation

SUMMARY = "training.json"
WEIGHTS = "weights"
"""Column of the data, and then of a batch, where examples are weighted."""
_ARGUMENTS = "training_args.bin"


class _Trainer(SFTTrainer):
    """TRL's trainer, with a loss that is weighted by example where the data have a column `weights`.

    The loss of an update is then the weighted mean over its response tokens, sum of w n_t / sum of w; with weights of 1
    the same operations give the same bits as without.
    """

    may_use_own_head = False
    """Whether `head.py` may compute the log-probabilities."""
    _signature_columns: Any

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if WEIGHTS not in self._signature_columns:
            self._signature_columns = [*self._signature_columns, WEIGHTS]

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Response tokens of an update, over all processes: what its loss is divided by. Weighted where there are
        weights."""
        if not batch_samples or WEIGHTS not in batch_samples[0]:
            return super()._get_num_items_in_batch(batch_samples, device)
        own = sum((b[WEIGHTS] * b["labels"].ne(IGNORED))[..., 1:].sum() for b in batch_samples)
        return self.accelerator.gather(own.to(device)).sum()

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss of log-probabilities that are weighted first; those of `head.py` where they are quicker."""
        if self._own_head:
            return self._loss_of_own_head(model, dict(inputs), num_items_in_batch)
        if WEIGHTS not in inputs:
            return super().compute_loss(
                model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch
            )
        weights = inputs.pop(WEIGHTS)

        def weigh(**arguments: Any) -> Any:
            outputs = model(**arguments)
            # That of a token stands where the token before it is.
            outputs.log_probs = outputs.log_probs * weights[..., 1:]
            return outputs

        return super().compute_loss(weigh, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch)

    @cached_property
    def _own_head(self) -> bool:
        """Whether log-probabilities are those of `head.py`."""
        return self.may_use_own_head and head.fits(self.model)

    def _loss_of_own_head(self, model: Any, inputs: dict[str, Any], num_items: Any) -> Any:
        """The mean over response tokens, or their sum through `num_items`, as TRL has it."""
        labels, weights = inputs.pop("labels"), inputs.pop(WEIGHTS, None)
        with self.accelerator.autocast():
            values = head.label_logprobs(model, inputs, labels, IGNORED)
        if weights is not None:
            values = values * weights[..., 1:]
        number = labels[:, 1:].ne(IGNORED).sum() if num_items is None else torch.as_tensor(num_items)
        return -values.sum() / number.clamp(min=1)

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        """The data are in their order already."""
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def _send_telemetry(self) -> None:
        """Nothing about a user's training leaves the machine."""

    @torch.no_grad()
    def mean_loss(self, examples: Examples, places: list[int], micro_batch: int) -> float:
        """Mean loss of these of the examples in nats per token; every process computes all of it."""
        model = self.model_wrapped
        model.eval()
        n_tokens, total = sum(examples.lengths[i] for i in places), 0.0
        for start in range(0, len(places), micro_batch):
            some = places[start : start + micro_batch]
            part = examples.part(some)
            rows = dataset(part.ids, part.labels).to_list()
            inputs = self._prepare_inputs(self.data_collator(rows))
            with self.compute_loss_context_manager():
                loss = self.compute_loss(model, inputs, num_items_in_batch=torch.tensor(1, device=self.args.device))
            total += float(loss)
        model.train()
        # compute_loss regards that gradients will be averaged over processes.
        return total / self.accelerator.num_processes / n_tokens


@freed_memory_kept()
def fit_student(job: Job, on_log: OnLog | None = None) -> None:
    """Train and save model, tokenizer, `training.json` and `curve.jsonl` into `job.out`; with LoRA also `adapter/`.

    Prompt tokens have no label; response tokens and end token have one, but for steps that are masked. Where it is one
    of several processes, each calls this and the first one writes. Raises TrainingError if settings do not fit each
    other or the student, or if loss or gradient become infinite or NaN.
    """
    settings, renderer, examples, out = job.settings, job.source.load_renderer(), job.examples, job.out
    set_seed(job.seed)
    every = list(range(len(examples.ids)))
    places, held = hold_out_places(examples, settings.early_stop.share) if settings.early_stop else (every, [])
    trained = examples.part(places)
    weights = mean_one(list(trained.weights)) if trained.weights else None
    shown = presentation(trained.lengths, settings, job.seed, trained.rotation)
    curve = Curve(on_log if _process() == 0 else None)
    # The trainer reports at length which token ids it writes into the configuration.
    with ExitStack() as stack:
        stack.enter_context(silenced("transformers.trainer", "transformers.trainer_utils"))
        folder = job.checkpoints or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # First, since processes that share weights (FSDP) know from it that one of them alone has to read the student.
        arguments = _arguments(settings, len(shown), job.seed, folder, job.source.load_config())
        trainer = _Trainer(
            model=_load(job),
            args=arguments,
            train_dataset=dataset(
                [trained.ids[i] for i in shown],
                [trained.labels[i] for i in shown],
                _padding(settings, len(shown)),
                weights and [weights[i] for i in shown],
            ),
            processing_class=renderer.tokenizer,
            # Given, because TRL would otherwise write a padding token into tokenizer and configuration.
            data_collator=_Collator(pad_token_id=_pad_id(renderer), padding_free=settings.packing),
            callbacks=[curve],
        )
        trainer.may_use_own_head = may_use_own_head(settings)
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        stopper = _stopper(trainer, settings, curve, lambda: trainer.mean_loss(examples, held, micro_batch(settings)))
        _train(trainer, curve, stopper, folder if job.checkpoints is not None else None)
        _save(trainer, job)
    if _process() == 0:
        kept = stopper.best_update if stopper else len(curve.values)
        really_shown = shown[: len(curve.values) * settings.batch_size]
        summary = {
            "examples": len(trained.ids),
            "held_out_examples": len(held),
            "prompt_tokens": sum(len(prompt) for prompt, _ in trained.ids),
            "response_tokens": sum(trained.lengths),
            "presented_examples": len(really_shown),
            "presented_tokens": sum(trained.lengths[i] for i in really_shown),
            "distinct_examples": len(set(really_shown)),
            "updates": len(curve.values),
            "kept_update": kept,
            "final_loss": curve.mean_loss(math.ceil(min(len(shown), trained.pass_size) / settings.batch_size)),
            "held_out_loss": curve.held_out.get(kept),
        }
        (out / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        curve.write(out / CURVE)


def _stopper(
    trainer: _Trainer, settings: params.Train, curve: Curve, held_out_loss: Callable[[], float]
) -> Stopper | None:
    if settings.early_stop is None:
        return None
    stopper = Stopper(settings.early_stop, curve, held_out_loss)
    trainer.add_callback(stopper)
    return stopper


def _train(trainer: _Trainer, curve: Curve, stopper: Stopper | None, folder: Path | None) -> None:
    """Train to the end, from the last checkpoint in `folder` if there is one; the best weights are in the model."""
    last = None
    if folder is not None:
        kept = Checkpoints(folder, curve, stopper)
        trainer.add_callback(kept)
        last = kept.resume(_process())
    if stopper is None or not stopper.satisfied:
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if stopper is not None:
        stopper.restore(trainer.model)


def _load(job: Job) -> Any:
    """The student on the CPU, with fresh adapters where they alone are trained."""
    model = job.source.load_model("bfloat16" if job.settings.dtype == "bfloat16" else "float32", "cpu")
    return model if job.settings.lora is None else lora.add(model, job.settings.lora)


def _save(trainer: _Trainer, job: Job) -> None:
    """Called by all processes, since some gather what is sharded; the first one writes."""
    job.out.mkdir(parents=True, exist_ok=True)
    if job.settings.lora is None:
        trainer.save_model(str(job.out))
        if _process() == 0:
            (job.out / _ARGUMENTS).unlink()
        return
    adapters = lora.gather(trainer.model) if trainer.is_fsdp_enabled else None
    if _process() == 0:
        lora.save(trainer.model if adapters is None else lora.put(adapters, _load(job)), job.out)
        job.source.load_renderer().tokenizer.save_pretrained(job.out)


class _Collator(DataCollatorForLanguageModeling):
    """Lays weights of examples out as weights of tokens, beside the labels."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """As TRL, and WEIGHTS [as labels] where the examples have one each."""
        batch: dict[str, Any] = super().torch_call(examples)
        if WEIGHTS in examples[0]:
            of_tokens = [torch.full((len(e["input_ids"]),), e[WEIGHTS], dtype=torch.float32) for e in examples]
            rows = [torch.cat(of_tokens)] if self.padding_free else of_tokens
            batch[WEIGHTS] = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return batch


def mean_one(weights: list[float]) -> list[float]:
    """The weights times what makes their mean 1, so that a loss is of the same size whatever they sum to."""
    factor = len(weights) / math.fsum(weights)
    return [weight * factor for weight in weights]


def dataset(ids: Ids, labels: Labels, n_padding: int = 0, weights: list[float] | None = None) -> Dataset:
    """Columns `input_ids` and `labels`, and WEIGHTS where given: final, TRL takes such a dataset as it is.

    `labels` are those of completions. `n_padding` examples without a label follow, which move nothing: see `_padding`.
    """
    columns = {} if weights is None else {WEIGHTS: [*weights, *[1.0] * n_padding]}
    rows = [
        ([*prompt, *completion], [*[IGNORED] * len(prompt), *own])
        for (prompt, completion), own in zip(ids, labels, strict=True)
    ]
    rows += [(rows[-1][0], [IGNORED] * len(rows[-1][0]))] * n_padding
    return Dataset.from_dict({"input_ids": [i for i, _ in rows], "labels": [own for _, own in rows]} | columns)


def warmup_updates(settings: params.Train, n_shown: int) -> int:
    """Updates in which the learning rate rises, rounded down: the first of them has none, so a single one had none.

    Given as a ratio, transformers would round it up.
    """
    return math.floor(settings.warmup_ratio * math.ceil(n_shown / settings.batch_size))


def micro_batch(settings: params.Train) -> int:
    """Examples that each process takes at once; raises TrainingError where they do not make up an update."""
    of_process, rest = divmod(settings.batch_size, _processes())
    if rest:
        raise TrainingError(
            f"train.batch_size is {settings.batch_size}, which {_processes()} processes cannot share evenly; make it a "
            "multiple"
        )
    size = settings.micro_batch or of_process
    if of_process % size:
        whose = "train.batch_size" if _processes() == 1 else "each process's part of train.batch_size"
        raise TrainingError(f"train.micro_batch is {size}, which does not divide {whose}, {of_process}")
    return size


def _padding(settings: params.Train, n_shown: int) -> int:
    """Examples without a label that fill up the last round of several processes.

    accelerate would fill it up with examples from the start, which would then be shown more often than they should.
    """
    return -n_shown % (micro_batch(settings) * _processes()) if _processes() > 1 else 0


def _process() -> int:
    return int(os.environ.get("RANK", "0"))


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _arguments(settings: params.Train, n_shown: int, seed: int, folder: Path, config: Any) -> SFTConfig:
    on_cpu = not torch.cuda.is_available()
    size = micro_batch(settings)
    every = settings.checkpoint_every
    arguments = SFTConfig(
        output_dir=str(folder),
        use_cpu=on_cpu,
        seed=seed,
        num_train_epochs=1,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=settings.batch_size // (size * _processes()),
        learning_rate=settings.learning_rate,
        warmup_steps=warmup_updates(settings, n_shown),
        lr_scheduler_type=settings.schedule,
        weight_decay=settings.weight_decay,
        max_length=None,
        # TRL would reorder: packing is the collator's here.
        packing=False,
        # Weights in bfloat16 are another thing than products in bfloat16.
        bf16=settings.dtype == "mixed",
        activation_checkpointing=settings.gradient_checkpointing,
        # The trainer writes this into the configuration that is saved with the student.
        use_cache=getattr(config, "use_cache", True),
        dataloader_pin_memory=not on_cpu,
        logging_steps=1,
        # By default a loss that is NaN is logged as the mean of those before it.
        logging_nan_inf_filter=False,
        report_to="none",
        save_strategy="no" if every is None else "steps",
        save_steps=every or 500,
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
