import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile


def files_in(folder):
    """Files that a user sees: without the records."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".soloist.json"
    )


def stem(folder, name, track="song", model="hpss"):
    audio, _ = soundfile.read(folder / model / track / f"{name}.wav", always_2d=True)
    return audio


def test_a_song_becomes_stems_of_its_own_shape(soloist, song, tmp_path):
    result = soloist("separate", song, "-o", tmp_path, "-m", "hpss")
    assert result.code == 0, result.err
    assert files_in(tmp_path) == ["hpss/song/harmonic.wav", "hpss/song/percussive.wav"]
    original, written = soundfile.info(song), soundfile.info(tmp_path / "hpss/song/harmonic.wav")
    assert (written.frames, written.samplerate, written.channels) == (
        original.frames,
        original.samplerate,
        original.channels,
    )
    assert written.subtype == "FLOAT"
    assert "times real time" in result.err


def test_the_default_model_needs_no_name(soloist, song, tmp_path):
    result = soloist("separate", song, "-o", tmp_path, "--two-stems", "vocals")
    assert result.code == 0, result.err
    stems = {path.stem for path in tmp_path.rglob("*.wav")}
    assert stems == {"vocals", "no_vocals"}


def test_stems_and_residual_null_against_the_mixture(soloist, song, tmp_path):
    result = soloist(
        "separate", song, "-o", tmp_path, "-m", "hpss", "--residual", "--json", "--stems", "harmonic"
    )
    report = json.loads(result.out)
    assert report["ok"] is True
    assert report["null_dbfs"] < -90
    assert report["real_time_factor"] > 0
    assert report["peak_memory_mb"] > 50
    mixture, _ = soundfile.read(song)
    null = mixture - stem(tmp_path, "harmonic") - stem(tmp_path, "residual")
    assert 10 * np.log10(np.mean(null**2) + 1e-20) < -90


def test_an_excerpt_is_the_same_part_of_the_song(soloist, song, tmp_path):
    assert soloist("separate", song, "-o", tmp_path, "-m", "hpss", "--residual", "--start", 1).code == 0
    total = sum(stem(tmp_path, name) for name in ("harmonic", "percussive", "residual"))
    original, _ = soundfile.read(song)
    np.testing.assert_allclose(total, original[44100:], atol=1e-5)
    assert (
        soloist("separate", song, "-o", tmp_path, "-m", "hpss", "--start", 0.5, "--duration", 1.5).code == 0
    )
    assert stem(tmp_path, "harmonic").shape == (66150, 2)


@pytest.mark.parametrize(
    ("options", "suffix", "subtype"),
    [
        (["--int24"], "wav", "PCM_24"),
        (["--bit-depth", "16"], "wav", "PCM_16"),
        (["--flac"], "flac", "PCM_24"),
        (["--mp3", "--bitrate", "192"], "mp3", "MPEG_LAYER_III"),
        (["--format", "ogg"], "ogg", "VORBIS"),
    ],
)
def test_formats(soloist, song, tmp_path, options, suffix, subtype):
    result = soloist("separate", song, "-o", tmp_path, "-m", "hpss", *options)
    assert result.code == 0, result.err
    info = soundfile.info(tmp_path / "hpss" / "song" / f"harmonic.{suffix}")
    assert info.subtype == subtype
    assert info.samplerate == 44100


def test_one_file_with_all_stems(soloist, song, tmp_path):
    from soloist.audio import probe

    result = soloist("separate", song, "-o", tmp_path, "-m", "hpss", "--format", "stem")
    assert result.code == 0, result.err
    assert files_in(tmp_path) == ["hpss/song.stem.mp4"]
    assert len(probe(tmp_path / "hpss/song.stem.mp4").streams) == 3


def test_another_output_rate(soloist, song, tmp_path):
    assert soloist("separate", song, "-o", tmp_path, "-m", "hpss", "--sample-rate", 48000).code == 0
    info = soundfile.info(tmp_path / "hpss/song/harmonic.wav")
    assert (info.samplerate, info.frames) == (48000, 3 * 48000)


def make_bad_folder(folder, song):
    audio, rate = soundfile.read(song)
    soundfile.write(folder / "good.wav", audio, rate)
    (folder / "text.wav").write_text("this is not audio")
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "truncated.flac", audio, rate)
    whole = (folder / "truncated.flac").read_bytes()
    (folder / "truncated.flac").write_bytes(whole[: len(whole) // 2])
    soundfile.write(folder / "short.wav", audio[:4410], rate)
    soundfile.write(folder / "six.wav", np.tile(audio, (1, 3)), rate)
    broken = audio.copy()
    broken[rate] = np.nan
    soundfile.write(folder / "nan.wav", broken, rate, subtype="FLOAT")
    soundfile.write(folder / "phone.mp3", audio[::6, :1], 8000)
    soundfile.write(folder / "my song 🎸.wav", audio, rate)


BAD = ("text.wav", "empty.wav", "truncated.flac", "nan.wav")
GOOD = ("good", "short", "six", "phone", "my song 🎸")


@pytest.mark.parametrize("model", ["hpss", "two-stage-hpss"])
def test_bad_files_are_named_and_the_good_ones_done(soloist, song, tmp_path, model):
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    make_bad_folder(folder, song)
    result = soloist("separate", folder, "-o", output, "-m", model, "--json")
    assert result.code == 1
    assert "Traceback" not in result.err
    reports = [json.loads(line) for line in result.out.splitlines()]
    failed = {report["input"].rsplit("/", 1)[-1] for report in reports if not report["ok"]}
    assert failed == set(BAD)
    for name in BAD:
        lines = [line for line in result.err.splitlines() if name in line]
        assert len(lines) == 1, (name, result.err)
    assert {path.name for path in (output / model).iterdir()} == set(GOOD)
    for name in GOOD:
        source = next(folder.glob(f"{name}.*"))
        for path in (output / model / name).glob("*.wav"):
            original, written = soundfile.info(source), soundfile.info(path)
            assert (written.channels, written.samplerate) == (original.channels, original.samplerate)
            assert written.frames == original.frames
            assert np.isfinite(soundfile.read(path)[0]).all()
    assert {path.rsplit(".", 1)[-1] for path in files_in(output)} == {"wav"}


def test_standard_input_as_wav(soloist_process, song, tmp_path):
    process = soloist_process("separate", "-", "-o", tmp_path, "-m", "hpss")
    _, errors = process.communicate(song.read_bytes())
    assert process.returncode == 0, errors
    assert stem(tmp_path, "harmonic", "stdin").shape == soundfile.read(song)[0].shape


@pytest.mark.slow
def test_standard_input_as_raw_samples(soloist_process, song, tmp_path):
    audio, _ = soundfile.read(song, dtype="int16")
    raw = ("--stdin-format", "s16", "--stdin-rate", 44100, "--stdin-channels", 2)
    process = soloist_process("separate", "-", "-o", tmp_path, "-m", "hpss", "--residual", *raw)
    _, errors = process.communicate(audio.astype("<i2").tobytes())
    assert process.returncode == 0, errors
    total = sum(stem(tmp_path, name, "stdin") for name in ("harmonic", "percussive", "residual"))
    np.testing.assert_allclose(total, soundfile.read(song)[0], atol=1e-5)


def test_finished_tracks_are_skipped_on_request(soloist, song, tmp_path):
    arguments = ("separate", song, "-o", tmp_path, "-m", "hpss")
    assert soloist(*arguments).code == 0
    path = tmp_path / "hpss/song/harmonic.wav"
    path.write_bytes(b"mine")
    assert "skipped" in soloist(*arguments, "--skip-existing").err
    assert path.read_bytes() == b"mine"
    assert soloist(*arguments).code == 0
    assert path.read_bytes() != b"mine"


def test_a_dry_run_writes_nothing(soloist, song, tmp_path):
    result = soloist("separate", song, "-o", tmp_path, "-m", "hpss", "--dry-run")
    assert result.code == 0
    assert "harmonic.wav" in result.out
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--stems", "guitar"], "guitar"),
        (["--two-stems", "guitar"], "guitar"),
        (["-m", "no-such-model"], "no-such-model"),
        (["--template", "{x}/{stem}"], "'x'"),
        (["--template", "../{stem}.wav"], "outside"),
        (["--overlap", "0.9"], "overlap"),
        (["--chunk", "0"], "chunk"),
        (["--mp3", "--flac"], "formats"),
        (["--device", "cuda:7"], "cuda:7"),
        (["--mp3", "--bit-depth", "24"], "bit depth"),
        (["--start", "-1"], "start"),
        (["--quiet", "--verbose"], "--quiet"),
        (["--stdin-format", "s16"], "standard input"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(soloist, song, tmp_path, arguments, named):
    result = soloist("separate", song, "-o", tmp_path, *arguments)
    assert result.code == 2 or (named == "no-such-model" and result.code == 1)
    assert named in result.err
    assert "Traceback" not in result.err
    assert files_in(tmp_path) == []


def test_no_input_is_wrong_usage(soloist):
    assert soloist("separate").code == 2


@pytest.mark.parametrize("missing", ["nowhere.wav", "nowhere/*.wav"])
def test_an_input_that_is_not_there_is_named(soloist, tmp_path, missing):
    result = soloist("separate", tmp_path / missing, "-o", tmp_path / "out", "-m", "hpss")
    assert result.code in (1, 2)
    assert "nowhere" in result.err
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_made_is_named(soloist, song, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = soloist("separate", song, "-o", tmp_path / "file", "-m", "hpss")
    assert result.code == 1
    assert str(tmp_path / "file") in result.err
    assert "Traceback" not in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_an_interrupt_leaves_nothing_behind(soloist_process, tmp_path):
    long = tmp_path / "long.wav"
    soundfile.write(long, np.random.default_rng(0).standard_normal((44100 * 240, 2)) * 0.1, 44100)
    output = tmp_path / "out"
    process = soloist_process("separate", long, "-o", output, "-m", "hpss")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not (output.exists() and files_in(output)):
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert b"interrupted" in errors
    assert b"Traceback" not in errors
    assert not output.exists() or files_in(output) == []


def test_help_does_not_load_pytorch():
    code = "import sys; import soloist.cli.app; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_debug_shows_the_traceback(soloist_process, song, tmp_path):
    process = soloist_process("separate", song, "-o", tmp_path, "--stems", "guitar", "--debug")
    _, errors = process.communicate()
    assert b"Traceback" in errors


class TestDefault:
    """The model of songs for which none is named."""

    @pytest.fixture
    def home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
        return tmp_path / "home"

    def test_the_line_of_the_job_names_the_best_on_disk(self, soloist, song, home, tmp_path):
        card = {"name": "mine", "system": "HPSS", "title": "Mine", "sources": ["harmonic", "percussive"]}
        config = {"class_path": "soloist.separators.HPSS", "init_args": {}}
        path = home / "models" / "mine" / "card.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({**card, "config": config, "default_rank": 1}))
        result = soloist("separate", song, "-o", tmp_path / "out")
        assert result.code == 0, result.err
        assert "times real time, by mine, the best model on disk; -m NAME takes another" in result.err
        assert (tmp_path / "out" / "mine").is_dir()

    def test_offline_the_rule_does_it_and_says_so(self, soloist, song, home, tmp_path):
        result = soloist("separate", song, "-o", tmp_path / "out")
        assert result.code == 0, result.err
        assert "by two-stage-hpss, as no better model is on disk, offline" in result.err

    def test_a_dry_run_downloads_nothing(self, soloist, song, home, tmp_path, monkeypatch):
        monkeypatch.setenv("SOLOIST_OFFLINE", "0")
        result = soloist("separate", song, "--dry-run", "-o", tmp_path / "out")
        assert result.code == 0, result.err
        assert "as no better model is on disk, and none is downloaded now" in result.out
        assert not (home / "models").exists()
        assert not (home / "downloads").exists()

    def test_a_dry_run_of_a_model_that_is_not_on_disk_says_so(
        self, soloist, song, home, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("SOLOIST_OFFLINE", "0")
        for options, model in (
            (("-m", "spleeter-5stems"), "spleeter-5stems"),
            (("--chain", "drums"), "htdemucs"),
        ):
            result = soloist("separate", song, "--dry-run", *options, "-o", tmp_path / "out")
            assert result.code == 1
            assert "--dry-run downloads nothing, and" in result.err
            assert f"soloist models download {model}" in result.err
        assert not (home / "downloads").exists()

    def test_an_alias_stands_for_the_model(self, soloist, song, home, tmp_path):
        result = soloist("separate", song, "-m", "v4 | htdemucs", "-o", tmp_path / "out")
        assert result.code == 1
        assert "htdemucs needs 955717e8-8726e21a.th from https://dl.fbaipublicfiles.com" in result.err
