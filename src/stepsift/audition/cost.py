"""What an audition costs, estimated from the runs of a pilot."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from stepsift.audition.runs import AuditionRun, RunResult, RunSettings
from stepsift.core.pace import duration
from stepsift.core.text import count
from stepsift.train import Examples
from stepsift.train.order import presentation


def predict(
    results: Sequence[RunResult], ahead: Sequence[tuple[RunSettings, Examples, AuditionRun]], n_known: int, workers: int
) -> list[str]:
    """Lines on what the runs `ahead` will take, from what the runs of a pilot took.

    Training takes a constant and so much for each response token shown, by least squares over the pilot's runs;
    evaluation takes its mean. `n_known` runs are in the side cache and cost nothing.
    """
    timed = [(f.presented_tokens, f.train_s) for f in results if f.train_s is not None]
    if not timed:
        return ["every run of the pilot came from the cache, so that no speed was measured"]
    tokens, seconds = (np.array(column, dtype=np.float64) for column in zip(*timed, strict=True))
    (constant, per_token), _ = nnls(np.stack([np.ones_like(tokens), tokens], axis=1), seconds)
    shown = [_presented(setting, data, run) for setting, data, run in ahead]
    train_s = constant * len(shown) + per_token * sum(shown)
    evaluate_s = float(np.mean([f.evaluate_s for f in results])) * len(shown)
    return [
        f"pilot: {count(len(results), 'student')}, {duration(seconds.mean())} of training each on average",
        f"the whole: {count(len(ahead), 'student')} to train ({n_known} more are known), "
        f"{count(sum(shown), 'response token')}",
        f"about {duration(train_s)} of training and {duration(evaluate_s)} of evaluation, "
        f"{duration((train_s + evaluate_s) / workers)} with --workers {workers}",
    ]


def _presented(setting: RunSettings, data: Examples, run: AuditionRun) -> int:
    shown = presentation(data.lengths, setting.training(run.budget.budget).settings, run.seed, data.rotation)
    return sum(data.lengths[i] for i in shown)
