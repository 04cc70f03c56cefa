"""The sliced constant-Q transform: reconstruction, what its coefficients are, and what it refuses."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import soloist.transforms.slicq.slicq as module
from soloist.errors import UsageError
from soloist.transforms import SCALES, SliCQ, make_scale, overlap_slices

SMALL = ("bark", 12, 500.0)
RATE = 8000


def small(**options) -> SliCQ:
    """Twelve bins on the Bark scale, slices of a few hundred samples."""
    return SliCQ(*SMALL, sample_rate=RATE, **options)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """White noise in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=dtype) * 2 - 1


@st.composite
def transforms(draw) -> SliCQ:
    """Any legal setting whose slices are not too long for a test."""
    scale = draw(st.sampled_from(SCALES))
    rate = draw(st.integers(8000, 96000))
    bins = draw(st.integers(1, 24) if scale == "octave" else st.integers(2, 120))
    fmin = draw(st.floats(20.0, 0.4 * rate / 2))
    form = draw(st.sampled_from(["ragged", "matrix"]))
    slice_length = draw(st.none() | st.integers(8, 2000).map(lambda quarter: 4 * quarter))
    try:
        slicq = SliCQ(scale, bins, fmin, sample_rate=rate, slice_length=slice_length, form=form)
    except UsageError as error:
        assume("too short to tell" not in str(error))
        raise
    assume(slicq.slice_length <= 40000)
    half = slicq.slice_length // 4
    transition = draw(st.none() | st.integers(1, half).map(lambda pairs: 2 * pairs))
    return SliCQ(
        scale, bins, fmin, sample_rate=rate, slice_length=slicq.slice_length, transition=transition, form=form
    )


@given(slicq=transforms(), data=st.data())
@settings(max_examples=40)
def test_any_length_is_reconstructed(slicq, data):
    samples = data.draw(st.integers(1, 3 * slicq.slice_length))
    audio = noise(1, 2, samples, seed=samples)
    blocks = slicq(audio)
    slices = slicq.num_slices(samples)
    expected = [(1, 2, block.bins, slices, block.width) for block in slicq.blocks]
    assert [tuple(block.shape) for block in blocks] == expected
    error = (slicq.inverse(blocks, samples) - audio).abs().max()
    assert error < 1e-5 * audio.abs().max()


@given(slicq=transforms(), samples=st.integers(1, 3000))
@settings(max_examples=10)
def test_double_precision_is_exact(slicq, samples):
    audio = noise(1, 1, samples, seed=samples, dtype=torch.float64)
    assert (slicq.inverse(slicq(audio), samples) - audio).abs().max() < 1e-12


@pytest.mark.parametrize("frequency", [0.0, 3.0, RATE / 2 - 3, RATE / 2])
@pytest.mark.parametrize("form", ["ragged", "matrix"])
def test_what_lies_at_the_ends_of_the_spectrum_comes_back(form, frequency):
    # The first centre lies a few bins of the slice above 0 Hz: windows reach below.
    slicq = SliCQ("mel", 90, 34.0, sample_rate=RATE, form=form)
    audio = torch.cos(2 * torch.pi * frequency / RATE * torch.arange(5000.0))[None, None]
    torch.testing.assert_close(slicq.inverse(slicq(audio), 5000), audio, atol=1e-5, rtol=0)


def test_gradients_of_both_ways():
    slicq = SliCQ("bark", 4, 1000.0, sample_rate=RATE, slice_length=32)
    audio = noise(1, 1, 30, dtype=torch.float64).requires_grad_()

    def there_and_back(signal):
        return slicq.inverse([block * (0.5 + 0.3j) for block in slicq(signal)], 30)

    assert torch.autograd.gradcheck(there_and_back, audio)
    assert torch.autograd.gradcheck(lambda signal: torch.view_as_real(slicq(signal)[-1]), audio)


def test_an_inverse_has_gradients_of_its_own():
    slicq = small()
    blocks = [block.requires_grad_() for block in slicq(noise(1, 1, 900))]
    slicq.inverse(blocks, 900).square().sum().backward()
    assert all(block.grad.abs().max() > 0 for block in blocks)


def test_training_after_inference_mode():
    slicq = small()
    with torch.inference_mode():
        slicq.inverse(slicq(noise(1, 1, 500)), 500)
    audio = noise(1, 1, 500).requires_grad_()
    slicq.inverse(slicq(audio), 500).sum().backward()
    torch.testing.assert_close(audio.grad, torch.ones_like(audio), atol=1e-5, rtol=0)


