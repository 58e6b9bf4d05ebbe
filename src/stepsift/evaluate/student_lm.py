"""A student that transformers runs, as lm-evaluation-harness sees it. Importing this module takes seconds."""

import sys
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from stepsift import params
from stepsift.core.quiet import silenced
from stepsift.evaluate.asking import Answered, Asking, Said
from stepsift.evaluate.sampling import Draw, How
from stepsift.render import Renderer

FIRST_TOKENS = 128
"""Tokens of every answer before the first look at which of them go on."""


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

    def _answer_all(self, prompts: list[list[int]], keys: list[str], asked: How, answered: Answered) -> list[Said]:
        """The answer to each prompt, given as ids.

        A batch is as slow as its longest answer. So it goes on for 128 tokens, then until answers have doubled, and so
        on; the few that are not at their end then form new batches, at the price of reading what they said once more.
        """
        ends = self._ends(asked.until)
        limits = [min(asked.most, self.context_tokens - len(ids)) for ids in prompts]
        said: list[list[int]] = [[] for _ in prompts]
        answers = [("", False)] * len(prompts)
        going, so_far = list(range(len(prompts))), FIRST_TOKENS
        while going:
            # Rows of like length need little padding.
            going.sort(key=lambda i: -len(prompts[i]) - len(said[i]))
            for start in range(0, len(going), self.settings.batch_size):
                batch = going[start : start + self.settings.batch_size]
                rooms = [min(limits[i], so_far) - len(said[i]) for i in batch]
                rows = [prompts[i] + said[i] for i in batch]
                draw = None
                if asked.temperature is not None:
                    draw = Draw(asked, [keys[i] for i in batch], [len(said[i]) for i in batch], max(map(len, rows)))
                for i, tokens in zip(batch, self._generate(rows, rooms, asked, ends, draw), strict=True):
                    said[i] += tokens
                    answers[i] = self._text(said[i], asked.until, ends)
                answered.add(sum(answers[i][1] or len(said[i]) >= limits[i] for i in batch))
            going = [i for i in going if not answers[i][1] and len(said[i]) < limits[i]]
            so_far *= 2
        return answers

    @torch.inference_mode()
    def _generate(
        self, rows: list[list[int]], rooms: list[int], asked: How, ends: list[int], draw: Draw | None
    ) -> list[list[int]]:
        """What follows each row, at most its room of tokens; behind an end token or stop string anything may stand."""
        width = max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        out = self.model.generate(
            input_ids=torch.tensor([[pad] * (width - len(ids)) + ids for ids in rows], device=self.device),
            attention_mask=torch.tensor(
                [[0] * (width - len(ids)) + [1] * len(ids) for ids in rows], device=self.device
            ),
            generation_config=GenerationConfig(
                max_new_tokens=max(rooms), eos_token_id=ends, pad_token_id=pad, do_sample=False, **asked.others
            ),
            logits_processor=LogitsProcessorList([] if draw is None else [draw]),
            stopping_criteria=StoppingCriteriaList([_Stop(self.tokenizer, asked.until, ends, width, rooms)]),
        )
        return [row[:room] for row, room in zip(out[:, width:].tolist(), rooms, strict=True)]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-probability of each (question, continuation), and whether the continuation is the greedy one."""
        return super().loglikelihood(requests, disable_tqdm=not sys.stderr.isatty())


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
