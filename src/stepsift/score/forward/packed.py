"""Forward passes over many traces at once: windows of any lengths packed without padding under a budget of tokens.

The sibling of `engine.py` for devices that want large batches. Keys and values of a prompt are computed once for all of
its candidates in a call; each window is a segment that begins with the prompt's last token and sees them. Linear layers
run on packed tokens; only attention knows segments (`attention.py`).

What shares a batch changes a value by rounding, so values agree with those of `engine.py` within a tolerance, not to
the byte.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from stepsift.core.errors import ScoringError
from stepsift.score.forward.attention import Attention, Kernel, Segments, cut, pick_kernel, spans
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.head import ModelLogits, token_values
from stepsift.score.forward.request import Request, Scores, TokenValues
from stepsift.score.forward.windows import Pass

NAME = "stepsift_packed"
"""Under this name transformers knows our attention."""
UNSTEADY = frozenset({"dynamic", "longrope"})
"""Rotary positions that depend on the longest row of a batch."""

KeysValues = dict[int, tuple[torch.Tensor, torch.Tensor]]
"""By layer: keys and values of tokens one after another, each [tokens, key heads, width]."""


class PackedEngine:
    """Scores many traces with a loaded causal model under a budget of tokens a forward pass.

    Prompts are taken in groups of at most `batch_tokens` kept tokens, so that keys and values that are held never
    exceed those of one forward pass, a longer prompt aside. A window or a prompt longer than the budget is a pass of
    its own; what needs a whole context longer than the budget is left to the trace engine, which feeds it in chunks.

    Raises ScoringError for a family that cannot be packed. `kernel` computes attention, if not what suits the device.
    """

    _way_out = "in packed batches: {}; set score.batching: trace"

    def __init__(self, model: Any, batch_tokens: int, kernel: Kernel | None = None):
        self.model = model
        self.batch_tokens = batch_tokens
        self.trace = Engine(model, batch_tokens)
        self.device = self.trace.device
        self.decoder = model.get_decoder()
        self._kernel = kernel or pick_kernel(self.device, model.dtype, self.decoder.config)
        _register()
        try:
            self._probe()
        except Exception as e:  # a family that needs something else says so in its own way
            raise ScoringError(
                f"the student ({type(model).__name__}) cannot be scored {self._way_out.format(e)}"
            ) from e

    @torch.inference_mode()
    def score_many(self, requests: Sequence[Request]) -> list[Scores]:
        """The values that were asked for, of each trace in turn; candidates of one prompt belong into one call."""
        scores: dict[int, Scores] = {}
        for group in groups(requests, self.batch_tokens):
            rows = _Rows([requests[i] for i in group], self.batch_tokens)
            values = self._values(rows)
            for row, i in enumerate(group):
                scores[i] = self._finish(requests[i], rows.local[row], rows.whole[row], values)
        return [scores[i] for i in range(len(requests))]

    def _finish(self, request: Request, local: slice | None, whole: slice | None, values: TokenValues) -> Scores:
        """A request's share of the values; those over a context beyond the budget are computed here."""
        over_all = values.take(whole) if whole else None
        if over_all is None and _wants_whole(request):
            over_all = self.long_pass(request)
        in_windows = values.take(local) if local else over_all if _one_window(request) else None
        return Scores(in_windows, over_all if request.full else None)

    def long_pass(self, request: Request) -> TokenValues | None:
        """Values over a whole context that is longer than the budget."""
        return self.trace.score(Request(request.prompt, request.response, [], full=True)).full

    def _values(self, rows: "_Rows") -> TokenValues:
        """Values of all segments' scored tokens, where `rows` wants them."""
        out = TokenValues.empty(rows.n_values)
        with packing(self.decoder):
            kept = self.keep([p[:-1] for p in rows.prompts])
            for batch in cut(rows.length, self.batch_tokens):
                ids, positions, segments = rows.inputs(batch)
                hidden = self.forward(ids, positions, segments, kept).hidden
                scored, targets, at = rows.outputs(batch)
                out.put(at, self.values(hidden.index_select(0, self._put(scored)), targets))
        return out

    def values(self, hidden: torch.Tensor, targets: np.ndarray) -> TokenValues:
        """Values of the tokens `targets`, which the head's inputs `hidden` [tokens, width] predict."""
        return token_values(self.trace.head, hidden, self._put(targets))

    def keep(self, contexts: list[np.ndarray]) -> KeysValues:
        """Keys and values of rows of ids, one after another, within `packing`; the longest first, empty ones last."""
        parts = []
        lengths = np.array([len(c) for c in contexts if len(c)], dtype=np.int64)
        for batch in cut(lengths, self.batch_tokens):
            own = lengths[batch]
            ids = np.concatenate(contexts[batch])
            parts.append(self.forward(ids, spans(np.zeros_like(own), own), Segments.alone(own), None).own)
        if not parts:
            return {}
        return {n: (torch.cat([p[n][0] for p in parts]), torch.cat([p[n][1] for p in parts])) for n in parts[0]}

    def forward(self, ids: np.ndarray, positions: np.ndarray, segments: Segments, kept: KeysValues | None) -> "Passed":
        """One pass over packed tokens, within `packing`; without `kept` it keeps its own keys and values."""
        under_way = _Forward(partial(self._kernel, segments), kept)
        token = _current.set(under_way)
        try:
            out = self.decoder(input_ids=self._put(ids)[None], position_ids=self._put(positions)[None], use_cache=False)
        finally:
            _current.reset(token)
        under_way.hidden = out.last_hidden_state[0]
        return under_way

    def expected(self, row: np.ndarray) -> tuple[torch.Tensor, float]:
        """The model's own hidden states [tokens, width] of one row of ids, and how far from them others may be."""
        whole = self.decoder(input_ids=self._put(row)[None], use_cache=False).last_hidden_state[0]
        return whole, 1e-3 if self.model.dtype == torch.float32 else 0.1

    def _put(self, numbers: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(numbers).to(self.device)

    @torch.inference_mode()
    def _probe(self) -> None:
        """Try segments of two prompts against whole rows. Raises an error that says why they cannot be packed."""
        if isinstance(self.trace.head, ModelLogits):
            raise ScoringError("it changes its logits in a way of its own")
        if unsteady := UNSTEADY & rotary_types(self.decoder.config):
            raise ScoringError(f"its rotary positions ({', '.join(unsteady)}) depend on the longest row of a batch")
        ids = np.arange(1, 21, dtype=np.int64) % self.trace.vocabulary
        prompts = [ids[:7], ids[9:13]]
        requests = [
            Request(prompts[p].tolist(), ids[a:b].tolist(), [Pass(0, 0, b - a)], full=False)
            for p, a, b in ((0, 12, 18), (1, 2, 7), (0, 15, 19))
        ]
        rows = _Rows(requests, budget=len(ids))
        with packing(self.decoder):
            tokens, positions, segments = rows.inputs(slice(None))
            under_way = self.forward(tokens, positions, segments, self.keep([p[:-1] for p in rows.prompts]))
        if unused := under_way.masked - under_way.used:
            raise ScoringError(f"a layer does not say that it sees {next(iter(unused))} positions only")
        for packed, request in zip(under_way.hidden.split(rows.length.tolist()), requests, strict=True):
            row = np.array(request.prompt + request.response[:-1])
            whole, tolerance = self.expected(row)
            own = whole[-len(packed) :].float()
            distance = float((packed.float() - own).abs().mean() / own.abs().mean())
            if not distance <= tolerance:
                raise ScoringError(f"what it computes of packed rows differs from that of whole rows by {distance:.2g}")


def _one_window(request: Request) -> bool:
    """Whether one window holds the whole trace: its values are those over the whole context."""
    return request.local == [Pass(0, 0, len(request.response))]


def _wants_whole(request: Request) -> bool:
    return request.full or _one_window(request)


def groups(requests: Sequence[Request], kept_tokens: int) -> list[list[int]]:
    """Indices of requests, all those of a prompt together, in groups of prompts of at most `kept_tokens` tokens."""
    of_prompt: dict[tuple[int, ...], list[int]] = {}
    for i, request in enumerate(requests):
        of_prompt.setdefault(tuple(request.prompt), []).append(i)
    candidates = list(of_prompt.values())
    lengths = np.array([len(prompt) - 1 for prompt in of_prompt], dtype=np.int64)
    return [[i for c in candidates[group] for i in c] for group in cut(lengths, kept_tokens)]


class _Rows:
    """The segments of some requests, longest first (ties in the order of requests and passes), as plain numbers.

    A segment of n tokens is the prompt's last token and n - 1 of the response; its token j predicts response token
    begin + j. prompts: the distinct ones of segments, longest first. length [segments]. local, whole: where a request's
    values stand among the `n_values` of all; None for what is not wanted, or is not computed here.
    """

    def __init__(self, requests: Sequence[Request], budget: int):
        wants_of = [
            (bool(r.local) and not _one_window(r), _wants_whole(r) and len(r.prompt) + len(r.response) <= budget)
            for r in requests
        ]
        distinct = dict.fromkeys(tuple(r.prompt) for r, wants in zip(requests, wants_of, strict=True) if any(wants))
        ordered = sorted(distinct, key=len, reverse=True)
        number = {prompt: i for i, prompt in enumerate(ordered)}
        self.prompts = [np.array(p, dtype=np.int64) for p in ordered]
        kept = np.array([len(p) - 1 for p in ordered], dtype=np.int64)
        self._last = np.array([p[-1] for p in ordered], dtype=np.int64)
        self._ids = np.array([i for r in requests for i in r.response], dtype=np.int64)
        self.local: list[slice | None] = []
        self.whole: list[slice | None] = []
        self.n_values = 0
        table: list[tuple[int, int, int, int, int]] = []
        first = 0
        for r, (in_windows, over_all) in zip(requests, wants_of, strict=True):
            n, whole = len(r.response), [Pass(0, 0, len(r.response))]
            for wants, passes, places in ((in_windows, r.local, self.local), (over_all, whole, self.whole)):
                places.append(slice(self.n_values, self.n_values + n) if wants else None)
                if wants:
                    prompt, at = number[tuple(r.prompt)], self.n_values
                    table += [
                        (prompt, first + p.begin, p.scored - p.begin, p.length, at + p.begin)
                        for p in passes
                        if p.length
                    ]
                    self.n_values += n
            first += n
        columns = np.array(table, dtype=np.int64).reshape(-1, 5)
        columns = columns[np.argsort(-columns[:, 3], kind="stable")]
        self._prompt, self._begin, self._skip, self.length, self._at = columns.T
        self._shared, self._shared_start, self._n_kept = kept, np.cumsum(kept) - kept, int(kept.sum())

    def inputs(self, batch: slice) -> tuple[np.ndarray, np.ndarray, Segments]:
        """Ids and positions [tokens] of a batch, and its segments."""
        own, prompt = self.length[batch], self._prompt[batch]
        ids = self._ids[spans(self._begin[batch] - 1, own)]
        ids[np.cumsum(own) - own] = self._last[prompt]
        shared = self._shared[prompt]
        return ids, spans(shared, own), Segments(own, shared, self._shared_start[prompt], self._n_kept)

    def outputs(self, batch: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the scored tokens of a batch: where they stand in it, the ids they predict, where the values go."""
        own, skip = self.length[batch], self._skip[batch]
        scored = own - skip
        return (
            spans(np.cumsum(own) - own + skip, scored),
            self._ids[spans(self._begin[batch] + skip, scored)],
            spans(self._at[batch] + skip, scored),
        )


class Passed(Protocol):
    """What a forward pass leaves: hidden states [tokens, width], keys and values of its own tokens, and both of
    `_Forward` that tell of sliding windows."""

    @property
    def hidden(self) -> torch.Tensor: ...
    @property
    def own(self) -> KeysValues: ...
    @property
    def masked(self) -> Set[int]: ...
    @property
    def used(self) -> Set[int | None]: ...


@dataclass
class _Forward:
    """A packed forward pass: how attention is made for a device, the keys and values kept before it, what it leaves.

    Layers may lie on several devices; each has its own attention, made when its first layer asks. own: keys and values
    of its own tokens, unless others were kept. masked, used: the sliding windows that the model makes masks for,
    and those that its layers handed to attention.
    """

    make_attention: Callable[[torch.device], Attention]
    kept: KeysValues | None
    own: KeysValues = field(default_factory=dict)
    masked: set[int] = field(default_factory=set)
    used: set[int | None] = field(default_factory=set)
    hidden: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    _attentions: dict[torch.device, Attention] = field(default_factory=dict)

    def attention(self, device: torch.device) -> Attention:
        """Attention of the layers on a device."""
        if device not in self._attentions:
            self._attentions[device] = self.make_attention(device)
        return self._attentions[device]


_current: ContextVar[_Forward] = ContextVar("the packed forward pass that is under way")


@contextmanager
def packing(decoder: Any) -> Iterator[None]:
    """Within it the decoder's attention is ours, after it what it was; raises ScoringError if it cannot be replaced."""
    before = decoder.config._attn_implementation
    try:
        decoder.set_attn_implementation(NAME)
        if decoder.config._attn_implementation != NAME:
            raise ScoringError("its attention cannot be replaced")
        yield
    finally:
        decoder.set_attn_implementation(before)


def _attend(  # noqa: PLR0913 - transformers calls it by these names
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls: [1, heads, tokens, width] in, [1, tokens, heads, width] out.

    Raises ScoringError for attention that is more than a softmax over the visible keys.
    """
    for name in ("s_aux", "position_bias"):
        if others.get(name) is not None:
            raise ScoringError(f"its attention takes '{name}', which is not known here")
    if attention_mask is not None or others.get("is_causal") is False:
        raise ScoringError("its attention has a mask of its own")
    under_way = _current.get()
    under_way.used.add(sliding_window)
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    if under_way.kept is None:
        under_way.own[module.layer_idx] = k, v
    elif under_way.kept:
        k, v = (torch.cat(pair) for pair in zip(under_way.kept[module.layer_idx], (k, v), strict=True))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return under_way.attention(query.device)(q, k, v, scale, sliding_window, softcap)[None], None


def _no_mask(*_: Any, local_size: int | None = None, **__: Any) -> None:
    """What transformers calls for a mask, which our attention does not need; the window is noted."""
    if local_size is not None:
        _current.get().masked.add(local_size)


def _register() -> None:
    """Make our attention known to transformers."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, _no_mask)


def rotary_types(config: Any) -> set[str]:
    """Kinds of rotary positions of a family; some have one for each kind of layer."""
    settings = getattr(config, "rope_parameters", None) or {}
    kinds = [settings, *(v for v in settings.values() if isinstance(v, dict))]
    return {str(k["rope_type"]) for k in kinds if "rope_type" in k}
