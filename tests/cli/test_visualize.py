"""`soloist visualize` as users meet it."""

from __future__ import annotations

import json

import numpy as np
import soundfile
from matplotlib.image import imread

pytest_plugins = ["training.conftest"]

ONE_EPOCH = {"trainer": {"max_epochs": 1}, "data": {"valid_examples": 2, "test_examples": 1}}


def refused(result, told, code=2):
    assert (result.code, result.out) == (code, "")
    (line,) = result.err.splitlines()
    assert told in line


def test_a_recipe_that_was_trained_shows_an_example_of_its_tests(
    soloist, write_recipe, tmp_path, monkeypatch, hummers
):
    monkeypatch.chdir(tmp_path)
    recipe = write_recipe(**ONE_EPOCH)
    refused(soloist("visualize", recipe), "has not been trained here")
    assert soloist("train", recipe, "-q").code == 0
    names = ["mixture", "talker1", "talker1-reference", "talker2", "talker2-reference"]
    for subject in (recipe, "runs/humming/model"):
        result = soloist("visualize", subject, "-o", tmp_path / "out", "--example", 2, "--json")
        assert result.code == 0, result.err
        told = json.loads(result.out)
        assert sorted(told["files"]) == sorted([*names, "picture"])
        assert (told["seconds"], told["confidence"]) == (0.4, None)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [*(f"{name}.wav" for name in names), "picture.png"]
    )
    audio = {name: soundfile.read(tmp_path / "out" / f"{name}.wav")[0] for name in names}
    references = audio["talker1-reference"] + audio["talker2-reference"]
    np.testing.assert_allclose(references, audio["mixture"], atol=1e-6)
    clip = next(hummers.rglob("*.wav"))
    result = soloist("visualize", "runs/humming", clip, "--duration", 0.25, "--picture", "svg")
    assert result.code == 0, result.err
    folder = tmp_path / "visualized" / clip.stem
    assert result.out.split() == [
        f"visualized/{clip.stem}/{name}"
        for name in ("mixture.wav", "talker1.wav", "talker2.wav", "picture.svg")
    ]
    assert soundfile.info(folder / "talker2.wav").frames == 250


def test_a_model_without_training_shows_any_file(soloist, song, tmp_path):
    result = soloist("visualize", "hpss", song, "-o", tmp_path / "out", "--start", 1, "--duration", 0.5)
    assert result.code == 0, result.err
    mixture = soundfile.read(tmp_path / "out" / "mixture.wav", always_2d=True)[0]
    np.testing.assert_array_equal(mixture, soundfile.read(song, start=44100, frames=22050)[0])
    stems = [soundfile.read(tmp_path / "out" / f"{name}.wav")[0] for name in ("harmonic", "percussive")]
    np.testing.assert_allclose(sum(stems), mixture, atol=1e-4)
    assert imread(tmp_path / "out" / "picture.png").shape[0] > 600


def test_a_model_on_its_own_takes_the_examples_of_a_recipe(soloist, write_recipe, tmp_path):
    recipe = write_recipe()
    refused(soloist("visualize", "hpss"), "has no test examples of its own: name a file to separate")
    refused(soloist("visualize", "hpss", "--data.root", "x"), "has no recipe for --data.root")
    result = soloist("visualize", "hpss", "--recipe", recipe, "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    assert sorted(json.loads(result.out)["files"]) == ["harmonic", "mixture", "percussive", "picture"]


def test_mistakes_are_told_in_one_line_and_leave_nothing(soloist, song, tmp_path):
    out, empty = tmp_path / "out", tmp_path / "empty.wav"
    empty.touch()
    refused(soloist("visualize", "hpss", tmp_path / "none.wav", "-o", out), "none.wav does not exist", code=1)
    refused(soloist("visualize", "hpss", empty, "-o", out), "empty.wav", code=1)
    refused(soloist("visualize", "hpss", song, "-o", out, "--start", 9), "ends before 9.000 s", code=1)
    refused(soloist("visualize", "hpss", song, "-o", out, "--duration", 0), "duration must be more than 0 s")
    refused(soloist("visualize", "hpps", song, "-o", out), "hpss", code=1)
    refused(soloist("visualize", "hpss", song, song, "-o", out), "one recipe or model and one file")
    refused(soloist("visualize", "none.yaml", "-o", out), "there is no recipe none.yaml")
    refused(soloist("visualize", "hpss", song, "--outptu", out), "did you mean '--output'")
    assert [path.name for path in tmp_path.iterdir()] == ["empty.wav"]
