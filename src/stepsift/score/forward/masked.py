"""An estimate of values in windows: one pass over the whole trace, in which attention is masked to each step's window.

Exact windows are encoded anew from their own start. Here each token is encoded once: a step's tokens see the prompt,
their window and nothing else, but what they see of the window was itself computed within earlier windows, so that
deeper layers carry earlier context on; and positions are those in the whole trace, not those behind the prompt. So
these are estimates, of another kind than the values of the other engines: they are never cached, and never stand in a
table of scores.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from stepsift.core.errors import ScoringError
from stepsift.score.forward.attention import Kernel, Segments, cut, spans
from stepsift.score.forward.packed import KeysValues, PackedEngine, groups, packing
from stepsift.score.forward.request import Request, Scores, TokenValues


class MaskedEngine:
    """Estimates what the engines of exact windows compute, with a loaded causal model.

    `batch_tokens` and `kernel` as for PackedEngine. A trace longer than the budget is a pass of its own. Raises
    ScoringError for a family that cannot be packed.
    """

    def __init__(self, model: Any, batch_tokens: int, kernel: Kernel | None = None):
        self.batch_tokens = batch_tokens
        self._packed = PackedEngine(model, batch_tokens, kernel)

    @torch.inference_mode()
    def score_many(self, requests: Sequence[Request]) -> list[Scores]:
        """The values in windows, of each trace in turn; raises ScoringError for requests of the full pass."""
        if any(r.full or not r.local for r in requests):
            raise ScoringError("a masked pass estimates values in windows alone")
        self._packed.batch_tokens = self.batch_tokens
        scores: dict[int, Scores] = {}
        for group in groups(requests, self.batch_tokens):
            prompts = sorted({tuple(requests[i].prompt) for i in group}, key=lambda p: (-len(p), p))
            starts = dict(zip(prompts, np.cumsum([0, *map(len, prompts)]).tolist(), strict=False))
            with packing(self._packed.decoder):
                kept = self._packed.keep([np.array(p, dtype=np.int64) for p in prompts])
                for batch in cut(np.array([len(requests[i].response) for i in group]), self.batch_tokens):
                    values = self._values([requests[i] for i in group[batch]], starts, kept)
                    scores |= zip(group[batch], (Scores(v, None) for v in values), strict=True)
        return [scores[i] for i in range(len(requests))]

    def _values(
        self, requests: Sequence[Request], starts: dict[tuple[int, ...], int], kept: KeysValues
    ) -> list[TokenValues]:
        """Values of some traces in one pass; `starts` says where a prompt begins among the `kept` tokens."""
        n_kept = sum(map(len, starts))
        table = np.array([row for r in requests for row in _rows(r, starts[tuple(r.prompt)])], dtype=np.int64)
        own, shared, shared_start, before = table.T
        lengths = np.array([len(r.response) for r in requests])
        ids = np.concatenate([[r.prompt[-1], *r.response[:-1]] for r in requests]).astype(np.int64)
        positions = spans(np.array([len(r.prompt) - 1 for r in requests]), lengths)
        hidden = self._packed.forward(ids, positions, Segments(own, shared, shared_start, n_kept, before), kept).hidden
        targets = np.concatenate([r.response for r in requests]).astype(np.int64)
        values = self._packed.values(hidden, targets)
        ends = np.cumsum(lengths)
        return [values.take(slice(end - n, end)) for end, n in zip(ends.tolist(), lengths.tolist(), strict=True)]


def _rows(request: Request, prompt_start: int) -> list[tuple[int, int, int, int]]:
    """Own tokens, shared tokens, the first of these, and tokens before its own, for each window of a trace.

    A trace's row is the prompt's last token and all of the response but its last, so its token j predicts response
    token j. A window from the start sees that first token in the row; a later one sees it among the kept tokens.
    """
    rows = []
    for p in request.local:
        if p.begin == 0:
            rows.append((p.end - p.scored, len(request.prompt) - 1, prompt_start, p.scored))
        else:
            rows.append((p.end - p.scored, len(request.prompt), prompt_start, max(0, p.scored - p.begin - 1)))
    return rows
