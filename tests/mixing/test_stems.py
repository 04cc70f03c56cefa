"""Mixtures of stems: choice of stems, sums."""

import numpy as np
import pytest
import soundfile

from numbered_tracks import RATE, STEMS, origin, write_numbered
from soloist.datasets import StemFolders
from soloist.errors import AudioError, UsageError
from soloist.mixing import BandLimit, ChannelSwap, Gain, PitchTempo, Polarity, StemMixer, TimeShift


def mixer(corpus, sources=STEMS, split="all", duration=0.2, sample_rate=RATE, **arguments):
    return StemMixer(
        corpus, split, sources=sources, sample_rate=sample_rate, duration=duration, channels=1, **arguments
    )


@pytest.fixture
def corpus(tmp_path):
    return write_numbered(tmp_path, (1000, 500, 2000))


def test_coherent_stems_are_of_one_track_and_one_time(corpus):
    for index in range(20):
        example = mixer(corpus).draw(index)
        origins = {origin(reference) for reference in example.references}
        assert len(origins) == 1
        track, start = origins.pop()
        assert example.name == f"track{track}"
        assert 0 <= start <= (1000, 500, 2000)[track] - 200


def test_times_are_drawn_from_the_whole_track(corpus):
    starts = [
        origin(mixer(corpus).draw(3 * cycle + place).references[0])
        for cycle in range(100)
        for place in range(3)
    ]
    longest = [start for track, start in starts if track == 2]
    assert min(longest) < 200
    assert max(longest) > 1600


def test_incoherent_stems_are_of_any_track_and_time(corpus):
    drawn = [mixer(corpus, coherence=0.0).draw(index) for index in range(60)]
    origins = np.array([[origin(reference) for reference in example.references] for example in drawn])
    tracks, starts = origins[..., 0], origins[..., 1]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert 0.1 < np.mean(tracks[:, first] == tracks[:, second]) < 0.6
        assert np.mean(starts[:, first] == starts[:, second]) < 0.2
    names = [f"{stem} of track{track}" for stem, track in zip(sorted(STEMS), tracks[0], strict=True)]
    assert drawn[0].name == " + ".join(names)


def test_coherence_is_a_probability(corpus):
    half = mixer(corpus, coherence=0.5)
    coherent = [len({origin(reference) for reference in half.draw(n).references}) == 1 for n in range(100)]
    assert 0.35 < np.mean(coherent) < 0.65


@pytest.mark.parametrize("coherence", [0.0, 1.0])
def test_each_stem_goes_through_all_tracks_before_any_comes_again(corpus, coherence):
    mixed = mixer(corpus, coherence=coherence)
    assert len(mixed) == 3
    drawn = np.array([[origin(part)[0] for part in mixed.draw(index).references] for index in range(9)])
    for cycle in drawn.reshape(3, 3, len(STEMS)):
        assert (np.sort(cycle, axis=0).T == [0, 1, 2]).all()


def test_tracks_in_proportion_to_their_duration(corpus):
    balanced = mixer(corpus, balance="duration")
    tracks = [origin(balanced.draw(index).references[0])[0] for index in range(400)]
    shares = np.bincount(tracks, minlength=3) / 400
    np.testing.assert_allclose(shares, np.array([1000, 500, 2000]) / 3500, atol=0.08)


def test_the_mixture_has_stems_that_nobody_asked_for(corpus):
    everything = mixer(corpus).draw(5)
    vocals = mixer(corpus, sources=["vocals"]).draw(5)
    np.testing.assert_array_equal(vocals.mixture, everything.mixture)
    np.testing.assert_array_equal(vocals.references[0], everything.references[STEMS.index("vocals")])


def test_unions_mean_what_they_mean_in_evaluations(corpus):
    stems = mixer(corpus, coherence=0.0).draw(2).references
    unions = (
        mixer(corpus, coherence=0.0, sources=["accompaniment", "no_drums", "percussive"]).draw(2).references
    )
    bass, drums, vocals = stems
    np.testing.assert_allclose(unions, [bass + drums, bass + vocals, drums], rtol=1e-6)


def test_a_stem_that_a_track_lacks_is_silent(tmp_path):
    write_numbered(tmp_path / "with", (400,))
    write_numbered(tmp_path / "without", (400,), ("drums", "vocals"))
    mixed = mixer(StemFolders(tmp_path), sources=["bass", "accompaniment"])
    heard = {example.name: example for example in map(mixed.draw, range(2))}
    assert (heard["without/track0"].references[0] == 0).all()
    assert (heard["without/track0"].references[1] > 0).all()
    assert (heard["with/track0"].references[0] > 0).all()


