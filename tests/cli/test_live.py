"""`soloist live`: pipes paced in real time, files, and everything that can go wrong."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time

import numpy as np
import pytest
import soundfile
import torch

import soloist as package
from soloist.cli.live import parse_levels
from soloist.cli.live_meter import bar, level_of
from soloist.config import configuration_of
from soloist.errors import UsageError
from soloist.networks import ULUNAS
from soloist.separators import Denoiser, SpectralSeparator, build_separator
from soloist.transforms import STFT
from soloist.zoo import save_model

RATE = 8000


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    """Folder of a small causal denoiser, whose masks are near a half."""
    network = configuration_of(ULUNAS, num_bins=33, num_kept=9, num_bands=8, sample_rate=RATE)
    separator = configuration_of(
        SpectralSeparator,
        transform=configuration_of(STFT, n_fft=64, hop_length=32),
        network=network,
        sources=["speech"],
        sample_rate=RATE,
        channels=1,
        representation="magnitude",
        mode="masking",
    )
    config = configuration_of(Denoiser, separator=separator)
    torch.manual_seed(0)
    return save_model(build_separator(config, "test"), config, {}, tmp_path_factory.mktemp("live") / "small")


def noise(samples):
    return (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)


def pcm(audio):
    return np.clip(np.rint(audio * 32768), -32768, 32767).astype("<i2").tobytes()


@pytest.mark.slow
def test_a_paced_pipe_is_answered_after_the_declared_delay_to_the_sample(soloist_process, denoiser):
    audio, block, arrived = noise(2 * RATE), 160, []
    program = soloist_process(
        *("live", "-m", denoiser, "--input", "-", "--output", "-", "--rate", RATE, "--engine", "torch")
    )
    told = program.stderr.readline().decode()
    samples = int(re.search(r"(\d+) samples \(", told)[1])
    assert "frame by frame: speech of 1 x 8000 Hz" in told

    def listen():
        while data := program.stdout.read1(1 << 16):
            arrived.append((time.monotonic(), data))

    listener = threading.Thread(target=listen)
    listener.start()
    begun = time.monotonic()
    for start in range(0, audio.size, block):
        time.sleep(max(0, begun + (start + block) / RATE - time.monotonic()))
        program.stdin.write(pcm(audio[start : start + block]))
        program.stdin.flush()
    program.stdin.close()
    assert program.wait(60) == 0
    listener.join()
    heard = np.frombuffer(b"".join(data for _, data in arrived), "<i2") / 32768
    assert heard.size == audio.size + samples
    size = 2 * heard.size
    correlation = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(audio, size)))
    assert int(correlation.argmax()) == samples == 319
    assert not heard[:samples].any()
    # What comes in goes out at once, on a machine that may do other work.
    received = np.cumsum([len(data) // 2 for _, data in arrived])
    late = [when - begun - count / RATE for (when, _), count in zip(arrived, received, strict=True)]
    assert np.median(late) < 0.1
    assert re.fullmatch(r"2\.0 s, load \d+%, \d+ blocks? dropped\n", program.stderr.read().decode())


@pytest.mark.slow
def test_ctrl_c_and_a_closed_pipe_end_it_with_whole_files(soloist_process, denoiser, tmp_path):
    common = ("live", "-m", denoiser, "--input", "-", "--output", "-", "--rate", RATE, "--engine", "torch")
    program = soloist_process(*common, "-o", tmp_path / "interrupted")
    program.stdin.write(pcm(noise(RATE)))
    program.stdin.flush()
    left = (RATE) * 2
    while left > 0:
        left -= len(program.stdout.read1(left))
    program.send_signal(signal.SIGINT)
    assert program.wait(60) == 0
    *_, last = program.stderr.read().decode().splitlines()
    assert re.fullmatch(r"1\.0 s, load \d+%, \d+ blocks? dropped", last)
    assert soundfile.info(tmp_path / "interrupted" / "speech.wav").frames == RATE

    program = soloist_process(*common, "-o", tmp_path / "closed")
    program.stdout.close()
    program.stdin.write(pcm(noise(RATE)))
    program.stdin.close()
    assert program.wait(60) == 141
    assert "\nstandard output was closed by its reader after 0.0 s" in program.stderr.read().decode()


def test_a_file_becomes_stems_that_begin_with_it(soloist, denoiser, tmp_path):
    audio = noise(3000)
    soundfile.write(tmp_path / "in.wav", audio, 12000, subtype="FLOAT")
    shown = soloist(
        *("live", "-m", denoiser, "-i", tmp_path / "in.wav", "-o", tmp_path / "out", "--engine", "torch")
    )
    assert shown.code == 0, shown.err
    stems = {name: soundfile.read(tmp_path / "out" / f"{name}.wav")[0] for name in ("speech", "noise")}
    np.testing.assert_allclose(sum(stems.values()), audio, atol=1e-6)
    with package.stream(denoiser, 12000, 1, engine="torch") as stream:
        pieces = [stream.push(audio[None])["speech"], stream.finish()["speech"]]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1)[0], stems["speech"], atol=1e-6)
    again = soloist(
        *("live", "-m", denoiser, "-i", tmp_path / "in.wav", "-o", tmp_path / "out", "--engine", "torch")
    )
    assert again.code == 2
    assert "speech.wav is there: choose another folder with -o" in again.err


def test_a_model_without_steps_takes_chunks_of_the_latency(soloist, tmp_path):
    soundfile.write(tmp_path / "in.wav", noise(2 * RATE), RATE, subtype="FLOAT")
    for latency, expected in (
        ("500", "in chunks: harmonic of 1 x 8000 Hz, "),
        ("5", ""),
    ):
        folder = tmp_path / latency
        shown = soloist(
            *("live", "-m", "hpss", "-i", tmp_path / "in.wav", "-o", folder, "--latency", latency)
        )
        assert expected in shown.err
        assert shown.code == (0 if expected else 2)
    assert re.search(r"a latency of 5 ms is too short: the model needs \d+ ms", shown.err)
    assert soundfile.info(tmp_path / "500" / "percussive.wav").frames == 2 * RATE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "20"], "--rate 20 Hz must lie in 1000..768000"),
        (["--latency", "0"], "--latency 0 must be a time in ms above 0"),
        (["-m", "nothing"], "nothing"),
        (["-m", "hpss", "-i", "missing.wav"], "missing.wav"),
    ],
)
def test_wrong_values_are_one_line(soloist, arguments, message):
    shown = soloist("live", *arguments)
    assert shown.code in (1, 2)
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_without_portaudio_cards_are_refused_and_pipes_named(soloist, monkeypatch, tmp_path):
    # An import of sounddevice without the library raises OSError.
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    for arguments in (["--devices"], ["-m", "hpss", "-i", "3"]):
        shown = soloist("live", *arguments)
        assert shown.code == 2
        assert "need PortAudio" in shown.err
        assert "pipes (-) work without it" in shown.err


def test_levels_are_read_as_decibels():
    stems = ("vocals", "drums")
    assert parse_levels(None, stems) == {"vocals": 0}
    assert parse_levels("drums, vocals=-6.5", stems) == {"drums": 0, "vocals": -6.5}
    assert parse_levels("drums=-inf", stems) == {"drums": -float("inf")}
    for wrong, message in (
        ("bass=1", "no stem 'bass'"),
        ("drums=loud", "'loud' is no level"),
        ("drums=200", "200"),
    ):
        with pytest.raises(UsageError, match=message):
            parse_levels(wrong, stems)


def test_meters_reach_from_silence_to_full_scale():
    assert (level_of(0.0), level_of(1.0)) == (-99, 0)
    assert (bar(-99), bar(-30), bar(3)) == ("-" * 10, "#####-----", "#" * 10)


@pytest.mark.parametrize("command", ["live", "serve"])
def test_a_precision_that_a_processor_has_not_is_refused(soloist, tmp_path, command):
    arguments = ["-o", tmp_path / "out", "--precision", "float16"]
    if command == "live":
        soundfile.write(tmp_path / "tone.wav", np.full(800, 0.1), 8000)
        arguments += ["-m", "hpss", "-i", tmp_path / "tone.wav"]
    shown = soloist(command, *arguments)
    assert shown.code == 2
    assert shown.err == "soloist: float16 is for GPUs: take --precision bfloat16 or float32 on the cpu\n"
    assert not (tmp_path / "out").exists()
