"""What scoring a pool and training on it would take on GPUs: operations, hours and memory, for `stepsift check`.

A token of a forward pass costs two operations per parameter, one of a training step six; attention is not counted. How
many operations a GPU does in a second is taken from what others report: nothing of ours was measured on a GPU.
"""

from dataclasses import dataclass

from stepsift import params
from stepsift.core.errors import TrainingError
from stepsift.core.pace import duration
from stepsift.train.launch import launch_settings

FEWEST_PARAMETERS = 1_000_000_000
"""Of a student of which hours are said; smaller ones need no GPU."""
GPU = "H200"
SCORING_RATE, TRAINING_RATE = 270e12, 100e12
"""Operations that one H200 does in a second. Source: arXiv 2601.14249, table 10 (5,000 traces of 12,078 tokens, a
student of 8.03 billion parameters, an hour on one GPU) and appendix A.5 (5,000 traces of 8,912 tokens on average, ten
times, 7.62 billion parameters, 7 hours on eight)."""
_SHARDING = ("FSDP", "DEEPSPEED")
"""Kinds of launch whose processes divide weights, gradients and moments among them."""


@dataclass(frozen=True)
class ExpectedWork:
    """`scoring` and `training` (of one student) in operations; `training_bytes` of weights, gradients and AdamW's two
    moments, in all, and how many `processes` divide them among themselves."""

    scoring: float
    training: float
    training_bytes: float
    processes: int

    def lines(self, train: params.Train) -> list[str]:
        """For people; hours are those of one GPU."""
        scoring, training = (
            f"{operations:.1e} operations, {duration(operations / rate)} on one {GPU} at {rate / 1e12:.0f} Tflop/s"
            for operations, rate in ((self.scoring, SCORING_RATE), (self.training, TRAINING_RATE))
        )
        each = self.training_bytes / self.processes / 1e9
        divided = f", {each:,.1f} GB on each of {self.processes} GPUs ({train.launch})" if self.processes > 1 else ""
        return [
            f"work        scoring the pool: {scoring}",
            f"            training a student: {training}; both rates are those of arXiv 2601.14249, not measured here",
            f"            training holds {self.training_bytes / 1e9:,.1f} GB of weights, gradients and moments{divided}"
            ", and activations",
        ]


def work_of(n_parameters: int, positions: float, trained_tokens: float, train: params.Train) -> ExpectedWork:
    """`positions`: tokens that go through the student when the pool is scored; `trained_tokens`: those that one student
    is shown, prompts counted."""
    return ExpectedWork(
        scoring=2.0 * n_parameters * positions,
        training=6.0 * n_parameters * trained_tokens,
        training_bytes=float(n_parameters * bytes_per_parameter(train)),
        processes=dividing_processes(train),
    )


def bytes_per_parameter(train: params.Train) -> int:
    """Of memory in training: weight, gradient and two moments; with adapters, which are small, the weight alone."""
    of_a_number = 2 if train.dtype == "bfloat16" else 4
    return of_a_number * (1 if train.lora else 4)


def dividing_processes(train: params.Train) -> int:
    """How many processes divide weights, gradients and moments; 1 where each holds all of them."""
    if train.launch is None:
        return 1
    try:
        config = launch_settings(train.launch)
    except TrainingError:  # the room of training says what is wrong with it
        return 1
    if config.get("distributed_type") not in _SHARDING:
        return 1
    processes = config.get("num_processes")
    return processes if isinstance(processes, int) and processes > 0 else 1


def examples_shown(train: params.Train, n_prompts: float) -> float | None:
    """How many examples one student is shown from a set of one trace per prompt; None where the budget is in tokens."""
    if train.budget is None:
        return n_prompts * train.epochs
    return train.budget.examples
