"""`soloist data convert` as a user sees it."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
import soundfile

from soloist.audio import probe, read_audio
from soloist.datasets import StemFolders
from stem_corpora import noises, write_multi_stream, write_track
from talker_corpora import write_mixtures


@pytest.fixture
def musdb(tmp_path):
    """Two tracks of AAC streams."""
    for seed, place in enumerate(("train/A - B", "test/C - D")):
        music = noises(seconds=0.5, channels=2, seed=seed)
        write_multi_stream(tmp_path / "musdb18" / f"{place}.stem.mp4", music)
    return tmp_path / "musdb18"


def test_streams_become_files_once(soloist, musdb, tmp_path):
    output = tmp_path / "flac"
    result = soloist("data", "convert", musdb, output, "--jobs", 2)
    assert (result.code, result.out.splitlines()[-1]) == (0, f"2 converted to {output}")
    (track,) = StemFolders(output).tracks("train")
    assert track.name == "A - B"
    assert set(track.stems) == {"vocals", "drums", "bass", "other"}
    assert track.mixture.path == output / "train/A - B/mixture.flac"
    result = soloist("data", "convert", musdb, output)
    assert (result.code, result.out) == (0, f"0 converted to {output}, 2 were there already\n")
    assert soloist("data", "check", output, "--layout", "stems").code == 0


def test_format_rate_and_channels(soloist, musdb, tmp_path):
    output = tmp_path / "wav"
    assert soloist("data", "convert", musdb, output, "-f", "wav", "--sample-rate", 8000, "--mono").code == 0
    info = probe(output / "test/C - D/bass.wav")
    assert (info.sample_rate, info.channels, info.codec) == (8000, 1, "float")
    result = soloist("data", "convert", musdb, output, "-f", "wav")
    assert (result.code, result.err) == (0, "")
    result = soloist("data", "convert", musdb, output, "-f", "wav", "--sample-rate", 16000)
    assert result.code == 1
    assert "is there with 8000 Hz and 1 channel(s)" in result.err
    result = soloist("data", "convert", musdb, output, "-f", "wav", "--sample-rate", 16000, "--overwrite")
    assert result.code == 0
    assert probe(output / "test/C - D/bass.wav").sample_rate == 16000


def test_arguments_of_the_layout_choose_what_is_converted(soloist, tmp_path):
    name = "011a0101_1.2_20ca010c_-1.2"
    signals = {"mix_both": ("s1", "s2", "noise"), "mix_clean": ("s1", "s2")}
    write_mixtures(tmp_path / "wham/wav8k/min/tr", name, signals)
    result = soloist("data", "convert", tmp_path / "wham", tmp_path / "flac", "--mixture", "mix_clean")
    assert result.code == 0
    written = sorted(path.name for path in (tmp_path / "flac/train" / name).iterdir())
    assert written == ["mixture.flac", "s1.flac", "s2.flac"]
    result = soloist("data", "convert", tmp_path / "wham", tmp_path / "flac", "--mixtur", "mix_clean")
    assert result.code == 2
    assert "mixture" in result.err


def test_clips_keep_their_paths(soloist, tmp_path):
    for place in ("anna/1", "ben/deep/2"):
        path = tmp_path / "clips" / f"{place}.ogg"
        path.parent.mkdir(parents=True)
        soundfile.write(path, noises(("x",), seconds=0.2)["x"].T, 8000)
    output = tmp_path / "flac"
    assert soloist("data", "convert", tmp_path / "clips", output, "-l", "clips").code == 0
    assert sorted(str(path.relative_to(output)) for path in output.rglob("*.*")) == [
        "anna/1.flac",
        "ben/deep/2.flac",
    ]
    before, after = (read_audio(f"{folder}.{suffix}")[0] for folder, suffix in (
        (tmp_path / "clips/anna/1", "ogg"), (output / "anna/1", "flac")
    ))  # fmt: skip
    np.testing.assert_allclose(after, before, atol=2**-22)


def test_a_synthetic_corpus_is_written_out(soloist, tmp_path):
    arguments = ("--layout", "synthetic-band", "--songs", 1, "--seconds", 0.2, "--sample_rate", 8000)
    assert soloist("data", "convert", tmp_path / "band", *arguments).code == 0
    assert StemFolders(tmp_path / "band").splits == ("train", "valid", "test")


def test_failures_are_named_and_the_rest_is_done(soloist, musdb, tmp_path):
    (musdb / "train/A - B.stem.mp4").write_bytes(b"no film" * 100)
    result = soloist("data", "convert", musdb, tmp_path / "flac")
    assert result.code == 1
    assert result.out == f"1 converted to {tmp_path / 'flac'}, 1 failed\n"
    assert result.err.startswith("soloist: train/A - B: ")
    assert "A - B.stem.mp4" in result.err
    assert len(result.err.splitlines()) == 1
    assert [path.name for path in (tmp_path / "flac").iterdir()] == ["test"]


def test_what_is_scaled_is_said(soloist, tmp_path):
    loud = {name: 10 * audio for name, audio in noises(("vocals", "drums"), seconds=0.1).items()}
    write_track(tmp_path / "corpus/song", loud)
    result = soloist("data", "convert", tmp_path / "corpus", tmp_path / "flac", "-l", "stems")
    assert result.out.splitlines()[0].startswith("1 lowered so that nothing clips, by ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give the folder of the corpus, and the folder to write"),
        (("OUTPUT",), "give the folder of a corpus"),
        (("absent", "OUTPUT"), "there is no folder absent"),
        (("ROOT", "ROOT/flac"), "lies in the corpus"),
        (("ROOT", "ROOT", "OUTPUT"), "one corpus at a time"),
        (("ROOT", "OUTPUT", "--layout", "unheard"), "there is no layout 'unheard'"),
        (("ROOT", "OUTPUT", "--sample-rate", "5"), "sample rate 5 Hz"),
    ],
)
def test_wrong_usage(soloist, musdb, tmp_path, arguments, message):
    places = {"ROOT": musdb, "ROOT/flac": musdb / "flac", "OUTPUT": tmp_path / "flac"}
    result = soloist("data", "convert", *(places.get(argument, argument) for argument in arguments))
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert not (tmp_path / "flac").exists()


@pytest.mark.slow
def test_an_interruption_leaves_nothing_half_written(soloist_process, soloist, tmp_path):
    for number in range(40):
        write_track(tmp_path / f"corpus/{number}", noises(seconds=6.0))
    output = tmp_path / "flac"
    process = soloist_process("data", "convert", tmp_path / "corpus", output, "-l", "stems")
    while not list(output.glob("*/*.flac")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert err.decode().startswith("soloist: interrupted")
    folders = list(output.iterdir())
    assert 0 < len(folders) < 40
    assert {tuple(sorted(path.name for path in folder.iterdir())) for folder in folders} == {
        ("bass.flac", "drums.flac", "other.flac", "vocals.flac")
    }
    result = soloist("data", "convert", tmp_path / "corpus", output, "-l", "stems")
    assert (result.code, len(list(output.iterdir()))) == (0, 40)
    assert f", {len(folders)} were there already" in result.out
