"""Corpora without files."""

import pickle
import time

import numpy as np
import pytest

from soloist.datasets import SyntheticBand, SyntheticTalkers, synthesize_band, synthesize_talker
from soloist.errors import AudioError, UsageError
from soloist.mixing import ClipMixer, StemMixer


def test_songs_are_those_of_the_band_whatever_the_stretch():
    track = SyntheticBand(songs=2, seconds=1.5, sample_rate=8000).tracks("valid")[0]
    song = synthesize_band(1.5, sample_rate=8000, seed=1)
    for name, stem in track.stems.items():
        np.testing.assert_array_equal(stem.read()[0], song[name])
        np.testing.assert_array_equal(stem.read(0.5, 0.25)[0], song[name][:, 4000:6000])
        np.testing.assert_array_equal(np.concatenate(list(stem.blocks(777)), axis=1), song[name])
    assert (track.duration, track.sample_rate) == (1.5, 8000)


@pytest.mark.parametrize("counts", [(1, 40), (7, 3)])
def test_no_song_and_no_talker_is_in_two_splits(counts):
    songs, talkers = {}, {}
    for count in counts:
        band, people = SyntheticBand(songs=count), SyntheticTalkers(talkers=count, utterances=1)
        for split in band.splits:
            songs.setdefault(split, set()).update(track.name for track in band.tracks(split))
            talkers.setdefault(split, set()).update(track.labels[0] for track in people.tracks(split))
    for groups in (songs, talkers):
        assert sum(map(len, groups.values())) == len(set.union(*groups.values()))


def test_a_larger_corpus_has_the_songs_of_a_smaller_one():
    few, many = ({track.name for track in SyntheticBand(songs=count).tracks("train")} for count in (3, 9))
    assert few < many
    assert (len(few), len(many)) == (3, 9)


def test_an_excerpt_does_not_cost_a_song():
    stems = SyntheticBand(songs=1, seconds=6.0).tracks("test")[0].stems
    started = time.process_time()
    first = stems["vocals"].read(2.0, 1.0)[0]
    whole = time.process_time() - started
    started = time.process_time()
    again, *_ = (stem.read(2.0, 1.0)[0] for stem in stems.values())
    assert time.process_time() - started < whole / 20
    np.testing.assert_array_equal(first, again)


def test_what_is_read_cannot_be_spoilt_for_the_next():
    stem = SyntheticTalkers(seconds=0.1).tracks("train")[0].stems["talker"]
    with pytest.raises(ValueError, match="read-only"):
        stem.read()[0][:] = 0


def test_stems_go_to_other_processes():
    track = SyntheticTalkers(seconds=0.2).tracks("train")[3]
    copied = pickle.loads(pickle.dumps(track))
    np.testing.assert_array_equal(copied.stems["talker"].read()[0], track.stems["talker"].read()[0])


def test_clips_are_those_of_their_talkers():
    corpus = SyntheticTalkers(talkers=4, utterances=2, seconds=0.5, sample_rate=16000)
    track = corpus.tracks("test")[3]
    assert (track.name, track.labels) == ("talker 5, utterance 1", ("talker 5",))
    expected = synthesize_talker(0.5, talker=5, utterance=1, sample_rate=16000)
    np.testing.assert_array_equal(track.stems["talker"].read()[0], expected)


def test_an_excerpt_beyond_the_end_is_refused():
    stem = SyntheticBand(seconds=0.1).tracks("train")[0].stems["bass"]
    with pytest.raises(AudioError, match=r"ends before 0\.100 s"):
        stem.read(0.1)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: SyntheticBand(songs=0), "songs"),
        (lambda: SyntheticBand(seconds=0.0), "seconds"),
        (lambda: SyntheticTalkers(talkers=0), "talkers"),
        (lambda: SyntheticTalkers(utterances=0), "utterances"),
        (lambda: SyntheticTalkers(seconds=float("inf")), "seconds"),
    ],
)
def test_what_cannot_be_made_is_named(make, name):
    with pytest.raises(UsageError, match=name):
        make()


def test_talkers_and_songs_can_be_mixed():
    talkers = ClipMixer(
        SyntheticTalkers(talkers=3, utterances=2, seconds=1.0),
        "valid",
        sources=("a", "b"),
        sample_rate=8000,
        duration=0.8,
    ).draw(0)
    assert talkers.references.shape == (2, 1, 6400)
    np.testing.assert_allclose(talkers.references.sum(axis=0), talkers.mixture, atol=1e-5)
    songs = StemMixer(
        SyntheticBand(songs=2, seconds=1.0, sample_rate=8000),
        "train",
        sources=("vocals", "accompaniment"),
        sample_rate=8000,
        duration=0.5,
        coherence=0.0,
    ).draw(0)
    assert songs.references.shape == (2, 2, 4000)
    assert np.abs(songs.references).max(axis=(1, 2)).min() > 0
