"""Operations that networks share, within autocast on a processor."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, linear, scaled_dot_product_attention
from torch.testing import assert_close

from soloist.networks.layers import attention, onednn
from soloist.networks.layers.attention import attend
from soloist.networks.layers.onednn import add_convolution, add_into, multiply_into

LOWER = torch.autocast("cpu", torch.bfloat16)


@torch.no_grad()
@pytest.mark.parametrize("scores", [1, 700, 1 << 20])
@pytest.mark.parametrize(("queries", "keys"), [(37, 37), (50, 9), (1, 70)])
def test_attention_in_tiles_is_that_of_pytorch(queries, keys, scores, monkeypatch):
    monkeypatch.setattr(attention, "_SCORES", scores)
    # As linear layers leave them: the heads lie within the features of a token.
    sizes = (queries, 16), (keys, 16), (keys, 5)
    query, key, value = (torch.randn(2, count, 3, size).transpose(1, 2) for count, size in sizes)
    exact = scaled_dot_product_attention(query, key, value, scale=0.3)
    assert_close(attend(query, key, value, scale=0.3), exact)
    with LOWER:
        near = attend(query, key, value, scale=0.3)
    assert near.dtype == torch.bfloat16
    assert (near - exact).norm() < 0.01 * exact.norm()


@torch.no_grad()
def test_sums_and_products_keep_the_higher_precision():
    high, low = torch.randn(4, 4), torch.randn(4, 4).bfloat16()
    with LOWER:
        for operation, expected in ((add_into, high + low), (multiply_into, high * low)):
            # In bfloat16 there is no room for the result of the first of these.
            assert torch.equal(operation(low.clone(), high), expected)
            into = high.clone()
            assert operation(into, low).data_ptr() == into.data_ptr()
            assert torch.equal(into, expected)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_convolution_is_added_in_either_precision(dtype):
    x, weight = torch.randn(1, 6, 5, 7), torch.randn(4, 6, 3, 3)
    x, weight = (each.contiguous(memory_format=torch.channels_last) for each in (x, weight))
    total = torch.ones(1, 4, 5, 7, dtype=dtype).contiguous(memory_format=torch.channels_last)
    with LOWER:
        add_convolution(total, x, weight, (1, 1))
    expected = 1 + conv2d(x, weight, padding=1)
    assert total.dtype == dtype
    assert (total - expected).norm() < 0.01 * expected.norm()


@torch.no_grad()
def test_a_linear_layer_is_computed_in_lower_precision():
    x, weight, bias = torch.randn(3, 5), torch.randn(4, 5), torch.randn(4)
    with LOWER:
        near = onednn.project(x, weight, bias)
    exact = linear(x, weight, bias)
    assert near.dtype == torch.bfloat16
    assert (near - exact).norm() < 0.01 * exact.norm()
