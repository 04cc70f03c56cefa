"""Commands and code in the blocks of pages, and a small machine on which they run as written."""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from typer.main import get_command

from published import published_state
from soloist.audio import StemWriter, WriteOptions
from soloist.cli.app import app
from soloist.config import build_object, read_yaml
from soloist.separators import Separator
from soloist.training.recipe.own_recipe import adapt
from soloist.training.recipe.recipe import find_recipe
from soloist.zoo import find, save_model
from stem_corpora import FOUR_STEMS, noises, spoiled, write_track

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: [^\n]+ -->\s*\Z")
"""Comment before a block that needs what a test lacks, such as a sound card; its commands are only parsed."""

ELSEWHERE = re.compile(
    r"(make|pip|pipx|uvx|uv|git|python3?|source|\.|cd|curl|uvicorn|tensorboard|soloist (?:serve|mix))(?:\s|$)"
)
"""Commands of other programs, and those that do not end by themselves."""

QUICK = {
    r"soloist train (?!--resume)": (
        *("--data.examples_per_epoch", "2", "--data.valid_examples", "1", "--data.test_examples", "1"),
        *("--data.batch_size", "2", "--data.train.duration", "0.5"),
        *("--trainer.max_epochs", "1", "--watch.examples_every", "0"),
    ),
    # The section of the recipe that the command is about.
    r".* --sweep": ("-j", "1", "--sweep.values", "{optimizer.lr: [0.001]}", "--sweep.method", "grid"),
    # The number of workers given last counts.
    r"soloist separate .*--jobs ": ("--jobs", "1"),
    r"soloist profile ": ("--duration", "0.5", "--batch", "1", "--budget", "0.1"),
}
"""Arguments that make a command quick: fewer and shorter examples, no other way."""


@dataclass(frozen=True)
class DocumentedCommand:
    """A command line of a page.

    Attributes:
        line: The command, without its comment.
        place: Page and number of the line.
        runs: False if the page says that it needs what a test lacks.
    """

    line: str
    place: str
    runs: bool = True

    @property
    def is_ours(self) -> bool:
        """True unless the command is another program's, does not end by itself, or needs what is not here."""
        return self.runs and not ELSEWHERE.match(self.line)

    def parse(self) -> int:
        """Parse the calls of Soloist in the line, without running them; return their number.

        Raises:
            UsageError: A call has an option or a value that does not exist.
        """
        calls = re.findall(r"(?<![\w'/-])soloist ([^\n|#']*)", self.line)
        program = get_command(app)
        for call in calls:
            name, *words = shlex.split(call)
            program.commands[name].make_context(name, words)
        return len(calls)


def commands(page: Path) -> list[DocumentedCommand]:
    """Command lines of the `sh` and `console` blocks of a page; in the latter they begin with `$`."""
    text = page.read_text(encoding="utf-8")
    found = []
    for block in _BLOCK.finditer(text):
        if block[2] not in ("sh", "bash", "console"):
            continue
        first = text.count("\n", 0, block.start(3)) + 1
        runs = not _NOT_RUN.search(text, 0, block.start())
        for offset, line in _lines(block[3]):
            line = line.strip()
            if block[2] == "console":
                if not line.startswith("$ "):
                    continue
                line = line.removeprefix("$ ")
            line = re.sub(r"\s+#.*$", "", line)
            if line and not line.startswith("#"):
                found.append(DocumentedCommand(line, f"{page.name}:{first + offset}", runs))
    return found


def code(page: Path) -> list[str]:
    """Blocks of Python of a page."""
    return [block[3] for block in _BLOCK.finditer(page.read_text(encoding="utf-8")) if block[2] == "python"]


def run_command(command: DocumentedCommand, soloist: Callable[..., Any]) -> tuple[int, str]:
    """Run a command; give its exit code and what it printed.

    Args:
        command: The command.
        soloist: Fixture that runs Soloist in this process.
    """
    if "|" in command.line or not command.line.startswith("soloist "):
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command.line], capture_output=True, text=True, env=environment
        )
        return done.returncode, done.stdout + done.stderr
    extra = (arguments for start, arguments in QUICK.items() if re.match(start, command.line))
    _, *words = shlex.split(command.line)
    result = soloist(*_expanded(words), *(word for arguments in extra for word in arguments))
    return result.code, result.out + result.err


