"""The commands and the Python of README, of the pages Start and How-to and of some others, run as written."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from documented_commands import (
    DocumentedCommand,
    code,
    commands,
    make_machine,
    run_command,
    write_files_of,
)
from soloist.config import configuration_of
from soloist.datasets import synthesize_talker
from soloist.networks import RecurrentNetwork
from soloist.separators import Denoiser, SpectralSeparator, build_separator
from soloist.transforms import STFT
from soloist.zoo import find, save_model
from stem_corpora import noises, spoiled, write_track

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / "README.md", *sorted(ROOT.glob("docs/start/*.md")), *sorted(ROOT.glob("docs/howto/*.md"))),
    *(ROOT / "docs/library.md", ROOT / "docs/live.md"),
]
LONG = ("soloist tune ", "soloist profile ")
"""Commands that measure for a minute, which tests/cli/test_tune.py and test_profile.py run."""

STAND_INS = (
    *("mel-roformer-kim", "mel-karaoke-aufr33-viperx", "mel-dereverb-anvuew", "mel-denoise-aufr33"),
    *("htdemucs", "umxhq", "dtln", "gtcrn", "sudormrf-u36-whamr", "convtasnet-wham"),
)
"""Further models that the pages name: tiny networks under their names, since a test downloads nothing."""


def save_stand_in(name: str) -> None:
    """Save a small network of random weights as a published model."""
    card = find(name)
    sources = ["speech"] if name in ("dtln", "gtcrn") else list(card.sources)
    config = configuration_of(
        SpectralSeparator,
        sources=sources,
        sample_rate=card.sample_rate or 16000,
        channels=1,
        ordered=card.task != "talkers",
        representation="magnitude",
        mode="masking",
        transform=configuration_of(STFT, n_fft=256, hop_length=128),
        network=configuration_of(
            RecurrentNetwork, inputs=1, outputs=len(sources), num_bins=129, hidden_size=4, layers=1
        ),
    )
    if name in ("dtln", "gtcrn"):
        config = configuration_of(Denoiser, separator=config)
    about = {"system": card.system, "title": card.title, "task": card.task}
    save_model(build_separator(config, name), config, about, card.folder)


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """A folder with what the pages speak of: songs, albums, stems, talks, a film, models."""
    folder = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("SOLOIST_HOME", str(folder / "soloist"))
        make_machine(folder)
        for name in STAND_INS:
            save_stand_in(name)
    for index in range(4):
        # Samples of 1.1 s at the rate of the files; a channel is scored in an eighth of the time of two.
        stems = noises(seconds=6.0, seed=index)
        write_track(folder / f"songs/song {index}", stems, 44100)
        write_track(folder / f"results-of-others/song {index}", spoiled(stems), 44100)
    talk = 0.3 * sum(synthesize_talker(2.0, talker=talker)[0] for talker in (1, 2))
    (folder / "episodes").mkdir()
    for name in ("talkers.wav", "meeting.wav", "interview.wav", "talk.wav", "episodes/one.wav"):
        soundfile.write(folder / name, np.asarray(talk), 8000)
    return folder


@pytest.fixture
def desk(machine, tmp_path, monkeypatch) -> Path:
    """A copy of the machine as the working folder."""
    shutil.copytree(machine, tmp_path / "desk", copy_function=os.link)
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.setenv("HOME", str(tmp_path / "desk/home"))
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "desk/soloist"))
    torch.manual_seed(0)
    return tmp_path / "desk"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_as_written(page, desk, soloist):
    write_files_of(page, desk)
    for command in commands(page):
        if command.is_ours and not command.line.startswith(LONG):
            status, shown = run_command(command, soloist)
            assert status == 0, f"{command.place}: {command.line}\n{shown}"
    for block in code(page):
        if not block.startswith("# "):
            # README separates a mixture of the reader's.
            exec(compile(block, str(page), "exec"), {"__name__": "page", "mixture": torch.randn(1, 2, 44100)})


def test_commands_that_need_other_machines_have_options_that_exist():
    pages = [*PAGES, ROOT / "docs/scale.md"]
    left = [command for page in pages for command in commands(page) if not command.runs]
    assert sum(command.parse() for command in left) >= 14
    with pytest.raises(Exception, match="--threds"):
        DocumentedCommand("soloist separate a.wav --threds 2", "", runs=False).parse()


@pytest.mark.slow
def test_what_people_type_elsewhere_has_a_command_that_runs(desk, soloist):
    page = (ROOT / "docs/from-other-tools.md").read_text(encoding="utf-8")
    lines = re.findall(r"`(soloist (?:separate|score|evaluate) [^`\n]*)`", page)
    # Others are forms, with names such as FOLDER, or options alone.
    whole = [line for line in lines if not re.search(r"\b[A-Z]+\b", line)]
    tried = [line for line in whole if any(Path(word).exists() for word in line.split()[2:])]
    assert len(tried) > 5
    for line in tried:
        status, shown = run_command(DocumentedCommand(line, "from-other-tools.md"), soloist)
        assert status == 0, f"{line}\n{shown}"
