"""What may move a score by its last bits: device, precision, versions, batching. Values of two are never mixed.

Choices of this machine are made here, by rules and not by a measurement at each start: a rule gives the same answer
tomorrow, and what was scored today is found again in the cache. `stepsift tune` measures them and proposes settings.
"""

import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from stepsift import params

_THREADS = torch.get_num_threads()
"""Before a small student makes them one (student.SMALL_PARAMETERS)."""
ENGINE_VERSION = 2
"""Raised whenever a change could move a score by as much as its last bit."""


def batching(settings: "params.Score", device: str) -> str:
    """'trace' or 'packed': what `score.batching` asks for; 'auto' packs where a device wants large batches."""
    if settings.batching != "auto":
        return settings.batching
    return "trace" if device == "cpu" else "packed"


def batch_tokens(settings: "params.Score", device: str) -> int:
    """Tokens of one forward pass: what `score.batch_tokens` says, else what is usually best on such a device."""
    return settings.batch_tokens or (512 if device == "cpu" else 32_768)


def products(settings: "params.Score", device: str) -> str:
    """'native' or 'onednn': who multiplies float32 matrices.

    'auto': torch's own library (MKL), except on processors that Intel did not make: on an AMD Zen 5 MKL reaches half of
    the peak and oneDNN nearly all of it, on a Zen 3 oneDNN takes 0.8 to 1.0 of MKL's time (docs/SCORING.md). For a
    small student see `identity.of_student`.
    """
    if device != "cpu" or settings.dtype != "float32" or not torch.backends.mkldnn.is_available():
        return "native"
    if settings.products != "auto":
        return settings.products
    return "native" if _made_by_intel() else "onednn"


def threads(settings: "params.Score", device: str) -> int:
    """Threads of one student on a CPU, which move a product's last bits: all, or a worker's share; a Ray actor has one.

    0 on CUDA, where they move nothing. A student with few weights uses one whatever this says.
    """
    if device != "cpu":
        return 0
    if settings.engine == "ray":
        return 1
    return max(1, _THREADS // (settings.workers or 1))


def describe_numerics(
    settings: "params.Score", device: str, decoder: str | None = None
) -> dict[str, str | int | float]:
    """Everything but the student and the tokens that a cached value may depend on.

    `decoder`: what `own.decoder_used` says of the student; values of the model's own are known by having no such key.
    """
    own = {} if decoder is None else {"decoder": decoder}
    return {
        "engine": ENGINE_VERSION,
        "device": device,
        "dtype": settings.dtype,
        "batching": batching(settings, device),
        "batch_tokens": batch_tokens(settings, device),
        "products": products(settings, device),
        "threads": threads(settings, device),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        **own,
    }


def prepare(model: Any, settings: "params.Score", device: str) -> None:
    """Let faster code of torch do what a loaded model does, where it gives the same numbers but for rounding.

    In float32 on a CPU: linear layers through oneDNN where `products` says so, and RMS norms in one operation instead
    of the six that transformers writes out, which take a tenth of the time of a forward pass.
    """
    if device != "cpu" or settings.dtype != "float32":
        return
    onednn = products(settings, device) == "onednn"
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            if onednn:
                _replace(module, partial(onednn_linear, weight=module.weight, bias=module.bias))
        elif type(module).__name__.endswith("RMSNorm"):
            _fuse_norm(module)


def _replace(module: Any, forward: Callable[..., torch.Tensor]) -> None:
    """Let a module of the model do something else; its weights stay where they are."""
    module.forward = forward


@torch.no_grad()
def _fuse_norm(module: torch.nn.Module) -> None:
    """Use torch's own norm if it gives what the module gives; families differ in what they scale by, so it is tried."""
    weight = getattr(module, "weight", None)
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if not isinstance(weight, torch.Tensor) or weight.dim() != 1 or eps is None:
        return
    x = torch.linspace(-3, 5, 2 * len(weight)).view(2, -1)
    try:
        expected = module(x)
    except TypeError:  # a norm that takes more than one input
        return
    for scale in (weight.detach().clone(), 1 + weight.detach()):
        fused = partial(torch.nn.functional.rms_norm, normalized_shape=(len(weight),), weight=scale, eps=eps)
        if torch.allclose(fused(x), expected, rtol=1e-5, atol=1e-6):
            _replace(module, fused)
            return


def uses_onednn(linear: torch.nn.Module) -> bool:
    """Whether `prepare` gave this layer to oneDNN."""
    return getattr(linear.forward, "func", None) is onednn_linear


def onednn_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x W^T + b in float32 through oneDNN, which torch offers to its compiler and not as a setting."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _made_by_intel() -> bool:
    """Whether this machine's processor calls itself Intel's; torch does not say."""
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # no Linux
        return "Intel" in platform.processor()
