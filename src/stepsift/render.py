"""The one place where a prompt and a response become token ids: for scoring, training and evaluation alike.

The prompt goes through the student's chat template with the generation prompt, or, without a template, is the
beginning-of-sequence token (if the tokenizer has one), the text and one newline. The response is encoded by itself,
raw: a template never touches it (some drop `<think>` blocks). Prompt ids are therefore the same for all candidates.

What stands around reasoning and answer is fitted to the generation prompt, so that a student learns what it will have
to write: a block that the prompt opened is not opened twice, and is closed where a trace has no reasoning; a student
whose template writes reasoning in another way than `<think>` (channels, say) gets it that way. `student.thinking`
decides whether there is reasoning at all.
"""

import copy
import datetime
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from stepsift import params
from stepsift.core.errors import StudentError
from stepsift.core.limits import LimitReachedError, limited
from stepsift.core.text import CLOSE, OPEN

Messages = list[dict[str, str]]

_REMEMBERED_PROMPTS = 1_024
TEMPLATE_CPU_S, TEMPLATE_BYTES = 2.0, 2**30
"""Most CPU time and further memory that a chat template may take for a prompt: it is code of the model's publisher."""
TEMPLATE_CHARS, TEMPLATE_CHARS_PER_CHAR = 1_000_000, 10
"""Most characters that it may make: so many, and so many per character of the prompt."""
_ENDLESS = "the student's chat template is refused: "
_NEXT = "; correct chat_template in its tokenizer_config.json, or set student.template: none"
_SENTINEL, _SENTINEL_THOUGHT = "stepsiftendofturn", "stepsiftreasoning"
_EMPTY_BLOCK = f"{OPEN}\n\n{CLOSE}\n\n"

# transformers hands a template data alone and no function, so the clock is stopped by a macro that hides its own.
_FROZEN_CLOCK = """{%- macro strftime_now(format) %}
{%- set ns = namespace(text=format) %}
{%- for directive, value in stepsift_date.items() %}{% set ns.text = ns.text.replace(directive, value) %}{% endfor %}
{{- ns.text }}
{%- endmacro %}
"""
_DIRECTIVES = tuple(f"%{flag}{letter}" for letter in "aAbBdeHIjmMpSyY" for flag in ("", "-"))


_BLANKS = np.array([i for i in range(0x3001) if chr(i).isspace()], dtype=np.uint32)
"""Code points of white space: none lies higher."""


@dataclass(frozen=True)
class Rendered:
    """Ids of one example, and where its tokens lie in the response.

    `last_char` [tokens] are the offsets, in characters, of tokens' last characters; `inked` [tokens] says which tokens
    hold a character that is not white space.
    """

    prompt_ids: list[int]
    response_ids: list[int]
    last_char: np.ndarray
    inked: np.ndarray
    end_id: int

    def training_ids(self) -> tuple[list[int], list[int]]:
        """Prompt ids and completion ids: the scored ids and the token that ends the turn."""
        return self.prompt_ids, [*self.response_ids, self.end_id]


class Piece(NamedTuple):
    """A part of what follows the prompt: the response from character `at` on, or a markup of the student's in place of
    what ends at `at`; `is_added` where it stands for no part of the response."""

    text: str
    at: int
    is_response: bool = True
    is_added: bool = False


class Markup(NamedTuple):
    """How a student's template writes an assistant's turn, where it does not use `<think>`: what precedes reasoning,
    what stands between it and the answer, and what precedes an answer without reasoning."""

    opens: str
    between: str
    alone: str


HARMONY = Markup(
    "<|channel|>analysis<|message|>",
    "<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|channel|>final<|message|>",
)
"""The channels of gpt-oss, for templates that write answers to `final` and say nothing of reasoning."""


