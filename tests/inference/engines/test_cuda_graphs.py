"""CUDA graphs: networks of fixed shapes are recorded once, and replayed into memory that nobody holds."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from families import make_family
from soloist.errors import UsageError
from soloist.inference import TorchEngine, make_engine
from soloist.inference.engines import PRECISIONS, installed_engines, precisions_of
from soloist.inference.engines.cuda_graphs import FixedShapes

SHAPES = [(1, 2400), (3, 2400), (1, 1600), (1, 2400), (2, 1600), (3, 2400)]


def record(call):
    """Record a call as a CPU can: the network runs again, into the same memory."""
    outputs = call()

    def replay():
        for there, new in zip(outputs, call(), strict=True):
            there.copy_(new)

    return outputs, replay


def noise(*shape):
    return 0.2 * torch.randn(*shape)


@torch.inference_mode()
def test_a_shape_is_recorded_once_and_outputs_are_the_caller_s():
    separator, recorded = make_family("unet-tfc-tdf").optimize(), []

    def remember(call):
        recorded.append(call)
        return record(call)

    network = FixedShapes(partial(separator.run_network, separator.graph), remember)
    mixtures = [noise(batch, 1, samples) for batch, samples in SHAPES]
    found = []
    for mixture in mixtures:
        inputs, finish = separator.stage(mixture)
        found.append(finish(network(*inputs)))
    assert len(recorded) == 4
    # Compared at the end: a later replay must not write into earlier estimates.
    for mixture, estimates in zip(mixtures, found, strict=True):
        torch.testing.assert_close(estimates, separator.estimate(mixture), rtol=0, atol=1e-6)
    for samples in (800, 900, 1000, 2400):
        network(*separator.stage(noise(1, 1, samples))[0])
    # The first was used longest ago, and has made room.
    assert len(recorded) == 8


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_line():
    separator = make_family("unet-tfc-tdf")
    with pytest.raises(UsageError, match="cudagraph is for GPUs with CUDA, not for cpu: take torch"):
        make_engine("cudagraph", separator)
    assert installed_engines("cuda") == ("torch", "cudagraph")
    assert "cudagraph" not in installed_engines()
    assert precisions_of("cudagraph", "cuda:1") == PRECISIONS


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("family", ["unet-tfc-tdf", "sudormrf-improved", "htdemucs", "xumx-slicq"])
def test_the_estimates_are_those_of_pytorch(family):
    separator = make_family(family)
    expected, engine = TorchEngine(separator, "cpu"), make_engine("cudagraph", separator)
    for batch, samples in SHAPES:
        mixture = noise(batch, separator.channels, samples)
        torch.testing.assert_close(engine(mixture), expected(mixture), rtol=0, atol=1e-4)
