"""Output in terminals of 80 and of 40 columns, and into a pipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.main import get_command

from cli.test_runs import finish, write_run
from soloist.cli.app import app
from soloist.zoo import models
from soloist.zoo.cards import TASKS

fcntl = pytest.importorskip("fcntl", reason="pseudo-terminals are those of POSIX")

COMMANDS = [
    *("separate", "live", "models", "info", "evaluate", "score", "report", "profile"),
    *("init", "data", "train", "runs", "visualize", "export", "tune"),
]


@pytest.fixture
def terminal() -> Callable[..., str]:
    """Run the command in a terminal of so many columns; gives what it shows."""
    import pty
    import struct
    import termios

    def show(columns: int, *arguments: str) -> str:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        hidden = ("COLUMNS", "LINES", "NO_COLOR", "CI", "GITHUB_ACTIONS")
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        command = [sys.executable, "-m", "soloist.cli.main", *arguments]
        with subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, env={**environment, "TERM": "xterm"}
        ) as process:
            os.close(follower)
            shown = read(leader)
            assert process.wait() == 0, shown
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
        return "\n".join(line.rstrip("\r") for line in text.split("\n"))

    return show


def read(terminal: int) -> str:
    """Everything that a terminal is sent, until the last process closes it."""
    chunks = []
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(terminal)
    return b"".join(chunks).decode()


def longest(text: str) -> int:
    return max(map(len, text.splitlines()))


def words(text: str) -> str:
    """A text without its line ends, frames and repeated spaces."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("columns", [80, 40])
def test_the_commands_stand_in_five_panels(terminal, columns):
    shown = terminal(columns, "--help")
    assert longest(shown) <= columns
    frames = ("─ ", " ─") if columns == 80 else ("\n", "\n")
    panels = ("Separate", "Measure", "Train", "Look", "Ship")
    places = [shown.index(panel.join(frames)) for panel in panels]
    assert places == sorted(places)
    for command in COMMANDS:
        assert re.search(rf"^[│ ]+{command}\b", shown, re.MULTILINE), command
    assert "…" not in shown


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("command", [*COMMANDS, "models import", "data check"])
def test_help_shows_every_option_whole(soloist, monkeypatch, columns, command):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = soloist(*command.split(), "--help").out
    assert longest(shown) <= columns
    assert "…" not in shown
    found = get_command(app)
    for name in command.split():
        found = found.commands[name]
    for parameter in found.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            assert not option.startswith("-") or option in shown, option


def test_models_are_a_table_in_80_columns(terminal):
    shown = terminal(80, "models")
    assert longest(shown) <= 80
    heading, *lines = shown.splitlines()
    assert heading.split() == ["name,", "sources", "size,", "speed", "licence", "quality", "on", "disk"]
    rows = {line.split()[0]: line for line in lines if line and line[0] not in " ["}
    assert sorted(rows) == sorted(card.name for card in models())
    assert all(figure in rows["umxl"] for figure in ("452 MB", "CC", "vocals 7.21 SDR"))
    assert rows["umxl"].rstrip().endswith(("yes", "no"))
    assert [line.strip() for line in lines if line.startswith("[")] == [
        f"[{task}]" for task in TASKS.values()
    ]
    assert re.search(r"^  vocals, drums, bass, +cost 4\.8", shown, re.MULTILINE)


def test_recommendations_are_six_rows_in_80_columns(terminal):
    shown = terminal(80, "models", "recommend")
    assert longest(shown) <= 80
    assert len(shown.splitlines()) == 7


def test_models_are_blocks_in_40_columns(terminal):
    shown = terminal(40, "models")
    assert longest(shown) <= 40
    blocks = {block.split("\n")[0].strip(): words(block) for block in shown.strip().split("\n\n")}
    assert sorted(blocks) == sorted(card.name for card in models())
    for fact in (
        "task: stems",
        "sources: vocals, drums, bass, other",
        "size: 452 MB",
        "speed: cost 4.8",
        "rate: 44.1 kHz",
        "parameters: 113.03 M",
        "licence: CC BY-NC-SA 4.0 (not for commercial use)",
        "quality: vocals 7.21 SDR (dB), MUSDB18 test",
        "on disk: ",
    ):
        assert fact in blocks["umxl"]


def test_runs_fit_into_80_and_40_columns(terminal, tmp_path):
    finish(write_run(tmp_path / "separate-talkers-small"), 6.54321)
    write_run(tmp_path / "separate-talkers-large", steps=10)
    table = terminal(80, "runs", str(tmp_path))
    assert longest(table) <= 80
    assert table.splitlines()[0].split() == ["name", "state", "epochs", "best", "test", "parameters"]
    row = next(line for line in table.splitlines() if line.startswith("separate-talkers-small"))
    assert all(fact in row for fact in ("finished", "2/2", "7.00", "1.23 M"))
    blocks = terminal(40, "runs", str(tmp_path))
    assert longest(blocks) <= 40
    small = words(next(block for block in blocks.split("\n\n") if "talkers-small" in block))
    assert all(fact in small for fact in ("state: finished", "steps: 20", "test: unseen: 6.54 si_sdri"))


def test_a_pipe_gets_one_line_a_model_with_all_columns(soloist):
    lines = soloist("models").out.splitlines()
    assert len(lines) == len(models()) + 1
    columns = ("name", "task", "system", "sources", "rate", "parameters", "size", "speed", "licence")
    columns += ("quality", "on disk")
    assert re.split(r"  +", lines[0].strip()) == list(columns)
    assert all(len(re.split(r"  +", line.strip())) == len(columns) for line in lines)


def test_loading_is_shown_at_once_and_leaves_nothing(terminal, song, tmp_path):
    shown = terminal(80, "separate", str(song), "-m", "hpss", "-o", str(tmp_path))
    first, _, rest = shown.partition("\r")
    assert first == "loading ..."
    assert rest.lstrip(" ").startswith("\r")
