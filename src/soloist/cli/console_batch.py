"""The console part of `soloist separate`: progress, a line or JSON for each input, one exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from soloist.audio import RawFormat, is_read_once, spool_stream
from soloist.cli.console import decibels, named, printable
from soloist.cli.models import fetch, fetch_default
from soloist.errors import AudioError, ModelError, SoloistError, UsageError, explain, one_line
from soloist.files import expand_home, json_text, scratch_folder
from soloist.inference import (
    Batch,
    BatchProgress,
    FileSettings,
    Track,
    TrackReport,
    find_tracks,
)
from soloist.resources import peak_memory, process_age, return_memory_at_once
from soloist.zoo import Card, card_of
from soloist.zoo.cards import WEIGHTS, is_known, own_name
from soloist.zoo.composition_files import find_composition

if TYPE_CHECKING:
    from soloist.inference import DryRunReport

STANDARD_INPUT = "-"

_REDIRECTED = Path("/dev/stdin")
"""Standard input, which may be a file (`< song.wav`) that no stem may replace."""

_PLANNED = (
    *("input", "model", "stems", "duration", "device", "engine", "precision", "skipped", "note"),
    *("sample_rate", "audio_tracks", "audio_track"),
)


class ConsoleBatch:
    """Separates all inputs with one model, and reports each on the console.

    Args:
        settings: Selection, format and place of the stems.
        model: Name or path of the model; None for the best on disk, else one that is downloaded.
        choice: Reason why this model was chosen, if the user did not.
        task: Task of the model, if none is named.
        talkers: Number of talkers, for their task; None for any.
        may_fetch: Download the default model if none is on disk.
        page: Write a page with a mixer beside the stems of each input.
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
        choice: str = "",
        task: str = "stems",
        talkers: int | None = None,
        may_fetch: bool = True,
        page: bool = False,
        threads: int | None = None,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._settings, self._page = settings, page
        self._as_json, self._quiet, self._verbose = as_json, quiet, verbose
        self._model, self._choice = own_name(model or ""), f", {choice}" if choice else ""
        self._find_default = partial(fetch_default, task, talkers, quiet=quiet, fetch=may_fetch)
        self._lost = 0
        self._console = Console(stderr=True, emoji=False)

    def run(self, inputs: Sequence[str], raw: RawFormat | None = None) -> bool:
        """Separate all inputs; True without failures."""
        self._decide()
        fetch_missing(self._model, quiet=self._quiet or self._as_json)
        batch = Batch(self._model, self._settings)
        with self._tracks(inputs, raw) as tracks, self._progress(len(tracks)) as progress:
            result = batch.run(tracks, self._report, self._report_failure, progress)
        failures = result.failed + self._lost
        if failures and len(tracks) + self._lost > 1:
            self._say(f"{failures} of {len(tracks) + self._lost} inputs failed", always=True)
        return not failures

    def plan(self, inputs: Sequence[str], raw: RawFormat | None = None) -> bool:
        """Report what `run` would do and take; True if every input can be read and fits.

        Raises:
            ModelError: The model is not on disk: nothing is downloaded to plan.
        """
        self._decide()
        if missing := _missing(self._model):
            ways = "; ".join(f"soloist models download {name}" for name in missing)
            raise ModelError(f"--dry-run downloads nothing, and this is not on disk yet: {ways}")
        batch = Batch(self._model, self._settings)
        start = process_age()
        seconds: list[float | None] = []

        def report(plan: TrackReport, expected: DryRunReport | None) -> None:
            self._report_plan(plan, expected, start)
            seconds.append(expected.seconds if expected else 0.0)

        with self._tracks(inputs, raw) as tracks:
            failures = batch.plan(tracks, report, self._report_failure) + self._lost
        if seconds and None not in seconds and start is not None and not self._as_json:
            total = start + sum(filter(None, seconds))
            typer.echo(f"in all about {total:.1f} s, of which it takes {start:.1f} s to start")
        return not failures

    def _decide(self) -> str:
        """Name of the model: the default, which may be downloaded, if none is named."""
        if not self._model:
            default = self._find_default()
            self._model, self._choice = default.name, f", {default.reason}"
        self._card, self._composition = card_of(self._model), find_composition(self._model)
        if not self._card.parameters:
            # Networks use tensors of few sizes again and again, rules do not.
            return_memory_at_once()
        return self._model

    @contextmanager
    def _tracks(self, inputs: Sequence[str], raw: RawFormat | None) -> Iterator[list[Track]]:
        """Find the tracks, report inputs without any, and copy what can be read only once."""
        named = [given for given in inputs if given != STANDARD_INPUT]
        if raw is not None and len(named) == len(inputs):
            raise UsageError("a raw format is for standard input: name - as an input")
        tracks = find_tracks(named, exclude=self._settings.folder, failure=self._lose)
        pipes = any(is_read_once(track.path) for track in tracks)
        if len(named) == len(inputs) and not pipes:
            yield tracks
            return
        with scratch_folder() as folder:
            tracks = [kept for track in tracks if (kept := self._keep(track, folder)) is not None]
            if len(named) < len(inputs):
                if sys.stdin is None:
                    raise UsageError("standard input is closed: name a file, or send one to standard input")
                spooled = spool_stream(sys.stdin.buffer, folder, raw=raw)
                tracks.append(Track(spooled, "stdin", STANDARD_INPUT, _REDIRECTED))
            yield tracks

    def _lose(self, given: str, error: Exception) -> None:
        """Report an input without any recording."""
        self._lost += 1
        self._report_failure(Track(Path(given), given, given), error)

    def _keep(self, track: Track, folder: Path) -> Track | None:
        """Copy what can be read only once, such as a pipe, to a file; None if nothing could be read."""
        if not is_read_once(track.path):
            return track
        try:
            with open(track.path, "rb") as stream:
                return Track(spool_stream(stream, folder), track.name, track.label)
        except (AudioError, OSError) as error:
            self._lost += 1
            self._report_failure(
                track, AudioError(f"{track.path}: {getattr(error, 'strerror', None) or error}")
            )
            return None

    @contextmanager
    def _progress(self, tracks: int) -> Iterator[Callable[[BatchProgress], None]]:
        """Progress bars on a terminal: one for all inputs, if there are several, and one for the current."""
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=self._quiet or not self._console.is_terminal,
        ) as bars:
            everything = bars.add_task("all", total=None, visible=tracks > 1)
            current = bars.add_task("", total=None)

            def advance(progress: BatchProgress) -> None:
                if not progress.done:
                    bars.reset(current)
                name = named(_short(progress.track.alias or progress.track.path.name))
                bars.update(current, description=name, completed=progress.done, total=progress.total or None)
                bars.update(everything, completed=progress.batch_done, total=progress.batch_total)

            yield advance

    def _report(self, report: TrackReport, memory: float | None = None) -> None:
        """Report a track; `memory` is the peak of its process, in MB, if that is not this one."""
        if self._page:
            self._write_page(report)
        if self._as_json:
            result = {"ok": report.truncation is None, "error": report.truncation}
            if report.truncation is None:
                del result["error"]
            typer.echo(json_text({**report.as_dict(), **result, "peak_memory_mb": memory or peak_memory()}))
            self._report_losses(report)
            return
        if report.skipped:
            note = f" ({report.note})" if report.note else ""
            self._say(f"{named(report.input)}: all stems are there, skipped{note}")
            return
        folder = next(iter(report.stems.values())).parent
        duration = report.duration or 0.0
        speed = duration / report.elapsed if report.elapsed else 0.0
        self._say(
            f"{named(report.input)} -> {named(folder)} ({', '.join(report.stems)}): "
            f"{duration:.1f} s of audio in {report.elapsed:.1f} s, {speed:.1f} times real time"
            f"{_lower(report)}{self._by_default(report)}"
        )
        if report.note:
            self._say(f"  {report.note}")
        for note in report.notes:
            self._say(f"  {named(note)}")
        self._report_losses(report)
        if report.track_line:
            self._say(f"  {named(report.track_line)}")
        if report.gain != 1.0:
            self._say(f"  all stems lowered by {-decibels(report.gain):.1f} dB so that none clips")
        if self._verbose:
            self._say(
                f"  model {report.model} by {report.engine} in {report.precision} on {report.device}, "
                f"null test {report.null_dbfs:.1f} dBFS"
            )
            for name, path in report.stems.items():
                self._say(f"  {name}: {named(path)}")

    def _write_page(self, report: TrackReport) -> None:
        """Write the page of a separated track, or say why there is none."""
        from soloist.players import write_song_page

        path = next(iter(report.stems.values())).with_name("mixer.html")
        try:
            write_song_page(path, report.input.stem, report.stems)
        except SoloistError as error:
            self._say(f"soloist: no page: {one_line(error)}", always=True)
        else:
            self._say(f"{path} mixes the stems in a browser")

    def _by_default(self, report: TrackReport) -> str:
        chosen = self._choice and report.model == self._model
        return f", by {self._model}{self._choice}" if chosen else ""

    def _report_losses(self, report: TrackReport) -> None:
        """Report missing sound, even if only errors are wanted."""
        for loss in report.losses:
            self._say(f"soloist: {named(loss)}", always=True)
        if report.truncation is not None:
            self._say(f"soloist: {named(report.truncation)}; the stems end there", always=True)

    def _report_plan(self, plan: TrackReport, expected: DryRunReport | None, start: float | None) -> None:
        card, parts = self._card, {self._model: self._card}
        if self._composition is not None:
            parts = self._composition.leaf_cards
        weights = sum(_weights_size(name, part) for name, part in parts.items())
        if self._as_json:
            values = plan.as_dict()
            shown = {name: values[name] for name in _PLANNED} | (expected.as_dict() if expected else {})
            started = None if start is None else round(start, 3)
            about: dict[str, object] = {
                "licence": card.licence.stated,
                "weights_mb": round(weights, 3),
                "start_seconds": started,
            }
            if self._composition is not None:
                about["models"] = [_about_part(name, part) for name, part in parts.items()]
            typer.echo(json_text(shown | about | {"ok": True, "dry_run": True}))
            return
        if expected is None:
            typer.echo(f"{named(plan.input)}: skip, all stems are there")
            return
        basis = "what soloist tune measured" if expected.calibrated else "chunks that were separated now"
        typer.echo(
            f"{named(plan.input)}: {_seconds(plan.duration)} with {plan.model} by {plan.engine} "
            f"on {plan.device}{_lower(plan)}{self._choice}\n"
            f"  {_about(expected)}{_memory(expected)}, by {basis}"
        )
        if card.parameters:
            typer.echo(f"  weights: {weights:.1f} MB, licence: {card.licence.stated}")
        if self._composition is not None:
            for line in self._composition.describe():
                typer.echo(printable(f"  {line}"))
        if plan.track_line:
            typer.echo(f"  {named(plan.track_line)}")
        for path in dict.fromkeys(plan.stems.values()):
            typer.echo(f"  {named(path)}")
        if plan.note:
            typer.echo(printable(f"  {plan.note}"))

    def _report_failure(self, track: Track, error: Exception) -> None:
        label = named(track.label)
        message = one_line(explain(error).replace(str(track.path), label))
        if label not in message and not isinstance(error, SoloistError):
            message = f"{label}: {message}"
        if self._as_json:
            typer.echo(json_text({"input": track.label, "ok": False, "error": message}))
        self._say(f"soloist: {message}", always=True)
        if "--debug" in sys.argv and not isinstance(error, (SoloistError, OSError)):
            self._say("".join(traceback.format_exception(error)), always=True)

    def _say(self, message: str, *, always: bool = False) -> None:
        if always or not (self._quiet or self._as_json):
            self._console.print(printable(message), markup=False, highlight=False, soft_wrap=True)


