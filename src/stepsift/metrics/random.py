"""A seeded draw: uniform in [0, 1), from nothing but the seed and the trace id.

    random(trace) = (the first 53 bits of SHA-256 of "seed:trace_id") / 2^53

The baseline that every other selector has to beat. A trace draws the same number in every pool, on every machine and
with every version of the libraries, so that a new trace moves no old draw. No direction. Source: a control.
"""

from stepsift.metrics._metric import Metric, uniform

METRIC = Metric("random", better=None, needs=None, draw=lambda traces, seed: uniform(traces["trace_id"], seed))
