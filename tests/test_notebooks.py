"""The notebooks of the examples run from their first cell to their last, at a smaller size."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

SMALLER = {
    "separate_and_listen": {},
    "train_on_your_folder": {
        "SONGS, SECONDS, EPOCHS = 12, 12.0, 6": "SONGS, SECONDS, EPOCHS = 4, 2.0, 1",
        '"data.examples_per_epoch", "40"': '"data.examples_per_epoch", "4"',
    },
    "compare_systems": {
        "TRACKS, SECONDS = 10, 8.0": "TRACKS, SECONDS = 2, 2.0",
        '"two-stage-hpss", "oracle:irm1", "oracle:mixture"]': '"two-stage-hpss"]',
    },
}
"""Text of a notebook, and what stands in its place in a test."""


def test_every_notebook_is_tested(repository):
    notebooks = (repository / "examples/notebooks").glob("*.ipynb")
    assert {path.stem for path in notebooks} == set(SMALLER)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLER)
def test_a_notebook_runs(name, repository, tmp_path, monkeypatch):
    folder = tmp_path / "examples/notebooks"
    shutil.copytree(repository / "examples/band", tmp_path / "examples/band")
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    text = (repository / "examples/notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed without outputs"
    found = dict.fromkeys(SMALLER[name], False)
    for cell in notebook.cells:
        for theirs, ours in SMALLER[name].items():
            found[theirs] |= theirs in cell.source
            cell.source = cell.source.replace(theirs, ours)
    assert all(found.values()), found
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in shown for kind in output.get("data", {})}
    assert {
        "separate_and_listen": {"text/html", "image/png"},
        "train_on_your_folder": {"text/html", "image/png"},
        "compare_systems": {"text/markdown", "image/png"},
    }[name] <= kinds
