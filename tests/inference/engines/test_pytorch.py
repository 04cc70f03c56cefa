"""The PyTorch engine shares weights with its separator, and changes none."""

from __future__ import annotations

import pytest
import torch

from families import FAMILIES, make_family
from soloist.inference import TorchEngine


@pytest.mark.parametrize("family", FAMILIES)
def test_the_separator_stays_as_it_is(family):
    separator = make_family(family)
    state = {name: value.clone() for name, value in separator.state_dict().items()}
    engine = TorchEngine(separator, "cpu")
    engine(0.2 * torch.randn(1, separator.channels, 2400))
    assert all(torch.equal(value, state[name]) for name, value in separator.state_dict().items())
    assert all(weight.requires_grad for weight in separator.parameters())


def test_weights_that_inference_leaves_as_they_are_are_not_copied():
    separator = make_family("htdemucs")
    own = {weight.data_ptr() for weight in separator.parameters()}
    engine = TorchEngine(separator, "cpu")
    assert {weight.data_ptr() for weight in engine._separator.parameters()} <= own
