"""Remixing of batches with unchanged levels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.mixing import BatchRemix


def sources(batch, count, channels=1, seed=0):
    """Noises of very different levels and with offsets."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, count, channels, 300, generator=draw)
    levels = 10 ** (2 * torch.rand(batch, count, 1, 1, generator=draw) - 1)
    return levels * noise + 0.3 * torch.rand(batch, count, channels, 1, generator=draw)


def energies(references):
    """Mean-free energies `(batch, sources)`."""
    centred = references - references.mean(dim=-1, keepdim=True)
    return centred.square().sum(dim=(2, 3))


def ratios(references):
    """Level of each source relative to the first of its example, dB."""
    levels = 10 * energies(references).log10()
    return levels - levels[:, :1]


shapes = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 2))


@given(shapes, st.integers(0, 1000), st.integers(0, 10**9))
def test_every_mixture_has_the_signal_to_noise_ratios_that_stood_in_its_place(shape, seed, step):
    references = sources(*shape, seed=seed)
    remixed = BatchRemix(seed)(references, step)
    assert remixed.shape == references.shape
    torch.testing.assert_close(ratios(remixed), ratios(references), atol=1e-3, rtol=0)


@given(shapes, st.integers(0, 10**9))
def test_each_place_keeps_its_energy_up_to_the_level_of_the_mixture(shape, step):
    references = sources(*shape)
    before, after = energies(references), energies(BatchRemix()(references, step))
    factor = after[:, :1] / before[:, :1]
    torch.testing.assert_close(after, factor * before, rtol=1e-4, atol=0)


@given(shapes, st.integers(0, 10**9))
def test_the_mixture_has_zero_mean_and_unit_deviation(shape, step):
    mixture = BatchRemix()(sources(*shape), step).sum(dim=1)
    torch.testing.assert_close(mixture.mean(dim=-1), torch.zeros(mixture.shape[:2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(mixture.square().mean(dim=(1, 2)), torch.ones(len(mixture)))


@given(st.integers(0, 10**9))
def test_every_source_of_the_batch_is_heard_once_and_from_one_place(step):
    batch, count = 5, 3
    references = sources(batch, count)
    remixed = BatchRemix()(references, step)
    flat, found = (array.reshape(batch * count, -1) for array in (references, remixed))
    likeness = np.abs(np.corrcoef(torch.cat([found, flat]).numpy())[: batch * count, batch * count :])
    origin = likeness.argmax(axis=1)
    assert sorted(origin) == list(range(batch * count))
    assert (np.sort(likeness, axis=1)[:, -1] > 0.999).all()
    places = origin.reshape(batch, count) % count
    assert (places == places[0]).all()


def test_the_pairs_are_new():
    references = sources(8, 2)
    remixed = BatchRemix(3)(references, 0)
    together = torch.stack(
        [
            torch.corrcoef(torch.cat([a[:, 0], b[:, 0]]))[:2, 2:]
            for a, b in zip(references, remixed, strict=True)
        ]
    )
    assert (together.abs().amax(dim=(1, 2)) < 0.9).any()


def test_a_seed_and_a_step_say_everything():
    references = sources(4, 2)
    torch.testing.assert_close(BatchRemix(1)(references, 7), BatchRemix(1)(references, 7), atol=0, rtol=0)
    for other in (BatchRemix(2)(references, 7), BatchRemix(1)(references, 8)):
        assert not torch.equal(BatchRemix(1)(references, 7), other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_remixes_in_the_same_way():
    references = sources(4, 2)
    on_gpu = BatchRemix()(references.cuda(), 3).cpu()
    torch.testing.assert_close(on_gpu, BatchRemix()(references, 3), atol=1e-5, rtol=1e-5)


def test_silence_stays_finite():
    references = sources(4, 2)
    references[1, 0] = 0
    references[2] = 0
    remixed = BatchRemix()(references, 0)
    assert remixed.isfinite().all()
    assert (BatchRemix()(torch.zeros(2, 2, 1, 50), 0) == 0).all()
