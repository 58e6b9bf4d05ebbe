"""What `stepsift check` and `stepsift tune` say of a precision that makes this machine slower."""

from typing import Any

from stepsift import params, student
from stepsift.core.finding import Finding
from stepsift.score.forward.own import decoder_used
from stepsift.score.forward.products import has_bfloat16_units

_WHY = (
    "this processor has no instructions that multiply bfloat16 numbers (AMX, AVX512-BF16, those of Arm), so batches "
    "take several times as long as in float32, which is exact besides; set float32 here"
)


def check_precision(settings: params.Params, source: student.StudentSource) -> Finding:
    """For `stepsift check`: keys of params.yaml that ask for bfloat16 where that is slower than float32."""
    config = student.load_config(source.files)
    train, evaluate = settings.train, settings.evaluate
    keys = [
        *(["score.dtype"] if scoring_is_slow(settings.score, config) else []),
        *(["train.dtype"] if train.dtype != "float32" and _is_slow("auto") else []),
        *(["evaluate.dtype"] if evaluate.dtype == "bfloat16" and evaluate.engine == "hf" and _is_slow("auto") else []),
    ]
    return Finding(warnings=[sentence(keys)] if keys else [])


def scoring_is_slow(settings: params.Score, config: Any) -> bool:
    """Whether scores in bfloat16 take longer here than in float32; the decoder of ours widens weights instead."""
    if settings.dtype != "bfloat16" or not _is_slow(settings.device):
        return False
    return decoder_used(config, settings, "cpu") is None


def sentence(keys: list[str]) -> str:
    """What is slow, why, and what to do."""
    values = "asks" if len(keys) == 1 else "ask"
    return f"{', '.join(keys)} {values} for products of bfloat16 numbers, and {_WHY}"


def _is_slow(device: str) -> bool:
    """Whether a student on a device that is set so has products of bfloat16 for which this machine has no units."""
    return device in ("auto", "cpu") and student.pick_device(device) == "cpu" and not has_bfloat16_units()
