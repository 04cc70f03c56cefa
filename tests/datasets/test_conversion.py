"""Conversion of corpora to another format."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soloist.audio import WriteOptions, probe, read_audio, resample_audio
from soloist.datasets import (
    ESC50,
    MUSDB18,
    WHAM,
    ClipFolder,
    Conversion,
    ConvertSettings,
    Corpus,
    StemFile,
    StemFolders,
    StemSum,
    StemTrack,
    SyntheticBand,
    convert_corpus,
)
from soloist.errors import UsageError
from stem_corpora import RATE, noises, write_multi_stream, write_track
from talker_corpora import write_mixtures

FLAC = WriteOptions(format="flac")


def settings(output, **changes):
    return ConvertSettings(output, **{"write": FLAC, **changes})


def files(folder: Path) -> list[str]:
    """List all files below a folder, hidden or not."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def stems(**options):
    return noises(("vocals", "drums"), seconds=0.3, **options)


class Named(Corpus):
    """Corpus of given tracks."""

    layout = "named"
    splits = ("train",)

    def __init__(self, tracks):
        self._tracks = tracks

    def find(self, split):
        return self._tracks


def test_streams_become_folders_that_the_generic_layout_reads(tmp_path):
    music = noises(seconds=0.5, channels=2)
    for place in ("train/One", "train/ANiMAL - Rockshow", "test/Two"):
        write_multi_stream(tmp_path / "musdb" / f"{place}.stem.mp4", music)
    corpus = MUSDB18(tmp_path / "musdb")
    done = convert_corpus(corpus, settings(tmp_path / "flac"))
    assert [conversion.failure for conversion in done] == [None] * 3
    again = StemFolders(tmp_path / "flac")
    assert again.splits == ("train", "valid", "test")
    for split, name in {"train": "One", "valid": "ANiMAL - Rockshow", "test": "Two"}.items():
        (before,), (after,) = corpus.tracks(split), again.tracks(split)
        assert after.name == name
        assert set(after.stems) == set(music)
        for stem, source in {**after.stems, "mixture": after.mixture}.items():
            expected, rate = (before.mixture if stem == "mixture" else before.stems[stem]).read()
            audio, found = source.read()
            assert found == rate
            np.testing.assert_allclose(audio, expected, atol=2**-22)


def test_whole_numbers_lose_nothing_not_even_at_full_scale(tmp_path):
    rng = np.random.default_rng(0)
    integers = {name: rng.integers(-(2**15), 2**15, (4000, 2), np.int16) for name in ("vocals", "drums")}
    (tmp_path / "corpus/song").mkdir(parents=True)
    for name, samples in integers.items():
        samples[:2] = [[-(2**15)] * 2, [2**15 - 1] * 2]
        soundfile.write(tmp_path / f"corpus/song/{name}.wav", samples, 44100, subtype="PCM_16")
    (done,) = convert_corpus(StemFolders(tmp_path / "corpus"), settings(tmp_path / "flac"))
    assert done.gain == 1.0
    for name, samples in integers.items():
        converted = tmp_path / f"flac/song/{name}.flac"
        np.testing.assert_array_equal(soundfile.read(converted, dtype="int16")[0], samples)


def test_stems_that_would_clip_are_scaled_together(tmp_path):
    loud = {name: 10 * audio for name, audio in stems().items()}
    write_track(tmp_path / "corpus/song", {**loud, "mixture": sum(loud.values())})
    (done,) = convert_corpus(StemFolders(tmp_path / "corpus"), settings(tmp_path / "flac"))
    peak = max(np.abs(sum(loud.values())).max(), *(np.abs(audio).max() for audio in loud.values()))
    assert done.gain == pytest.approx(1 / peak, rel=1e-6)
    for name, audio in {**loud, "mixture": sum(loud.values())}.items():
        converted, _ = read_audio(tmp_path / f"flac/song/{name}.flac")
        np.testing.assert_allclose(converted, done.gain * audio, atol=1e-6)


def test_float_stays_as_it_is(tmp_path):
    loud = {name: 10 * audio for name, audio in stems().items()}
    write_track(tmp_path / "corpus/song", loud)
    convert_corpus(
        StemFolders(tmp_path / "corpus"), settings(tmp_path / "wav", write=WriteOptions(format="wav"))
    )
    for name, audio in loud.items():
        np.testing.assert_array_equal(read_audio(tmp_path / f"wav/song/{name}.wav")[0], audio)


def test_rate_and_channels_are_changed_on_demand(tmp_path):
    music = stems(channels=2)
    write_track(tmp_path / "corpus/song", music, rate=8000)
    convert_corpus(
        StemFolders(tmp_path / "corpus"), settings(tmp_path / "flac", sample_rate=11025, mono=True)
    )
    for name, audio in music.items():
        converted, rate = read_audio(tmp_path / f"flac/song/{name}.flac")
        assert rate == 11025
        expected = resample_audio(audio.mean(axis=0, keepdims=True), 8000, 11025)
        np.testing.assert_allclose(converted, expected, atol=1e-6)


