"""Code as an answer, run against tests in a sandbox."""
