"""A trace with steps of every kind, and students in the engine's and in the reference's precision."""

import itertools
import re
from dataclasses import dataclass

import numpy as np

from stepsift.render import Rendered, Renderer
from stepsift.score.forward.windows import Pass, local_passes, token_bounds

MESSAGES = [{"role": "user", "content": "What is the sum of the first ten numbers, and is it more than 42? Show how."}]
RESPONSE = (
    "Let x be the sum. Then x = 1 + 2 + 3 + 4 + 5, and so on up to 10.\n\n"
    "First, we add 12 and 30 to get 42. Next: 7 * 6 = 42 🙂👩‍🚀. 答案是 42。 Yes!\n"
    "Wait, that is not right. Let me check. So x = 10 * 11 / 2. It is 55.\n\n\n"
    "55 is more than 42, by 13. So the final answer is \\boxed{55}. That is all.\n"
)


def cut(response: str) -> list[tuple[int, int]]:
    """Sentences, the blanks between two at the head of the second; the line ends after "10." and "55." are a step of
    their own, which gets no token where a tokenizer merges ".\\n\\n"."""
    marks = {m.end() for m in re.finditer(r"[.!。](?=\s)", response)} | {response.index("First")}
    marks |= {response.index("\n\n\n") + 1}
    edges = [0, *sorted(marks - {len(response)}), len(response)]
    return list(itertools.pairwise(edges))


@dataclass(frozen=True)
class Case:
    """One rendered trace and its steps."""

    rendered: Rendered
    spans: list[tuple[int, int]]

    @property
    def bounds(self) -> np.ndarray:
        """First token of each step."""
        return token_bounds(self.rendered.last_char, np.array([end for _, end in self.spans]))

    def passes(self, window: int | float) -> list[Pass]:
        """The passes that the engine is given."""
        return local_passes(self.bounds, window)


def make_case(renderer: Renderer, messages: list[dict] = MESSAGES, response: str = RESPONSE) -> Case:
    """Render a trace and cut it."""
    return Case(renderer.render(messages, response), cut(response))


@dataclass(frozen=True)
class Loaded:
    """A student as the product loads it, the reference's float64 model, and the trace under its tokenizer."""

    model: object
    exact: object
    renderer: Renderer
    case: Case
