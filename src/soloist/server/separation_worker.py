"""Process that separates: a crash or a kill costs one job and not the page."""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from soloist.audio import AudioReader, StemWriter, WriteOptions
from soloist.errors import Interrupted, explain, one_line
from soloist.players import ZOOMS, PeakMeter
from soloist.server.jobs import MIXTURE, Job

if TYPE_CHECKING:
    from soloist.inference import FileJob, FileSettings

CANCEL = "cancel"
"""Message to a worker: stop the present job."""

_OPTIONS = WriteOptions("flac")
_SEPARATED = "separated"


@dataclass(frozen=True)
class Advance:
    """Message of a worker about the progress of its job.

    Attributes:
        phase: Present activity.
        done: Separated seconds.
        duration: Seconds of the upload; None if its length is unknown.
    """

    phase: str
    done: float = 0.0
    duration: float | None = None


@dataclass(frozen=True)
class JobOutcome:
    """Last message of a worker about a job.

    Attributes:
        error: Line about a failure; empty after a success.
        model: Model that separated.
        stems: Names of the stems.
        sample_rate: Rate of the stems, Hz.
        channels: Channels of each stem.
        samples: Length of each stem.
        null_dbfs: Level of the mixture minus the sum of the stems, dB of full scale.
        notes: Lines for the user.
    """

    error: str = ""
    model: str = ""
    stems: list[str] = field(default_factory=list)
    sample_rate: int = 0
    channels: int = 0
    samples: int = 0
    null_dbfs: float | None = None
    notes: list[str] = field(default_factory=list)


def serve_jobs(connection: Connection, workers: int = 1, precision: str = "auto") -> None:
    """Separate the jobs that come through a connection until it is closed.

    The answers to a job are any number of `Advance`, and one `JobOutcome`.

    Args:
        connection: Connection to the page's process.
        workers: Number of all workers, which share the processor.
        precision: Precision of the networks.
    """
    # A terminal sends Ctrl-C to all processes of the service; the page ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("soloist").setLevel(logging.ERROR)
    worker = _Worker(connection, workers, precision)
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        if isinstance(job, Job):
            connection.send(worker.run(job))


class _Worker:
    """Separates one job after the other, and keeps the model of the last one."""

    def __init__(self, connection: Connection, workers: int, precision: str) -> None:
        self._connection, self._workers, self._precision = connection, workers, precision
        self._key: tuple[Path, str, str] | None = None
        self._file_job: FileJob | None = None

    def run(self, job: Job) -> JobOutcome:
        """Separate a job; whatever goes wrong is its failure."""
        try:
            return self._separate(job)
        except (EOFError, BrokenPipeError, ConnectionError):
            raise SystemExit from None  # the page is gone
        except Exception as error:
            return JobOutcome(error=one_line(explain(error)).replace(str(job.upload), job.name))
        finally:
            shutil.rmtree(job.folder / _SEPARATED, ignore_errors=True)

    def _separate(self, job: Job) -> JobOutcome:
        self._say(Advance("opening"))
        with AudioReader(job.upload, tolerance="truncation") as reader:
            info = reader.info
        self._say(Advance("loading the model", 0.0, info.duration))
        self._share_processor()
        from soloist.inference import FileJob, Track, Watch

        model = self._available(job.model, info.duration)
        if self._key != (key := (job.folder.parent, model, job.two_stems)):
            self._key, self._file_job = key, FileJob(model, _settings(job, self._precision))
        assert self._file_job is not None
        track = Track(job.upload, job.id, job.name)
        watch = Watch(lambda done, total: self._say(Advance("separating", done, total or info.duration)))
        report = self._file_job.run(track, watch)
        self._say(Advance("drawing the waveforms", report.duration or 0.0, report.duration))
        files = dict(enumerate(report.stems.values(), 1))
        samples = keep_tracks(job, files, report.gain, self._check)
        truncated = [report.truncation] if report.truncation else []
        return JobOutcome(
            model=model,
            stems=list(report.stems),
            sample_rate=report.sample_rate,
            channels=info.channels,
            samples=samples,
            null_dbfs=report.as_dict()["null_dbfs"],
            notes=[*report.notes, *report.losses, *truncated],
        )

    def _share_processor(self) -> None:
        """Take a fair part of the processor's threads, once."""
        import torch

        if self._workers > 1:
            torch.set_num_threads(max(1, torch.get_num_threads() // self._workers))
            self._workers = 1

    def _available(self, model: str, duration: float | None) -> str:
        """Name of a model on disk: the wanted one, downloaded if need be, or the default."""
        from soloist.zoo import card_of, choose_default, download
        from soloist.zoo.cards import own_name

        def advance(received: int, total: int | None) -> None:
            of = f" of {total / 1e6:.0f}" if total else ""
            self._say(Advance(f"downloading the model: {received / 1e6:.0f}{of} MB", 0.0, duration))

        if not model:
            return choose_default(advance).name
        if not card_of(model).on_disk and not Path(model).exists():
            download(model, advance)
        return own_name(model)

    def _say(self, message: Advance) -> None:
        self._connection.send(message)
        self._check()

    def _check(self) -> None:
        """Stop the job if the page says so.

        Raises:
            Interrupted: The job was cancelled.
        """
        if self._connection.poll() and self._connection.recv() == CANCEL:
            raise Interrupted("cancelled")


def _settings(job: Job, precision: str) -> FileSettings:
    from soloist.inference import FileSettings, StemSelection

    return FileSettings(
        folder=job.folder.parent,
        template=f"{{track}}/{_SEPARATED}/{{stem}}.{{ext}}",
        selection=StemSelection((), job.two_stems or None),
        write=_OPTIONS,
        precision=precision,
        keep_going=True,
        overwrite=True,
    )


def keep_tracks(
    job: Job, files: dict[int, Path], gain: float = 1.0, check: Callable[[], None] = lambda: None
) -> int:
    """Move the stems to the job's tracks, decode the mixture beside them, and measure all peaks.

    Args:
        job: The job.
        files: File of each stem, by its number from 1.
        gain: Gain of the stems, which the mixture gets too.
        check: Callback that is called between blocks.

    Returns:
        Samples of the mixture.
    """
    tracks, peaks = job.track_folder, job.peak_folder
    for folder in (tracks, peaks):
        folder.mkdir(exist_ok=True)
    for number, path in files.items():
        path.replace(tracks / f"{number}.flac")
        _draw(job, number, check)
    with AudioReader(job.upload, tolerance="truncation") as reader:
        paths = {MIXTURE: tracks / "0.flac"}
        with StemWriter(
            paths, reader.sample_rate, reader.channels, WriteOptions("flac", clip="clamp")
        ) as writer:
            samples = 0
            for block in reader.blocks():
                writer.write(gain * block[None])
                samples += block.shape[1]
                check()
            writer.commit()
    _draw(job, 0, check)
    return samples


def _draw(job: Job, number: int, check: Callable[[], None]) -> None:
    """Write the peaks of a track at all zooms, and its spectrogram."""
    # With PyTorch, which the page itself does without.
    from soloist.players import spectrogram_of_file

    meter, track = PeakMeter(), job.track_folder / f"{number}.flac"
    with AudioReader(track) as reader:
        for block in reader.blocks():
            meter.add(block)
            check()
    for zoom in ZOOMS:
        (job.peak_folder / f"{number}-{zoom}").write_bytes(meter.peaks(zoom).tobytes())
    (job.peak_folder / f"{number}.png").write_bytes(spectrogram_of_file(track))
