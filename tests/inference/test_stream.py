import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import AudioError, UsageError
from soloist.inference import StreamSettings, TorchEngine, find_device, measure_level, separate_stream
from soloist.separators import Chunking, Level, separate_blocks, separate_chunked
from toy_separators import Smoother, Swapping


def noise(channels, samples, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, samples)).astype(np.float32) * 0.2


def blocks_of(audio, length):
    return (audio[:, start : start + length] for start in range(0, audio.shape[1], length))


def separate(separator, audio, rate=8000, block=None, **settings):
    settings.setdefault("level", None)
    level, ahead = settings.pop("level"), settings.pop("ahead", False)
    pairs = list(
        separate_stream(
            separator,
            blocks_of(audio, block or audio.shape[1]),
            rate,
            level=level,
            settings=StreamSettings(**settings),
            ahead=ahead,
        )
    )
    mixture = np.concatenate([pair[0] for pair in pairs], axis=-1)
    stems = np.concatenate([pair[1] for pair in pairs], axis=-1)
    np.testing.assert_array_equal(mixture, audio)
    assert stems.shape == (2, *audio.shape)
    return stems


@given(samples=st.integers(1, 1500), channels=st.integers(1, 6), model_channels=st.integers(1, 2))
def test_the_stems_have_the_shape_of_the_mixture(samples, channels, model_channels):
    audio = noise(channels, samples)
    separator = Smoother(channels=model_channels)
    stems = separate(separator, audio)
    np.testing.assert_allclose(stems.sum(axis=0), audio, atol=1e-6)


@pytest.mark.parametrize("rate", [7350, 16000, 44100, 48000])
@pytest.mark.parametrize("samples", [1, 100, 12345])
def test_another_rate_keeps_the_length_and_the_alignment(rate, samples):
    time = np.arange(samples) / rate
    audio = np.stack([np.sin(2 * np.pi * 300 * time), np.cos(2 * np.pi * 500 * time)]).astype(np.float32)
    stems = separate(Smoother(channels=2), audio, rate)
    inner = slice(1000, -1000)
    np.testing.assert_allclose(stems.sum(axis=0)[:, inner], audio[:, inner], atol=2e-3)


@given(block=st.integers(1, 700))
def test_the_reader_s_block_size_changes_nothing(block):
    audio = noise(2, 2000)
    separator = Smoother(channels=2)
    np.testing.assert_array_equal(separate(separator, audio, block=block), separate(separator, audio))
    converted = separate(separator, audio, 11025)
    np.testing.assert_allclose(separate(separator, audio, 11025, block=block), converted, atol=1e-6)


@given(shifts=st.integers(2, 4), samples=st.integers(1, 6000), block=st.integers(50, 3000))
def test_shifted_passes_are_averaged_in_place(shifts, samples, block):
    separator = Smoother()
    audio = noise(1, samples)
    np.testing.assert_allclose(
        separate(separator, audio, shifts=shifts, block=block), separate(separator, audio), atol=1e-5
    )


def test_shifts_are_evenly_spaced_or_drawn_from_a_seed():
    rate, most = 8000, 4000
    assert StreamSettings(shifts=4).delays(rate) == [0, 1000, 2000, 3000]
    drawn = StreamSettings(shifts=200, shift_seed=3).delays(rate)
    assert drawn == StreamSettings(shifts=200, shift_seed=3).delays(rate)
    assert drawn != StreamSettings(shifts=200, shift_seed=4).delays(rate)
    assert 0 <= min(drawn) < 0.05 * most
    assert 0.95 * most < max(drawn) <= most


