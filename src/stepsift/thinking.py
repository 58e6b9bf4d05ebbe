"""The tags between which reasoning stands, in the one form that ingest puts it into."""

OPEN, CLOSE = "<think>", "</think>"
