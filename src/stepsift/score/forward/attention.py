"""Attention over packed segments: each sees its prompt's kept keys and values and, causally, its own tokens.

Tokens of many segments stand in one row without padding; linear layers need not know. Attention does: what a segment
sees follows from lengths alone (`Segments`), and a kernel turns that into index tensors once a forward pass. The keys
of a segment are [prompt; own tokens], or [prompt; tokens right before its own; own tokens] in the estimate of
`masked.py`. So key j stands at position j, the causal diagonal ends in the bottom right corner, and a layer's sliding
window counts the prompt too. `packed.py` brings models here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from stepsift.core.errors import ScoringError

_SCORES = {"cpu": 2**20, "cuda": 2**24, "mps": 2**24}
"""Attention scores (heads counted) that the padded kernel works on at once: 4 MB of float32, measured; 64 MB."""
_KEPT_MASK_ENTRIES = 2**24
"""A forward pass whose masks have more entries than this makes them anew in every layer."""


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`starts[i], starts[i] + 1, ..` for `lengths[i]` numbers, one span after another; int64 [sum of lengths]."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)


def cut(lengths: np.ndarray, budget: int) -> list[slice]:
    """Consecutive items whose `lengths` sum to at most the budget; an item beyond the budget stands alone."""
    ends = np.cumsum(lengths)
    batches, first = [], 0
    while first < len(ends):
        fitting = int(np.searchsorted(ends, (ends[first - 1] if first else 0) + budget, side="right"))
        batches.append(slice(first, max(first + 1, fitting)))
        first = batches[-1].stop
    return batches


@dataclass(frozen=True)
class Segments:
    """S packed segments by their lengths in tokens.

    own: tokens of each [S], at least 1; the segments stand one after another. shared: kept tokens that each sees before
    its own [S]. shared_start: the first of these among the kept tokens [S]. n_kept: kept tokens in all. before: packed
    tokens right before its own that each sees too [S]; by default none.
    """

    own: np.ndarray
    shared: np.ndarray
    shared_start: np.ndarray
    n_kept: int
    before: np.ndarray | int = 0

    @classmethod
    def alone(cls, own: np.ndarray) -> "Segments":
        """Segments that see nothing but themselves."""
        return cls(own, np.zeros_like(own), np.zeros_like(own), 0)

    @property
    def starts(self) -> np.ndarray:
        """The first packed token of each, [S]."""
        return np.cumsum(self.own) - self.own

    @property
    def seen(self) -> np.ndarray:
        """Keys of each, [S]."""
        return self.shared + self.before + self.own

    def key_index(self) -> np.ndarray:
        """Keys of all segments, one segment after another, as indices into [kept tokens; packed tokens]."""
        starts = np.stack([self.shared_start, self.n_kept + self.starts - self.before], axis=1)
        return spans(starts.ravel(), np.stack([self.shared, self.before + self.own], axis=1).ravel())


class Attention(Protocol):
    """Attention of one forward pass, made from its segments."""

    def __call__(  # noqa: PLR0913 - what attention takes in every library
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """Outputs [tokens, heads, value width] of queries [tokens, heads, width] of the packed tokens.

        `key` and `value` [kept and packed tokens, key heads, width]. `window`: positions that a query sees, itself
        counted (None: all before it). `softcap`: a cap on scores.
        """
        ...


Kernel = Callable[[Segments, torch.device], Attention]


def pick_kernel(device: torch.device, dtype: torch.dtype, config: Any) -> Kernel:
    """How attention is computed for a model of this configuration.

    FlashAttention's kernel for segments of any length where PyTorch has it (CUDA, compute capability 8.0 or more; half
    precision, heads of at most 256 numbers, no cap on scores; no further package is needed), else padded rows.
    """
    heads = getattr(config, "num_attention_heads", None) or 1
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    flash = (
        device.type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and width <= 256
        and getattr(config, "attn_logit_softcapping", None) is None
        and torch.backends.cuda.is_flash_attention_available()
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )
    if flash:
        from torch.nn.attention.varlen import varlen_attn

        return partial(Varlen, kernel=varlen_attn)
    return partial(Padded, entries=max(1, _SCORES[device.type] // heads))


class Varlen:
    """Segments as FlashAttention takes them: packed queries, packed keys, and where each segment begins in both.

    `kernel` is called as `torch.nn.attention.varlen.varlen_attn` is.
    """

    def __init__(self, segments: Segments, device: torch.device, kernel: Callable[..., Any]):
        seen = segments.seen
        self._kernel = kernel
        self._index = torch.from_numpy(segments.key_index()).to(device)
        self._begins = tuple(
            torch.from_numpy(np.concatenate([[0], np.cumsum(n)]).astype(np.int32)).to(device)
            for n in (segments.own, seen)
        )
        self._longest = int(segments.own.max()), int(seen.max())

    def __call__(  # noqa: PLR0913 - what attention takes in every library
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        if softcap is not None:
            raise ScoringError(f"its attention scores are capped at {softcap}, for which FlashAttention has no kernel")
        return self._kernel(
            *(query.contiguous(), key.index_select(0, self._index), value.index_select(0, self._index)),
            *(*self._begins, *self._longest),
            scale=scaling,
            # The kernel counts positions before the query's own.
            window_size=(-1 if window is None else window - 1, 0),
            enable_gqa=query.shape[1] != key.shape[1],
        )


@dataclass(frozen=True)
class AttentionTile:
    """Rows of padded attention: piece i of a segment has `own[i]` queries, which end where its `seen[i]` keys end.

    queries [rows, longest own]: indices of packed tokens; a row is filled up with its last query. keys [rows, longest
    seen]: indices into [kept tokens; packed tokens]; a row is filled up with its last key.
    """

    queries: np.ndarray
    keys: np.ndarray
    own: np.ndarray
    seen: np.ndarray


def tiles(segments: Segments, entries: int) -> list[AttentionTile]:
    """Segments as padded rows, most keys first, each tile of at most `entries` pairs of a query and a key.

    A segment with more pairs is cut into pieces of its queries, each with the keys up to its last query.
    """
    total = segments.seen
    longest = np.maximum(1, entries // total)
    n_pieces = -(-segments.own // longest)
    owner = np.repeat(np.arange(len(total)), n_pieces)
    begin = spans(np.zeros_like(n_pieces), n_pieces) * longest[owner]
    own = np.minimum(longest[owner], segments.own[owner] - begin)
    seen = (total - segments.own)[owner] + begin + own
    order = np.lexsort((-own, -seen))

    cuts, first, width = [0], 0, 0
    own_in_order, seen_in_order = own[order].tolist(), seen[order].tolist()
    for i, queries in enumerate(own_in_order):
        width = max(width, queries)
        if i > first and (i + 1 - first) * width * seen_in_order[first] > entries:
            cuts.append(i)
            first, width = i, queries
    return [
        _tile(segments, owner[rows], begin[rows], own[rows], seen[rows])
        for rows in (order[a:b] for a, b in zip(cuts, [*cuts[1:], len(order)], strict=True))
    ]


def _tile(segments: Segments, owner: np.ndarray, begin: np.ndarray, own: np.ndarray, seen: np.ndarray) -> AttentionTile:
    queries = np.minimum(np.arange(own.max()), own[:, None] - 1) + (segments.starts[owner] + begin)[:, None]
    position = np.minimum(np.arange(seen.max()), seen[:, None] - 1)
    shared = segments.shared[owner, None]
    kept = segments.shared_start[owner, None] + position
    packed = segments.n_kept + (segments.starts - segments.before)[owner, None] + position - shared
    return AttentionTile(queries, np.where(position < shared, kept, packed), own, seen)


class Padded:
    """Segments as right-padded rows in tiles, each one call of PyTorch's attention with an additive mask.

    Scores with a cap are computed by hand in float32: no kernel of PyTorch caps.
    """

    def __init__(self, segments: Segments, device: torch.device, entries: int):
        self._tiles = tiles(segments, entries)
        self._index = [
            (torch.from_numpy(t.queries).to(device), torch.from_numpy(t.keys).to(device)) for t in self._tiles
        ]
        self._keeps_masks = sum(t.queries.size * t.keys.shape[1] for t in self._tiles) <= _KEPT_MASK_ENTRIES
        self._masks: dict[tuple[int, int | None], torch.Tensor] = {}
        # Where each packed token's output stands among those of all tiles.
        at = np.empty(int(segments.own.sum()), np.int64)
        first = 0
        for t in self._tiles:
            real = np.arange(t.queries.shape[1]) < t.own[:, None]
            at[t.queries[real]] = first + np.flatnonzero(real)
            first += t.queries.size
        self._at = torch.from_numpy(at).to(device)

    def __call__(  # noqa: PLR0913 - what attention takes in every library
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        out = []
        for i, (queries, keys) in enumerate(self._index):
            q, k, v = (
                x.index_select(0, at.ravel()).view(*at.shape, *x.shape[1:]).transpose(1, 2)
                for x, at in ((query, queries), (key, keys), (value, keys))
            )
            mask = self._mask(i, window, query)
            if softcap is None:
                o = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, scale=scaling, enable_gqa=True)
            else:
                o = _capped(q, k, v, mask, scaling, softcap)
            out.append(o.transpose(1, 2).flatten(0, 1))
        return (out[0] if len(out) == 1 else torch.cat(out)).index_select(0, self._at)

    def _mask(self, i: int, window: int | None, like: torch.Tensor) -> torch.Tensor:
        """0 where a query of tile i sees a key, else minus infinity: [rows, 1, queries, keys]."""
        mask = self._masks.get((i, window))
        if mask is None:
            seen = visible(self._tiles[i], window, like.device)[:, None]
            mask = torch.zeros(seen.shape, dtype=like.dtype, device=like.device).masked_fill_(~seen, -torch.inf)
            if self._keeps_masks:
                self._masks[i, window] = mask
        return mask


def visible(tile: AttentionTile, window: int | None, device: torch.device) -> torch.Tensor:
    """Whether a query sees a key: [rows, queries, keys]; what fills a row up sees what its last query sees."""
    n_queries, n_keys = tile.queries.shape[1], tile.keys.shape[1]
    at = torch.from_numpy(tile.seen[:, None] - np.maximum(tile.own[:, None] - np.arange(n_queries), 1)).to(device)[
        ..., None
    ]
    key = torch.arange(n_keys, device=device)
    return key <= at if window is None else (key <= at) & (key > at - window)


def _capped(  # noqa: PLR0913 - the same
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scaling: float, cap: float
) -> torch.Tensor:
    """Attention whose scores are cap * tanh(score / cap), as in Gemma 2: [rows, heads, queries, width]."""
    groups = query.shape[1] // key.shape[1]
    k, v = (x.float().repeat_interleave(groups, dim=1) for x in (key, value))
    scores = torch.matmul(query.float(), k.transpose(2, 3)).mul_(scaling / cap).tanh_().mul_(cap)
    return torch.matmul(scores.add_(mask).softmax(dim=-1), v).to(query.dtype)
