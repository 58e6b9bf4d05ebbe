"""The audition: which metric picks better data for this student, measured by training and not by opinion.

`arms.py` lists what is trained, `plan.py` fixes the comparison before anything is, `runs.py` trains and evaluates,
`variance.py`, `compare.py` and `teachers.py` are the statistics, `verdict.py` says what they allow to be said,
`page.py` writes it down, `cost.py` says what it costs; `run.py` does all of it.
"""

from stepsift.audition.run import AuditionOutcome, AuditionPlaces, finished_runs, run_audition

__all__ = ["AuditionOutcome", "AuditionPlaces", "finished_runs", "run_audition"]
