"""README: commands and Python run as written, in the order of the page; models of its tables are there."""

from __future__ import annotations

import re
import sys

import pytest
import torch

from documented_commands import code, commands, make_machine, run_command, write_files_of
from soloist.cli.names import recipe_names
from soloist.config import imports
from soloist.zoo import models


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A working folder with what the README speaks of; files of its own commands stay there."""
    folder = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOLOIST_HOME", str(folder / "soloist"))
        make_machine(folder)
    yield folder
    # Other tests have modules of this name.
    sys.modules.pop("mine", None)
    imports._imported.pop("mine", None)


@pytest.fixture
def machine(made, monkeypatch):
    monkeypatch.chdir(made)
    monkeypatch.setenv("HOME", str(made / "home"))
    monkeypatch.setenv("SOLOIST_HOME", str(made / "soloist"))
    return made


@pytest.mark.slow
def test_the_commands_run_as_written(machine, soloist, repository):
    write_files_of(repository / "README.md", machine)
    ours = [command for command in commands(repository / "README.md") if command.is_ours]
    assert len(ours) >= 3
    failed = {}
    for command in ours:
        status, shown = run_command(command, soloist)
        if status != 0:
            failed[f"{command.place}: {command.line}"] = (status, shown[-600:])
    assert not failed


@pytest.mark.slow
def test_the_python_runs_as_written(machine, repository):
    # As a mixture the page has a tensor of the reader's.
    names = {"__name__": "page", "mixture": torch.randn(1, 2, 8000)}
    blocks = [block for block in code(repository / "README.md") if not block.startswith("# ")]
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["estimates"].shape == (1, 1, 2, 8000)
    assert sorted(path.name for path in (machine / "stems").iterdir()) == ["no_vocals.flac", "vocals.flac"]


def test_models_and_recipes_of_the_tables_are_there(repository):
    known = {card.name for card in models()} | set(recipe_names())
    rows = re.findall(r"^\|.*\|$", (repository / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z0-9]+(?:[-_][a-z0-9]+)+)`", row)}
    assert len(named) > 3
    assert named <= known
