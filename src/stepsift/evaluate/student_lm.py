"""A student that transformers runs, as lm-evaluation-harness sees it. Importing this module takes seconds."""

import sys
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from stepsift import params
from stepsift.core.quiet import silenced
from stepsift.evaluate.asking import Answered, AnswerText, Asking
from stepsift.evaluate.sampling import Draw, How
from stepsift.render import Renderer

ROUND_TOKENS = 32
"""Tokens of every answer between two looks at which of them go on."""


class _Answers:
    """Answers under way: `answer_ids` to each prompt, and these as `texts`, see `AnswerText`."""

    def __init__(self, prompts: list[list[int]], keys: list[str], limits: list[int]):
        self.prompts, self.keys, self.limits = prompts, keys, limits
        self.answer_ids: list[list[int]] = [[] for _ in prompts]
        self.texts: list[AnswerText] = [("", False)] * len(prompts)

    def ids(self, i: int) -> list[int]:
        """Prompt and answer so far."""
        return self.prompts[i] + self.answer_ids[i]

    def length(self, i: int) -> int:
        """Tokens of prompt and answer so far."""
        return len(self.prompts[i]) + len(self.answer_ids[i])

    def room(self, i: int) -> int:
        """Tokens that the answer may still have."""
        return self.limits[i] - len(self.answer_ids[i])

    def goes_on(self, i: int) -> bool:
        """Whether the answer is not at its end."""
        return not self.texts[i][1] and self.room(i) > 0


@dataclass(frozen=True)
class _Round:
    """The next `n_new` tokens of some answers, padded at the left to `width` tokens.

    `cache`: keys and values of all of them but the last token, or None.
    """

    answers: _Answers
    rows: list[int]
    width: int
    n_new: int
    cache: Any


class StudentLM(Asking, HFLM):
    """A loaded student behind the harness's interface; a question's text is what the user says in the prompt.

    The harness's own class would pad a row on until the last one of its batch has stopped.
    """

    def __init__(self, model: Any, renderer: Renderer, context_tokens: int, settings: params.Evaluate):
        with silenced("lm_eval"):
            HFLM.__init__(
                self,
                pretrained=model,
                tokenizer=renderer.tokenizer,
                backend="causal",
                batch_size=settings.batch_size,
                max_length=context_tokens,
            )
        # What a publisher recommends for sampling (Qwen: a repetition penalty) must not slip into a greedy answer.
        model.generation_config = GenerationConfig()
        self._prepare(renderer, context_tokens, settings)

    def _answer_all(self, prompts: list[list[int]], keys: list[str], how: How, answered: Answered) -> list[AnswerText]:
        """The answer to each prompt, given as ids.

        A batch is as slow as its longest answer, so answers that are at their end leave it every few tokens. Once half
        of them have left and other batches come, the rest form new batches, at the price of reading their answers
        once more.
        """
        answers = _Answers(prompts, keys, [min(how.most, self.context_tokens - len(ids)) for ids in prompts])
        going, size = list(range(len(prompts))), self.settings.batch_size
        while going:
            # Rows of like length need little padding.
            going.sort(key=lambda i: -answers.length(i))
            batches = [going[start : start + size] for start in range(0, len(going), size)]
            going = []
            for batch in batches:
                is_last = batch is batches[-1] and not going
                going += self._answer_batch(answers, batch, how, is_last)
                answered.add(len(batch) - sum(answers.goes_on(i) for i in batch))
        return answers.texts

    @torch.inference_mode()
    def _answer_batch(self, answers: "_Answers", batch: list[int], how: How, is_last: bool) -> list[int]:
        """Go on with these answers, and return those that are not at their end; the last batch goes on with all."""
        ends = self._ends(how.until)
        begin = width = max(answers.length(i) for i in batch)
        rows, cache = batch, None
        # The answer so far is read again: as many new tokens pay for it.
        n_new = max(ROUND_TOKENS, min(len(answers.answer_ids[i]) for i in batch))
        while rows and (is_last or 2 * len(rows) > len(batch)):
            n_new = min(n_new, max(answers.room(i) for i in rows))
            rooms = [width - begin + answers.room(i) for i in rows]
            stop = _Stop(self.tokenizer, how.until, ends, begin, rooms)
            tokens, cache = self._generate(_Round(answers, rows, width, n_new, cache), how, ends, stop)
            for i, new in zip(rows, tokens, strict=True):
                answers.answer_ids[i] += new[: answers.room(i)]
                answers.texts[i] = self._text(answers.answer_ids[i], how.until, ends)
            kept = [n for n, i in enumerate(rows) if answers.goes_on(i)]
            if not _can_drop_rows(cache):
                return [rows[n] for n in kept]
            if kept and len(kept) < len(rows):
                cache.batch_select_indices(torch.tensor(kept, device=self.device))
            rows, width, n_new = [rows[n] for n in kept], width + n_new, ROUND_TOKENS
        return rows

    def _generate(
        self, this: "_Round", how: How, ends: list[int], stop: StoppingCriteria
    ) -> tuple[list[list[int]], Any]:
        """What follows each row, and keys and values of all; behind an end token or stop string anything may stand."""
        pad, ids = self.tokenizer.pad_token_id, [this.answers.ids(i) for i in this.rows]
        draw = None
        if how.temperature is not None:
            keys = [this.answers.keys[i] for i in this.rows]
            draw = Draw(how, keys, [len(this.answers.answer_ids[i]) for i in this.rows], this.width)
        out = self.model.generate(
            input_ids=torch.tensor([[pad] * (this.width - len(row)) + row for row in ids], device=self.device),
            attention_mask=torch.tensor(
                [[0] * (this.width - len(row)) + [1] * len(row) for row in ids], device=self.device
            ),
            past_key_values=this.cache,
            generation_config=GenerationConfig(
                max_new_tokens=this.n_new,
                eos_token_id=ends,
                pad_token_id=pad,
                do_sample=False,
                return_dict_in_generate=True,
                **how.others,
            ),
            logits_processor=LogitsProcessorList([] if draw is None else [draw]),
            stopping_criteria=StoppingCriteriaList([stop]),
        )
        return out.sequences[:, this.width :].tolist(), out.past_key_values

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-probability of each (question, continuation), and whether the continuation is the greedy one."""
        return super().loglikelihood(requests, disable_tqdm=not sys.stderr.isatty())


def _can_drop_rows(cache: Any) -> bool:
    """Whether rows can be taken out of a cache: of keys and values, not of what a recurrent layer remembers.

    A model that keeps nothing leaves the cache that it is given empty.
    """
    if not isinstance(cache, DynamicCache) or cache.get_seq_length() == 0:
        return False
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)


class _Stop(StoppingCriteria):
    """Stops each row by itself: at a stop string, or when its room is full."""

    def __init__(self, tokenizer: Any, until: list[str], ends: list[int], width: int, rooms: list[int]):
        end_texts = {tokenizer.decode([end]) for end in ends}
        self.tokenizer, self.width, self.rooms = tokenizer, width, torch.tensor(rooms)
        self.until = [stop for stop in until if stop and stop not in end_texts]
        # A token may be as little as one byte of a stop string.
        self.look_back = max((len(stop.encode()) for stop in self.until), default=0)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        done = (input_ids.shape[1] - self.width >= self.rooms).to(input_ids.device)
        if self.until:
            texts = self.tokenizer.batch_decode(input_ids[:, self.width :][:, -self.look_back :])
            done = done | torch.tensor([any(s in text for s in self.until) for text in texts], device=done.device)
        return done