def test_stems_of_one_track_get_the_same_rate_channels_and_length(tmp_path):
    music = noises(("mixture", "vocals"), seconds=2.0, channels=2)
    tone, denser = (0.5 * np.sin(880 * np.pi * np.arange(2 * rate) / rate)[None] for rate in (8000, 16000))
    write_track(tmp_path / "corpus/song", {"mixture": music["mixture"]}, rate=8000)
    write_track(tmp_path / "corpus/song", {"vocals": music["vocals"][:1, :5000]}, rate=8000)
    write_track(tmp_path / "corpus/song", {"drums": denser}, rate=16000)
    convert_corpus(StemFolders(tmp_path / "corpus"), settings(tmp_path / "flac"))
    (track,) = StemFolders(tmp_path / "flac").tracks("all")
    vocals, drums = (track.stems[name].read()[0] for name in ("vocals", "drums"))
    assert vocals.shape == drums.shape == track.mixture.read()[0].shape == music["mixture"].shape
    np.testing.assert_allclose(vocals[:, :5000], np.repeat(music["vocals"][:1, :5000], 2, axis=0), atol=1e-6)
    assert not vocals[:, 5000:].any()
    np.testing.assert_allclose(drums[:, 500:-500], np.repeat(tone, 2, axis=0)[:, 500:-500], atol=1e-4)


def test_sums_of_files_and_synthetic_corpora_become_files(tmp_path):
    convert_corpus(SyntheticBand(songs=1, seconds=0.5, sample_rate=8000), settings(tmp_path / "flac"), jobs=2)
    band, again = SyntheticBand(songs=1, seconds=0.5, sample_rate=8000), StemFolders(tmp_path / "flac")
    for split in band.splits:
        for before, after in zip(band.tracks(split), again.tracks(split), strict=True):
            assert before.name == after.name
            assert after.mixture is None
            np.testing.assert_allclose(
                after.stems["bass"].read()[0], before.stems["bass"].read()[0], atol=2**-22
            )
    write_track(tmp_path / "parts", stems())
    parts = tuple(StemFile(tmp_path / f"parts/{name}.wav") for name in stems())
    convert_corpus(Named([StemTrack("song", {"band": StemSum(parts)})]), settings(tmp_path / "sum"))
    summed, _ = read_audio(tmp_path / "sum/train/song/band.flac")
    np.testing.assert_allclose(summed, sum(stems().values()), atol=2**-22)


def test_splits_are_called_as_the_generic_layout_calls_them(tmp_path):
    for split in ("tr", "cv", "tt"):
        name = "011a0101_1.2_20ca010c_-1.2"
        write_mixtures(tmp_path / "wham/wav8k/min" / split, name, {"mix_both": ("s1", "s2", "noise")})
    convert_corpus(WHAM(tmp_path / "wham"), settings(tmp_path / "flac"))
    again = StemFolders(tmp_path / "flac")
    assert again.splits == ("train", "valid", "test")
    assert set(again.tracks("valid")[0].stems) == {"s1", "s2", "noise"}
    assert again.tracks("valid")[0].mixture is not None


def test_clips_keep_their_paths_and_what_belongs_to_them(tmp_path):
    root = tmp_path / "esc"
    (root / "meta").mkdir(parents=True)
    (root / "audio").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        name = f"{fold}-100-A-0.wav"
        soundfile.write(root / "audio" / name, noises(("dog",), seconds=0.1)["dog"].T, RATE, subtype="PCM_16")
        rows.append(f"{name},{fold},0,dog,True,100,A")
    (root / "meta/esc50.csv").write_text("\n".join(rows))
    convert_corpus(ESC50(root), settings(tmp_path / "flac"), jobs=2)
    assert files(tmp_path / "flac") == [
        *(f"audio/{fold}-100-A-0.flac" for fold in range(1, 6)),
        "meta/esc50.csv",
    ]
    (before,), (after,) = ESC50(root).tracks("test"), ESC50(tmp_path / "flac").tracks("test")
    assert (after.name, after.labels) == (before.name, before.labels)
    np.testing.assert_array_equal(after.stems["category"].read()[0], before.stems["category"].read()[0])


def test_a_clip_of_two_splits_is_converted_once_and_two_files_never_become_one(tmp_path):
    for suffix in ("wav", "flac"):
        path = tmp_path / "clips/anna" / f"1.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noises(("x",), seconds=0.1)["x"].T, RATE)
    splits = {"train": {}, "again": {}}
    done = convert_corpus(ClipFolder(tmp_path / "clips", splits=splits), settings(tmp_path / "flac"))
    assert files(tmp_path / "flac") == ["anna/1.flac"]
    failures = {conversion.failure for conversion in done if conversion.failure}
    (failure,) = failures
    assert failure.endswith("anna/1.wav would overwrite the converted " + str(tmp_path / "clips/anna/1.flac"))


