"""`soloist separate` by a task: a denoiser for any rate, as many talkers as are asked for."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import soundfile

from soloist import zoo
from soloist.config import configuration_of
from soloist.networks import DTLN
from soloist.separators import Denoiser, FilterbankSeparator, build_separator
from soloist.transforms import Framing

CARD = {"task": "denoise", "default_rank": 1}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def denoiser(home):
    """A small denoiser in the models folder, whose network works at 8 kHz."""
    inner = configuration_of(
        FilterbankSeparator,
        filterbank=configuration_of(Framing, frame_length=64, hop_length=16),
        network=configuration_of(DTLN, frame_length=64, num_filters=12, hidden_size=8),
        sources=["speech"],
        ordered=True,
        mode="mapping",
        normalization="none",
    )
    config = configuration_of(Denoiser, separator=inner)
    return zoo.save_model(build_separator(config, "test"), config, CARD, home / "models" / "small").name


@pytest.fixture
def recording(tmp_path):
    """A second of stereo noise at 22,050 Hz."""
    path = tmp_path / "interview.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal((22050, 2))
    soundfile.write(path, noise.astype(np.float32), 22050, subtype="FLOAT")
    return path


def stems(folder, model):
    return [soundfile.read(folder / model / "interview" / f"{name}.wav") for name in ("speech", "noise")]


def test_the_best_denoiser_on_disk_keeps_rate_and_channels(soloist, denoiser, recording, tmp_path):
    result = soloist("separate", "--task", "denoise", recording, "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert (report["model"], list(report["stems"])) == ("small", ["speech", "noise"])
    (speech, rate), (noise, _) = stems(tmp_path / "out", "small")
    mixture, _ = soundfile.read(recording)
    assert (rate, speech.shape) == (22050, mixture.shape)
    np.testing.assert_allclose(speech + noise, mixture, atol=1e-6)


def test_the_strength_is_the_level_of_the_noise_that_stays(soloist, denoiser, recording, tmp_path):
    for name, options in (("least", []), ("kept", ["--strength", "-20"])):
        folder = tmp_path / name
        assert soloist("separate", "-m", denoiser, recording, "-o", folder, *options).code == 0
    (least, _), (noise, _) = stems(tmp_path / "least", denoiser)
    (kept, _), _ = stems(tmp_path / "kept", denoiser)
    np.testing.assert_allclose(kept, least + 0.1 * noise, atol=1e-6)


def test_another_strength_is_another_job(soloist, denoiser, recording, tmp_path):
    def run(*options):
        result = soloist("separate", "-m", denoiser, recording, "-o", tmp_path, "--skip-existing", *options)
        assert result.code == 0, result.err
        return "skipped" in result.err

    assert [run(), run(), run("--strength", "-20"), run("--strength", "-20")] == [False, True, False, True]


def test_two_talkers_are_parted_by_the_best_on_disk(soloist, home, recording, tmp_path):
    result = soloist("separate", "--talkers", "2", recording, "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert (report["model"], list(report["stems"])) == ("small-sudormrf-speech", ["talker1", "talker2"])


def test_where_no_better_denoiser_can_be_had_the_one_of_the_package_does_it(
    soloist, home, recording, tmp_path
):
    result = soloist("separate", "--task", "denoise", recording, "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert (report["model"], list(report["stems"])) == (zoo.FALLBACKS["denoise"], ["speech", "noise"])
    (speech, rate), (noise, _) = stems(tmp_path / "out", report["model"])
    assert rate == 22050
    # White noise is noise.
    assert np.square(speech).mean() < 0.2 * np.square(noise).mean()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--talkers", "3"],
            1,
            "no model on disk separates 3 talkers .*; .* sepformer-libri3mix",
        ),
        (["--talkers", "9"], 1, "no model separates 9 talkers from one another"),
        (["--task", "denoise", "--talkers", "2"], 2, "--task denoise has none"),
        (["--task", "denoise", "-m", "hpss"], 2, "--task and --talkers choose a model"),
        (["-m", "hpss", "--strength", "-20"], 2, "--strength is for denoisers, and hpss is none"),
        (["--task", "songs"], 2, "songs"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    soloist, home, recording, tmp_path, options, code, message
):
    result = soloist("separate", recording, "-o", tmp_path / "out", *options)
    assert result.code == code
    assert not (tmp_path / "out").exists()
    assert len(result.err.strip().splitlines()) == 1
    assert re.search(message, result.err)


def test_noise_cannot_be_raised(soloist, denoiser, recording, tmp_path):
    result = soloist("separate", "-m", denoiser, recording, "-o", tmp_path / "out", "--strength", "3")
    assert result.code == 2
    assert "strength 3 must be the level of the noise that is kept in dB, 0 or below" in result.err
