"""x W^T + b with float32 results, whatever the precision of W: how the decoder of our own multiplies."""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from stepsift.score.forward.numerics import onednn_linear, uses_onednn

BFLOAT16_UNITS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")
"""Instructions that multiply bfloat16 numbers, as torch names them: of Intel and AMD (the first two), and of Arm."""

FLOAT32, BFLOAT16, ROUNDED = "float32", "bfloat16", "rounded bfloat16"
"""Ways to multiply bfloat16 weights (see `way`), as `numerics` calls them."""
Product = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""Of x [rows, width] float32, W [outputs, width] and b [outputs] or None: [rows, outputs] float32."""


def product_of(linear: Any) -> Product:
    """How such a layer's products are made: float32 by the library that it uses, bfloat16 as `way` says."""
    if linear.weight.dtype == torch.float32:
        return onednn_linear if uses_onednn(linear) else torch.nn.functional.linear
    return {FLOAT32: widened, BFLOAT16: narrow, ROUNDED: rounded}[way(linear.weight.dtype)]


def logits_of(head: Any) -> Product:
    """The same for an output embedding, whose results are never rounded: a logit of 20 would be off by up to .06."""
    return widened if way(head.weight.dtype) == ROUNDED else product_of(head)


def way(dtype: torch.dtype) -> str:
    """What is rounded to bfloat16 in products of such weights: nothing, what they are multiplied by, or results too."""
    return bfloat16_here() if dtype == torch.bfloat16 else FLOAT32


def has_bfloat16_units() -> bool:
    """Whether this processor has any instruction for products of bfloat16; without one, float32 is faster."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(unit) for unit in BFLOAT16_UNITS)


def bfloat16_here() -> str:
    """The way that is fastest here for bfloat16 weights: with AMX MKL's, which has float32 results; with other units,
    which MKL does not use, torch's own; without any, float32."""
    if torch.cpu.get_capabilities().get("amx_bf16") and _gemm() is not None:
        return BFLOAT16
    return ROUNDED if has_bfloat16_units() else FLOAT32


def are_bfloat16_numbers(model: Any) -> bool:
    """Whether bfloat16 holds every matrix of a model exactly, as it does where its weights were published so."""
    return all(torch.equal(p, p.to(torch.bfloat16).to(p.dtype)) for p in model.parameters() if p.dim() == 2)


def widened(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Exact but for float32's rounding, as a bfloat16 weight is a float32 number."""
    return torch.nn.functional.linear(x, weight.float(), None if bias is None else bias.float())


def narrow(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x is rounded to bfloat16; sums and results are float32, for which torch has no operation on a CPU."""
    gemm = _gemm()
    assert gemm is not None
    (rows, width), outputs = x.shape, len(weight)
    x, weight = x.to(torch.bfloat16).contiguous(), weight.contiguous()
    out = torch.empty(rows, outputs)
    row_major, plain, transposed = 101, 111, 112
    gemm(
        *(row_major, plain, transposed, rows, outputs, width, 1.0, x.data_ptr(), width),
        *(weight.data_ptr(), width, 0.0, out.data_ptr(), outputs),
    )
    return out if bias is None else out.add_(bias)


def rounded(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x and the results are rounded to bfloat16; sums are float32."""
    return torch.nn.functional.linear(x.to(torch.bfloat16), weight, bias).float()


@cache
def _gemm() -> Any:
    """MKL's product of bfloat16 matrices with float32 results, which torch's library brings along; None without it."""
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        gemm = library.cblas_gemm_bf16bf16f32
    except (OSError, AttributeError):
        return None
    number, real, pointer = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
    gemm.argtypes = [*[number] * 6, real, pointer, number, pointer, number, real, pointer, number]
    gemm.restype = None
    return gemm
