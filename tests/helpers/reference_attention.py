"""What PyTorch's attention over segments of variable length computes, in float64."""

import torch


def reference_varlen(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size=(-1, -1), enable_gqa=False
):
    """What `torch.nn.attention.varlen.varlen_attn` computes, segment by segment in float64."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32 and window_size[1] == 0
    assert enable_gqa or query.shape[1] == key.shape[1]
    assert (cu_seq_q.diff().max(), cu_seq_k.diff().max()) == (max_q, max_k)
    assert (cu_seq_q[-1], cu_seq_k[-1]) == (len(query), len(key))
    groups = query.shape[1] // key.shape[1]
    out = []
    for a, b, c, d in zip(cu_seq_q[:-1], cu_seq_q[1:], cu_seq_k[:-1], cu_seq_k[1:], strict=True):
        q = query[a:b].double()
        k, v = (x[c:d].double().repeat_interleave(groups, dim=1) for x in (key, value))
        # Bottom right: the last query sees the last key, and `window_size[0]` keys before it.
        at, position = torch.arange(b - a)[:, None] + (d - c) - (b - a), torch.arange(d - c)
        sees = (position <= at) & ((position >= at - window_size[0]) | (window_size[0] < 0))
        scores = torch.einsum("qhd,khd->hqk", q, k) * scale
        out.append(torch.einsum("hqk,khd->qhd", scores.masked_fill(~sees, -torch.inf).softmax(dim=-1), v))
    return torch.cat(out).to(query.dtype)
