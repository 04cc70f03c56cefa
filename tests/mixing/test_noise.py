"""Mixtures of clips with noises: ratios, levels, corpora by their priors, songs as noises."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from soloist.datasets import ClipFolder, StemFolders
from soloist.errors import UsageError
from soloist.mixing import NoiseMixer, Polarity

RATE = 8000


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Talkers, streets, and songs of two stems; seconds that name themselves by their level."""
    root = tmp_path_factory.mktemp("noisy")
    rng = np.random.default_rng(0)
    for folder, names in (
        ("talkers", ("ann/0", "ann/1", "ben/0")),
        ("streets", ("car/0", "rain/0")),
        ("songs", ("one/vocals", "one/drums")),
    ):
        for name in names:
            path = root / folder / f"{name}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, rng.uniform(-0.4, 0.4, RATE), RATE, subtype="PCM_24")
    return ClipFolder(root / "talkers"), ClipFolder(root / "streets"), StemFolders(root / "songs")


def mixer(corpora, **arguments):
    talkers, *noises = corpora
    settings = {"sources": ["speech", "noise"], "sample_rate": RATE, "duration": 0.5, **arguments}
    return NoiseMixer(talkers, settings.pop("noises", noises), "all", **settings)


def energy(signal):
    return 10 * np.log10(np.square(signal, dtype=np.float64).sum())


@pytest.mark.parametrize("index", range(6))
def test_ratio_and_peak_are_within_their_ranges(corpora, index):
    example = mixer(corpora, snr=(2, 4), peak=(-20, -10)).draw(index)
    speech, noise = example.references
    assert 2 - 1e-3 <= energy(speech) - energy(noise) <= 4 + 1e-3
    assert -20 - 1e-3 <= 20 * np.log10(np.abs(example.mixture).max()) <= -10 + 1e-3
    np.testing.assert_allclose(speech + noise, example.mixture, atol=1e-7)


def test_with_one_source_the_noise_is_in_the_mixture_alone(corpora):
    one, two = (mixer(corpora, sources=sources).draw(3) for sources in (["speech"], ["speech", "noise"]))
    np.testing.assert_array_equal(one.references, two.references[:1])
    np.testing.assert_array_equal(one.mixture, two.mixture)


def test_every_clip_in_turn_and_corpora_by_their_priors(corpora):
    drawn = [mixer(corpora, priors=[3, 1]).draw(index).name.split(" in ") for index in range(60)]
    clips, noises = zip(*drawn, strict=True)
    assert all(clips.count(clip) == 20 for clip in ("ann/0", "ann/1", "ben/0"))
    assert 5 <= noises.count("one") <= 25
    assert {"car/0", "rain/0", "one"} == set(noises)


def test_a_song_is_heard_with_all_its_stems(corpora):
    songs = corpora[2]
    stems = songs.tracks("all")[0].stems.values()
    whole = sum(stem.read()[0] for stem in stems)[0]
    noise = mixer(corpora, noises=[songs], duration=1.0, gap=None).draw(0).references[1, 0]
    assert np.corrcoef(whole, noise)[0, 1] > 0.999


def test_short_sounds_are_followed_by_others_of_the_same_label(corpora):
    example = mixer(corpora, duration=3.0, gap=0.0).draw(0)
    seconds = example.references[..., : 3 * RATE].reshape(2, 3, RATE)
    assert (np.square(seconds).mean(axis=-1) > 0).all()


def test_a_second_noise_joins_the_first_and_is_softer(corpora):
    streets = corpora[1]
    sounds = np.concatenate([track.stems["speaker_name"].read()[0] for track in streets.tracks("all")])
    both = mixer(corpora, noises=[streets], second=1.0, duration=1.0)
    examples = [example for example in map(both.draw, range(20)) if "car/0 and rain/0" in example.name]
    assert len(examples) >= 3
    for example in examples:
        gains = np.linalg.lstsq(sounds.T, example.references[1, 0], rcond=None)[0]
        np.testing.assert_allclose(gains @ sounds, example.references[1, 0], atol=1e-5)
        assert -10.1 <= energy(gains[1] * sounds[1]) - energy(gains[0] * sounds[0]) <= 0.1
    some = [" and " in mixer(corpora, second=0.5).draw(index).name for index in range(40)]
    assert 10 <= sum(some) <= 30


def test_augmentations_of_noises_leave_the_clip_alone(corpora):
    plain, turned = (
        mixer(corpora, noise_augmentations=parts).draw(2).references for parts in ([], [Polarity(p=1.0)])
    )
    # Only the sign of the noise differs, and with it the gain of the mixture.
    gain = np.abs(turned[0]).max() / np.abs(plain[0]).max()
    np.testing.assert_allclose(turned[0], gain * plain[0], atol=1e-6)
    np.testing.assert_allclose(turned[1], -gain * plain[1], atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"noises": []}, "noises needs a corpus or more"),
        ({"priors": [1]}, "priors as many, not 1"),
        ({"priors": [1, 0]}, "priors must be positive"),
        ({"sources": ["a", "b", "c"]}, "one source, or two with the noise, not 3"),
        ({"snr": (5, 0)}, "snr .* out of range"),
        ({"peak": (-3, 3)}, "peak .* out of range"),
        ({"second": 1.5}, "second must be a probability"),
    ],
)
def test_impossible_settings_are_refused(corpora, wrong, message):
    with pytest.raises(UsageError, match=message):
        mixer(corpora, **wrong)
