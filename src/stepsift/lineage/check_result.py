"""A link of the chain from sources to exports: what was checked, what does not hold, and what was not recomputed."""

from dataclasses import dataclass

_MOST_SHOWN = 5


@dataclass(frozen=True)
class CheckResult:
    """`checked` says in words what was looked at (empty: nothing), `broken` has a sentence for each thing that does not
    hold, and `taken` what was taken as it is because it was not recomputed."""

    name: str
    checked: str
    broken: tuple[str, ...] = ()
    taken: str = ""

    def line(self) -> str:
        """One line: ok with what was checked, broken with what and where, or not checked at all."""
        if self.broken:
            more = len(self.broken) - _MOST_SHOWN
            text = "; ".join(self.broken[:_MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")
            return f"broken  {self.name:17} {text}"
        not_checked = f"not recomputed: {self.taken}" if self.taken else ""
        parts = [part for part in (self.checked, not_checked) if part]
        return f"{'ok' if self.checked else 'taken':7} {self.name:17} {'; '.join(parts)}"
