"""`soloist.separate`: excerpts, residual, truncated files, the report, and the defaults of the command."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import soundfile

import soloist
from soloist.audio import WriteOptions
from soloist.cli.evaluate import evaluate
from soloist.cli.score import score
from soloist.cli.separate import separate as command
from soloist.errors import AudioError, UsageError
from soloist.evaluation import EvaluationSettings, ScoreSettings, SystemSettings

RATE = 8000


@pytest.fixture(scope="module")
def audio():
    return (0.1 * np.random.default_rng(0).standard_normal((2, 2 * RATE))).astype(np.float32)


@pytest.fixture
def song(audio, tmp_path):
    path = tmp_path / "song.wav"
    soundfile.write(path, audio.T, RATE, subtype="FLOAT")
    return path


def test_mixture_and_residual_complete_the_stems(audio):
    separation = soloist.separate(audio, RATE, model="hpss", stems="harmonic")
    np.testing.assert_array_equal(separation.mixture, audio)
    np.testing.assert_array_equal(separation.residual, audio - separation["harmonic"])
    assert np.abs(separation.residual).max() > 0.01


def test_the_mixture_stays_when_the_array_is_used_again(audio):
    samples = audio.copy()
    separation = soloist.separate(samples, RATE, model="hpss", two_stems="harmonic")
    samples[:] = 0
    np.testing.assert_array_equal(separation.mixture, audio)
    np.testing.assert_allclose(separation.residual, 0, atol=1e-6)


def test_the_residual_is_a_stem_if_asked_for(audio, tmp_path):
    separation = soloist.separate(audio, RATE, model="hpss", stems="harmonic", residual=True)
    assert list(separation) == ["harmonic", "residual"]
    np.testing.assert_allclose(sum(separation.values()), audio, atol=1e-6)
    assert separation.report.null_dbfs < -120
    assert set(separation.save(tmp_path)) == {"harmonic", "residual"}


def test_consistency_makes_estimates_add_up():
    noise = 0.1 * np.random.default_rng(1).standard_normal((2, RATE))
    plain, consistent = (
        soloist.separate(noise, RATE, model="tiny-tfc-tdf-songs", consistency=consistency)
        for consistency in ("none", "mixture")
    )
    assert plain.report.null_dbfs > -60
    np.testing.assert_allclose(sum(consistent.values()), noise, atol=1e-6)


@pytest.mark.parametrize(("start", "duration"), [(0.5, None), (0.25, 0.5), (1.0, 9.0), (0.0, 1e-9)])
def test_an_excerpt_is_that_of_the_samples(audio, song, start, duration):
    stop = None if duration is None else round(start * RATE) + max(1, round(duration * RATE))
    part = audio[:, round(start * RATE) : stop]
    for source, rate in ((audio, RATE), (song, None), (song.read_bytes(), None)):
        separation = soloist.separate(source, rate, model="hpss", start=start, duration=duration)
        np.testing.assert_array_equal(separation.mixture, part)
        assert separation.report.duration == part.shape[1] / RATE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1.0}, "start must be"),
        ({"start": float("nan")}, "start must be"),
        ({"duration": 0.0}, "duration must be"),
        ({"start": 2.0}, r"ends before 2\.000 s: it lasts 2\.000 s"),
    ],
)
def test_an_excerpt_outside_of_the_recording_is_refused(audio, options, message):
    with pytest.raises(UsageError, match=message):
        soloist.separate(audio, RATE, model="hpss", **options)


def test_the_report_says_by_what_and_how_long(audio):
    report = soloist.separate(audio, RATE, model="hpss", two_stems="harmonic").report
    assert (report.model, report.engine, report.device) == ("hpss", "torch", "cpu")
    assert (report.duration, report.sample_rate) == (2.0, RATE)
    assert report.elapsed > 0
    assert report.null_dbfs < -120
    assert report.as_dict()["real_time_factor"] == pytest.approx(report.elapsed / 2)


def test_a_truncated_file_is_refused_or_its_remainder_separated(song):
    whole = song.read_bytes()
    song.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=r"song\.wav is truncated.*keep_going=True") as caught:
        soloist.separate(song, model="hpss")
    assert "--keep-going" not in str(caught.value)
    for source in (song, song.read_bytes()):
        separation = soloist.separate(source, model="hpss", keep_going=True)
        assert 0.9 < separation.report.duration < 1.1
        assert "truncated" in separation.report.truncation


def test_damage_in_a_file_is_silence_and_named_as_by_the_command(audio, tmp_path):
    path = tmp_path / "song.flac"
    soundfile.write(path, np.tile(audio, 10).T, RATE)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    separation = soloist.separate(path, model="hpss")
    assert separation.mixture.shape == (2, 20 * RATE)
    (loss,) = separation.report.losses
    assert "song.flac is damaged" in loss
    (loss,) = soloist.separate(path.read_bytes(), model="hpss").report.losses
    assert loss.startswith("the encoded audio is damaged")


def test_saving_replaces_the_recording_by_no_link(song):
    recording = song.with_name("harmonic.wav")
    song.rename(recording)
    separation = soloist.separate(recording, model="hpss")
    before = recording.read_bytes()
    with pytest.raises(UsageError, match="would replace the input"):
        separation.save(recording.parent)
    assert recording.read_bytes() == before
    assert list(recording.parent.iterdir()) == [recording]


def test_saving_takes_the_options_of_the_command(audio, tmp_path):
    separation = soloist.separate(audio, RATE, model="hpss", stems="harmonic")
    assert soundfile.info(separation.save(tmp_path, bit_depth=24)["harmonic"]).subtype == "PCM_24"
    assert separation.save(tmp_path, format="mp3", bitrate=64)["harmonic"].stat().st_size < 20_000
    with pytest.raises(UsageError, match="lossless"):
        separation.save(tmp_path, bitrate=64)


def test_stems_are_those_of_the_command(song, tmp_path):
    settings = soloist.FileSettings(tmp_path / "stems", selection=soloist.StemSelection(residual=True))
    (report,) = soloist.Batch("hpss", settings).run([song]).reports
    separation = soloist.separate(song, model="hpss", residual=True)
    assert list(report.stems) == list(separation)
    for name, path in report.stems.items():
        np.testing.assert_array_equal(soundfile.read(path, dtype="float32")[0].T, separation[name])


def test_defaults_are_those_of_the_command():
    theirs = inspect.signature(command).parameters
    common = {
        name: parameter.default
        for name, parameter in inspect.signature(soloist.separate).parameters.items()
        if name in theirs and name not in ("stems",)
    }
    assert set(common) == {
        *("model", "two_stems", "residual", "consistency", "start", "duration", "keep_going"),
        *("device", "engine", "precision"),
    }
    assert common == {name: theirs[name].default for name in common}


@pytest.mark.parametrize(
    ("settings", "theirs", "common"),
    [
        (soloist.StreamSettings, command, {"chunk", "overlap", "shifts", "batch_size", "shift_seed"}),
        (WriteOptions, command, {"bit_depth", "bitrate", "clip"}),
        (
            soloist.FileSettings,
            command,
            {
                *("template", "start", "duration", "sample_rate", "device", "engine", "precision"),
                *("keep_going", "strength"),
            },
        ),
        (ScoreSettings, score, {"window", "hop", "rank_tolerance", "start", "duration"}),
        (ScoreSettings, evaluate, {"window", "hop", "rank_tolerance"}),
        (EvaluationSettings, evaluate, {"listen", "overwrite"}),
        (SystemSettings, evaluate, {"device", "engine", "precision"}),
    ],
)
def test_defaults_of_settings_are_those_of_the_command(settings, theirs, common):
    options = inspect.signature(theirs).parameters
    values = inspect.signature(settings).parameters
    # The names that both have, but for those that say the same in another type.
    other = {"format", "metrics", "audio_track", "skip_existing", "overwrite", "jobs"} - common
    assert (set(values) & set(options)) - other == common
    assert {name: values[name].default for name in common} == {name: options[name].default for name in common}
