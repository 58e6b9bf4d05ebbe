"""A reader of the demo's stories that shares no code with the world."""

import re

CHANGES = {
    "doubles them": lambda n: n * 2,
    "ends up with twice as many": lambda n: n * 2,
    "triples them": lambda n: n * 3,
    "ends up with three times as many": lambda n: n * 3,
    "keeps only half": lambda n: n / 2,
    "gives half to a friend": lambda n: n / 2,
    "keeps only a third": lambda n: n / 3,
    "divides them by three": lambda n: n / 3,
}


def read_story(prompt: str) -> list[float]:
    """The values that the words of the story tell of, one before the first sentence of change and one after each."""
    first, *changes, _question = re.split(r"(?<=[.?]) ", prompt)
    values = [float(re.search(r"\d+", first).group())]
    for sentence in changes:
        deed = sentence.split(" ", 1)[1].rstrip(".")
        if gain := re.fullmatch(r"(?:buys|picks up|plants|grows|finds|collects) (\d+) more", deed):
            values.append(values[-1] + int(gain.group(1)))
        elif loss := re.fullmatch(r"(?:sells|eats|pulls out|gives away|loses|trades away) (\d+)", deed):
            values.append(values[-1] - int(loss.group(1)))
        else:
            values.append(CHANGES[deed](values[-1]))
    return values
