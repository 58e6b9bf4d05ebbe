"""Forward passes: batches, the head, the decoder of ours, per-token values."""
