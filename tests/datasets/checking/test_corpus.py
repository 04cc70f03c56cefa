"""Checks of corpora find each planted defect, and nothing else."""

import os
import shutil
from functools import partial

import numpy as np
import pytest
import soundfile

from soloist.datasets import (
    MIR1K,
    MUSDB18,
    MUSDB18HQ,
    ClipFolder,
    Slakh2100,
    StemFolders,
    StemTrack,
    SynthesizedStem,
    SyntheticBand,
    SyntheticTalkers,
    check_corpus,
    synthesize_band,
)
from soloist.errors import SoloistError, UsageError
from stem_corpora import RATE, noises, write_multi_stream, write_track

SONGS = ("train/A", "train/B", "test/C")


@pytest.fixture
def songs(tmp_path):
    """Three songs without defects."""
    for seed, name in enumerate(SONGS):
        write_song(tmp_path / name, seed)
    return tmp_path


def write_song(folder, seed):
    stems = noises(seconds=0.3, channels=2, seed=seed)
    return write_track(folder, {**stems, "mixture": np.sum(list(stems.values()), axis=0)})


def check(root, **options):
    return check_corpus(StemFolders(root), **options)


def only(report):
    (finding,) = report.findings
    return finding


def read(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def write(path, audio, rate=RATE):
    soundfile.write(path, audio, rate, subtype="FLOAT")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_corpus_without_a_flaw(songs, jobs):
    told = []
    report = check(songs, jobs=jobs, notify=lambda *progress: told.append(progress))
    assert not report.findings
    train, test = report.splits
    assert (train.name, train.tracks, test.name, test.tracks) == ("train", 2, "test", 1)
    assert train.seconds == pytest.approx(0.6)
    assert train.sample_rates == {RATE: 10}
    assert train.channels == {2: 10}
    assert train.stems == dict.fromkeys(("vocals", "drums", "bass", "other", "mixture"), 2)
    assert told == [("train", 1, 2), ("train", 2, 2), ("test", 1, 1)]


def test_a_truncated_file_is_corrupt_and_the_rest_is_read(songs):
    path = songs / "train/A/bass.wav"
    path.write_bytes(path.read_bytes()[:-1000])
    report = check(songs)
    finding = only(report)
    assert (finding.kind, finding.file, finding.track) == ("corrupt", str(path), "A")
    assert finding.is_error
    assert "truncated" in finding.message
    assert report.splits[0].stems["vocals"] == 2


def test_damage_in_the_middle_is_found_by_decoding(songs):
    path = songs / "train/B/drums.wav"
    audio = read(path)
    path.unlink()
    path = path.with_suffix(".flac")
    soundfile.write(path, np.tile(audio, (60, 1)), RATE)
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 3000] = bytes(3000)
    path.write_bytes(damaged)
    finding = next(finding for finding in check(songs).findings if finding.is_error)
    assert (finding.kind, finding.file) == ("corrupt", str(path))


def test_numbers_that_are_none_are_corrupt(songs):
    path = songs / "test/C/vocals.wav"
    audio = read(path)
    audio[100] = np.nan
    write(path, audio)
    finding = only(check(songs))
    assert (finding.kind, finding.split) == ("corrupt", "test")
    assert "not a number" in finding.message


def test_a_file_that_is_not_there_is_missing(tmp_path):
    write_song(tmp_path / "train/A", 0)
    (tmp_path / "train/A/bass.wav").unlink()
    report = check_corpus(MUSDB18HQ(tmp_path))
    kinds = {(finding.kind, finding.file) for finding in report.findings if finding.file}
    assert kinds == {("missing", str(tmp_path / "train/A/bass.wav"))}
    assert {finding.split for finding in report.findings if finding.kind == "empty"} == {"valid", "test"}
    assert (report.errors, report.warnings) == (1, 2)


def test_stems_that_do_not_add_up(songs):
    path = songs / "train/A/mixture.wav"
    mixture = read(path)
    write(path, mixture * 0.98)
    finding = only(check(songs))
    assert (finding.kind, finding.file, finding.is_error) == ("residual", str(path), False)
    assert "by -33.8 dB" in finding.message
    write(path, mixture * 0.995)
    assert not check(songs).findings


def test_stems_of_another_rate_length_or_number_of_channels(songs):
    write(songs / "train/A/bass.wav", read(songs / "train/A/bass.wav"), 2 * RATE)
    write(songs / "train/B/bass.wav", read(songs / "train/B/bass.wav")[:, :1])
    write(songs / "test/C/bass.wav", np.pad(read(songs / "test/C/bass.wav"), ((0, 7), (0, 0))) + 1e-6)
    messages = [finding.message for finding in check(songs).findings if finding.kind == "mismatch"]
    assert messages == [
        "has 16000 Hz, but mixture 8000 Hz",
        "has 1 channel(s), but mixture 2",
        "has 2407 samples, but mixture 2400",
    ]


def test_silent_stems(songs):
    path = songs / "train/A/bass.wav"
    mixture = songs / "train/A/mixture.wav"
    write(mixture, read(mixture) - read(path))
    write(path, read(path) * 0)
    finding = only(check(songs))
    assert (finding.kind, finding.file) == ("silent", str(path))


def test_two_silent_stems_are_no_copies_of_each_other(songs):
    for name in ("vocals", "bass"):
        path = songs / f"train/A/{name}.wav"
        write(path, read(path) * 0)
    assert {finding.kind for finding in check(songs).findings} == {"silent", "residual"}


