"""A student that vLLM runs, as lm-evaluation-harness sees it. Importing this module needs vLLM and takes seconds."""

import hashlib
import sys
from typing import Any

from lm_eval.models.vllm_causallms import VLLM
from vllm import SamplingParams

from stepsift import params
from stepsift.core.quiet import silenced
from stepsift.evaluate.asking import Answered, AnswerText, Asking
from stepsift.evaluate.sampling import How
from stepsift.render import Renderer


class StudentVLLM(Asking, VLLM):
    """The student in `folder` behind the harness's interface. vLLM batches by itself, `batch_size` is not asked."""

    def __init__(self, folder: str, renderer: Renderer, context_tokens: int, settings: params.Evaluate):
        with silenced("lm_eval"):
            VLLM.__init__(
                self,
                pretrained=folder,
                tokenizer=folder,
                dtype=settings.dtype,
                batch_size="auto",
                max_model_len=context_tokens,
                seed=settings.seed,
            )
        self.tokenizer = renderer.tokenizer
        self._prepare(renderer, context_tokens, settings)

    def _answer_all(self, prompts: list[list[int]], keys: list[str], how: How, answered: Answered) -> list[AnswerText]:
        """The answer to each prompt, given as ids; each draw has a seed of its own, made of its key."""
        ends = self._ends(how.until)
        each = [
            SamplingParams(
                temperature=how.temperature or 0.0,
                top_p=how.top_p,
                top_k=how.top_k,
                seed=int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big"),
                max_tokens=min(how.most, self.context_tokens - len(ids)),
                stop_token_ids=ends,
                stop=[stop for stop in how.until if stop],
                include_stop_str_in_output=True,
                detokenize=True,
                **how.others,
            )
            for ids, key in zip(prompts, keys, strict=True)
        ]
        outputs = self._model_generate(requests=prompts, generate=True, sampling_params=each)
        answered.add(len(prompts))
        return [self._text(list(out.outputs[0].token_ids), how.until, ends) for out in outputs]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-probability of each (question, continuation), and whether the continuation is the greedy one."""
        return super().loglikelihood(requests, disable_tqdm=not sys.stderr.isatty())
