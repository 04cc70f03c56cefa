"""Damaged files of every format are separated or refused by one line, and stop no other file."""

from __future__ import annotations

import os

import numpy as np
import pytest

from hostile.trial import MODEL, is_bad, separate_all, stray_lines, table, write_corpus
from soloist.audio import AudioReader, read_audio
from soloist.files import PARTIAL

NIGHTLY = os.environ.get("SOLOIST_TEST_PROFILE") == "nightly"
SEED = int(os.environ.get("SOLOIST_TEST_SEED") or 0)


@pytest.fixture(scope="module", params=[200, pytest.param(2000 if NIGHTLY else 300, marks=pytest.mark.slow)])
def trial(request, tmp_path_factory):
    """Damaged files after their separation by one command, and its output folder."""
    folder = tmp_path_factory.mktemp("hostile")
    files = write_corpus(folder, request.param, SEED + request.param)
    found = separate_all(files, folder / "out")
    print(table(found.outcomes))
    return found, folder / "out"


def test_each_file_is_separated_or_refused_in_time(trial):
    found, _ = trial
    assert not [each for each in found.outcomes if is_bad(each)]
    assert {each.verdict for each in found.outcomes} == {"separated", "refused"}


def test_nobody_else_prints_anything(trial):
    found, _ = trial
    assert not stray_lines(found)


def test_stems_are_there_whole_or_not_at_all(trial):
    found, output = trial
    assert not list(output.rglob(PARTIAL))
    folders = {path.name for path in (output / MODEL).iterdir()}
    separated = [each for each in found.outcomes if each.verdict == "separated"]
    assert len(folders) == len(separated) + 1
    for folder in (output / MODEL).iterdir():
        assert {path.name for path in folder.iterdir()} == {".soloist.json", "harmonic.wav", "percussive.wav"}


def test_stems_add_up_to_what_decodes(trial):
    found, output = trial
    for outcome in [each for each in found.outcomes if each.verdict == "separated"][::5]:
        names = [outcome.path.stem.removesuffix(".stem"), outcome.path.name]
        folder = next(output / MODEL / name for name in names if (output / MODEL / name).is_dir())
        stems = sum(read_audio(path)[0].astype(np.float64) for path in folder.glob("*.wav"))
        with AudioReader(outcome.path, tolerance="truncation") as reader:
            source = np.concatenate(list(reader.blocks()), axis=1)
        assert np.abs(stems - source).max() <= 1e-6 * max(1.0, np.abs(source).max())
