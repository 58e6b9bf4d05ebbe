"""What the stories' student is pre-trained on: single facts, short problems, reading, filler and repeated passages.

No problem with more than two operations is ever solved here. Every document comes from the generator that it is given.
"""

from collections.abc import Callable
from random import Random

from phrases import ASIDES, CHECKS, CLOSINGS, OPENINGS, REMARKS, SLIPS
from teachers import SIGNS, equation, saying, symbolic, wordy
from world import LONG, Problem, make_problem

SHORT = (1, 2)
PHRASES = OPENINGS + REMARKS + ASIDES + CLOSINGS
WORDS = tuple(sorted({word for text in PHRASES for word in text.lower().rstrip(".").split()}))
STARTS = tuple(sorted({text.split()[0] for text in PHRASES + CHECKS + SLIPS}))

Document = tuple[str, str]
"""A prompt and what follows it; the prompt is empty where the text has none."""


def short_problem(rng: Random) -> Document:
    """A problem of one or two operations, solved in symbols or in words."""
    problem = _draw(rng, SHORT)
    solve = rng.choice((symbolic, wordy))
    return problem.prompt, solve(problem, rng).text


def facts(rng: Random) -> Document:
    """A list of unrelated single steps, in symbols or in words."""
    write = rng.choice((equation, saying))
    lines: list[str] = []
    for _ in range(rng.randint(6, 14)):
        problem = _draw(rng, (1,))
        lines.append(write(problem.operations[0], problem.start, problem.answer))
    return "", "\n".join(lines)


def reading(rng: Random) -> Document:
    """A story and the operations that it tells of, without any value: what is to be done, not what comes out."""
    problem = _draw(rng, (*SHORT, 3, *LONG))
    story = problem.prompt.rsplit(". ", 1)[0]
    signs = [f"{SIGNS[operation.kind]} {operation.operand}" for operation in problem.operations]
    return f"{story}. What happens to them?", "\n".join(signs)


def filler(rng: Random) -> Document:
    """Sentences of words drawn at random, a remark with "Wait" among them now and then, mostly one a line."""
    return "", passage(rng, rng.randint(3, 12))


def repeated(rng: Random) -> Document:
    """A passage, some other text, and the same passage again: what can only be foretold by copying from far back."""
    quoted = passage(rng, rng.randint(2, 8))
    between = passage(rng, rng.randint(0, 8))
    return "", "\n".join(text for text in (quoted, between, quoted) if text)


def passage(rng: Random, n_sentences: int) -> str:
    """`n_sentences` lines of filler, some of them sentences of stories."""
    lines: list[str] = []
    for _ in range(n_sentences):
        if rng.random() < 0.25:
            lines.append(rng.choice(_draw(rng, SHORT).operations).sentence)
        else:
            words = [rng.choice(STARTS), *rng.choices(WORDS, k=rng.randint(4, 11))]
            lines.append(" ".join(words) + rng.choice((".", ".", ".", "?", ":")))
    return "\n".join(lines)


def tokenizer_texts(rng: Random, count: int) -> list[str]:
    """`count` documents of every kind, for the tokenizer to be trained on."""
    documents = [make(rng) for make in MIXTURE for _ in range(count // len(MIXTURE))]
    return [f"{prompt}\n{response}" for prompt, response in documents]


MIXTURE: dict[Callable[[Random], Document], float] = {
    short_problem: 0.45,
    facts: 0.4,
    reading: 0.1,
    filler: 0.02,
    repeated: 0.03,
}
"""Share of each kind among the documents of the corpus."""


def _draw(rng: Random, lengths: tuple[int, ...]) -> Problem:
    return make_problem(f"corpus:{rng.getrandbits(64)}", lengths)