def fetch_missing(model: str, *, quiet: bool) -> None:
    """Download what a model, an ensemble or a chain needs and what is not on disk."""
    for name in _missing(model):
        fetch(name, quiet=quiet)


def _missing(model: str) -> list[str]:
    """Names of the models of a model, an ensemble or a chain that are not on disk."""
    composition = find_composition(model)
    if composition is not None:
        return [card.name for card in composition.missing]
    return [] if card_of(model).on_disk or Path(model).exists() else [model]


def _lower(report: TrackReport) -> str:
    """Part of a line that names a precision lower than float32."""
    return "" if report.precision == "float32" else f", in {report.precision}"


def _seconds(duration: float | None) -> str:
    return "unknown length" if duration is None else f"{duration:.1f} s"


def _about(expected: DryRunReport) -> str:
    return "about " if expected.seconds is None else f"about {expected.seconds:.1f} s and "


def _memory(expected: DryRunReport) -> str:
    gpu = expected.memory.gpu
    return f"{expected.memory.process:.0f} MB of memory" + (
        "" if gpu is None else f", {gpu:.0f} MB of the GPU's"
    )


def _weights_size(model: str, card: Card) -> float:
    """Size of the weights on disk, MB; 0 without weights."""
    # A known name takes precedence over a folder of that name, as in `load`.
    path = (card.folder if is_known(model) else expand_home(model)) / WEIGHTS
    return path.stat().st_size / 1e6 if path.is_file() else 0.0


def _about_part(name: str, card: Card) -> dict[str, object]:
    """Facts about a model of an ensemble or a chain, for JSON."""
    size = round(_weights_size(name, card), 3)
    return {"model": name, "licence": card.licence.stated, "weights_mb": size}


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:31]}…"