def test_a_bad_track_does_not_keep_the_others_and_leaves_nothing(tmp_path):
    corpus, output = tmp_path / "corpus", tmp_path / "flac"
    write_track(corpus / "train/good", stems())
    write_track(corpus / "train/ends early", stems())
    data = (corpus / "train/ends early/vocals.wav").read_bytes()
    (corpus / "train/ends early/vocals.wav").write_bytes(data[: len(data) // 2])
    (corpus / "train/damaged.stem.mp4").write_bytes(b"no film at all" * 100)
    write_track(corpus / "valid/not a number", {"vocals": np.full((1, 100), np.nan, np.float32)})
    done = {
        conversion.track: conversion for conversion in convert_corpus(StemFolders(corpus), settings(output))
    }
    assert files(output) == ["train/good/drums.flac", "train/good/vocals.flac"]
    assert not (output / "valid").exists()
    assert done.pop("train/good") == Conversion("train/good")
    assert "vocals.wav is truncated" in done["train/ends early"].failure
    assert "damaged.stem.mp4" in done["train/damaged"].failure
    assert "not a number" in done["valid/not a number"].failure


def test_what_is_complete_is_skipped_and_what_is_not_is_done(tmp_path):
    corpus, output = tmp_path / "corpus", tmp_path / "flac"
    for name in ("one", "two"):
        write_track(corpus / name, stems())
    convert_corpus(StemFolders(corpus), settings(output))
    times = {name: (output / name).stat().st_mtime_ns for name in files(output)}
    (output / "two/drums.flac").unlink()
    done = {
        conversion.track: conversion for conversion in convert_corpus(StemFolders(corpus), settings(output))
    }
    assert {track: conversion.skipped for track, conversion in done.items()} == {
        "all/one": True,
        "all/two": False,
    }
    changed = {name for name in files(output) if (output / name).stat().st_mtime_ns != times[name]}
    assert changed == {"two/drums.flac", "two/vocals.flac"}
    convert_corpus(StemFolders(corpus), settings(output, overwrite=True))
    assert all((output / name).stat().st_mtime_ns != time for name, time in times.items())


def test_what_is_there_with_another_rate_is_neither_kept_nor_replaced(tmp_path):
    write_track(tmp_path / "corpus/song", stems(channels=2))
    corpus, output = StemFolders(tmp_path / "corpus"), tmp_path / "flac"
    convert_corpus(corpus, settings(output))
    for changes in ({"sample_rate": 4000}, {"mono": True}):
        (done,) = convert_corpus(corpus, settings(output, **changes))
        assert "is there with 8000 Hz and 2 channel(s); overwrite it" in done.failure
        assert probe(output / "song/drums.flac").channels == 2
    (done,) = convert_corpus(corpus, settings(output, sample_rate=4000, mono=True, overwrite=True))
    assert done.failure is None
    assert (probe(output / "song/drums.flac").sample_rate, probe(output / "song/drums.flac").channels) == (
        4000,
        1,
    )


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "..", "a\0b", ""])
def test_names_lead_nowhere_else(tmp_path, name):
    write_track(tmp_path / "source", stems())
    stem = StemFile(tmp_path / "source/vocals.wav")
    tracks = [
        StemTrack(name, {"vocals": stem}),
        StemTrack("song", {f"{name}/x": stem}),
        StemTrack("good", {"a": stem}),
    ]
    before = files(tmp_path)
    done = convert_corpus(Named(tracks), settings(tmp_path / "deep/output"))
    assert len([conversion for conversion in done if conversion.failure]) == 2
    assert set(files(tmp_path)) - set(before) == {"deep/output/train/good/a.flac"}


def test_what_cannot_be_meant_is_refused(tmp_path):
    write_track(tmp_path / "corpus/song", stems())
    corpus = StemFolders(tmp_path / "corpus")
    for output in (tmp_path / "corpus", tmp_path / "corpus/flac", tmp_path / "other/../corpus/x"):
        with pytest.raises(UsageError, match="lies in the corpus stems"):
            convert_corpus(corpus, settings(output))
    with pytest.raises(UsageError, match="is not a folder"):
        convert_corpus(corpus, settings(Path(__file__)))
    with pytest.raises(UsageError, match="no recordings in the corpus clips"):
        convert_corpus(ClipFolder(tmp_path / "corpus", "(?P<speaker_name>x)"), settings(tmp_path / "flac"))
    with pytest.raises(UsageError, match="sample rate 10 Hz"):
        settings(tmp_path, sample_rate=10)
    with pytest.raises(UsageError, match="one file a stem"):
        settings(tmp_path, write=WriteOptions(format="stem"))


def test_memory_does_not_depend_on_the_length(tmp_path):
    peaks = []
    for seconds in (30, 600):
        music = noises(("vocals", "drums"), seconds=seconds)
        folder = write_track(tmp_path / str(seconds) / "song", music).parent
        del music
        tracemalloc.start()
        convert_corpus(StemFolders(folder), settings(tmp_path / f"flac {seconds}", sample_rate=4000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Half of what one stem would add. Stems are encoded at once, and overlap in full only if they are long.
    assert peaks[1] < peaks[0] + 5e6
