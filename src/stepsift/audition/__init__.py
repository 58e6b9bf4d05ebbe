"""The audition: which metric picks better data for this student, measured by training and not by opinion.

`arms.py` lists what is trained, `plan.py` fixes the comparison before anything is, `runs.py` trains and evaluates,
`variance.py`, `compare.py` and `teachers.py` are the statistics, `verdict.py` says what they allow to be said,
`page.py` writes it down, `cost.py` tells what it costs; `hold.py` does all of it.
"""

from stepsift.audition.hold import Held, Places, hold

__all__ = ["Held", "Places", "hold"]
