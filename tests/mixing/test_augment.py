"""Augmentations: effect of each, and reproducibility by number."""

from functools import partial

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import AudioError, UsageError
from soloist.mixing import (
    BandLimit,
    ChannelSwap,
    Compressor,
    Equalizer,
    Gain,
    PitchTempo,
    Polarity,
    Reverb,
    Reversal,
    RoomResponse,
    Saturation,
    Speed,
    StemDropout,
    StereoWidth,
    Swell,
    TimeShift,
)

RATE = 8000


def noise(sources=3, channels=2, samples=2000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.5, 0.5, (sources, channels, samples)).astype(np.float32)


def write_response(path, taps, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(taps, np.float32), rate, subtype="FLOAT")


@pytest.fixture(scope="module")
def responses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("responses")
    rng = np.random.default_rng(0)
    for number in range(4):
        tail = rng.normal(size=(800, 2)) * np.exp(-np.arange(800) / 200)[:, None]
        write_response(folder / "halls" / f"{number}.wav", np.vstack([np.zeros((50, 2)), [[9, 8]], tail]))
    return folder


def make(name, responses, **arguments):
    """One augmentation of each class, always applied."""
    made = {
        "Gain": lambda **rest: Gain((-9.0, 3.0), **rest),
        "Polarity": Polarity,
        "ChannelSwap": ChannelSwap,
        "TimeShift": lambda **rest: TimeShift(0.05, sample_rate=RATE, **rest),
        "PitchTempo": lambda **rest: PitchTempo(sample_rate=RATE, **rest),
        "Speed": lambda **rest: Speed((0.5, 2.0), sample_rate=RATE, **rest),
        "Reversal": Reversal,
        "Swell": Swell,
        "BandLimit": lambda **rest: BandLimit((100, 300), (1000, 2000), sample_rate=RATE, **rest),
        "RoomResponse": lambda **rest: RoomResponse(responses, sample_rate=RATE, **rest),
        "StemDropout": lambda **rest: StemDropout(**rest),
        "StereoWidth": StereoWidth,
        **{
            effect.__name__: partial(effect, sample_rate=RATE)
            for effect in (Equalizer, Saturation, Compressor, Reverb)
        },
    }
    return made[name](**{"p": 1.0, **arguments})


KINDS = (
    *("Gain", "Polarity", "ChannelSwap", "TimeShift", "PitchTempo", "BandLimit", "RoomResponse"),
    *("StemDropout", "StereoWidth", "Equalizer", "Saturation", "Compressor", "Reverb"),
)
every_kind = pytest.mark.parametrize("kind", KINDS)
indices = st.integers(0, 2**44)


@every_kind
@given(
    indices=st.lists(indices, min_size=1, max_size=4), p=st.sampled_from([0.5, 1.0]), seed=st.integers(0, 99)
)
def test_a_batch_is_its_examples_one_by_one(responses, kind, indices, p, seed):
    augmentation = make(kind, responses, p=p, seed=seed)
    batch = np.stack([noise(seed=number) for number in range(len(indices))])
    together = augmentation.batch(batch, indices)
    alone = [augmentation(example, index) for example, index in zip(batch, indices, strict=True)]
    np.testing.assert_array_equal(together, np.stack(alone))


@every_kind
@given(index=indices)
def test_the_same_call_gives_the_same_and_leaves_its_input_alone(responses, kind, index):
    references = noise()
    first = make(kind, responses)(references, index)
    again = make(kind, responses)(references, index)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(references, noise())
    assert first.shape == references.shape
    assert first.dtype == np.float32


@every_kind
def test_another_number_or_seed_draws_something_else(responses, kind):
    references = noise()
    arguments = {"p": 0.5} if kind in ("Polarity", "ChannelSwap") else {}
    drawn = [make(kind, responses, **arguments)(references, index) for index in range(8)]
    assert len({array.tobytes() for array in drawn}) > 1
    seeds = [make(kind, responses, seed=seed, **arguments)(references, 0) for seed in range(8)]
    assert len({array.tobytes() for array in seeds}) > 1


@every_kind
def test_without_probability_nothing_changes(responses, kind):
    np.testing.assert_array_equal(make(kind, responses, p=0.0)(noise(), 3), noise())


@every_kind
def test_with_some_probability_something_changes_sometimes(responses, kind):
    # One source alone is never dropped.
    sources, p = (2, 0.3) if kind == "StemDropout" else (1, 0.5)
    references = noise(sources=sources)
    changed = [
        not np.array_equal(make(kind, responses, p=p)(references, index), references) for index in range(60)
    ]
    assert 0.25 < np.mean(changed) < 0.75


