"""Layouts by name, by class path and by folder."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from soloist.config import import_code, imports
from soloist.datasets import (
    MUSDB18,
    MUSDB18HQ,
    ClipFolder,
    StemFolders,
    SyntheticBand,
    find_layout,
    find_layouts,
    guess_layout,
)
from soloist.errors import ConfigError, UsageError
from stem_corpora import noises, write_multi_stream, write_track

MINE = """
from soloist.datasets import FolderCorpus, StemFile, StemTrack


class Diaries(FolderCorpus):
    splits = ("all",)

    def find(self, split):
        return [StemTrack(path.stem, {"voice": StemFile(path)}) for path in sorted(self.root.glob("*.wav"))]
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """File with a corpus of one's own."""
    path = tmp_path / "diary_corpora.py"
    path.write_text(MINE)
    monkeypatch.setattr(imports, "_imported", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield path
    sys.modules.pop(path.stem, None)


@pytest.fixture
def diary(tmp_path):
    """Folder for the corpus of one's own."""
    (tmp_path / "diary").mkdir()
    soundfile.write(tmp_path / "diary" / "monday.wav", [0.0, 0.5, -0.5, 0.25] * 100, 8000)
    return tmp_path / "diary"


@pytest.fixture
def stems():
    return noises(seconds=0.1, channels=2)


def test_every_layout_is_found_by_its_name():
    assert find_layout("musdb18") is MUSDB18
    assert find_layout("clips") is ClipFolder
    assert find_layout("synthetic-band") is SyntheticBand
    assert all(cls.layout == name for name, cls in find_layouts().items())
    with pytest.raises(UsageError, match=r"no layout 'musdb'; there are clips, .*musdb18"):
        find_layout("musdb")


def test_a_published_corpus_is_told_from_anybodys_folder(tmp_path, stems):
    write_multi_stream(tmp_path / "streams" / "train" / "A - B.stem.mp4", stems)
    assert guess_layout(tmp_path / "streams") is MUSDB18
    write_track(tmp_path / "files" / "test" / "A - B", {**stems, "mixture": stems["vocals"]})
    assert guess_layout(tmp_path / "files") is MUSDB18HQ


def test_the_only_layout_that_fits(tmp_path, stems):
    write_multi_stream(tmp_path / "A.stem.mp4", stems)
    assert guess_layout(tmp_path) is StemFolders


def test_a_damaged_file_does_not_hide_the_layout(tmp_path, stems):
    write_multi_stream(tmp_path / "A.stem.mp4", stems)
    (tmp_path / "B.stem.mp4").write_bytes(b"no film" * 100)
    assert guess_layout(tmp_path) is StemFolders


def test_what_may_be_several_is_not_guessed(tmp_path):
    for name in ("anna", "ben"):
        (tmp_path / name).mkdir()
        for word, length in (("yes", 2000), ("no", 4000)):
            write_track(tmp_path / name, {word: np.ones((1, length), np.float32)})
    with pytest.raises(UsageError, match="may be clips or stems: say which it is with --layout"):
        guess_layout(tmp_path)


@pytest.mark.parametrize("folders", [("",), ("train", "test"), ("train", "valid", "test"), ("a/b", "c")])
@pytest.mark.parametrize("mixture", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ("vocals", "drums", "bass", "other"),
        ("voice", "kit"),
        ("sax", "lead guitar", "room"),
        ("gtr1", "gtr2"),
    ],
)
def test_songs_of_any_stems_in_any_folders_are_stems(tmp_path, folders, mixture, names):
    for seed, folder in enumerate(folders):
        for song in ("dawn", "dusk"):
            stems = noises(names, seconds=0.2 + 0.1 * seed, seed=seed)
            whole = {"mixture": sum(stems.values())} if mixture else {}
            write_track(tmp_path / folder / song, {**stems, **whole})
    assert guess_layout(tmp_path) is StemFolders


def test_folders_of_validation_are_not_musdb18(tmp_path, stems):
    whole = {**stems, "mixture": stems["vocals"]}
    for split in ("train", "val", "test"):
        write_track(tmp_path / split / "A - B", whole)
    assert guess_layout(tmp_path) is StemFolders
    assert StemFolders(tmp_path).splits == ("train", "val", "test")


def test_a_fifth_stem_is_not_musdb18_hq(tmp_path, stems):
    write_track(tmp_path / "train" / "A - B", {**stems, "guitar": stems["bass"], "mixture": stems["vocals"]})
    assert guess_layout(tmp_path) is StemFolders


def test_a_recording_beside_the_songs_does_not_hide_them(tmp_path, stems):
    write_track(tmp_path, {"demo": stems["vocals"]})
    for song in ("dawn", "dusk"):
        write_track(tmp_path / song, stems)
    assert guess_layout(tmp_path) is StemFolders
    assert [track.name for track in StemFolders(tmp_path).tracks("all")] == ["dawn", "dusk"]


