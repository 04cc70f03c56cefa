"""`soloist visualize` of a recording alone: pictures as users get them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import soundfile

SMALL = ("--transform", "stft:1024", "--transform", "slicq:bark:40:100")


def pixels(path):
    """A picture `(rows, columns, 4)` in [0, 1]."""
    from matplotlib.image import imread

    return imread(path)


def refused(result, *told, code=2):
    assert result.code == code, result
    (line,) = result.err.strip().splitlines()
    assert all(text in line for text in told), line


def test_a_picture_with_a_panel_for_each_transform(soloist, song, tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    assert soloist("visualize", song, "-o", one, *SMALL[:2]).code == 0
    result = soloist("visualize", song, "-o", two, *SMALL)
    assert (result.code, result.out.strip()) == (0, str(two))
    assert pixels(two).shape[0] > 1.5 * pixels(one).shape[0]
    assert pixels(two).shape[1] == pixels(one).shape[1]
    assert len(np.unique(pixels(two)[..., 0])) > 100


def test_the_picture_is_named_after_the_file(soloist, song, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = soloist("visualize", song, "--duration", "1")
    assert (result.code, result.out.strip()) == (0, "song.png")
    assert [path.name for path in tmp_path.iterdir()] == ["song.png"]


@pytest.mark.parametrize(("name", "begins"), [("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a.PNG", b"\x89PNG")])
def test_formats(soloist, song, tmp_path, name, begins):
    assert soloist("visualize", song, "-o", tmp_path / "new" / name, *SMALL[:2], "--axis", "scale").code == 0
    assert (tmp_path / "new" / name).read_bytes().startswith(begins)


def test_an_excerpt_is_that_part_of_the_sound(soloist, tmp_path):
    quiet, loud = np.zeros(8000), np.random.default_rng(0).uniform(-1, 1, 8000)
    soundfile.write(tmp_path / "sound.wav", np.concatenate([quiet, loud]), 8000)
    bright = []
    for start in ("0", "1"):
        picture = tmp_path / f"{start}.png"
        options = ("--start", start, "--duration", "0.9", "--transform", "stft:256")
        assert soloist("visualize", tmp_path / "sound.wav", "-o", picture, *options).code == 0
        image = pixels(picture)
        height, width = image.shape[:2]
        bright.append(image[height // 3 : height // 2, width // 4 : width // 2, :3].mean())
    assert bright[0] < 0.05
    assert bright[1] > 0.3


def test_silence_and_a_single_sample(soloist, tmp_path):
    for name, audio in (("silence", np.zeros(4000)), ("click", np.ones(1))):
        soundfile.write(tmp_path / f"{name}.wav", audio, 8000)
        result = soloist("visualize", tmp_path / f"{name}.wav", "-o", tmp_path / f"{name}.png", *SMALL)
        assert (result.code, result.err) == (0, "")


def test_mistakes_are_told_in_one_line_and_leave_nothing(soloist, song, tmp_path):
    picture = tmp_path / "picture.png"
    refused(soloist("visualize", song, "-o", picture, "--transform", "slicg"), "did you mean slicq")
    refused(soloist("visualize", song, "-o", picture, "--transform", "slicq:bark:262:30000"), "22050 Hz")
    refused(soloist("visualize", song, "-o", tmp_path / "picture.jpeg"), "png, pdf, svg", "picture.png")
    refused(soloist("visualize", tmp_path / "none.wav", "-o", picture), "none.wav does not exist", code=1)
    refused(soloist("visualize", song, "-o", picture, "--start", "9"), "ends before 9.000 s", code=1)
    assert not list(tmp_path.iterdir())
    (tmp_path / "folder.png").mkdir()
    refused(soloist("visualize", song, "-o", tmp_path / "folder.png", *SMALL[:2]), "it is a folder", code=1)


def test_drawing_needs_no_global_state_of_matplotlib(soloist, song, tmp_path):
    before = sys.modules.get("matplotlib.pyplot")
    soloist("visualize", song, "-o", tmp_path / "picture.png", *SMALL[:2])
    assert sys.modules.get("matplotlib.pyplot") is before


def test_options_of_another_form_are_refused(soloist, song):
    refused(soloist("visualize", song, "--example", 1), "--example is for a model: name one before the file")
    refused(soloist("visualize", "hpss", song, "--axis", "scale"), "--axis is for a recording alone")
