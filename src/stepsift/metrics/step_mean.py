"""LALP with an endless window: (1/p) * sum over steps of the mean full-context l_t of the step.

The k = infinity control: it separates the equal weight of steps from the short window. Nats per token; higher is
better. Source: a control of this project.
"""

from stepsift.metrics._forms import mean_of_steps
from stepsift.metrics._metric import Metric

METRIC = Metric("step_mean", better="high", needs="full", trace=mean_of_steps("full"))
