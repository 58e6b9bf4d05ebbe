"""Text that others wrote, and the tags that stepsift puts into it."""

OPEN, CLOSE = "<think>", "</think>"
"""The tags between which reasoning stands, in the one form that ingest puts it into (stepsift.ingest.thinking)."""
