"""Answers without a pipeline run: `stepsift score` scores one file, `stepsift rank` ranks teachers on a sample.

Both run the stages' own functions in a temporary folder, over the same cache of scores: what they compute a later run
of the pipeline with the same settings finds there, and the other way round.
"""

from stepsift.quick.names import metric_names
from stepsift.quick.rank import rank
from stepsift.quick.score import score_file

__all__ = ["metric_names", "rank", "score_file"]
