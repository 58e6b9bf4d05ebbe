"""What a room answers to `stepsift check`: lines to read, and what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """An answer to `stepsift check`: lines to read, each a label of 12 characters and text, one sentence per problem
    that a run would meet later, and one per thing that a run takes as it is and its user may not have meant; and as
    `data`, for programs, what the lines say in numbers and names.

    Each room has a function that returns one, beside the code that it speaks of; commands/check.py asks them all.
    """

    lines: Sequence[str] = ()
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
