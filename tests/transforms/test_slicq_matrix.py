"""The sliCQ as one matrix: reconstruction, its axis of time, and what a separator may ask of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.transforms import SCALES, SliCQMatrix, overlap_slices

RATE = 8000


def small(**options) -> SliCQMatrix:
    """Twelve bins on the Bark scale, slices of a few hundred samples."""
    return SliCQMatrix("bark", 12, 500.0, sample_rate=RATE, **options)


@st.composite
def transforms(draw) -> SliCQMatrix:
    """Any legal setting whose slices are not too long for a test."""
    scale = draw(st.sampled_from(SCALES))
    rate = draw(st.integers(8000, 48000))
    bins = draw(st.integers(1, 12) if scale == "octave" else st.integers(2, 60))
    fmin = draw(st.floats(40.0, 0.4 * rate / 2))
    slice_length = draw(st.none() | st.integers(8, 1000).map(lambda quarter: 4 * quarter))
    try:
        matrix = SliCQMatrix(scale, bins, fmin, sample_rate=rate, slice_length=slice_length)
    except UsageError as error:
        assume("too short to tell" not in str(error))
        raise
    assume(matrix.slicq.slice_length <= 20000)
    return matrix


@given(matrix=transforms(), data=st.data())
def test_any_length_is_reconstructed(matrix, data):
    samples = data.draw(st.integers(1, 5 * matrix.hop_length))
    audio = torch.rand(1, 2, samples) * 2 - 1
    coefficients = matrix(audio)
    hops = -(-samples // matrix.hop_length) + 2
    assert coefficients.shape == (1, 2, matrix.num_bins, hops * matrix.frames_per_hop)
    assert len(matrix.bin_frequencies(matrix.slicq.sample_rate)) == matrix.num_bins
    assert (matrix.inverse(coefficients, samples) - audio).abs().max() < 1e-5


@given(samples=st.integers(1, 3000))
@settings(max_examples=10)
def test_double_precision_is_exact(samples):
    audio = torch.randn(1, 1, samples, dtype=torch.float64)
    assert (small().inverse(small()(audio), samples) - audio).abs().max() < 1e-12


def test_both_slices_of_a_time_stand_side_by_side():
    matrix, audio = small(), torch.randn(2, 1, 2500)
    coefficients = matrix(audio)
    earlier, later = coefficients.unflatten(-1, (-1, 2)).unbind(-1)
    torch.testing.assert_close(earlier + later, overlap_slices(matrix.slicq(audio)[0]))
    size = matrix.frames_per_hop // 2
    assert not earlier[..., :size].any()
    assert not later[..., -size:].any()


def test_the_inverse_ignores_what_no_slice_holds():
    matrix, audio = small(), torch.randn(1, 1, 900)
    coefficients = matrix(audio)
    coefficients[..., : matrix.frames_per_hop : 2] = 7
    coefficients[..., -matrix.frames_per_hop + 1 :: 2] = 7
    torch.testing.assert_close(matrix.inverse(coefficients, 900), audio, atol=1e-5, rtol=0)


def test_a_piece_on_the_grid_has_the_coefficients_of_the_whole():
    matrix = small()
    hop, frames = matrix.hop_length, matrix.frames_per_hop
    audio = torch.randn(1, 2, 20 * hop)
    whole, piece = matrix(audio), matrix(audio[..., 4 * hop : 15 * hop])
    inside = slice(3 * frames, -3 * frames)
    expected = whole[..., 4 * frames :][..., : piece.shape[-1]]
    torch.testing.assert_close(piece[..., inside], expected[..., inside], atol=1e-6, rtol=0)


def test_gradients_of_both_ways():
    matrix = SliCQMatrix("bark", 4, 1000.0, sample_rate=RATE, slice_length=32)
    audio = torch.randn(1, 1, 30, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: matrix.inverse(matrix(x) * (0.5 + 0.3j), 30), audio)


def test_a_length_of_frames_has_as_many_as_fit():
    matrix = small()
    length = matrix.length_of(20 * matrix.frames_per_hop)
    assert matrix(torch.zeros(1, 1, length)).shape[-1] == 20 * matrix.frames_per_hop
    assert matrix.length_of(1) == 8 * matrix.hop_length


def test_its_picture_is_that_of_the_slices():
    matrix, audio = small(), torch.randn(1, 1, 1000)
    expected = matrix.slicq.spectrogram(matrix.slicq(audio), 1000)
    torch.testing.assert_close(matrix.spectrogram(matrix(audio), 1000), expected)


@pytest.mark.parametrize("samples", [10, 2000])
def test_coefficients_of_another_length_are_refused(samples):
    matrix = small()
    with pytest.raises(UsageError, match="need 1 blocks"):
        matrix.inverse(matrix(torch.zeros(1, 1, 1000)), samples)