def test_a_seed_of_shifts_gives_the_same_stems_again():
    audio, separator = noise(1, 5000), Smoother(bias=0.2)
    first, again, other = (
        separate(separator, audio, shifts=2, overlap=0.0, shift_seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_shifts_of_sources_without_an_order_are_matched():
    audio = noise(1, 9000)
    stems = separate(Swapping(reach=5), audio, shifts=2, overlap=0.3)
    expected = separate(Smoother(reach=5), audio)
    errors = [np.abs(order - expected).max() for order in (stems, stems[::-1])]
    assert min(errors) < 1e-5


@pytest.mark.parametrize("separator", [Smoother(bias=0.5), Smoother(bias=0.5, normalization="chunk")])
def test_digital_silence_stays_digital_silence(separator):
    assert np.abs(separate(separator, np.zeros((2, 1000), np.float32))).max() == 0


def test_a_silent_chunk_is_silent_beside_sounding_ones():
    audio = noise(1, 2000)
    audio[:, 500:1500] = 0
    stems = separate(Smoother(bias=0.5), audio, batch_size=4)
    assert np.abs(stems[..., 800:1200]).max() == 0
    assert np.abs(stems[..., :400]).max() > 0.5


@given(samples=st.integers(2, 3000), block=st.integers(1, 500))
def test_the_level_of_a_track_is_measured_in_blocks(samples, block):
    audio = noise(2, samples) + 0.3
    measured = measure_level(blocks_of(audio, block))
    expected = Level.of(torch.from_numpy(audio)[None])
    torch.testing.assert_close(measured.mean, expected.mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(measured.deviation, expected.deviation, atol=1e-6, rtol=1e-4)


def test_a_track_has_zeros_around_it_after_its_mean_was_taken():
    class Centered(Smoother):
        chunk_edges = "centered"

        def input_length(self, samples):
            return 240

    audio = noise(1, 900) + 0.3
    level = measure_level([audio])
    separator = Centered(reach=15, normalization="track")
    seen = level.normalize(torch.from_numpy(audio)[None])
    expected = level.restore(separator_chunks(separator, seen), 0.5)[0].numpy()
    for shifts in (1, 3):
        found = separate(separator, audio, level=level, shifts=shifts)
        np.testing.assert_allclose(found[..., :5], expected[..., :5], atol=1e-5)
        np.testing.assert_allclose(found[..., -5:], expected[..., -5:], atol=1e-5)
    silent = np.concatenate([audio, np.zeros((1, 2000), np.float32)], axis=1)
    assert np.abs(separate(separator, silent, level=measure_level([silent]))[..., -300:]).max() == 0


def separator_chunks(separator, mixture):
    return separate_chunked(separator, mixture, Chunking.of(separator))


def test_a_separator_normalised_by_the_track_uses_the_level_of_the_track():
    audio = np.concatenate([noise(1, 1000) * 0.01, noise(1, 1000)], axis=1)
    separator = Smoother(bias=1.0, normalization="track")
    level = measure_level([audio])
    stems = separate(separator, audio, level=level)
    expected = separator(torch.from_numpy(audio)[None])[0].numpy()
    np.testing.assert_allclose(stems, expected, atol=1e-5)


def test_unordered_sources_agree_across_channels():
    class ByChannel(Swapping):
        def estimate(self, mixture):
            estimates = Smoother.estimate(self, mixture)
            return torch.cat([estimates[:1], estimates[1:].flip(1)])

    shared = noise(1, 1000)
    audio = np.concatenate([shared, 0.7 * shared])
    stems = separate(ByChannel(), audio)
    np.testing.assert_allclose(stems[:, 1], 0.7 * stems[:, 0], atol=1e-6)


def test_an_engine_leaves_its_separator_trainable():
    separator = Smoother()
    separator.weight = torch.nn.Parameter(torch.ones(1))
    TorchEngine(separator, "cpu")
    assert separator.weight.requires_grad


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="quantum"):
        find_device("quantum")


@pytest.mark.parametrize("settings", [{"shifts": 0}, {"batch_size": 0}, {"chunk": 0.0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UsageError):
        StreamSettings(**settings)


class TestAhead:
    """A network that runs in a thread while the last stems are taken."""

    @given(
        samples=st.integers(1, 1500),
        rate=st.sampled_from([7000, 8000]),
        block=st.integers(50, 700),
        batch_size=st.integers(1, 3),
        make=st.sampled_from([Smoother, Swapping]),
    )
    def test_the_stems_are_the_same_to_the_bit(self, samples, rate, block, batch_size, make):
        audio, settings = noise(2, samples), {"block": block, "batch_size": batch_size}
        in_turn = separate(make(channels=2), audio, rate, **settings)
        np.testing.assert_array_equal(
            separate(make(channels=2), audio, rate, ahead=True, **settings), in_turn
        )

    def test_it_is_two_batches_ahead_and_no_more(self):
        separator, called = Smoother(), threading.Semaphore(0)
        engine = TorchEngine(separator, "cpu")

        def estimate(mixture):
            called.release()
            return engine(mixture)

        plan = Chunking.of(separator, overlap=0.1)
        parts = separate_blocks(estimate, [torch.ones(1, 1, 4000)], plan, ahead=True)
        next(parts)
        for _ in range(3):
            assert called.acquire(timeout=10)
        assert not called.acquire(timeout=0.05)
        next(parts)
        assert called.acquire(timeout=10)
        parts.close()

    def test_an_error_comes_after_the_stems_before_it(self):
        def damaged():
            yield noise(1, 1500)
            raise AudioError("damaged")

        def length(ahead):
            taken = []
            pairs = separate_stream(Smoother(), damaged(), 8000, ahead=ahead)
            with pytest.raises(AudioError, match="damaged"):
                taken.extend(mixture.shape[1] for mixture, _ in pairs)
            return taken

        assert length(ahead=True) == length(ahead=False) != []

    def test_whoever_stops_early_ends_the_thread(self):
        ended = threading.Event()

        def blocks():
            try:
                while True:
                    yield noise(1, 500)
            finally:
                ended.set()

        stream = separate_stream(Smoother(), blocks(), 8000, ahead=True)
        next(stream)
        stream.close()
        assert ended.wait(timeout=10)
