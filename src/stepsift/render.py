"""The one place where a prompt and a response become token ids: for scoring, training and evaluation alike.

The prompt goes through the student's chat template with the generation prompt, or, without a template, is the
beginning-of-sequence token (if the tokenizer has one), the text and one newline. The response is encoded by itself,
raw: a template never touches it (some drop `<think>` blocks). Prompt ids are therefore the same for all candidates.
"""

import copy
import datetime
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepsift import params
from stepsift.core.errors import StudentError
from stepsift.core.text import OPEN

Messages = list[dict[str, str]]

_REMEMBERED_PROMPTS = 1_024
_SENTINEL = "stepsiftendofturn"

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
        self._remembered = functools.lru_cache(maxsize=_REMEMBERED_PROMPTS)(self._prompt)

    def prompt_text(self, messages: Messages) -> str:
        """The prompt as text, the beginning-of-sequence token of `prompt` left out where there is no template."""
        return self._remembered(tuple((m["role"], m["content"]) for m in messages))[0]

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
        """Ids of prompt and response, and for each response token the character that it ends on."""
        prompt = self.prompt_text(messages)
        # The generation prompt of some templates already opens the thinking.
        opened = prompt.rstrip().endswith(OPEN) and response.lstrip().startswith(OPEN)
        skip = 0
        if opened:
            skip = response.index(OPEN) + len(OPEN)
            tail = prompt[prompt.rindex(OPEN) + len(OPEN) :]
            skip += len(tail) if tail and response[skip:].startswith(tail) else 0
        encoding = self._raw.encode(response[skip:], add_special_tokens=False)
        offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        # A token without width (a byte of a character that another token names, an added blank) lies where it starts.
        last = np.where(offsets[:, 1] > offsets[:, 0], offsets[:, 1] - 1, offsets[:, 0]) + skip
        last = np.maximum.accumulate(np.clip(last, 0, max(len(response) - 1, 0)))
        # Characters with ink before each offset; a byte of a character counts as that character.
        ink = np.concatenate([[0], np.cumsum(~np.isin(_code_points(response), _BLANKS))])
        first = np.minimum(np.clip(offsets[:, 0] + skip, 0, len(response)), last)
        inked = ink[last + 1] > ink[first] if len(last) else np.zeros(0, dtype=bool)
        # A blank that the tokenizer puts before a text is said to lie on the first character.
        if len(last) and not self._raw.decode(encoding.ids[:1], skip_special_tokens=False).strip():
            inked[0] = False
        return Rendered(self.prompt(messages), encoding.ids, last, inked, self.end_id)

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
        try:
            return self.tokenizer.apply_chat_template(
                messages, tokenize=False, chat_template=self._template, **self._kwargs, **kwargs
            )
        except Exception as e:  # a template is code of the model's publisher and may raise anything
            raise StudentError(
                f"the student's chat template refuses a prompt with roles {[m['role'] for m in messages]}: {e}; "
                "set student.template: none, or student.template_kwargs as the template wants them"
            ) from e

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


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
