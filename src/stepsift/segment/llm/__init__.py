"""The unit `llm`: a language model says which sentences make one step, and cannot change the text.

Sentences are cut and numbered by our own rules (`unit: sentence`); the model answers with groups of numbers as JSON,
which must be a partition of them in order (`answer`). What is stored are offsets into the response, as with every unit.

- `pieces`: a response to what is asked: at most `max_sentences` and `max_chars` at once
- `prompt`: the words in which it is asked
- `answer`: what a model wrote to groups; read leniently, verified strictly
- `endpoint`: one request over HTTP, repeated where it got no answer; knows the key, and nobody else does
- `grouping`: traces to steps: from the cache, by many requests at once, within a budget, or by rules
- `threads`: many requests at once
- `cost`: what asking would take, for `stepsift check` and the stage
"""

from stepsift.segment.llm.cost import Forecast, check_splitter, forecast
from stepsift.segment.llm.grouping import FOLDER, Grouping, open_grouping

__all__ = ["FOLDER", "Forecast", "Grouping", "check_splitter", "forecast", "open_grouping"]
