"""A link of the chain from sources to exports, and whether it holds."""

from dataclasses import dataclass

_MOST_SAID = 5


@dataclass(frozen=True)
class CheckResult:
    """What was checked, in words; `broken` has a sentence for each thing that does not hold."""

    name: str
    checked: str
    broken: tuple[str, ...] = ()

    def line(self) -> str:
        """One line: ok with what was checked, or broken with what and where."""
        if not self.broken:
            return f"ok      {self.name:17} {self.checked}"
        more = len(self.broken) - _MOST_SAID
        said = "; ".join(self.broken[:_MOST_SAID]) + (f"; and {more} more" if more > 0 else "")
        return f"broken  {self.name:17} {said}"
