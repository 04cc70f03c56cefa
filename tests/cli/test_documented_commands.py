"""The commands and the Python of the pages Start and How-to, run as written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from documented_commands import code, commands, make_machine, run_command, write_files_of
from soloist.datasets import synthesize_talker
from soloist.separators import build_separator
from soloist.zoo import find, save_model

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(ROOT.glob("docs/start/*.md")) + sorted(ROOT.glob("docs/howto/*.md"))
STAND_INS = {
    "htdemucs": 44100,
    "mel-roformer-kim": 44100,
    "mel-karaoke-aufr33-viperx": 44100,
    "mel-dereverb-anvuew": 44100,
    "mel-denoise-aufr33": 44100,
    "dtln": 16000,
    "sudormrf-u36-whamr": 8000,
}
"""Further models that the pages name, and rates: tiny networks under their names, since a test downloads nothing."""


def save_stand_in(name: str, rate: int) -> None:
    """Save a small network of random weights as a published model."""
    card = find(name)
    sources = list(card.sources)
    network = {"inputs": 1, "outputs": len(sources), "num_bins": 129, "hidden_size": 4, "layers": 1}
    config = {
        "class_path": "soloist.separators.SpectralSeparator",
        "init_args": {
            "sources": sources,
            "sample_rate": rate,
            "channels": 1,
            "ordered": card.task != "talkers",
            "representation": "magnitude",
            "mode": "masking",
            "transform": {"class_path": "STFT", "init_args": {"n_fft": 256, "hop_length": 128}},
            "network": {"class_path": "RecurrentNetwork", "init_args": network},
        },
    }
    about = {"system": card.system, "title": card.title, "task": card.task}
    save_model(build_separator(config, name), config, about, card.folder)


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Path]:
    """A folder with what the pages speak of: songs, albums, stems, talks, a film, models."""
    folder = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("SOLOIST_HOME", str(folder / "soloist"))
        make_machine(folder)
        for name, rate in STAND_INS.items():
            save_stand_in(name, rate)
    (folder / "home/songs").rename(folder / "songs")
    shutil.copytree(folder / "estimates", folder / "results-of-others")
    talk = 0.3 * sum(synthesize_talker(2.0, talker=talker)[0] for talker in (1, 2))
    (folder / "episodes").mkdir()
    for name in ("talkers.wav", "meeting.wav", "interview.wav", "episodes/one.wav"):
        soundfile.write(folder / name, np.asarray(talk), 8000)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_as_written(page, machine, tmp_path, soloist, monkeypatch):
    shutil.copytree(machine, tmp_path / "desk", copy_function=os.link)
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.setenv("HOME", str(tmp_path / "desk/home"))
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "desk/soloist"))
    torch.manual_seed(0)
    write_files_of(page, tmp_path / "desk")
    for command in commands(page):
        if command.is_ours:
            status, shown = run_command(command, soloist)
            assert status == 0, f"{command.place}: {command.line}\n{shown}"
    for block in code(page):
        if not block.startswith("# "):
            exec(compile(block, str(page), "exec"), {"__name__": "page"})
