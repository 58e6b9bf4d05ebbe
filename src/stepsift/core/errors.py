"""Every error that stepsift raises on purpose.

The text of an error says what was wrong, the value seen, what is allowed and what to do next. The command line
prints that text without a traceback and exits with 1. What else a user can mend (a full disk, a file that may not be
read) is the system's error, which `console` puts into a sentence; anything else is a defect of ours.
"""


class StepsiftError(Exception):
    """Root of all errors that a user can cause and mend."""


class ParamsError(StepsiftError, ValueError):
    """`params.yaml` is missing, is not YAML, or holds a key or a value that is not allowed.

    `problems` holds one sentence for each thing that is wrong.
    """

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(problems))


class SourceError(StepsiftError, ValueError):
    """The sources hold no file, or a file of which no row could be used."""


class TableError(StepsiftError, ValueError):
    """A table's schema, version or an invariant does not hold."""


class SplitterError(StepsiftError, RuntimeError):
    """The language model that groups sentences into steps cannot be asked, or grouped no trace at all."""


class StudentError(StepsiftError, RuntimeError):
    """The student cannot be found, loaded or used for what was asked."""


class ScoringError(StepsiftError, RuntimeError):
    """Scores cannot be computed, or do not agree with what they must agree with."""


class SelectionError(StepsiftError, ValueError):
    """A selection that was asked for cannot be made from this pool."""


class TrainingError(StepsiftError, RuntimeError):
    """The student cannot be trained on what was selected."""


class EvaluationError(StepsiftError, RuntimeError):
    """An evaluation task cannot be found or run."""


class AuditionError(StepsiftError, RuntimeError):
    """An audition cannot be run with what is there."""


class CacheError(StepsiftError, RuntimeError):
    """Something in a cache is damaged, or the caches cannot be filled with what was asked for."""


class LineageError(StepsiftError, ValueError):
    """What was asked about is not there, or not in a state in which anything can be said of it."""


class TrackingError(StepsiftError, RuntimeError):
    """The MLflow store cannot be reached; raised by set-up alone, a stage goes on without it."""


class Stopped(KeyboardInterrupt):
    """The run was asked to end and has kept what it did; no StepsiftError, since nothing is wrong.

    A KeyboardInterrupt, so that nothing on the way takes it for a failure. `exit_code` is what the process ends with.
    """

    def __init__(self, text: str, exit_code: int):
        self.exit_code = exit_code
        super().__init__(text)
