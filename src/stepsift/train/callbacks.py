"""What happens between updates: the curve is kept, the held-out loss is looked at, checkpoints are made safe."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from stepsift import params
from stepsift.core.errors import TrainingError

OnLog = Callable[[int, dict[str, float]], None]
"""Called after every update (the first is 1) with `loss` (nats per token), `learning_rate`, `grad_norm` and, where
there was a look at it, `held_out_loss` (nats per token)."""

CURVE = "curve.jsonl"
_COMPLETE = "complete.json"
_BEST = "best.pt"


class Curve(TrainerCallback):
    """Keeps the values of every update, hands them on, and stops at a loss that is NaN."""

    def __init__(self, on_log: OnLog | None):
        self.on_log_values = on_log
        self.values: list[dict[str, float]] = []
        self.held_out: dict[int, float] = {}
        """Update to held-out loss."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Take the values of an update; raises TrainingError where one is no finite number."""
        if not logs or "loss" not in logs:
            return
        values = {name: float(logs[name]) for name in ("loss", "learning_rate", "grad_norm")}
        if not all(math.isfinite(v) for v in values.values()):
            raise TrainingError(
                f"loss or gradient is no finite number at update {state.global_step} ({values}); lower "
                "train.learning_rate, or set train.dtype: float32"
            )
        if state.global_step in self.held_out:
            values["held_out_loss"] = self.held_out[state.global_step]
        self._add(values)

    def _add(self, values: dict[str, float]) -> None:
        self.values.append(values)
        if self.on_log_values is not None:
            self.on_log_values(len(self.values), values)

    def mean_loss(self, updates: int) -> float:
        """Mean loss over the last so many updates."""
        last = [v["loss"] for v in self.values[-updates:]]
        return sum(last) / len(last)

    def write(self, path: Path) -> None:
        """A line an update."""
        lines = [json.dumps({"step": step} | values) + "\n" for step, values in enumerate(self.values, start=1)]
        path.write_text("".join(lines), encoding="utf-8")

    def read(self, path: Path) -> None:
        """Take up a curve where it was left, and hand it on."""
        for line in path.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            step = values.pop("step")
            if "held_out_loss" in values:
                self.held_out[step] = values["held_out_loss"]
            self._add(values)


class Stopper(TrainerCallback):
    """Looks at the held-out loss, remembers the weights at its lowest, and ends a training that no longer gets there.

    `look` gives the loss in nats per token of the model as it is.
    """

    def __init__(self, settings: params.EarlyStop, curve: Curve, look: Callable[[], float]):
        self.settings, self.curve, self.look = settings, curve, look
        self.best: dict[str, torch.Tensor] = {}
        """Copies of the trained weights of this process at the lowest loss."""

    @property
    def best_update(self) -> int:
        """The update with the lowest held-out loss, the first of equals; there was a look."""
        return min(self.curve.held_out, key=lambda update: (self.curve.held_out[update], update))

    @property
    def satisfied(self) -> bool:
        """Whether `patience` looks after the best one were no better."""
        looks = sorted(self.curve.held_out)
        return bool(looks) and len(looks) - 1 - looks.index(self.best_update) >= self.settings.patience

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Look if it is time, or if this was the last update."""
        step = state.global_step
        if step % self.settings.every and step < state.max_steps:
            return
        loss = self.look()
        if not math.isfinite(loss):
            raise TrainingError(
                f"the held-out loss is no finite number at update {step}; lower train.learning_rate, or set "
                "train.dtype: float32"
            )
        self.curve.held_out[step] = loss
        if self.best_update == step:
            self.best = {n: p.detach().to("cpu", copy=True) for n, p in model.named_parameters() if p.requires_grad}
        if self.satisfied:
            control.should_training_stop = True

    def restore(self, model: torch.nn.Module) -> None:
        """Put the best weights back into the model."""
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in self.best:
                    weight.copy_(self.best[name].to(weight.device))


class Checkpoints(TrainerCallback):
    """Makes the trainer's checkpoints safe: one counts when all of it is there, and only the last one is kept.

    The trainer writes weights, optimizer, schedule and random states below `folder`; this adds curve, best weights and,
    last of all, a list of every file with its size.
    """

    def __init__(self, folder: Path, curve: Curve, stopper: Stopper | None):
        self.folder, self.curve, self.stopper = folder, curve, stopper

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Complete the checkpoint that was just written and remove those before it."""
        here = self.folder / f"checkpoint-{state.global_step}"
        if self.stopper is not None:
            torch.save(self.stopper.best, here / f"{args.process_index}-{_BEST}")
        if state.is_world_process_zero:
            self.curve.write(here / CURVE)
        if torch.distributed.is_initialized():
            torch.distributed.barrier()
        if not state.is_world_process_zero:
            return
        sizes = {str(p.relative_to(here)): p.stat().st_size for p in sorted(here.rglob("*")) if p.is_file()}
        part = here / f".{_COMPLETE}.part"
        part.write_text(json.dumps(sizes), encoding="utf-8")
        part.rename(here / _COMPLETE)
        for other in self.folder.glob("checkpoint-*"):
            if other != here:
                shutil.rmtree(other)

    def resume(self, process: int) -> Path | None:
        """The last complete checkpoint, with curve and best weights taken up; None where there is none."""
        checkpoints = [p for p in self.folder.glob("checkpoint-*") if _is_complete(p)]
        if not checkpoints:
            return None
        last = max(checkpoints, key=lambda p: int(p.name.rpartition("-")[2]))
        self.curve.read(last / CURVE)
        if self.stopper is not None:
            self.stopper.best = torch.load(last / f"{process}-{_BEST}", weights_only=True)
        return last


def _is_complete(checkpoint: Path) -> bool:
    try:
        sizes: dict[str, int] = json.loads((checkpoint / _COMPLETE).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False
