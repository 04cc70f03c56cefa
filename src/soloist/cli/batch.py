"""The batch behind `soloist separate`: many inputs, one report each, one exit code."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from soloist.audio import RawFormat, probe, spool_stream
from soloist.cli.models import fetch
from soloist.errors import SoloistError, UsageError
from soloist.inference import Expectation, FileJob, FileSettings, Planner, Track, TrackReport, find_tracks
from soloist.inference.dry_run.dry_run_report import WAY_OUT
from soloist.resources import peak_memory, process_age, return_memory_at_once, within_memory
from soloist.zoo import DEFAULT_MODEL, Card, card_of, models
from soloist.zoo.cards import WEIGHTS

STANDARD_INPUT = "-"

_BASES = {"calibration": "by what soloist tune measured", "measurement": "by chunks that were separated now"}
_PLANNED = ("input", "model", "stems", "duration", "device", "engine", "skipped")


class Batch:
    """Separates all inputs with one model and tells the user about each.

    Args:
        settings: What is separated into what, and how.
        model: Name or path of the model; None for the default.
        threads: Processor threads; None for all.
        as_json: Report a line of JSON for each input on standard output.
        quiet: Report only errors.
        verbose: Report more.
    """

    def __init__(
        self,
        settings: FileSettings,
        *,
        model: str | None = None,
        threads: int | None = None,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._settings = settings
        self._model = model or DEFAULT_MODEL
        self._as_json, self._quiet, self._verbose = as_json, quiet, verbose
        self._console = Console(stderr=True)

    def run(self, inputs: Sequence[str], raw: RawFormat | None = None) -> bool:
        """Separate everything; a bad input is reported and the others are done. True if all went well."""
        card = card_of(self._model)
        if not card.parameters:
            # Networks use tensors of few sizes again and again, rules do not.
            return_memory_at_once()
        if not card.on_disk and not Path(self._model).exists():
            fetch(self._model, quiet=self._quiet or self._as_json)
        job = FileJob(self._model, self._settings)
        failures = 0
        with self._tracks(inputs, raw) as tracks, self._progress() as bars:
            durations = [_duration_or_nothing(track, self._settings) for track in tracks]
            everything = bars.add_task("all", total=sum(durations), visible=len(tracks) > 1)
            for index, track in enumerate(tracks):
                bar = bars.add_task(_short(track.path.name), total=durations[index] or None)

                def advance(
                    done: float, total: float, bar: Any = bar, before: float = sum(durations[:index])
                ) -> None:
                    bars.update(bar, completed=done, total=total)
                    bars.update(everything, completed=before + done)

                try:
                    with within_memory(f"at {track.path}: {WAY_OUT}"):
                        report = job.run(track, advance)
                    self._report(report)
                except (SoloistError, OSError) as error:
                    failures += 1
                    self._report_failure(track, error)
                bars.remove_task(bar)
        if failures and len(tracks) > 1:
            self._say(f"{failures} of {len(tracks)} inputs failed", always=True)
        return not failures

    def plan(self, inputs: Sequence[str], raw: RawFormat | None = None) -> bool:
        """Say what `run` would do and take. True if every input can be read, and the memory suffices."""
        card = card_of(self._model)
        if not card.parameters:
            return_memory_at_once()
        job = FileJob(self._model, self._settings)
        start = process_age()
        planner = Planner(job)
        seconds: list[float] = []
        failures = 0
        with self._tracks(inputs, raw) as tracks:
            for track in tracks:
                try:
                    plan = job.plan(track)
                    expected = None if plan.skipped else planner.expect(track)
                    self._report_plan(plan, expected, card, start)
                    seconds.append(expected.seconds if expected else 0.0)
                except (SoloistError, OSError) as error:
                    failures += 1
                    self._report_failure(track, error)
        if seconds and start is not None and not self._as_json:
            typer.echo(f"in all about {start + sum(seconds):.1f} s, of which it takes {start:.1f} s to start")
        return not failures

    @contextmanager
    def _tracks(self, inputs: Sequence[str], raw: RawFormat | None) -> Iterator[list[Track]]:
        named = [given for given in inputs if given != STANDARD_INPUT]
        if raw is not None and len(named) == len(inputs):
            raise UsageError("a raw format is for standard input: name - as an input")
        tracks = find_tracks(named, exclude=self._settings.folder)
        if len(named) == len(inputs):
            yield tracks
            return
        with tempfile.TemporaryDirectory(prefix="soloist-") as folder:
            spooled = spool_stream(sys.stdin.buffer, Path(folder), raw=raw)
            yield [*tracks, Track(spooled, "stdin")]

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=self._quiet or not self._console.is_terminal,
        )

    def _report(self, report: TrackReport) -> None:
        if self._as_json:
            typer.echo(json.dumps({**report.as_dict(), "ok": True, "peak_memory_mb": peak_memory()}))
            return
        if report.skipped:
            self._say(f"{report.input}: all stems are there, skipped")
            return
        folder = next(iter(report.stems.values())).parent
        speed = report.duration / report.elapsed if report.elapsed else 0.0
        self._say(
            f"{report.input} -> {folder} ({', '.join(report.stems)}): "
            f"{report.duration:.1f} s of audio in {report.elapsed:.1f} s, {speed:.1f} times real time"
        )
        if report.gain != 1.0:
            self._say(f"  all stems scaled by {report.gain:.4f} so that none clips")
        if self._verbose:
            self._say(
                f"  model {report.model} by {report.engine} on {report.device}, "
                f"null test {report.null_dbfs:.1f} dBFS"
            )
            for name, path in report.stems.items():
                self._say(f"  {name}: {path}")

    def _report_plan(
        self, plan: TrackReport, expected: Expectation | None, card: Card, start: float | None
    ) -> None:
        """Say what is expected of a file.

        Raises:
            OutOfMemoryError: The memory does not suffice.
            AudioError: The disk has no room.
        """
        if expected is not None:
            expected.check()
        if self._as_json:
            values = plan.as_dict()
            shown = {name: values[name] for name in _PLANNED} | _expected_fields(expected)
            size = round(_weights_size(self._model, card), 3)
            about = {"licence": card.licence.weights, "weights_mb": size, "start_seconds": _rounded(start)}
            typer.echo(json.dumps(shown | about | {"ok": True, "dry_run": True}))
            return
        if expected is None:
            typer.echo(f"{plan.input}: skip, all stems are there")
            return
        typer.echo(
            f"{plan.input}: {plan.duration:.1f} s with {plan.model} by {plan.engine} on {plan.device}\n"
            f"  about {expected.seconds:.1f} s and {_memory(expected)}, {_BASES[expected.basis]}"
        )
        if card.parameters:
            licence = card.licence.weights or "of no stated licence"
            typer.echo(f"  weights: {_weights_size(self._model, card):.1f} MB, {licence}")
        for path in dict.fromkeys(plan.stems.values()):
            typer.echo(f"  {path}")

    def _report_failure(self, track: Track, error: Exception) -> None:
        message = " ".join(str(error).split())
        if self._as_json:
            typer.echo(json.dumps({"input": str(track.path), "ok": False, "error": message}))
        self._say(f"soloist: {message}", always=True)

    def _say(self, message: str, *, always: bool = False) -> None:
        if always or not (self._quiet or self._as_json):
            self._console.print(message, markup=False, highlight=False, soft_wrap=True)


def _memory(expected: Expectation) -> str:
    gpu = expected.gpu_memory
    return f"{expected.memory:.0f} MB of memory" + ("" if gpu is None else f", {gpu:.0f} MB of the GPU's")


def _expected_fields(expected: Expectation | None) -> dict[str, Any]:
    if expected is None:
        return {}
    return {
        "expected_seconds": _rounded(expected.seconds),
        "expected_memory_mb": _rounded(expected.memory),
        "available_memory_mb": _rounded(expected.available),
        "expected_gpu_memory_mb": _rounded(expected.gpu_memory),
        "available_gpu_memory_mb": _rounded(expected.gpu_available),
        "expected_disk_mb": expected.room and _rounded(expected.room.needed),
        "available_disk_mb": expected.room and _rounded(expected.room.available),
        "expected_from": expected.basis,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _weights_size(model: str, card: Card) -> float:
    """MB of the weights on disk; none for what needs none."""
    # A name that is known wins over a folder of that name, as in `load`.
    named = any(card.name == model for card in models())
    path = (card.folder if named else Path(model).expanduser()) / WEIGHTS
    return path.stat().st_size / 1e6 if path.is_file() else 0.0


def _duration_or_nothing(track: Track, settings: FileSettings) -> float:
    """Seconds that will be separated; nothing for a file that cannot be read, which `run` reports."""
    try:
        left = max(0.0, probe(track.path).duration - settings.start)
    except SoloistError:
        return 0.0
    return left if settings.duration is None else min(left, settings.duration)


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:31]}…"