def test_clipped_stems(songs):
    path = songs / "test/C/mixture.wav"
    loud = {name: read(songs / f"test/C/{name}.wav") for name in ("vocals", "drums", "bass", "other")}
    mixture = np.sum(list(loud.values()), axis=0)
    write(path, np.clip(mixture, None, 0) * 2 + 0.0)
    write(path, np.where(np.arange(len(mixture))[:, None] // 50 % 8 == 3, 1.0, mixture))
    found = {finding.kind: finding for finding in check(songs).findings}
    assert found["clipped"].file == str(path)
    assert "from 0.019 s on" in found["clipped"].message


def test_copies_in_a_track_and_in_a_split(songs):
    shutil.copy(songs / "train/A/bass.wav", songs / "train/A/other.wav")
    shutil.copy(songs / "train/A/drums.wav", songs / "train/B/drums.wav")
    copies = [finding for finding in check(songs).findings if finding.kind == "duplicate"]
    assert [(finding.track, finding.is_error) for finding in copies] == [("A", False), ("B", False)]
    assert copies[0].message == f"has the same audio as {songs / 'train/A/bass.wav'}"
    assert copies[1].file == str(songs / "train/B/drums.wav")
    assert copies[1].message == f"has the same audio as {songs / 'train/A/drums.wav'}"


def test_the_same_audio_in_two_splits_leaks(songs):
    shutil.copytree(songs / "train/B", songs / "test/D")
    finding = only(check(songs))
    assert (finding.kind, finding.split, finding.track, finding.is_error) == ("leak", "test", "D", True)
    twin = songs / "train/B/bass.wav"
    assert finding.message == (
        f"has the same audio as {twin} of the split train (and so drums, other, vocals, mixture)"
    )


def test_the_same_song_in_two_splits_leaks_once(songs):
    write_song(songs / "test/A", 7)
    finding = only(check(songs))
    assert (finding.kind, finding.split, finding.track) == ("leak", "test", "A")
    assert finding.message.startswith("belongs to 'A', which is in the split train too")
    shutil.rmtree(songs / "test/A")
    shutil.copytree(songs / "train/A", songs / "test/A")
    assert only(check(songs)).message == finding.message
    assert not check(songs, splits=["test"]).findings


def test_a_singer_in_two_splits_leaks(tmp_path):
    class Careless(MIR1K):
        def find(self, split):
            tracks = [track for name in super().splits for track in super(Careless, self).find(name)]
            return [track for track in tracks if track.name.endswith("1") == (split == "train")]

    (tmp_path / "Wavfile").mkdir()
    for seed, name in enumerate(("amy_1_01", "amy_1_02", "Ani_1_01", "titon_1_02")):
        audio = np.random.default_rng(seed).uniform(-0.1, 0.1, (400, 2))
        soundfile.write(tmp_path / "Wavfile" / f"{name}.wav", audio, 16000)
    assert not check_corpus(MIR1K(tmp_path)).findings
    finding = only(check_corpus(Careless(tmp_path)))
    assert (finding.kind, finding.track) == ("leak", "amy_1_02")
    assert "'amy', who is heard in the split train too" in finding.message


def test_the_coding_of_musdb18_is_no_flaw(tmp_path):
    write_multi_stream(tmp_path / "train" / "A - B.stem.mp4", synthesize_band(1.0, seed=1))
    report = check_corpus(MUSDB18(tmp_path), ["train"])
    assert not report.findings
    assert only(check(tmp_path)).kind == "residual"
    assert report.splits[0].sample_rates == {44100: 5}
    broken = tmp_path / "train" / "C.stem.mp4"
    broken.write_bytes((tmp_path / "train" / "A - B.stem.mp4").read_bytes()[:2000])
    finding = only(check_corpus(MUSDB18(tmp_path), ["train"]))
    assert (finding.kind, finding.track, finding.file) == ("corrupt", "C", str(broken))


def test_parts_of_a_stem_of_slakh_are_named(tmp_path):
    folder = tmp_path / "train" / "Track00001"
    (folder / "stems").mkdir(parents=True)
    (folder / "metadata.yaml").write_text("stems: {S00: {inst_class: Piano}, S01: {inst_class: Piano}}")
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, 400)
    soundfile.write(folder / "stems" / "S00.flac", audio, RATE)
    soundfile.write(folder / "mix.flac", audio, RATE)
    finding = only(check_corpus(Slakh2100(tmp_path)))
    assert finding.kind == "missing"
    assert str(finding) == f"error: missing: {folder / 'stems/S01.flac'} does not exist"
    (folder / "metadata.yaml").write_text("stems: ?")
    finding = only(check_corpus(Slakh2100(tmp_path)))
    assert str(finding).startswith("error: corrupt: the split train cannot be listed: ")


def test_synthetic_corpora_have_no_flaw():
    for corpus in (SyntheticBand(1, 0.5, 8000), SyntheticTalkers(3, 2, 0.3)):
        assert not check_corpus(corpus).findings


def test_a_process_that_dies_is_told():
    class Deadly(SyntheticBand):
        def find(self, split):
            return [StemTrack("song", {"bass": SynthesizedStem("bass", 10, RATE, partial(os._exit, 1))})]

    with pytest.raises(SoloistError, match="a process that decodes was killed"):
        check_corpus(Deadly(), ["test"], jobs=2)


def test_what_cannot_be_checked_is_said(tmp_path):
    with pytest.raises(UsageError, match="no recordings in the corpus clips"):
        check_corpus(ClipFolder(tmp_path))
    write_song(tmp_path / "A", 0)
    with pytest.raises(UsageError, match="no split 'train'"):
        check(tmp_path, splits=["train"])
