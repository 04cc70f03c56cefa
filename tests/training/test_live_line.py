"""The line of a training in a terminal: there all the time, whole, and with what matters at any width."""

from __future__ import annotations

import io
import os
import struct
import sys

import lightning as L
import pytest
from rich.console import Console

from soloist.cli.main import main
from soloist.mixing import Mixer
from soloist.training import Recipe, SeparationTask
from soloist.training.data.batches import make_loader
from soloist.training.watch.progress import (
    LinePart,
    LineProgress,
    LiveProgress,
    NoProgress,
    fit,
    make_progress,
)
from soloist.training.watch.throughput import Timing

pyte = pytest.importorskip("pyte")
fcntl = pytest.importorskip("fcntl", reason="pseudo-terminals are those of POSIX")

ROWS = 12


def test_what_is_least_important_is_shortened_first_and_then_left_out():
    parts = [LinePart("epoch 1/2, step 512", "step 512", 0), LinePart("loss -1.000", "loss -1.000", 1)]
    parts += [LinePart("data wait 1%", "wait 1%", 5), LinePart("0:18:40 left", "0:18:40 left", 2)]
    whole = "epoch 1/2, step 512, loss -1.000, data wait 1%, 0:18:40 left"
    assert ", ".join(fit(parts, len(whole))) == whole
    assert fit(parts, len(whole) - 1)[2] == "wait 1%"
    assert fit(parts, len(whole) - 1)[0] == "epoch 1/2, step 512"
    assert fit(parts, 35) == ["step 512", "loss -1.000", "0:18:40 left"]
    assert fit(parts, 3) == ["step 512"]


def test_progress_fits_where_it_is_shown(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert type(make_progress(quiet=True)) is NoProgress
    assert type(make_progress(quiet=False)) is LineProgress, "the error stream of a test is no terminal"


@pytest.mark.slow
@pytest.mark.parametrize(("progress", "terminal"), [(LineProgress, False), (LiveProgress, True)])
def test_progress_says_how_far_and_how_well(recipe_values, progress, terminal):
    recipe = Recipe.parse(recipe_values, "humming")
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200)
    trainer = L.Trainer(
        max_epochs=2,
        logger=False,
        callbacks=[Timing(), progress(console)],
        accelerator="cpu",
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    mixer = recipe.build(recipe.data.train, Mixer)
    loader = make_loader(mixer, [[0], [1]], workers=0)
    trainer.fit(SeparationTask(recipe), loader, loader)
    last = [line for line in out.getvalue().splitlines() if "epoch" in line][-1]
    assert "epoch 2/2, step 4" in last
    for figure in ("SI-SDRi", " dB", "s of audio/s", "data wait", "0:00:00 left"):
        assert figure in last
    if not terminal:
        assert len(out.getvalue().splitlines()) == 2
        assert "\x1b" not in out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
def test_the_line_stays_and_holds_every_figure(write_recipe, tmp_path, columns):
    recipe = write_recipe(data={"examples_per_epoch": 60}, trainer={"max_epochs": 4})
    frames = watch_terminal(columns, "train", str(recipe), "-o", str(tmp_path / "run"))
    begun = next(place for place, lines in enumerate(frames) if any("step 0" in line for line in lines))
    ended = next(place for place, lines in enumerate(frames) if any("held out" in line for line in lines))
    training = frames[begun:ended]
    there = [line for lines in training for line in lines if "step " in line]
    # A line is erased and drawn again in one go; a reader may see it in between, but hardly ever.
    assert len(there) >= 0.95 * len(training)
    assert len(there) >= 5
    last = [line for line in there if "SI-SDRi" in line][-1]
    for figure in ("step ", "━", "loss ", " dB", " s", "wait ", " left"):
        assert figure in last
    assert last.startswith("epoch 4/4, step 120" if columns == 120 else "step 120")
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000


def watch_terminal(columns: int, *arguments: str) -> list[list[str]]:
    """Lines on the screen of a terminal, each time that a command has drawn on it."""
    import pty
    import termios

    screen = pyte.Screen(columns, ROWS)
    stream, frames = pyte.ByteStream(screen), []
    # A fork, which spares the import of Lightning.
    child, leader = pty.fork()
    if not child:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        _run(arguments)
    while sent := _read(leader):
        stream.feed(sent)
        frames.append([line.rstrip() for line in screen.display if line.strip()])
    os.close(leader)
    assert os.waitpid(child, 0)[1] == 0, frames[-1]
    return frames


def _run(arguments: tuple[str, ...]) -> None:
    """Run the command in this process, a fork, and end it."""
    code = 99
    try:
        for name in ("COLUMNS", "LINES", "NO_COLOR", "CI", "GITHUB_ACTIONS"):
            os.environ.pop(name, None)
        os.environ["TERM"] = "xterm-256color"
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
        sys.argv = ["soloist", *arguments]
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
