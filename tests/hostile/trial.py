"""Separation of damaged files by one command, with the time and the memory of each."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hostile.mutations import mutate
from hostile.small_files import make_small_files

MODEL = "hpss"
SECONDS = 10.0
"""Longest time of a file."""

MEGABYTES = 1000.0
"""Most memory by which a file may let the process grow, MB (10^6 bytes)."""

_START = 120.0
"""Longest time of the first line, s: the start of the process, and the headers of all files."""

_POLL = 0.2


@dataclass(frozen=True)
class Outcome:
    """End of one file.

    Attributes:
        path: The file.
        verdict: "separated", "refused", "crashed", "hung" (no end within `SECONDS`) or "too large" (more than
            `MEGABYTES`); the process was killed if it is one of the last two.
        seconds: Time of the file.
        memory: Growth of the process at its peak, MB (10^6 bytes).
        line: The command's line about a refused file.
    """

    path: Path
    verdict: str
    seconds: float = 0.0
    memory: float = 0.0
    line: str = ""

    @property
    def kind(self) -> str:
        """Name of the undamaged file."""
        return self.path.name.split("-", 1)[1]


@dataclass
class Trial:
    """Outcomes of files, and all that the processes printed beside their lines of JSON."""

    outcomes: list[Outcome]
    foreign: list[str]
    errors: list[str]


def write_corpus(folder: Path, count: int, seed: int) -> list[Path]:
    """Write damaged files, as many of each format; the first is sound."""
    originals = make_small_files(folder / "small")
    contents = [path.read_bytes() for path in originals]
    files = folder / "files"
    files.mkdir()
    sound = files / "sound-pcm16.wav"
    sound.write_bytes((folder / "small" / "pcm16.wav").read_bytes())
    written = [sound]
    for index in range(count):
        number = (index + seed) % len(originals)
        other = random.Random(f"{seed} {index}").choice(contents)
        path = files / f"{index:05d}-{originals[number].name}"
        path.write_bytes(mutate(contents[number], other, seed * 1_000_003 + index))
        written.append(path)
    return written


def separate_all(files: Sequence[Path], output: Path) -> Trial:
    """Separate files by one command; by another one after a crash or a hang.

    Args:
        files: The files, the first of which is sound.
        output: The output folder.
    """
    trial = Trial([], [], [])
    sound, *left = files
    _separate(sound, left, output, trial)
    return trial


def _separate(sound: Path, files: list[Path], output: Path, trial: Trial) -> None:
    process = _Process([sound, *files], output, trial)
    verdict = process.run()
    left = files[len(process.outcomes) - 1 :] if process.outcomes else files
    trial.outcomes += process.outcomes[1:]
    if not left:
        return
    if process.outcomes or len(left) == 1:
        trial.outcomes.append(Outcome(left[0], verdict))
        left = left[1:]
        if left:
            _separate(sound, left, output, trial)
        return
    # It ended while it read the headers of all files.
    half = len(left) // 2
    _separate(sound, left[:half], output, trial)
    _separate(sound, left[half:], output, trial)


class _LimitError(Exception):
    """Limit that a file exceeds, as a verdict."""


class _Process:
    """One command over several files."""

    def __init__(self, files: list[Path], output: Path, trial: Trial) -> None:
        options = ("-m", MODEL, "-o", str(output), "--json", "--keep-going", "--overwrite")
        command = [sys.executable, "-m", "soloist.cli.main", "separate", *options, *map(str, files)]
        self._files, self._trial = files, trial
        self._errors = output.with_name("errors.txt")
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
        self.outcomes: list[Outcome] = []
        self._begun = self._resident = 0.0

    def run(self) -> str:
        """Wait for the end; verdict on the file after the last line."""
        verdict = "crashed"
        self._begin_file()
        try:
            for line in self._lines():
                self._note(line, time.monotonic() - self._begun, self._growth())
                self._begin_file()
        except _LimitError as limit:
            verdict = str(limit)
            self._process.kill()
        self._process.wait()
        self._trial.errors += self._errors.read_text(errors="replace").splitlines()
        return verdict

    def _begin_file(self) -> None:
        with suppress(OSError):  # The process has ended.
            Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")  # Resets the peak.
        self._begun, self._resident = time.monotonic(), self._memory("VmRSS")

    def _growth(self) -> float:
        return max(0.0, self._memory("VmHWM") - self._resident)

    def _note(self, line: str, seconds: float, memory: float) -> None:
        try:
            report = json.loads(line)
        except ValueError:
            self._trial.foreign.append(line)
            return
        path = self._files[len(self.outcomes)]
        assert report["input"] == str(path)
        verdict = "separated" if "stems" in report else "refused"
        self.outcomes.append(Outcome(path, verdict, seconds, memory, report.get("error", "")))

    def _lines(self) -> Iterator[str]:
        pipe = self._process.stdout
        assert pipe is not None
        rest = b""
        with pipe:
            while True:
                while not select.select([pipe], [], [], _POLL)[0]:
                    self._check_limits()
                data = os.read(pipe.fileno(), 1 << 16)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)

    def _memory(self, name: str) -> float:
        with suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith(name):
                    return int(line.split()[1]) * 1024 / 1e6
        return 0.0

    def _check_limits(self) -> None:
        if time.monotonic() - self._begun > (SECONDS if self.outcomes else _START):
            raise _LimitError("hung")
        if self.outcomes and self._growth() > MEGABYTES:
            raise _LimitError("too large")


def is_bad(outcome: Outcome) -> bool:
    """Tell whether a file was neither separated nor refused by one line, or took too long or too much."""
    ended = outcome.verdict in ("separated", "refused") and "internal error" not in outcome.line
    return not ended or "\n" in outcome.line or outcome.seconds > SECONDS or outcome.memory > MEGABYTES


def stray_lines(trial: Trial) -> list[str]:
    """Lines of anybody but the command, on either stream."""
    own = [line for line in trial.errors if line.startswith("soloist: ") or line.endswith("inputs failed")]
    return [*trial.foreign, *(line for line in trial.errors if line not in own)]


def table(outcomes: Sequence[Outcome]) -> str:
    """Counts by format as a Markdown table."""
    lines = [
        "| file | mutated | separated | refused | slowest, s | largest memory, MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    kinds: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        kinds.setdefault(outcome.kind, []).append(outcome)
    for kind, found in [*sorted(kinds.items()), ("all", list(outcomes))]:
        counts = [sum(each.verdict == verdict for each in found) for verdict in ("separated", "refused")]
        slowest, largest = max(each.seconds for each in found), max(each.memory for each in found)
        lines.append(f"| {kind} | {len(found)} | {counts[0]} | {counts[1]} | {slowest:.2f} | {largest:.0f} |")
    return "\n".join(lines)