def write_files_of(page: Path, folder: Path) -> None:
    """Write the blocks that begin with the name of a file: `# mine.py`, `# mine.yaml`."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if name := re.match(r"# ([\w-]+\.(?:py|yaml))\n", block[3]):
            (folder / name[1]).write_text(block[3], encoding="utf-8")


def make_machine(folder: Path) -> None:
    """Make the files that pages speak of, in the working folder and in `~`, which is `folder/home`.

    Songs, films, a corpus, folders of stems, and stand-ins for published models: small networks without
    training under their names.
    """
    (folder / "home").mkdir()
    stems = noises(FOUR_STEMS, seconds=2.5, channels=2)
    mixture = np.sum(list(stems.values()), axis=0)
    for name in (
        "song.wav",
        "song.mp3",
        "album/one.flac",
        "album/two/two.mp3",
        "URL",
        "concert.flac",
        "a.m4a",
        "archive/one.flac",
        "archive/two.mp3",
    ):
        _write_recording(folder / name, mixture)
    (folder / "list.csv").write_text("path,stems\narchive/one.flac,vocals\narchive/two.mp3,\n")
    _write_films(folder)
    for index in range(6):
        track = noises(FOUR_STEMS, seconds=2.0, channels=2, seed=index)
        write_track(folder / f"home/songs/song {index}", track)
        if index < 2:
            # One channel is scored in an eighth of the time of two.
            track = noises(FOUR_STEMS, seconds=2.0, seed=index)
            write_track(folder / f"musdb18/test/song {index}", track)
            write_track(folder / f"references/song {index}", track)
            write_track(folder / f"estimates/song {index}", spoiled(track))
            write_track(folder / f"others/song {index}", spoiled(track, 0.3))
    for name in ("tdc17-vocals-3", "spleeter-2stems", "spleeter-4stems"):
        _save_stand_in(name)
    torch.save(published_state(), folder / "checkpoint.pt")
    _write_record(folder / "other-results/other/test")


def _save_stand_in(name: str) -> None:
    """Save a small network without training under the name of a published model."""
    card = find(name)
    separator = adapt(read_yaml(find_recipe("tiny-tfc-tdf"))["separator"], card.sources, 8000, 2)
    about = {"system": card.system, "title": card.title, "task": card.task}
    save_model(build_object(separator, name, Separator), separator, about, card.folder)


def _write_record(folder: Path) -> None:
    """Write scores of another system, as museval writes them."""
    metrics = dict.fromkeys(("SDR", "ISR", "SIR", "SAR"), 1.5)
    frames = [{"time": 0.0, "duration": 1.0, "metrics": metrics}]
    targets = [{"name": name, "frames": frames} for name in FOUR_STEMS]
    folder.mkdir(parents=True)
    (folder / "song 0.json").write_text(json.dumps({"targets": targets}), encoding="utf-8")


def _write_recording(path: Path, audio: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    format_ = path.suffix.removeprefix(".") or "wav"
    with StemWriter({"all": path}, 8000, 2, WriteOptions(format=format_)) as writer:
        writer.write(audio[None])
        writer.commit()


def _write_films(folder: Path) -> None:
    """Write films without pictures: one of more than a minute, one with sound in two languages."""
    for name, seconds, languages in (("film.mp4", 62, ("deu",)), ("film.mkv", 3, ("deu", "eng"))):
        with av.open(str(folder / name), "w") as film:
            streams = [film.add_stream("aac", rate=8000) for _ in languages]
            for stream, language in zip(streams, languages, strict=True):
                stream.layout = "stereo"
                stream.metadata["language"] = language
            for stream in streams:
                for start in range(0, 8000 * seconds, 1024):
                    frame = av.AudioFrame.from_ndarray(_tone(start), format="fltp", layout="stereo")
                    frame.sample_rate, frame.pts = 8000, start
                    film.mux(stream.encode(frame))
                film.mux(stream.encode(None))


def _tone(start: int) -> np.ndarray:
    times = np.arange(start, start + 1024) / 8000
    return np.tile(0.1 * np.sin(2 * np.pi * 220 * times), (2, 1)).astype(np.float32)


def _lines(block: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; those that end with a backslash are one with the next."""
    start, whole = 0, ""
    for number, line in enumerate(block.splitlines()):
        if not whole:
            start = number
        if line.rstrip().endswith("\\"):
            whole += line.rstrip()[:-1] + " "
            continue
        yield start, whole + line
        whole = ""


def _expanded(words: list[str]) -> Iterator[str]:
    """Words with `~` and wildcards replaced, as shells do."""
    for word in words:
        word = os.path.expanduser(word) if word.startswith("~") else word
        yield from sorted(glob.glob(word)) if re.search(r"[*?]", word) and glob.glob(word) else [word]
