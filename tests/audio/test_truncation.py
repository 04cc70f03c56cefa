"""Cut files of every format: a missing end is named, and what there is can be read."""

from __future__ import annotations

import numpy as np
import pytest

from hostile.small_files import make_small_files
from soloist.audio import AudioReader, probe, read_audio
from soloist.errors import AudioError

# Their headers have no length (or, in MATLAB 5, one that libsndfile writes too large), and any frame may be
# the last one.
UNKNOWABLE = (
    *("dolby.ac3", "layer2.mp2", "film.mpg", "film.ts", "dpcm16.xi", "pcm16.sf", "pcm16.paf", "pcm16.pvf"),
    *("pcm16.mat4", "pcm16.mat5"),
)
# Without their index or their first block, nothing can be decoded: they are refused in other words.
REFUSED = (
    *("aac.m4a", "alac.m4a", "film.mov", "film.mp4", "song.stem.mp4", "speech.3gp", "pcm16.htk", "packed.wv"),
    *("opus.ogg", "opus.opus", "flac.oga", "lossless.tta"),
)
BY_BYTES = ("pcm16.au", "pcm16.caf", "pcm16.w64", "pcm16.avr", "pcm16.nist", "pcm16.mpc", "pcm16.svx")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of 2 s."""
    return {path.name: path for path in make_small_files(tmp_path_factory.mktemp("whole"), 2.0)}


def cut(path, folder, left):
    content = path.read_bytes()
    copy = folder / f"cut-{path.name}"
    copy.write_bytes(content[: int(len(content) * left)])
    return copy


@pytest.mark.parametrize("left", [0.3, pytest.param(0.6, marks=pytest.mark.slow), 0.9])
def test_a_missing_end_is_named_in_every_format_that_tells(tmp_path, files, left):
    for name, path in files.items():
        if name not in UNKNOWABLE:
            words = "truncated|is not audio|no sound|no samples" if name in REFUSED else "truncated"
            with pytest.raises(AudioError, match=words):
                read_audio(cut(path, tmp_path, left))


@pytest.mark.parametrize("left", [0.3, 0.9])
def test_what_there_is_can_be_read(tmp_path, files, left):
    """A cut file gives the beginning of the whole one, as long as its bytes are."""
    for name in (*BY_BYTES, "film.avi", "film.mkv", "sound.mka", "fragments.mp4", "music.wma", "mp3.wav"):
        whole, rate = read_audio(files[name])
        with AudioReader(cut(files[name], tmp_path, left), tolerance="truncation") as reader:
            audio = np.concatenate(list(reader.blocks()), axis=1)
        assert "truncated" in reader.remarks.truncation, name
        assert left - 0.2 <= audio.shape[1] / whole.shape[1] <= left + 0.09, name
        exact = audio.shape[1] - rate // 10
        assert np.abs(audio - whole[:, : audio.shape[1]])[:, :exact].max() < 1e-4, name


@pytest.mark.parametrize("name", [*BY_BYTES, "film.avi", "film.mkv", "opus.webm", "music.wma", "pcm16.voc"])
def test_a_missing_end_is_named_before_anything_is_decoded(tmp_path, files, name):
    with pytest.raises(AudioError, match=r"truncated: \d+ bytes are promised, \d+ exist; .*--keep-going"):
        probe(cut(files[name], tmp_path, 0.8), tolerance="damage")


@pytest.mark.parametrize("name", ["film.mkv", "sound.mka", "film.avi"])
def test_an_index_behind_the_sound_may_be_missing(tmp_path, files, name):
    whole = read_audio(files[name])[0]
    mark = {"avi": b"idx1"}.get(name[-3:], b"\x1c\x53\xbb\x6b")
    content = files[name].read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: content.rindex(mark) + 12])
    np.testing.assert_array_equal(read_audio(path)[0], whole)


@pytest.mark.parametrize("name", ["music.mp3", "tagged.mp3", "speech.mp3", "mp3.wav"])
def test_an_mp3_that_ends_within_its_last_frames_is_truncated(tmp_path, files, name):
    with pytest.raises(AudioError, match="truncated"):
        read_audio(cut(files[name], tmp_path, 0.97))


@pytest.mark.parametrize("name", ["ima-adpcm.wav", "ms-adpcm.wav", "gsm.wav"])
def test_a_block_of_a_coding_that_lacks_a_byte_is_lost_sound(tmp_path, files, name):
    path = tmp_path / name
    path.write_bytes(files[name].read_bytes()[:-2])
    with pytest.raises(AudioError, match="truncated"):
        read_audio(path)


def test_all_sound_of_a_sample_dump_is_there(files):
    assert read_audio(files["pcm16.sds"])[0].shape == (1, 32_000)
