"""Numbers from the model: windows, forward passes, per-token values and their sums per step."""
