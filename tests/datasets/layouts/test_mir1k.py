"""MIR-1K."""

import numpy as np
import soundfile

from soloist.datasets import MIR1K

CLIPS = ("amy_2_03", "abjones_1_01", "Ani_1_01", "titon_3_02")


def write_clips(root):
    rng = np.random.default_rng(0)
    (root / "Wavfile").mkdir()
    clips = {}
    for name in CLIPS:
        clips[name] = np.round(rng.uniform(-0.4, 0.4, (800, 2)) * 2**15) / 2**15
        soundfile.write(root / "Wavfile" / f"{name}.wav", clips[name], 16000)
    return clips


def test_two_singers_train(tmp_path):
    write_clips(tmp_path)
    corpus = MIR1K(tmp_path)
    assert [track.name for track in corpus.tracks("train")] == ["abjones_1_01", "amy_2_03"]
    assert [track.labels for track in corpus.tracks("test")] == [("Ani",), ("titon",)]
    assert corpus.disjoint_labels


def test_the_voice_is_right_and_the_accompaniment_left(tmp_path):
    clips = write_clips(tmp_path)
    for split in ("train", "test"):
        for track in MIR1K(tmp_path).tracks(split):
            left, right = clips[track.name].T
            np.testing.assert_array_equal(track.stems["accompaniment"].read()[0], left[None])
            np.testing.assert_array_equal(track.stems["vocals"].read()[0], right[None])
            mixture = np.concatenate(list(track.mixture_blocks(100)), axis=1)
            np.testing.assert_allclose(mixture, (left + right)[None], atol=1e-6)
