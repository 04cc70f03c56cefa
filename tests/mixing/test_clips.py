"""Mixtures of single sounds: labels, levels, audibility."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from soloist.datasets import ClipFolder
from soloist.errors import AudioError, UsageError
from soloist.mixing import ClipMixer, Gain
from soloist.mixing.clip_reader import AUDIBLE

RATE = 8000
TALKERS = ("ann", "ben", "cem", "dora")
SECONDS = (0.2, 0.5, 1.5)


def write_clips(folder, talkers=TALKERS, seconds=SECONDS):
    """Noise of each talker in clips of several lengths, at very different levels."""
    rng = np.random.default_rng(0)
    for talker in talkers:
        (folder / talker).mkdir(parents=True)
        for take, length in enumerate(seconds):
            noise = rng.uniform(-1, 1, round(length * RATE)) * 10 ** rng.uniform(-1.5, -0.1)
            soundfile.write(folder / talker / f"{take}.flac", noise, RATE)
    return ClipFolder(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips") / "corpus")


def mixer(corpus, count=2, **arguments):
    sources = [f"talker{number + 1}" for number in range(count)]
    return ClipMixer(corpus, "all", sources=sources, sample_rate=RATE, **{"duration": 1.0, **arguments})


def decibels(reference):
    return 10 * np.log10(np.square(reference, dtype=np.float64).sum())


counts = st.sampled_from([2, 3, 4])
gaps = st.sampled_from([None, 0.0, 0.2])
indices = st.integers(0, 2**44)


@given(counts, gaps, indices)
def test_everybody_is_somebody_else_and_heard(corpus, count, gap, index):
    example = mixer(corpus, count, gap=gap).draw(index)
    talkers = [clip.split("/")[0] for clip in example.name.split(" + ")]
    assert len(set(talkers)) == count
    assert (np.sqrt(np.square(example.references).mean(axis=(1, 2))) > AUDIBLE / 100).all()
    assert example.references.shape == (count, 1, RATE)


@given(counts, gaps, indices, st.floats(-20, 20), st.floats(0, 10))
def test_levels_differ_by_what_is_asked_for(corpus, count, gap, index, low, width):
    example = mixer(corpus, count, gap=gap, snr=(low, low + width)).draw(index)
    first, *others = map(decibels, example.references)
    for other in others:
        assert low - 1e-3 <= first - other <= low + width + 1e-3


def test_level_differences_fill_their_range(corpus):
    drawn = [mixer(corpus, snr=(-5, 5)).draw(index).references for index in range(200)]
    ratios = np.array([decibels(first) - decibels(second) for first, second in drawn])
    assert np.histogram(ratios, bins=5, range=(-5, 5))[0].min() > 20


@given(counts, indices)
def test_sources_sum_to_a_mixture_of_one_peak(corpus, count, index):
    example = mixer(corpus, count, augmentations=[Gain((-20, 20))]).draw(index)
    np.testing.assert_allclose(example.references.sum(axis=0), example.mixture, atol=1e-6)
    assert np.abs(example.mixture).max() == pytest.approx(0.9, abs=1e-6)


@given(indices)
def test_an_example_is_a_function_of_its_number(corpus, index):
    first, again = mixer(corpus).draw(index), mixer(corpus).draw(index)
    np.testing.assert_array_equal(first.mixture, again.mixture)
    np.testing.assert_array_equal(first.references, again.references)
    assert not np.array_equal(mixer(corpus, seed=1).draw(index).mixture, first.mixture)


def test_every_clip_comes_first_once_before_any_again(corpus):
    mixed = mixer(corpus)
    assert len(mixed) == len(TALKERS) * len(SECONDS)
    for cycle in range(2):
        numbers = range(cycle * len(mixed), (cycle + 1) * len(mixed))
        assert len({mixed.draw(number).name.split(" + ")[0] for number in numbers}) == len(mixed)


def test_short_clips_are_followed_by_others_of_the_same_talker_or_by_silence(tmp_path):
    corpus = write_clips(tmp_path / "short", seconds=(0.2, 0.2))
    alone = mixer(corpus).draw(0).references
    assert ((alone != 0).mean(axis=(1, 2)) < 0.21).all()
    filled = mixer(corpus, gap=0.0).draw(0).references
    assert ((filled != 0).mean(axis=(1, 2)) > 0.99).all()
    paused = mixer(corpus, gap=0.2).draw(0).references
    assert ((paused != 0).mean(axis=(1, 2)) > 0.5).all()
    assert ((paused == 0).mean(axis=(1, 2)) > 0.02).any()


def test_stretches_in_which_there_is_nothing_are_not_mixed(tmp_path):
    """Half a second of sound in a clip of ten seconds is found."""
    rng = np.random.default_rng(0)
    for talker in ("ann", "ben"):
        (tmp_path / talker).mkdir()
        clip = 1e-4 * rng.uniform(-1, 1, 10 * RATE)
        clip[:4000] = rng.uniform(-0.5, 0.5, 4000)
        soundfile.write(tmp_path / talker / "1.wav", clip, RATE, subtype="FLOAT")
    corpus = ClipFolder(tmp_path)
    for index in range(5):
        loudest = np.abs(mixer(corpus, duration=3.0).draw(index).references).max(axis=-1)
        typical = np.median(np.abs(mixer(corpus, duration=3.0).draw(index).references), axis=-1)
        assert (loudest > 100 * typical).all()


def test_a_silent_clip_is_named(tmp_path):
    corpus = write_clips(tmp_path / "corpus", talkers=("ann", "ben"), seconds=(2.0,))
    soundfile.write(tmp_path / "corpus" / "ben" / "0.flac", np.zeros(2 * RATE), RATE)
    with pytest.raises(AudioError, match=r"ben/0\.flac is silent"):
        mixer(corpus).draw(0)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    corpus = write_clips(tmp_path / "corpus", talkers=("ann", "ben"), seconds=(2.0,))
    (tmp_path / "corpus" / "ann" / "0.flac").write_bytes(b"fLaC and nothing else")
    with pytest.raises(AudioError, match=r"ann/0\.flac"):
        mixer(corpus).draw(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 5}, "5 sources of different labels are wanted, but .* has 4: ann, ben, cem, dora"),
        ({"snr": (5.0, -5.0)}, "snr .* is out of range"),
        ({"gap": -1.0}, "gap -1.0 s is out of range"),
        ({"duration": 0.0}, "duration must be a positive time"),
    ],
)
def test_what_cannot_be_mixed_is_refused(corpus, arguments, message):
    with pytest.raises(UsageError, match=message):
        mixer(corpus, **arguments)


def test_real_digits(shared):
    digits = ClipFolder(shared / "data" / "fsdd" / "recordings", r"\d_(?P<speaker_name>[a-z]+)_\d+\.wav")
    example = mixer(digits, duration=2.0, gap=0.2).draw(3)
    assert {name.split("_")[1] for name in example.name.split(" + ")} <= {
        *("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    }
    assert -5 <= decibels(example.references[0]) - decibels(example.references[1]) <= 5


def test_few_clips_are_of_many_talkers(corpus):
    few = mixer(corpus, max_tracks=4)
    assert len(few) == 4
    heard = {name for index in range(40) for name in few.draw(index).name.split(" + ")}
    assert heard == {f"{talker}/0" for talker in TALKERS}