def test_one_song_of_unknown_stems_of_one_length_is_stems(tmp_path):
    write_track(tmp_path / "song", noises(("kick", "pad"), seconds=0.2))
    assert guess_layout(tmp_path) is StemFolders
    assert guess_layout(tmp_path / "song") is StemFolders


@pytest.mark.parametrize("folders", [("",), ("train", "test")])
def test_talkers_of_many_clips_are_clips(tmp_path, folders):
    generator = np.random.default_rng(0)
    for folder in folders:
        for talker in ("anna", "ben"):
            names = [f"{talker} {number}" for number in generator.integers(9999, size=5)]
            clips = {name: np.ones((1, generator.integers(900, 9000)), np.float32) for name in names}
            write_track(tmp_path / folder / talker, clips)
    assert guess_layout(tmp_path) is ClipFolder


@pytest.mark.parametrize("name", ["one", "take 1"])
def test_folders_of_single_files_are_clips(tmp_path, name):
    for talker in ("anna", "ben"):
        write_track(tmp_path / talker, noises((name,), seconds=0.2))
    assert guess_layout(tmp_path) is ClipFolder


@pytest.mark.parametrize("folders", [("music", "noise", "speech"), ("vocals", "drums")])
def test_folders_named_after_kinds_of_sound_are_clips(tmp_path, folders):
    for folder in folders:
        write_track(tmp_path / folder, noises(("a", "b"), seconds=0.2))
    assert guess_layout(tmp_path) is ClipFolder


def test_a_song_may_be_named_like_a_stem(tmp_path, stems):
    for song in ("Noise", "dawn", "dusk"):
        write_track(tmp_path / song, stems)
    assert guess_layout(tmp_path) is StemFolders


def test_notes_of_one_length_may_be_either(tmp_path):
    for instrument in ("a sax", "a lute"):
        write_track(tmp_path / instrument, noises(tuple(f"{number:03}" for number in range(4)), seconds=0.2))
    with pytest.raises(UsageError, match="may be clips or stems"):
        guess_layout(tmp_path)


def test_many_recordings_in_one_folder_are_not_the_stems_of_a_song(tmp_path):
    lengths = {"sunrise": 3000, "sunset": 5000, "noon": 7000}
    write_track(tmp_path, {name: np.ones((1, length), np.float32) for name, length in lengths.items()})
    with pytest.raises(UsageError, match="fits no layout: say which it is with --layout"):
        guess_layout(tmp_path)


@pytest.mark.parametrize("corpus", ["esc10", "fsdd"])
def test_real_sounds_are_clips(shared, corpus):
    assert guess_layout(shared / "data" / corpus) is ClipFolder


def test_what_fits_nothing_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("no audio")
    with pytest.raises(UsageError, match="fits no layout: say which it is with --layout, clips"):
        guess_layout(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        guess_layout(tmp_path / "absent")


def test_the_songs_are_stems(shared):
    assert guess_layout(shared / "data/songs") is StemFolders
    assert guess_layout(shared / "data/songs-excerpt") is StemFolders


def test_a_single_file_of_streams_among_others(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.0, 0.1], 8000)
    assert guess_layout(tmp_path) is StemFolders


def test_a_layout_is_found_by_its_class_and_by_a_class_path():
    assert find_layout("MUSDB18") is MUSDB18
    assert find_layout("soloist.datasets.MUSDB18") is MUSDB18
    with pytest.raises(UsageError, match=r"soloist\.datasets\.StemTrack is not a corpus"):
        find_layout("soloist.datasets.StemTrack")
    with pytest.raises(ConfigError, match=r"did you mean soloist\.datasets\.MUSDB18"):
        find_layout("soloist.datasets.MUSDB19")


def test_a_corpus_of_ones_own_is_found_once_its_file_is_imported(mine, diary):
    with pytest.raises(ConfigError, match="--import"):
        find_layout("diary_corpora.Diaries")
    import_code(str(mine))
    cls = find_layout("Diaries")
    assert cls.layout == "Diaries"
    assert find_layout("diary_corpora.Diaries") is cls
    assert find_layouts()["Diaries"] is cls
    assert guess_layout(diary) is cls
    assert [track.name for track in cls(diary).tracks("all")] == ["monday"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", [["--layout", "diary_corpora.Diaries"], ["--layout", "Diaries"], []])
def test_the_command_line_checks_a_corpus_of_ones_own(mine, diary, layout):
    command = [sys.executable, "-m", "soloist.cli.main", "data", "check", str(diary), *layout]
    done = subprocess.run([*command, "--import", str(mine)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"0 errors, 0 warnings in the corpus Diaries in {diary}"