class Renderer:
    """Renders with one tokenizer and the `student` section of params.yaml.

    Raises StudentError if the tokenizer has no character offsets (a slow tokenizer) or no token to end a turn with.
    """

    def __init__(self, tokenizer: Any, settings: params.Student):
        if not tokenizer.is_fast:
            raise StudentError(
                f"the student's tokenizer ({type(tokenizer).__name__}) gives no character offsets, which steps need; "
                "use a student with a tokenizer.json"
            )
        self.tokenizer = tokenizer
        self.has_template = settings.template == "auto" and bool(tokenizer.chat_template)
        # Templates that ask for today's date would give other ids tomorrow.
        date = datetime.date.fromisoformat(settings.template_date)
        self._kwargs = {"date_string": date.strftime("%d %b %Y")} | settings.template_kwargs
        self._template = self._chat_template() if self.has_template else ""
        if "strftime_now" in self._template:
            self._template = _FROZEN_CLOCK + self._template
            self._kwargs["stepsift_date"] = {d: date.strftime(d) for d in _DIRECTIVES}
        # Post-processors add special tokens and trim white space off offsets; the response wants neither.
        self._raw = copy.deepcopy(tokenizer.backend_tokenizer)
        self._raw.post_processor = None
        self._raw.no_padding()
        self._raw.no_truncation()
        self.end_id = self._end_of_turn()
        self._thinking = settings.thinking
        self.markup = self._markup() if self.has_template else None
        self._remembered = functools.lru_cache(maxsize=_REMEMBERED_PROMPTS)(self._prompt)

    def prompt_text(self, messages: Messages) -> str:
        """The prompt as text, the beginning-of-sequence token of `prompt` left out where there is no template."""
        return self._remembered(tuple((m["role"], m["content"]) for m in messages))[0]

    def conversation_text(self, messages: Messages) -> str:
        """A whole conversation through the template, as trainers write it; raises StudentError where it is refused."""
        return self._templated(messages, add_generation_prompt=False)

    def prompt(self, messages: Messages) -> list[int]:
        """Token ids of the prompt; raises StudentError if there would be none."""
        return list(self._remembered(tuple((m["role"], m["content"]) for m in messages))[1])

    def _prompt(self, messages: tuple[tuple[str, str], ...]) -> tuple[str, list[int]]:
        """Text and ids of a prompt, whose candidates all ask for them."""
        text = self._text([{"role": role, "content": content} for role, content in messages])
        return text, self._ids(text)

    def _text(self, messages: Messages) -> str:
        if self.has_template:
            return self._templated(messages, add_generation_prompt=True)
        return "\n".join(m["content"] for m in messages) + "\n"

    def _ids(self, text: str) -> list[int]:
        ids = self._raw.encode(text, add_special_tokens=False).ids
        if not self.has_template and self.tokenizer.bos_token_id is not None:
            ids = [self.tokenizer.bos_token_id, *ids]
        if not ids:
            raise StudentError(
                "the student's chat template or tokenizer makes nothing of a prompt, so there is nothing to answer to; "
                "correct the template, or set student.template: none"
            )
        return ids

    def render(self, messages: Messages, response: str) -> Rendered:
        """Ids of prompt and response, and for each response token the character that it ends on.

        Tokens of a markup that the template wants and the response does not have lie on the character that it precedes.
        """
        pieces = self.pieces(messages, response)
        encoding = self._raw.encode(_joined(pieces), add_special_tokens=False)
        return self._rendered(pieces, self.prompt(messages), response, encoding)

    def render_many(self, examples: Sequence[tuple[Messages, str]]) -> list[Rendered | StudentError]:
        """What `render` gives, or raises, for each prompt and response; the responses are encoded on all cores."""
        begun: list[tuple[list[Piece], list[int]] | StudentError] = []
        for messages, response in examples:
            try:
                begun.append((self.pieces(messages, response), self.prompt(messages)))
            except StudentError as e:
                begun.append(e)
        texts = [_joined(b[0]) for b in begun if not isinstance(b, StudentError)]
        encodings = iter(self._raw.encode_batch(texts, add_special_tokens=False))
        return [
            b if isinstance(b, StudentError) else self._rendered(*b, response, next(encodings))
            for b, (_, response) in zip(begun, examples, strict=True)
        ]

    def _rendered(self, pieces: list[Piece], prompt_ids: list[int], response: str, encoding: Any) -> Rendered:
        ids = encoding.ids
        while ids and ids[-1] == self.end_id:  # training appends it
            ids = ids[:-1]
        offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)[: len(ids)]
        # A token without width (a byte of a character that another token names, an added blank) lies where it starts.
        ends = np.where(offsets[:, 1] > offsets[:, 0], offsets[:, 1] - 1, offsets[:, 0])
        last, added = _in_response(pieces, ends)
        last = np.maximum.accumulate(np.clip(last, 0, max(len(response) - 1, 0)))
        # Characters with ink before each offset; a byte of a character counts as that character.
        ink = np.concatenate([[0], np.cumsum(~np.isin(_code_points(response), _BLANKS))])
        first = np.minimum(np.clip(_in_response(pieces, offsets[:, 0])[0], 0, len(response)), last)
        inked = (
            (ink[np.minimum(last + 1, len(response))] > ink[first]) & ~added if len(last) else np.zeros(0, dtype=bool)
        )
        # A blank that the tokenizer puts before a text is said to lie on the first character.
        if len(last) and not self._raw.decode(ids[:1], skip_special_tokens=False).strip():
            inked[0] = False
        return Rendered(prompt_ids, ids, last, inked, self.end_id)

    def thinking_of_prompt(self, messages: Messages) -> Literal["open", "closed"] | None:
        """Whether the generation prompt opens reasoning, or opens and closes it."""
        prompt = self.prompt_text(messages).rstrip()
        if prompt.endswith(OPEN):
            return "open"
        closing = self.markup.between.strip() if self.markup else ""
        return "closed" if self.has_template and prompt.endswith((CLOSE, closing or CLOSE)) else None

    def keeps_reasoning(self, messages: Messages) -> bool:
        """Whether reasoning of a trace is scored and trained."""
        if self._thinking == "auto":
            return self.thinking_of_prompt(messages) != "closed"
        return self._thinking == "keep"

    def pieces(self, messages: Messages, response: str) -> list[Piece]:
        """What is encoded after the prompt, in its order."""
        start = len(response) - len(response.lstrip())
        thinks = response.startswith(OPEN, start)
        opened = self.thinking_of_prompt(messages) == "open"
        if not thinks:
            return self._answer(messages, response, 0)
        close = response.find(CLOSE)
        answer = close + len(CLOSE) if close >= 0 else len(response)
        answer += len(response[answer:]) - len(response[answer:].lstrip())
        if not self.keeps_reasoning(messages):
            return self._answer(messages, response, answer) if answer < len(response) else []
        body = start + len(OPEN)
        if self.markup is not None:
            body += response.startswith("\n", body)
            end = close - response.startswith("\n", close - 1) if close >= 0 else len(response)
            opens, between = (
                Piece(self.markup.opens, body, is_response=False),
                Piece(self.markup.between, answer, False),
            )
            reasoning = [opens, Piece(response[body:end], body)]
            return [*reasoning, between, Piece(response[answer:], answer)] if close >= 0 else reasoning
        if not opened:
            return [Piece(response, 0)]
        # The generation prompt of some templates already opens the thinking.
        tail = _after_open(self.prompt_text(messages))
        body += len(tail) if tail and response.startswith(tail, body) else 0
        return [Piece(response[body:], body)]

    def _answer(self, messages: Messages, response: str, start: int) -> list[Piece]:
        """An answer without reasoning."""
        added = self.markup.alone if self.markup is not None else ""
        if self.markup is None and self.thinking_of_prompt(messages) == "open":
            so_far = OPEN + _after_open(self.prompt_text(messages))
            added = _EMPTY_BLOCK.removeprefix(so_far) if _EMPTY_BLOCK.startswith(so_far) else f"{CLOSE}\n\n"
        answer = Piece(response[start:], start)
        return [Piece(added, start + 1, is_response=False, is_added=True), answer] if added else [answer]

    def _markup(self) -> Markup | None:
        """What the template puts around reasoning and answer; None where that is `<think>`, or nothing."""
        user = [{"role": "user", "content": "."}]
        answer = {"role": "assistant", "content": _SENTINEL}
        try:
            prompt = self._templated(user, add_generation_prompt=True)
            alone = self._templated([*user, answer], add_generation_prompt=False)
            thought = {"reasoning_content": _SENTINEL_THOUGHT, "thinking": _SENTINEL_THOUGHT}
            whole = self._templated([*user, answer | thought], add_generation_prompt=False)
        except StudentError:  # it is raised again where a prompt needs the template
            return None
        before = alone[len(prompt) :].partition(_SENTINEL)[0] if alone.startswith(prompt) else None
        opens, thinks, rest = whole.partition(_SENTINEL_THOUGHT)
        between, answers, _ = rest.partition(_SENTINEL)
        if thinks and answers and opens.startswith(prompt):
            opens = opens[len(prompt) :]
            if OPEN in opens or CLOSE in between or prompt.rstrip().endswith(OPEN) or not between.strip():
                return None
            return Markup(opens, between, between if before is None else before)
        return HARMONY if before == HARMONY.alone else None

    def _chat_template(self) -> str:
        try:
            template = self.tokenizer.get_chat_template()
        except ValueError as e:  # several templates, none of them the default
            raise StudentError(
                f"the student's chat templates are {sorted(self.tokenizer.chat_template)}, none is named 'default'; "
                "name one so in its tokenizer_config.json, or set student.template: none"
            ) from e
        if not isinstance(template, str):
            raise StudentError(
                f"the student's chat template is {template!r} and no text; correct chat_template in its "
                "tokenizer_config.json, or set student.template: none"
            )
        return template

    def _templated(self, messages: Messages, **kwargs: Any) -> str:
        most = TEMPLATE_CHARS + TEMPLATE_CHARS_PER_CHAR * sum(len(m["content"]) for m in messages)
        try:
            with limited(TEMPLATE_CPU_S, TEMPLATE_BYTES):
                text: str = self.tokenizer.apply_chat_template(
                    messages, tokenize=False, chat_template=self._template, **self._kwargs, **kwargs
                )
        except LimitReachedError:
            raise StudentError(f"{_ENDLESS}it takes more than {TEMPLATE_CPU_S:g} seconds for a prompt{_NEXT}") from None
        except MemoryError:
            raise StudentError(f"{_ENDLESS}it takes more than a gigabyte for a prompt{_NEXT}") from None
        except Exception as e:  # a template is code of the model's publisher and may raise anything
            raise StudentError(
                f"the student's chat template refuses a prompt with roles {[m['role'] for m in messages]}: {e}; "
                "set student.template: none, or student.template_kwargs as the template wants them"
            ) from e
        if len(text) > most:
            raise StudentError(f"{_ENDLESS}it makes {len(text):,} characters of a prompt, at most {most:,}{_NEXT}")
        return text

    def _end_of_turn(self) -> int:
        """The special token that the template puts after an assistant's turn, else the end-of-sequence token."""
        if self.has_template:
            turn = [{"role": "user", "content": "."}, {"role": "assistant", "content": _SENTINEL}]
            _, shown, after = self._templated(turn, add_generation_prompt=False).rpartition(_SENTINEL)
            # A template may leave out what the assistant said; what follows is then not known.
            ids = self._raw.encode(after.lstrip(), add_special_tokens=False).ids if shown else []
            if ids and ids[0] in self.tokenizer.all_special_ids:
                return ids[0]
            added = self.tokenizer.added_tokens_decoder
            if ids and ids[0] in added and added[ids[0]].special:
                return ids[0]
        if self.tokenizer.eos_token_id is None:
            raise StudentError(
                "the student's tokenizer has no end-of-sequence token, so a trained student could not learn to stop; "
                "set eos_token in its tokenizer_config.json"
            )
        return self.tokenizer.eos_token_id


def _joined(pieces: list[Piece]) -> str:
    return "".join(p.text for p in pieces)


def _after_open(prompt: str) -> str:
    """What follows the tag with which a prompt opens the reasoning."""
    return prompt[prompt.rindex(OPEN) + len(OPEN) :]


def _in_response(pieces: list[Piece], at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in the response of places in the joined pieces, and whether these lie in a markup that was added."""
    if not pieces:
        return at, np.zeros(len(at), dtype=bool)
    starts = np.cumsum([0, *(len(p.text) for p in pieces[:-1])])
    which = np.maximum(np.searchsorted(starts, at, side="right") - 1, 0)
    base = np.array([p.at if p.is_response else p.at - 1 for p in pieces])[which]
    within = np.where(np.array([p.is_response for p in pieces])[which], at - starts[which], 0)
    return base + within, np.array([p.is_added for p in pieces])[which]


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
