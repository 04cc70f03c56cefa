"""Stems of any file add up to what decodes from it."""

from __future__ import annotations

import shutil
from itertools import count

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from soloist.audio import StemWriter, WriteOptions, read_audio
from soloist.inference import Batch, FileSettings, find_tracks

# Format and subtype of libsndfile; all take any rate and up to eight channels.
LOSSLESS = {
    "wav": ("WAV", "PCM_16"),
    "24.wav": ("WAV", "PCM_24"),
    "float.wav": ("WAV", "FLOAT"),
    "8.wav": ("WAV", "PCM_U8"),
    "law.wav": ("WAV", "ULAW"),
    "w64": ("W64", "PCM_32"),
    "aiff": ("AIFF", "PCM_24"),
    "au": ("AU", "FLOAT"),
    "caf": ("CAF", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
}
LOSSY = ("mp3", "ogg", "opus", "m4a")
RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000)
ODD_RATES = (4000, 12345, 37800, 96000)

numbers = count()


@st.composite
def recordings(draw):
    """A format, a rate, samples `(channels, samples)` with peaks up to or, as floats, beyond full scale."""
    kind = draw(st.sampled_from((*LOSSLESS, *LOSSY)))
    rate = draw(st.sampled_from(RATES if kind in LOSSY else (*RATES, *ODD_RATES)))
    channels = draw(st.integers(1, 2 if kind in LOSSY else 8))
    samples = draw(st.one_of(st.integers(2000, 12_000), st.integers(100, 2000)))
    if kind not in LOSSY:
        samples = draw(st.one_of(st.just(samples), st.integers(1, 100)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tones = np.sin(np.outer(0.02 + 0.5 * generator.random(channels), np.arange(samples)))
    peak = draw(st.sampled_from((0.0, 0.1, 0.99, 3.0 if "float" in kind or kind == "au" else 0.5)))
    return kind, rate, (peak * (0.7 * tones + 0.3 * generator.uniform(-1, 1, tones.shape))).astype(np.float32)


def write(path, kind, rate, audio):
    if kind in LOSSLESS:
        form, subtype = LOSSLESS[kind]
        soundfile.write(path, audio.T, rate, subtype, format=form)
        return
    with StemWriter({"sound": path}, rate, audio.shape[0], WriteOptions(kind)) as writer:
        writer.write(audio[None])
        writer.commit()


@pytest.mark.parametrize("model", ["hpss", pytest.param("two-stage-hpss", marks=pytest.mark.slow)])
@given(recording=recordings())
def test_stems_add_up_to_what_decodes(tmp_path, model, recording):
    kind, rate, audio = recording
    folder = tmp_path / str(next(numbers))
    folder.mkdir()
    path = folder / f"sound.{kind.rpartition('.')[2]}"
    write(path, kind, rate, audio)
    reports, failures = [], []
    batch = Batch(model, FileSettings(folder=folder / "out"))
    batch.run(find_tracks([str(path)]), reports.append, lambda *failure: failures.append(failure))
    assert not failures
    source, found = read_audio(path)
    stems = [read_audio(stem) for stem in reports[0].stems.values()]
    assert {stem_rate for _, stem_rate in stems} == {found}
    total = sum(stem.astype(np.float64) for stem, _ in stems)
    assert total.shape == source.shape
    assert np.abs(total - source).max() <= 1e-6 * max(1.0, float(np.abs(source).max()))
    shutil.rmtree(folder)