def test_items_and_channels_do_not_see_each_other():
    slicq = small()
    audio = noise(3, 2, 1500)
    together = slicq(audio)
    for item in range(3):
        for channel in range(2):
            alone = slicq(audio[item : item + 1, channel : channel + 1])
            for block, part in zip(together, alone, strict=True):
                torch.testing.assert_close(block[item, channel], part[0, 0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("group", [1, 2, 5])
def test_groups_of_slices_change_nothing(monkeypatch, group):
    slicq = small()
    audio = noise(2, 2, 7 * slicq.slice_length + 5)
    monkeypatch.setattr(module, "GROUP", 1000)
    whole = slicq(audio)
    expected = slicq.inverse(whole, audio.shape[-1])
    monkeypatch.setattr(module, "GROUP", group)
    for block, part in zip(whole, slicq(audio), strict=True):
        torch.testing.assert_close(part, block, atol=1e-6, rtol=0)
    torch.testing.assert_close(slicq.inverse(whole, audio.shape[-1]), expected, atol=1e-6, rtol=0)


def test_recording_gradients_changes_nothing():
    slicq = small()
    audio = noise(1, 2, 20 * slicq.slice_length)
    plain, recorded = slicq(audio), slicq(audio.clone().requires_grad_())
    for block, other in zip(plain, recorded, strict=True):
        torch.testing.assert_close(other.detach(), block, atol=1e-6, rtol=0)


def test_the_input_is_left_alone():
    slicq = small()
    audio = noise(1, 1, 1000)
    blocks = slicq(audio)
    before = [audio.clone(), *(block.clone() for block in blocks)]
    first, second = slicq.inverse(blocks, 1000), slicq.inverse(blocks, 1000)
    assert torch.equal(first, second)
    assert all(torch.equal(now, then) for now, then in zip([audio, *blocks], before, strict=True))


def test_a_piece_on_the_grid_has_the_coefficients_of_the_whole():
    slicq = small()
    hop = slicq.hop_length
    audio = noise(1, 2, 30 * hop + 7)
    piece = slicq(audio[..., 4 * hop : 20 * hop + 11])
    for block, part in zip(slicq(audio), piece, strict=True):
        torch.testing.assert_close(part[..., 1:-2, :], block[..., 5 : 4 + part.shape[3] - 2, :])


@pytest.mark.parametrize("transition", [2, None, 100])
def test_nothing_beyond_its_reach_is_seen(transition):
    slicq = small(slice_length=400, transition=transition)
    audio = noise(1, 1, 4000, dtype=torch.float64)
    gains = torch.linspace(0.1, 2, 16, dtype=torch.float64)

    def process(signal):
        blocks = slicq(signal)
        return slicq.inverse([block * gains[index] for index, block in enumerate(blocks)], 4000)

    changed = audio.clone()
    changed[..., 2000] += 1
    places = (process(changed) - process(audio))[0, 0].abs().gt(1e-12).nonzero()[:, 0]
    assert slicq.reach == 300 + slicq.transition // 2
    assert int((places - 2000).abs().max()) <= slicq.reach
    assert slicq.reach - int((places - 2000).abs().max()) < 230


def test_a_sinusoid_has_its_amplitude_in_the_spectrogram():
    for form in ("ragged", "matrix"):
        slicq = SliCQ("bark", 40, 100.0, form=form)
        index = 20
        place = slicq.frequencies[index]
        # The centres of the windows are rounded to the grid of the slice.
        place = 2 * round(place * slicq.slice_length / 44100 / 2) * 44100 / slicq.slice_length
        audio = 0.6 * torch.cos(2 * torch.pi * place / 44100 * torch.arange(30000.0))[None, None]
        pictures = slicq.spectrogram(slicq(audio), audio.shape[-1])
        rows = torch.cat([picture[0, 0, :, picture.shape[-1] // 2] for picture in pictures])
        assert len(rows) == len(slicq.frequencies)
        assert int(rows.argmax()) == index
        assert abs(float(rows[index]) - 0.6) < 0.01


def test_the_spectrogram_begins_with_the_signal():
    slicq = small()
    audio = torch.zeros(1, 1, 8000)
    audio[..., 3000] = 1
    for picture, block in zip(slicq.spectrogram(slicq(audio), audio.shape[-1]), slicq.blocks, strict=True):
        columns = block.width / slicq.slice_length
        loudest = picture[0, 0].sum(dim=0).argmax()
        assert picture.shape[-1] == -(-8000 // slicq.hop_length) * block.width // 2
        assert abs(float(loudest) - 3000 * columns) <= 1.5


def test_overlapping_slices_add_up():
    block = torch.arange(24.0).reshape(1, 1, 1, 4, 6)
    expected = torch.zeros(15)
    for index in range(4):
        expected[3 * index : 3 * index + 6] += block[0, 0, 0, index]
    assert torch.equal(overlap_slices(block)[0, 0, 0], expected)


def test_blocks_of_another_length_are_refused():
    slicq = small()
    blocks = slicq(noise(1, 1, 1000))
    for wrong, length in ((blocks, 5000), (blocks[1:], 1000), ([], 1000)):
        with pytest.raises(UsageError, match=f"{length} samples need {len(blocks)} blocks of"):
            slicq.inverse(wrong, length)


def test_a_copy_computes_the_same():
    slicq = small()
    audio = noise(1, 1, 700)
    blocks = slicq(audio)
    for other in (copy.deepcopy(slicq), pickle.loads(pickle.dumps(slicq)), slicq.half().float()):
        assert all(torch.equal(*pair) for pair in zip(other(audio), blocks, strict=True))


def test_both_ways_can_be_exported():
    class ThereAndBack(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slicq = SliCQ("bark", 4, 1000.0, sample_rate=RATE)

        def forward(self, audio: torch.Tensor) -> torch.Tensor:
            return self.slicq.inverse([2 * block for block in self.slicq(audio)], audio.shape[-1])

    exported = torch.export.export(ThereAndBack(), (noise(1, 2, 1000),))
    audio = noise(1, 2, 1000, seed=1)
    torch.testing.assert_close(exported.module()(audio), 2 * audio, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"scale": "barkk"}, "there is no scale 'barkk'.*did you mean bark"),
        ({"scale": "phon"}, "there is no scale 'phon'.*bark, mel"),
        ({"bins": 1}, "bins 1 .*give at least 2"),
        ({"scale": "octave", "bins": 0}, "bins 0 .*give at least 1"),
        ({"fmin": 0.0}, "fmin 0 Hz .*below .*4000 Hz"),
        ({"fmin": 5000.0}, "fmin 5000 Hz .*below .*4000 Hz"),
        ({"fmin": float("nan")}, "fmin nan Hz"),
        ({"scale": "variable-q", "gamma": -1.0}, "gamma -1 Hz"),
        ({"scale": "variable-q", "gamma": 4000.0}, "no bin .*4000 Hz"),
        ({"sample_rate": 0}, "sample_rate 0"),
        ({"fmin": 1e-9}, "fmin 1e-09 Hz .*between 0.001 Hz"),
        ({"bins": 10**9}, "1000000000 bins.*give at most 1048576"),
        ({"scale": "octave", "bins": 10**7}, "give at most 349525"),
        ({"scale": "constant-q", "fmin": 0.001}, "slices of .*4194304 are the most.*higher fmin"),
        ({"scale": "mel", "fmin": 4000 - 1e-5}, "slices of inf samples.*fewer bins"),
        ({"slice_length": 10**9}, "slice_length 1000000000 .*give 4194304"),
        ({"slice_length": 0}, "slice_length 0 .*give 32"),
        ({"slice_length": 16}, "slice_length 16 .*give 32"),
        ({"slice_length": 1001}, "slice_length 1001 .*multiple of 4.*give 1000"),
        ({"slice_length": 1002}, "slice_length 1002 .*give 100[04]"),
        ({"slice_length": 1000, "transition": 502}, "transition 502 .*half a slice of 1000.*give 500"),
        ({"slice_length": 1000, "transition": 101}, "transition 101 .*even.*give 10[02]"),
        ({"slice_length": 1000, "transition": 0}, "transition 0 .*give 2"),
    ],
)
def test_an_illegal_setting_is_refused_with_the_nearest_legal_one(arguments, told):
    setting = {"scale": "bark", "bins": 12, "fmin": 500.0, "sample_rate": RATE, **arguments}
    with pytest.raises(UsageError, match=told):
        SliCQ(**setting)


@pytest.mark.parametrize("setting", [("bark", 262, 32.9), ("mel", 100, 20.0), ("constant-q", 60, 50.0)])
def test_more_bins_than_a_slice_can_hold_are_refused_with_the_nearest_slice_that_can(setting):
    with pytest.raises(UsageError, match=r"slice_length 64 is too short .* give (\d+)") as refusal:
        SliCQ(*setting, slice_length=64)
    length = int(str(refusal.value).split("give ")[1].split(",")[0])
    assert SliCQ(*setting, slice_length=length).slice_length == length
    for shorter in range(length - 40, length, 4):
        with pytest.raises(UsageError, match=f"give {length}, or fewer bins"):
            SliCQ(*setting, slice_length=shorter)


def test_more_bins_than_any_slice_can_hold_are_refused():
    with pytest.raises(UsageError, match=r"slice_length 1000 is too short .*: give fewer bins"):
        SliCQ("octave", 24, 1.0, sample_rate=96000, slice_length=1000)


def test_rounding_decides_about_a_second_bin_at_half_the_sample_rate_as_released_only():
    """As it does for about half of all constant-Q scales, so that none of these says what the others do."""
    settings = [("constant-q", bins, 50.0 + bins) for bins in range(20, 60)]
    tops = [make_scale(*setting, 44100, as_released=True).frequencies[-1] for setting in settings]
    assert 8 < sum(22050 - top < 1e-6 for top in tops) < 32
    assert all(make_scale(*setting, 44100).frequencies[-1] < 22000 for setting in settings)
    SliCQ(*settings[0], as_released=True)


def test_a_window_longer_than_the_spectrum_is_wrapped():
    """As of three bins of which the last lies at half the sample rate."""
    for fmin in range(300, 340):
        slicq = SliCQ("constant-q", 3, fmin, sample_rate=48000, as_released=True)
        blocks = slicq(noise(1, 1, 500))
        assert sum(block.shape[2] for block in blocks) in (4, 5)
