"""Attention of each query to all keys, in the way that is fastest where it is computed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from soloist.networks.layers.onednn import has_onednn, lowered

_SCORES = 1 << 20
"""Scores that are held at once, which stay in the caches of a processor."""


def attend(
    query: Tensor, key: Tensor, value: Tensor, *, dropout: float = 0.0, scale: float | None = None
) -> Tensor:
    """Mean of the values, weighted by the softmax of the products of queries and keys.

    Args:
        query: `(batch, heads, queries, features)`.
        key: `(batch, heads, keys, features)`.
        value: `(batch, heads, keys, outputs)`.
        dropout: Probability that a weight is dropped.
        scale: Factor of the products; None for `features**-0.5`.

    Returns:
        `(batch, heads, queries, outputs)`.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if has_onednn(query) and torch.is_autocast_enabled("cpu") and not dropout:
        # What all keys have in common does not change a softmax, but the rounding of its scores.
        key = key - key.mean(dim=-2, keepdim=True)
        lower = [lowered(part) for part in (query * scale, key, value)]
        # The softmax itself is computed in float32.
        with torch.autocast("cpu", enabled=False):
            return _attend_in_tiles(*lower)
    return scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)


def _attend_in_tiles(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """`attend` in bfloat16, for scaled queries.

    Where a processor has AVX512-BF16 but no AMX, PyTorch's own is no faster than in float32: so a few queries
    at a time meet all keys in plain matrix products.
    """
    queries, keys, values = (part.flatten(0, 1).contiguous() for part in (query, key, value))
    attended = values.new_empty(*queries.shape[:2], values.shape[2])
    count, step = queries.shape[1], max(1, _SCORES // keys.shape[1])
    heads = max(1, step // count)
    for first in range(0, len(queries), heads):
        some = slice(first, first + heads)
        for begin in range(0, count, step):
            part = queries[some, begin : begin + step]
            weights = torch.bmm(part, keys[some].mT).softmax(dim=-1)
            torch.bmm(weights, values[some], out=attended[some, begin : begin + step])
    return attended.unflatten(0, query.shape[:2])
