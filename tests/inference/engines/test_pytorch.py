"""The PyTorch engine shares weights with its separator, and changes none."""

from __future__ import annotations

import pytest
import torch

from families import FAMILIES, make_family
from soloist.errors import OutOfMemoryError
from soloist.inference import TorchEngine
from soloist.inference.engines import batch_notes
from toy_separators import Smoother


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


class Large(Smoother):
    """A separator of whose chunks a device holds so many at once, and no more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.sizes = most, []

    def estimate(self, mixture):
        self.sizes.append(len(mixture))
        if len(mixture) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return super().estimate(mixture)


def test_half_the_batch_is_enough_where_memory_is_not():
    mixture = torch.randn(8, 1, 200)
    engine = TorchEngine(Large(most=3), "cpu")
    expected = Smoother().estimate(mixture)
    assert batch_notes(engine) == ()
    for _ in range(2):
        torch.testing.assert_close(engine(mixture), expected)
    # What did not fit is not attempted a second time.
    assert engine._separator.sizes == [8, 4, *[2] * 8]
    assert batch_notes(engine) == ("memory of cpu did not suffice for larger batches: went on with 2",)


def test_a_chunk_that_memory_cannot_hold_is_one_line():
    with pytest.raises(OutOfMemoryError, match="out of memory on cpu for one chunk: take a shorter --chunk"):
        TorchEngine(Large(most=0), "cpu")(torch.randn(4, 1, 200))
