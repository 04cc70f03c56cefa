"""Dense blocks, trained and optimised."""

from __future__ import annotations

import copy

import pytest
import torch

from soloist.networks.unet.dense_blocks import DenseConvolution, PartedConvolution
from soloist.profiling import count_operations

SIZES = (3, 5, 2)


def make_block(layers: int, kernel: tuple[int, int]) -> DenseConvolution:
    torch.manual_seed(0)
    block = DenseConvolution(6, 4, layers, kernel, "relu").eval()
    for buffer in block.buffers():
        if buffer.is_floating_point():
            torch.nn.init.uniform_(buffer, 0.5, 2.0)
    return block


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("kernel", [(3, 1), (5, 3)])
@pytest.mark.parametrize("gradients", [False, True])
def test_pairs_compute_what_the_layers_do(layers, kernel, gradients):
    block, x = make_block(layers, kernel), torch.randn(2, 6, 11, 7)
    optimized = copy.deepcopy(block)
    optimized.optimize()
    with torch.no_grad():
        expected = block(x)
    with torch.set_grad_enabled(gradients):
        torch.testing.assert_close(optimized(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_are_convolved_as_if_concatenated(dtype):
    weight, bias = torch.randn(8, sum(SIZES), 3, 1, dtype=dtype), torch.randn(8, dtype=dtype)
    parts = [torch.randn(2, size, 9, 4, dtype=dtype) for size in SIZES]
    kept = [part.clone() for part in parts]
    # The last part has the first weights.
    expected = torch.conv2d(torch.cat(parts[::-1], dim=1), weight, bias, padding=(1, 0))
    with torch.no_grad():
        convolved = PartedConvolution(weight, bias, list(SIZES))(parts)
    torch.testing.assert_close(convolved, expected, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(part, before) for part, before in zip(parts, kept, strict=True))


def test_a_convolution_in_parts_has_the_operations_of_one():
    convolution = PartedConvolution(torch.randn(8, sum(SIZES), 3, 1), None, list(SIZES))
    parts = [torch.randn(2, size, 9, 4) for size in SIZES]
    for mode in (torch.no_grad, torch.enable_grad):
        with mode():
            assert count_operations(lambda: convolution(parts)) == 2 * 8 * sum(SIZES) * 3 * (2 * 9 * 4)