@every_kind
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_probability_is_from_0_to_1(responses, kind, p):
    with pytest.raises(UsageError, match=f"{kind}: p must be a probability"):
        make(kind, responses, p=p)


@given(indices)
def test_gains_are_in_their_range_and_the_same_for_all_channels(index):
    gains = Gain((-9.0, 3.0))(noise(), index) / noise()
    levels = 20 * np.log10(np.nanmean(gains, axis=2))
    assert ((levels > -9.001) & (levels < 3.001)).all()
    np.testing.assert_allclose(levels[:, 0], levels[:, 1], atol=1e-3)
    assert np.ptp(levels[:, 0]) > 0


def test_polarity_and_channels_are_exchanged_for_each_source_by_itself():
    references = noise(sources=200, samples=8)
    turned = (Polarity()(references, 0) == -references).all(axis=(1, 2))
    swapped = (ChannelSwap()(references, 0) == references[:, ::-1]).all(axis=(1, 2))
    for chosen in (turned, swapped):
        assert 70 < chosen.sum() < 130
    assert (Polarity()(references, 0)[~turned] == references[~turned]).all()
    assert (ChannelSwap()(references, 0)[~swapped] == references[~swapped]).all()


def test_one_channel_has_nothing_to_be_exchanged_with():
    np.testing.assert_array_equal(ChannelSwap(p=1.0)(noise(channels=1), 0), noise(channels=1))


def test_shifts_move_each_source_within_its_range():
    references = np.zeros((100, 1, 1000), np.float32)
    references[..., 500] = 1
    places = TimeShift(0.05, sample_rate=RATE)(references, 0).argmax(axis=-1)[:, 0]
    assert 100 <= places.min() < 200
    assert 800 < places.max() <= 900
    assert TimeShift(1.0, sample_rate=RATE)(noise(100), 0).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("shift", [-3, 0, 2])
def test_silence_comes_in_where_a_source_leaves(shift):
    references = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 5)
    moved = {tuple(TimeShift(3, sample_rate=1)(references, index).ravel()) for index in range(100)}
    assert tuple(np.pad(references.ravel(), 3)[3 - shift : 8 - shift]) in moved


def spectrum_peak(signal):
    return np.abs(np.fft.rfft(signal * np.hanning(len(signal)))).argmax() * RATE / len(signal)


def tones(*frequencies, samples=RATE):
    times = np.arange(samples) / RATE
    waves = [0.5 * np.sin(2 * np.pi * frequency * times) for frequency in frequencies]
    return np.stack(waves)[:, None].astype(np.float32)


@pytest.mark.parametrize("semitones", [-3.0, 4.0])
def test_all_sources_are_transposed_alike(semitones):
    varied = PitchTempo((semitones, semitones), (1.0, 1.0), sample_rate=RATE, p=1.0)(tones(400, 600), 0)
    for source, frequency in zip(varied, (400, 600), strict=True):
        assert spectrum_peak(source[0]) == pytest.approx(frequency * 2 ** (semitones / 12), rel=0.01)


