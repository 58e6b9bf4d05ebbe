"""Students larger than one device: layers over several GPUs, or in memory and brought to one GPU when they are needed.

Who moves weights and hidden states is accelerate. Embeddings, the last norm and the output embedding stay on the first
GPU, so ids go in there, and hidden states come out there. What is computed is the same as in one piece.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stepsift.core.errors import StudentError
from stepsift.core.text import count

Placement = Literal["one", "spread", "cpu_offload"]
Device = int | str
"""The number of a GPU, `cpu` or `disk`."""
Floats = npt.NDArray[np.float64]
SHARE_FOR_WEIGHTS = 0.8
"""Of the free memory of a GPU; the rest is for hidden states, keys and values."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Per number of a precision."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a machine: of each GPU that torch sees, in their order, and of the main memory."""

    gpus: tuple[int, ...]
    main: int

    @classmethod
    def free(cls) -> "Memory":
        """What is free on this machine now."""
        import psutil
        import torch

        gpus = tuple(torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count()))
        return cls(gpus, psutil.virtual_memory().available)

    @classmethod
    def total(cls) -> "Memory":
        """All that this machine has, which does not change from one moment to the next."""
        import psutil
        import torch

        gpus = tuple(torch.cuda.mem_get_info(i)[1] for i in range(torch.cuda.device_count()))
        return cls(gpus, psutil.virtual_memory().total)


def what_fits(n_parameters: int, dtype: str, memory: Memory) -> str:
    """Of each placement, the memory that the weights take in it, and whether this machine has that."""
    size = n_parameters * BYTES[dtype]
    weights = f"{n_parameters / 1e6:,.1f} million weights take {_bytes(size)} in {dtype}"
    if not memory.gpus:
        return f"{weights}, of {_bytes(memory.main)} of memory; torch sees no GPU"
    first, total = (SHARE_FOR_WEIGHTS * n for n in (memory.gpus[0], sum(memory.gpus)))
    ways = {
        "one": (size <= first, f"of {_bytes(first)} on one GPU"),
        "spread": (size <= total, f"of {_bytes(total)} on {count(len(memory.gpus), 'GPU')}"),
        "cpu_offload": (size <= first + memory.main, f"of {_bytes(first + memory.main)} on a GPU and in memory"),
    }
    said = "; ".join(f"{name} {'fits' if fits else 'does not fit'}, {room}" for name, (fits, room) in ways.items())
    return f"{weights}: {said} (student.placement)"


def no_gpu(placement: Placement) -> str:
    """What is wrong where there is no GPU, and what to do."""
    return (
        f"student.placement is {placement}, which needs a GPU, and torch sees none; set it to one, or install a CUDA "
        "build of torch"
    )


def map_layers(model: Any, placement: Placement, memory: Memory) -> dict[str, Device]:
    """On which device each part of `model` lies; its weights may be on the meta device.

    `spread`: GPUs get layers in their order, the fullest of them as few as possible. `cpu_offload`: the first GPU keeps
    as many as leave room for one that is brought there. Raises StudentError where they do not fit, and where there is
    no GPU.
    """
    if not memory.gpus:
        raise StudentError(no_gpu(placement))
    layers = {name: module for name, module in model.named_modules() if _is_layer(module, model)}
    sizes = np.array([_bytes_of(module) for module in layers.values()], dtype=float)
    room = SHARE_FOR_WEIGHTS * np.array(memory.gpus, dtype=float)
    room[0] -= _bytes_of(model) - sizes.sum()
    devices: list[Device]
    if placement == "spread":
        devices = _spread(sizes, room)
        fits = len(devices) == len(sizes)
    else:
        devices = [0 if end <= room[0] - sizes.max() else "cpu" for end in np.cumsum(sizes)]
        in_memory = sum(size for size, device in zip(sizes, devices, strict=True) if device == "cpu")
        fits = bool(sizes.max() <= room[0] and in_memory <= memory.main)
    if not fits:
        raise StudentError(_does_not_fit(_bytes_of(model), placement, memory))
    others = (name for name, _ in _parts(model, layers))
    return dict(zip(layers, devices, strict=True)) | dict.fromkeys(others, 0)


def dispatch(model: Any, places: Mapping[str, Device], main: Device, folder: Path | None = None) -> Any:
    """Put the parts of a loaded model where `places` says, and let what goes through it follow.

    `main` is the device of ids and of hidden states; weights in memory or on disk are brought there when they are
    needed. `folder` holds those on disk.
    """
    from accelerate import dispatch_model

    return dispatch_model(
        model,
        dict(places),
        main_device=main,
        offload_dir=folder,
        skip_keys=getattr(model, "_skip_keys_device_placement", None),
        force_hooks=True,
    )


def _spread(sizes: Floats, room: Floats) -> list[Device]:
    """The GPU of each layer such that the same, least share of each one's room suffices; too few where nothing does."""
    devices: list[Device] = []
    for share in np.linspace(0, 1, 201):
        devices = _filled(sizes, share * room)
        if len(devices) == len(sizes):
            break
    return devices


def _filled(sizes: Floats, room: Floats) -> list[Device]:
    """The GPU of each layer if one after the other is filled, of as many layers as fit."""
    devices: list[Device] = []
    gpu, left = 0, room[0]
    for size in sizes:
        while size > left:
            gpu += 1
            if gpu == len(room):
                return devices
            left = room[gpu]
        devices.append(gpu)
        left -= size
    return devices


def _is_layer(module: Any, model: Any) -> bool:
    return type(module).__name__ in (model._no_split_modules or ())


def _parts(model: Any, layers: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The largest modules of `model` that hold no layer, and are in none."""
    for name, module in model.named_children():
        path = f"{prefix}{name}"
        if path in layers:
            continue
        if any(layer.startswith(f"{path}.") for layer in layers):
            yield from _parts(module, layers, f"{path}.")
        else:
            yield path, module


def _bytes_of(module: Any) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def _does_not_fit(size: int, placement: Placement, memory: Memory) -> str:
    gpus = ", ".join(_bytes(n) for n in memory.gpus)
    advice = "set it to cpu_offload, or use" if placement == "spread" else "use"
    return (
        f"student.placement is {placement}, but weights of {_bytes(size)} do not fit here (free: GPUs {gpus}; "
        f"memory {_bytes(memory.main)}); {advice} more or larger devices"
    )


def _bytes(n: float) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.1f} MB"
