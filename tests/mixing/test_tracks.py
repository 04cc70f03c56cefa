"""Recorded mixtures, with their references."""

import numpy as np
import pytest
import soundfile

from numbered_tracks import RATE, origin, write_numbered
from soloist.datasets import StemFolders
from soloist.errors import AudioError, UsageError
from soloist.mixing import TrackMixer

SOURCES = ("s1", "s2")


def mixer(corpus, sources=SOURCES, **arguments):
    return TrackMixer(corpus, "all", sources=sources, sample_rate=RATE, **arguments)


@pytest.fixture
def corpus(tmp_path):
    """Three tracks of two talkers and a noise, with a mixture that exceeds their sum."""
    write_numbered(tmp_path, (1000, 500, 800), ("s1", "s2", "noise"))
    for track in tmp_path.iterdir():
        talker, _ = soundfile.read(track / "s1.wav", dtype="float32")
        soundfile.write(track / "mixture.wav", 4 * talker, RATE, subtype="FLOAT")
    return StemFolders(tmp_path)


def test_mixture_and_references_are_as_recorded_at_one_time(corpus):
    for index in range(12):
        example = mixer(corpus, duration=0.2).draw(index)
        assert example.references.shape == (2, 1, 200)
        assert origin(example.references[0]) == origin(example.references[1])
        np.testing.assert_array_equal(example.mixture, 4 * example.references[0])
        assert example.name == f"track{origin(example.references[0])[0]}"


def test_each_track_once_in_a_pass(corpus):
    whole = mixer(corpus, duration=None)
    examples = [whole.draw(index) for index in range(len(whole))]
    assert {example.name: example.mixture.shape[1] for example in examples} == {
        "track0": 1000,
        "track1": 500,
        "track2": 800,
    }


def test_without_a_file_the_mixture_is_the_sum_of_all_stems(tmp_path):
    example = mixer(write_numbered(tmp_path, (400,), ("s1", "s2", "noise"))).draw(0)
    np.testing.assert_allclose(example.mixture, 3 * example.references[0])


def test_stems_that_nobody_asked_for_are_not_read(corpus):
    (corpus.root / "track0" / "noise.wav").write_bytes(b"nothing that can be read")
    for index in range(3):
        mixer(corpus).draw(index)
    with pytest.raises(AudioError, match=r"track0/noise\.wav"):
        [mixer(corpus, sources=["noise"]).draw(index) for index in range(3)]


def test_a_source_that_a_track_lacks_is_silent(corpus):
    (corpus.root / "track1" / "s2.wav").unlink()
    examples = {example.name: example for example in map(mixer(corpus).draw, range(3))}
    assert (examples["track1"].references[1] == 0).all()
    assert np.abs(examples["track0"].references[1]).max() > 0


def test_short_tracks_are_followed_by_silence(corpus):
    examples = {example.name: example for example in map(mixer(corpus, duration=0.9).draw, range(3))}
    assert (examples["track1"].mixture[:, 500:] == 0).all()
    assert (examples["track1"].mixture[:, :500] > 0).all()


def test_unknown_sources_are_refused(corpus):
    with pytest.raises(UsageError, match="has no s3: there are noise, s1, s2"):
        mixer(corpus, sources=["s1", "s3"])


def test_few_mixtures_of_a_split(corpus):
    few = mixer(corpus, duration=0.2, max_tracks=2)
    assert len(few) == 2
    assert {few.draw(index).name for index in range(4)} == {"track0", "track1"}