def test_tempo_moves_what_happens_and_keeps_the_pitch():
    clicks = np.zeros((2, 1, RATE), np.float32)
    clicks[..., RATE // 2] = 1
    faster = PitchTempo((0.0, 0.0), (1.25, 1.25), sample_rate=RATE, p=1.0)
    assert faster.reach == 1.25
    assert np.abs(faster(clicks, 0)).argmax(axis=-1) == pytest.approx(RATE / 2 / 1.25, abs=80)
    assert spectrum_peak(faster(tones(500), 0)[0, 0, : RATE // 2]) == pytest.approx(500, rel=0.01)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_speed_moves_pitch_and_time_of_each_source(factor):
    times = np.arange(RATE) / RATE
    tone = (np.sin(2 * np.pi * 400 * times) * (times < 0.5)).astype(np.float32)
    faster = Speed((factor, factor), sample_rate=RATE, p=1.0)(tone[None, None], 0)[0, 0]
    half = round(0.5 * RATE / factor)
    expected = np.sin(2 * np.pi * 400 * factor * times[:half])
    np.testing.assert_allclose(faster[50 : half - 50], expected[50:-50], atol=5e-3)
    assert np.abs(faster[half + 50 :]).max() < 5e-3


def test_reversal_and_swell_are_of_each_source_by_itself():
    signals = noise(sources=40)
    reversed_ = Reversal(p=0.5)(signals, 0)
    turned = [np.array_equal(*pair) for pair in zip(reversed_, signals[..., ::-1], strict=True)]
    kept = [np.array_equal(*pair) for pair in zip(reversed_, signals, strict=True)]
    assert sorted((sum(turned), sum(kept)))[0] > 5
    assert sum(turned) + sum(kept) == 40
    gains = 20 * np.log10(np.abs(Swell((-30.0, 6.0), (2, 4), p=1.0)(signals, 0) / signals))
    assert gains.min() > -30.01
    assert gains.max() < 6.01
    np.testing.assert_allclose(gains[:, 0], gains[:, 1], atol=1e-3)
    assert np.ptp(gains, axis=-1).min() > 0.1
    assert np.abs(np.diff(gains, axis=-1)).max() < 36 * 3 / 1999 + 1e-3


@pytest.mark.parametrize(
    "make",
    [
        lambda: Speed((1.2, 0.8), sample_rate=RATE),
        lambda: Speed((0.0, 1.0), sample_rate=RATE),
        lambda: Swell((0.0, -3.0)),
        lambda: Swell(turns=(1, 3)),
    ],
)
def test_ranges_of_speed_and_swell_are_checked(make):
    with pytest.raises(UsageError, match="range"):
        make()


def test_bands_are_limited_for_all_sources_alike_and_nothing_is_delayed():
    references = np.zeros((2, 1, RATE), np.float32)
    references[..., RATE // 2] = 1
    limited = BandLimit((200, 200), (2000, 2000), sample_rate=RATE, p=1.0)(references, 0)
    np.testing.assert_array_equal(limited[0], limited[1])
    assert limited[0, 0].argmax() == RATE // 2
    gains = np.abs(np.fft.rfft(limited[0, 0]))
    np.testing.assert_allclose(gains[300:1600], 1, atol=1e-3)
    np.testing.assert_allclose(gains[[200, 2000]], 0.5, atol=0.01)
    assert gains[:160].max() < 1e-3
    assert gains[2450:].max() < 1e-3


@pytest.mark.parametrize("place", [0, 999])
def test_a_filter_does_not_come_in_again_at_the_other_end(place):
    references = np.zeros((1, 1, 1000), np.float32)
    references[..., place] = 1
    limited = BandLimit((60, 60), sample_rate=RATE, p=1.0)(references, 0)
    whole = np.zeros((1, 1, 9000), np.float32)
    whole[..., 4000 + place] = 1
    expected = BandLimit((60, 60), sample_rate=RATE, p=1.0)(whole, 0)[..., 4000:5000]
    np.testing.assert_allclose(limited, expected, atol=1e-4)


@pytest.mark.parametrize("limits", [{}, {"lower": (300, 100)}, {"upper": (100, 5000)}, {"lower": (0, 100)}])
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(UsageError, match="BandLimit"):
        BandLimit(**limits, sample_rate=RATE)


def test_rooms_begin_with_the_direct_sound_and_keep_the_level(responses):
    references = noise(samples=RATE)
    wet = RoomResponse(responses, sample_rate=RATE)(references, 0)
    for dry, heard in zip(references[:, 0], wet[:, 0], strict=True):
        delays = np.fft.irfft(np.fft.rfft(heard, 2 * RATE) * np.fft.rfft(dry, 2 * RATE).conj())
        assert np.abs(delays).argmax() == 0
    ratios = 10 * np.log10(np.square(wet).mean(axis=2) / np.square(references).mean(axis=2))
    assert np.abs(ratios).max() < 2


def test_a_room_is_a_convolution_cut_to_length(tmp_path):
    write_response(tmp_path / "room.wav", [0.0, 0.1, 2.0, 1.0, -0.5])
    source = noise(1, 1, 50)
    wet = RoomResponse(tmp_path, sample_rate=RATE)(source, 0)
    response = np.array([2.0, 1.0, -0.5]) / np.sqrt(5.25)
    np.testing.assert_allclose(wet[0, 0], np.convolve(source[0, 0], response)[:50], atol=1e-6)


def test_a_response_is_resampled_and_its_first_channel_is_for_everybody(tmp_path):
    decay = np.exp(-np.arange(1600) / 300)[:, None]
    write_response(tmp_path / "room.wav", decay * [[1.0, -0.2]], 2 * RATE)
    wet = RoomResponse(tmp_path, sample_rate=RATE)(noise(1, 1), 0)
    write_response(tmp_path / "half" / "room.wav", decay[::2])
    expected = RoomResponse(tmp_path / "half", sample_rate=RATE)(noise(1, 1), 0)
    assert np.corrcoef(wet.ravel(), expected.ravel())[0, 1] > 0.99


def test_rooms_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no audio files in"):
        RoomResponse(tmp_path, sample_rate=RATE)
    write_response(tmp_path / "silent.wav", np.zeros(100))
    with pytest.raises(AudioError, match=r"silent\.wav is silent"):
        RoomResponse(tmp_path, sample_rate=RATE)(noise(), 0)
