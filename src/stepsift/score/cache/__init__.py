"""Scores that were computed before: their keys, their shards, and a check of some."""
