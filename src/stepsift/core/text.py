"""Foreign text made safe where it leaves: one function per medium, and these are the only ones.

Names of teachers and files, prompts, traces and the messages of other libraries may be written by anybody. Inside, they
are kept as they are; where they are shown, everything that is hidden becomes visible and nothing in them acts: not on a
terminal, in a log of a CI service, in Markdown, on a page, in a shell or in MLflow.
"""

import difflib
import json
import posixpath
import re
import shlex
from collections.abc import Iterable
from html import escape

OPEN, CLOSE = "<think>", "</think>"
"""The tags between which reasoning stands, in the one form that ingest puts it into (stepsift.ingest.thinking)."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001345f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Control and format characters that change how what follows is shown, or show nothing: bidirectional marks, zero
width, fillers, line separators, soft hyphens, tags, variation selectors but that of emoji. Tab and line feed are what
they look like."""
_ZERO_WIDTH_JOINER = "\u200d"


def visible(text: str) -> str:
    """`text` with every hidden control or format character spelt out: U+202E becomes `⟨U+202E⟩`.

    A carriage return before a line feed is dropped; a zero-width joiner stays, since emoji are made with it.
    """
    return _HIDDEN.sub(_spelt, text.replace("\r\n", "\n"))


def _spelt(match: re.Match[str]) -> str:
    return match[0] if match[0] == _ZERO_WIDTH_JOINER else f"⟨U+{ord(match[0]):04X}⟩"


def one_line(text: str, most_chars: int | None = None) -> str:
    """`text` in one line: white space folded, nothing hidden, cut with `…` after `most_chars` characters."""
    line = visible(" ".join(text.split()))
    return line if most_chars is None or len(line) <= most_chars else line[: most_chars - 1] + "…"


def error_line(error: BaseException, most_chars: int | None = None) -> str:
    """What an exception says, in one line; its type where it says nothing."""
    return one_line(str(error), most_chars) or type(error).__name__


def named_error_line(error: BaseException, most_chars: int | None = None) -> str:
    """As `error_line` with the exception's type before it: for errors of other libraries, some of which say little."""
    name = type(error).__name__
    return one_line(f"{name}: {error}" if str(error).strip() else name, most_chars)


def terminal_line(text: str) -> str:
    """One line for a terminal or a log: nothing hidden, no second line, and no command to a CI service.

    GitHub's runner takes a printed line that begins with `::`, or holds `##[`, for a command.
    """
    line = visible(text).replace("\n", "⟨U+000A⟩").replace("##[", "##⟨[⟩")
    stripped = line.lstrip()
    return line.replace("::", "⟨::⟩", 1) if stripped.startswith("::") else line


def terminal_text(text: str) -> str:
    """As `terminal_line`, for text whose line feeds are meant."""
    return "\n".join(map(terminal_line, text.replace("\r\n", "\n").split("\n")))


def json_text(value: object) -> str:
    """Indented JSON for standard output: hidden characters as escapes, which mean the same; other types as text.

    So is the bracket of `##[`, which a CI service takes for a command anywhere in a line.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str).replace("##[", "##\\u005b")
    return _HIDDEN.sub(lambda m: f"\\u{ord(m[0]):04x}" if ord(m[0]) < 0x10000 else json.dumps(m[0])[1:-1], text)


def yaml_text(text: str) -> str:
    """`text` in quotes, as YAML reads it back: hidden characters as escapes."""
    quoted = json.dumps(text, ensure_ascii=False)
    return _HIDDEN.sub(lambda m: f"\\u{ord(m[0]):04x}" if ord(m[0]) < 0x10000 else f"\\U{ord(m[0]):08x}", quoted)


def markdown_code(text: str, most_chars: int | None = None) -> str:
    """`text` as code in Markdown, in one line; nothing for an empty text.

    Within code no HTML, link, picture, mention, reference to an issue or bare address acts.
    """
    line = one_line(text, most_chars)
    if not line:
        return ""
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def markdown_prose(sentence: str) -> str:
    """A sentence of ours that holds names of others: as it is where nothing in it could act, else all of it as code.

    Entities would not do: a hub looks for mentions and references in the page that they are rendered to.
    """
    line = one_line(sentence)
    return markdown_code(line) if re.search(r"[<>&@#|\[\]`\\]|://|www\.", line) else line


def markdown_cell(text: str, most_chars: int | None = None) -> str:
    """As `markdown_code`, in a cell of a table: a text with a bar is written in entities.

    In code too a bar ends a cell, and a backslash before it would itself be escaped by one that the text brings.
    """
    line = one_line(text, most_chars)
    if "|" not in line:
        return markdown_code(line)
    return f"<code>{re.sub('[!-/:-@[-`{-~]', lambda m: f'&#{ord(m[0])};', line)}</code>"


def html(text: str) -> str:
    """For a page: escaped, and nothing in it hidden."""
    return escape(visible(text))


def script_json(content: object) -> str:
    """JSON for a `<script type="application/json">`: no character in it can end the element or open a comment.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def shell_word(text: str) -> str:
    """`text` as one word of a line that may be copied into a POSIX shell; hidden characters as bash's escapes."""
    if not _HIDDEN.search(text) and not {"\n", "\t"} & set(text):
        return shlex.quote(text)
    return f"$'{''.join(map(_bash_escape, text))}'"


def _bash_escape(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    # Some of what is hidden is a letter or mark to Unicode, and printable.
    if character.isprintable() and not _HIDDEN.match(character):
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def mlflow_name(text: str, most_chars: int = 250) -> str:
    """A name of a metric, parameter or file that MLflow takes: of its letters and signs, and a path that stays inside.

    `/data/models/x` becomes `data/models/x`, `org//m` `org/m`, `..` `_`; what nothing is left of becomes `_`.
    """
    parts = re.sub(r"[^\w\-. :/]", "_", visible(text)).split("/")
    inside = ["_" if not part.strip(".") else part for part in parts if part]
    name = "/".join(inside)[:most_chars].rstrip("/") or "_"
    # MLflow refuses what normalising would change.
    return posixpath.normpath(name)


def has_conflict_marks(text: str) -> bool:
    """Whether git left two versions of a part in a text, for somebody to choose from."""
    lines = text.splitlines()
    return any(line.startswith("<<<<<<< ") for line in lines) and any(line.startswith(">>>>>>> ") for line in lines)


def count(n: int, noun: str) -> str:
    """A number and what it counts, singular or plural: `1 prompt`, `2,000 prompts`, `0 entries`."""
    if n == 1:
        return f"{n} {noun}"
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{n:,} {noun}es"
    return f"{n:,} {noun[:-1]}ies" if re.search("[^aeiou]y$", noun) else f"{n:,} {noun}s"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on an unknown name: `, did you mean 'lalp'?` with the nearest known one; else nothing."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f", did you mean '{near[0]}'?" if near else ""
