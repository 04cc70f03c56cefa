"""Layouts by name, by class path and by folder."""

import subprocess
import sys

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


def test_what_may_be_several_is_not_guessed(tmp_path, stems):
    write_track(tmp_path / "song", stems)
    with pytest.raises(UsageError, match="may be clips or stems: say which it is with --layout"):
        guess_layout(tmp_path)


def test_what_fits_nothing_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("no audio")
    with pytest.raises(UsageError, match="fits no layout: say which it is with --layout, clips"):
        guess_layout(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        guess_layout(tmp_path / "absent")


def test_the_songs_are_songs_or_clips(shared):
    with pytest.raises(UsageError, match="clips or stems"):
        guess_layout(shared / "data/songs")


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


@pytest.mark.parametrize("layout", [["--layout", "diary_corpora.Diaries"], ["--layout", "Diaries"], []])
def test_the_command_line_checks_a_corpus_of_ones_own(mine, diary, layout):
    command = [sys.executable, "-m", "soloist.cli.main", "data", "check", str(diary), *layout]
    done = subprocess.run([*command, "--import", str(mine)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"0 errors, 0 warnings in the corpus Diaries in {diary}"
