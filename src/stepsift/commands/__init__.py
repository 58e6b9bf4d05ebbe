"""The `stepsift` command: one file a command, and nothing that a stage runs."""
