r"""Responses to steps: deterministic rules, offsets instead of copies, linear time.

Steps cover the response without gap or overlap. White space between two steps opens the second: only the last step
ends with white space, where the response does. No step is white space alone unless the response is. White space and
line breaks are those of `str.isspace` and `str.splitlines`.

What ends a step, by `unit`:
- `sentence`: the end of a sentence, and every line break. A line without a full stop is the norm in reasoning
  traces and hard-wrapped prose is not, so no attempt is made to join lines.
- `line`: every line break.
- `marker`: a blank line, and the end of a sentence or line before one that opens with a branch marker (see `branch`).
- `offsets`: what a file says (see `offsets`); none of the rules below.
- `llm`: sentences that a language model puts into one group (see `llm`).
- `paragraph`: a blank line; the start of a list item, heading, table or fenced block, and the end of the latter two.

What is never cut, but for its length:
- maths: `$..$`, `$$..$$`, `\(..\)`, `\[..\]` without a blank line within, and `\begin{x}..\end{x}`. A dollar sign opens
  maths only with the next one as its closing: both tight ("$x$", and no digit behind, so "$5 and $6" is money) or
  both with white space ("$ x $"). A delimiter that is not closed is text;
- fenced blocks of ``` or ~~~, one step each. One that is not closed reaches to the end of the thinking or response;
- tables, but by `unit: line`: lines that begin with `|`, the first also ending with it or above a delimiter row;
- inline code between backticks.

Where a sentence ends: at `.`, `!`, `?`, `…` and other scripts' full stops, with the quotes and brackets that close
behind them, before white space; at `。！？；`, and at `．` unless a digit or a Latin letter is before it, whatever
follows. Not before a lower-case letter (unless a formula such as "x = 3" starts there, or the full stop stands alone
between spaces), an operator or a closing bracket; not after an abbreviation, an initial, the enumerator or label that
begins a step ("1.", "Step 2."), an ellipsis before a digit, or a factorial. A sentence ends after maths whose last
character is a terminator if a capital follows.

Think tags: `<think>` begins a step and joins the text behind it, `</think>` joins the text before it and ends its step,
so no step holds both thinking and answer; they hold everywhere, also in code.

Lengths: a piece with fewer than `min_step_chars` characters that are not white space joins the next piece of the same
side of a think tag, else the one before, if the two do not exceed `max_step_chars`. A longer step is cut at the last
place within the limit that is, in this order: the end of a sentence, white space outside maths, the end of a line, any
white space, any character that begins a new one for the reader; code and tables at ends of lines first. All its parts
are `capped`. Only white space can make a step longer: where that around its text is as long as the limit.

Again: the same text and settings give the same steps, on any machine whose Python has the same Unicode tables; and a
step that is not capped, split by itself with the same settings, is one step.
"""

from stepsift.segment.counts import Counts
from stepsift.segment.llm import Forecast, Grouping, check_splitter, forecast, open_grouping
from stepsift.segment.splitter import KINDS, Steps, split, step_ends
from stepsift.segment.table import check_cover, segment_table
from stepsift.segment.workers import segment_tables

__all__ = [
    "KINDS",
    "Counts",
    "Forecast",
    "Grouping",
    "Steps",
    "check_cover",
    "check_splitter",
    "forecast",
    "open_grouping",
    "segment_table",
    "segment_tables",
    "split",
    "step_ends",
]