def test_whole_tracks(corpus):
    whole = mixer(corpus, duration=None)
    lengths = {example.name: example.mixture.shape for example in map(whole.draw, range(3))}
    assert lengths == {"track0": (1, 1000), "track1": (1, 500), "track2": (1, 2000)}


def test_a_track_that_is_too_short_is_followed_by_silence(corpus):
    examples = [mixer(corpus, duration=0.7).draw(index) for index in range(3)]
    assert {example.mixture.shape for example in examples} == {(1, 700)}
    short = next(example for example in examples if example.name == "track1")
    assert (short.mixture[:, :500] > 0).all()
    assert (short.mixture[:, 500:] == 0).all()


AUGMENTATIONS = [
    Gain(),
    Polarity(),
    ChannelSwap(),
    TimeShift(0.1, sample_rate=8000),
    PitchTempo(sample_rate=8000, p=1.0),
    BandLimit((100, 200), (1000, 3000), sample_rate=8000, p=1.0),
]


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noises")
    rng = np.random.default_rng(0)
    for track in "ab":
        (folder / track).mkdir()
        for stem in STEMS:
            soundfile.write(folder / track / f"{stem}.flac", rng.uniform(-0.2, 0.2, (8000, 2)), 8000)
    return StemFolders(folder)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("coherence", [0.0, 1.0])
def test_stems_sum_to_the_mixture_after_every_augmentation(noises, augmentation, coherence):
    arguments = {"sources": STEMS, "sample_rate": 8000, "duration": 0.5, "coherence": coherence}
    plain = StemMixer(noises, "all", **arguments).draw(1)
    varied = StemMixer(noises, "all", augmentations=[augmentation], **arguments).draw(1)
    assert varied.mixture.shape == plain.mixture.shape
    np.testing.assert_allclose(varied.references.sum(axis=0), varied.mixture, atol=1e-6)
    assert not np.allclose(varied.references, plain.references, atol=1e-3)


def test_a_faster_tempo_leaves_no_silence_at_the_end(noises):
    faster = PitchTempo((0.0, 0.0), (1.25, 1.25), sample_rate=8000, p=1.0)
    mixed = StemMixer(
        noises, "all", sources=STEMS, sample_rate=8000, duration=0.5, augmentations=[faster, Gain()]
    )
    drawn = [mixed.draw(index) for index in range(6)]
    assert all(np.abs(example.references[..., -200:]).max() > 0.05 for example in drawn)


def test_a_file_that_cannot_be_read_is_named(corpus, tmp_path):
    (tmp_path / "track1" / "drums.wav").write_bytes(b"RIFF, but not really")
    with pytest.raises(AudioError, match=r"track1/drums\.wav"):
        [mixer(StemFolders(tmp_path)).draw(index) for index in range(3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sources": ["piano"]}, "has no piano: there are bass, drums, vocals"),
        ({"coherence": 1.5}, "coherence must be a probability"),
        ({"duration": None, "coherence": 0.5}, "only with a duration"),
        ({"duration": 0.0}, "duration must be a positive time"),
        ({"split": "test"}, "no split 'test'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(corpus, arguments, message):
    with pytest.raises(UsageError, match=message):
        mixer(corpus, **arguments)


def test_real_songs(shared):
    songs = StemFolders(shared / "data" / "songs")
    mixed = StemMixer(
        songs, "all", sources=["vocals", "accompaniment"], sample_rate=44100, duration=1.0, coherence=0.5
    )
    for index in range(4):
        example = mixed.draw(index)
        assert example.references.shape == (2, 2, 44100)
        np.testing.assert_allclose(example.references.sum(axis=0), example.mixture, atol=1e-6)
        assert np.abs(example.mixture).max() > 1e-3


@pytest.mark.parametrize("coherence", [0.0, 1.0])
def test_few_songs_of_a_split_are_spread_over_it(tmp_path, coherence):
    few = mixer(write_numbered(tmp_path, (500,) * 7), coherence=coherence, max_tracks=3)
    assert len(few) == 3
    drawn = {origin(stem)[0] for index in range(9) for stem in few.draw(index).references}
    assert drawn == {0, 2, 4}


def test_more_songs_than_there_are_do_not_matter_and_none_are_refused(corpus):
    assert len(mixer(corpus, max_tracks=9)) == 3
    with pytest.raises(UsageError, match="at least 1 track must be taken, not 0"):
        mixer(corpus, max_tracks=0)
