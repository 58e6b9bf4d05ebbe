"""What kinds of devices differ in, besides sizes of batches and tiles (`numerics.py`, `head.py`)."""

import torch


def wide_floats(device: torch.device) -> torch.dtype:
    """The widest floating-point numbers of a device: float64, but on Apple's GPUs, which have none, float32."""
    return torch.float32 if device.type == "mps" else torch.float64


def wait_for(device: str) -> None:
    """Return when the device has done what it was given; a CPU has already."""
    if device == "mps":
        torch.mps.synchronize()
    elif device != "cpu":
        torch.cuda.synchronize(device)
