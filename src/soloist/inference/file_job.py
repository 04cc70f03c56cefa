"""The file job: read a track in blocks, separate it, write its stems in blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange

from soloist.audio import (
    Audio,
    AudioInfo,
    AudioReader,
    Remarks,
    StemWriter,
    Tolerance,
    WriteOptions,
    free_space,
    probe,
    resample_blocks,
    stem_space,
)
from soloist.audio.file_formats import encoding_rate
from soloist.errors import UsageError
from soloist.inference.dry_run.disk_space import DiskSpace
from soloist.inference.engine_selection import EngineSelection, SelectedEngine
from soloist.inference.engines import Engine
from soloist.inference.inputs import Track
from soloist.inference.outputs import DEFAULT_TEMPLATE, MULTI_STREAM_TEMPLATE, check_template, stem_paths
from soloist.inference.stem_selection import NullTest, StemSelection
from soloist.inference.stream import StreamSettings, measure_level, separate_stream
from soloist.inference.track_report import MeanConfidence, TrackReport
from soloist.separators import Chunking, Separator
from soloist.zoo import card_of, load

MIXTURE = "mixture"

_ASSUMED_SECONDS = 600.0
"""Length of files of unknown length, for the choice of an engine."""

Progress = Callable[[float, float], None]
"""Callback that receives the seconds done and the seconds in all."""


@dataclass(frozen=True)
class FileSettings:
    """Settings of the separation of files.

    Attributes:
        folder: The output folder.
        template: Path of a stem below the folder; None for the format's default.
        start: Start of the excerpt, s.
        duration: Duration of the excerpt, s; None for the rest of the file.
        sample_rate: Rate of the stems, Hz; None for that of the input.
        selection: Selected stems.
        stream: Chunks, overlap, shifts, batches.
        write: Format, bit depth, levels.
        device: Device of the computation; see `find_device`.
        engine: Engine of the network: one of `ENGINES`, or "auto".
        audio_track: Audio stream of files that have several: its number from 0, or its language or name.
        skip_existing: Skip tracks whose stems all exist.
        keep_going: Separate what there is of a truncated file.
    """

    folder: Path = Path("separated")
    template: str | None = None
    start: float = 0.0
    duration: float | None = None
    sample_rate: int | None = None
    selection: StemSelection = field(default_factory=StemSelection)
    stream: StreamSettings = field(default_factory=StreamSettings)
    write: WriteOptions = field(default_factory=WriteOptions)
    device: str = "auto"
    engine: str = "auto"
    audio_track: int | str = 0
    skip_existing: bool = False
    keep_going: bool = False

    def __post_init__(self) -> None:
        if self.start < 0 or (self.duration is not None and not self.duration > 0):
            raise UsageError("the start must not be negative and the duration must be more than 0 s")
        if self.sample_rate is not None and not 1000 <= self.sample_rate <= 768_000:
            raise UsageError(f"sample rate {self.sample_rate} Hz must lie in 1000..768000")
        check_template(self.path_template, one_file_per_stem=self.write.format != "stem")

    @property
    def tolerance(self) -> Tolerance:
        """Missing sound that does not end a separation."""
        return "truncation" if self.keep_going else "damage"

    @property
    def path_template(self) -> str:
        """The template in force."""
        return self.template or (MULTI_STREAM_TEMPLATE if self.write.format == "stem" else DEFAULT_TEMPLATE)


class FileJob:
    """Separates files with one model, which is loaded once.

    Args:
        model: Name in the zoo or path of a model folder.
        settings: Selection, format and place of the stems.

    Raises:
        ModelError: The model is unknown or damaged.
        UsageError: The model has no such stem, or the device does not exist.
    """

    def __init__(self, model: str, settings: FileSettings) -> None:
        self.model = model
        self.settings = settings
        self._any_rate = card_of(model).sample_rate is None
        self._loaded: tuple[dict[str, int], Separator, EngineSelection] | None = None
        # Errors that concern every track are raised before the first one.
        separator, _ = self._load({})
        self._paths("track", separator)

    def probe(self, track: Track) -> AudioInfo:
        """Properties of a track's file, and of the audio stream that is separated.

        Raises:
            AudioError: The file cannot be read.
            UsageError: The file has no such audio stream.
        """
        settings = self.settings
        return probe(track.path, stream=settings.audio_track, tolerance=settings.tolerance)

    def separator_for(self, info: AudioInfo) -> Separator:
        """The separator for a kind of input."""
        return self._load_for(info)[0]

    def select_engine(self, info: AudioInfo) -> SelectedEngine:
        """Select the engine and the batch size for a file.

        Returns:
            With a trial only if `soloist tune` measured such chunks and batches.
        """
        separator, engines = self._load_for(info)
        selected = engines.select(self.count_chunks(info))
        batch_size = self.settings.stream.batch_size or selected.batch_size
        usual = self.chunk_length(info) == Chunking.of(separator).length
        alike = usual and batch_size == selected.batch_size
        return SelectedEngine(selected.engine, batch_size, selected.trial if alike else None)

    def count_chunks(self, info: AudioInfo) -> int:
        """Number of chunks of a file, in all passes."""
        return self.settings.stream.shifts * self.chunking(info).count(self.samples_of(info))

    def chunk_length(self, info: AudioInfo) -> int:
        """Samples of the chunks of a file."""
        return min(self.chunking(info).length, self.samples_of(info))

    def chunking(self, info: AudioInfo) -> Chunking:
        """The chunking of a file."""
        return self.settings.stream.chunking(self.separator_for(info))

    def samples_of(self, info: AudioInfo) -> int:
        """Number of separated samples of a file, at the rate of the separator."""
        seconds = self.duration_of(info)
        seconds = _ASSUMED_SECONDS if seconds is None else seconds
        return max(1, round(seconds * self.separator_for(info).sample_rate))

    def duration_of(self, info: AudioInfo) -> float | None:
        """Separated seconds of a file; None if its length is unknown."""
        if info.duration is None:
            return self.settings.duration
        left = max(0.0, info.duration - self.settings.start)
        return left if self.settings.duration is None else min(left, self.settings.duration)

    def disk_space(self, info: AudioInfo, stems: Mapping[str, Path]) -> DiskSpace:
        """Disk space of the stems of a file."""
        rate, duration = self.settings.sample_rate or info.sample_rate, self.duration_of(info)
        free = free_space(next(iter(stems.values())))
        available = None if free is None else free / 1e6
        if duration is None:
            return DiskSpace(None, None, available)
        sizes = stem_space(self.settings.write, duration, rate, info.channels)
        needed, kept = ((len(stems) + self._multi_stream) * size / 1e6 for size in sizes)
        return DiskSpace(needed, kept, available)

    def _load_for(self, info: AudioInfo) -> tuple[Separator, EngineSelection]:
        kind = {"sample_rate": info.sample_rate, "channels": info.channels}
        return self._load(kind if self._any_rate else {})

    def _load(self, overrides: dict[str, Any]) -> tuple[Separator, EngineSelection]:
        # One model at a time: a folder with many rates must not keep a model for each.
        if self._loaded is None or self._loaded[0] != overrides:
            separator = load(self.model, **overrides)
            self.settings.selection.check(separator.sources)
            self.settings.stream.chunking(separator)
            engines = EngineSelection(separator, self.settings.engine, self.settings.device)
            self._loaded = (overrides, separator, engines)
        return self._loaded[1:]

    def plan(self, track: Track) -> TrackReport:
        """Report what `run` would do.

        Raises:
            AudioError: The file cannot be read.
        """
        info = self.probe(track)
        return self._plan(track, info, self.select_engine(info).engine)

    def run(
        self, track: Track, progress: Progress | None = None, *, engine: Engine | None = None
    ) -> TrackReport:
        """Separate a track; all stems appear under their names when they are complete.

        Args:
            track: The track.
            progress: Callback that receives the progress.
            engine: Runs the separator in place of the engine of the settings.

        Raises:
            AudioError: The file cannot be read, or the stems cannot be written or have no room.
        """
        begun = time.perf_counter()
        info = self.probe(track)
        batch_size = self.settings.stream.batch_size or 1
        selected = SelectedEngine(engine, batch_size) if engine else self.select_engine(info)
        plan = self._plan(track, info, selected.engine)
        if plan.skipped:
            return plan
        self.disk_space(info, plan.stems).check()
        confidence, null_test = MeanConfidence(), NullTest()
        remarks = Remarks(track.path)
        stems = self._separate(track, info, selected, progress, confidence, null_test, remarks)
        with self._writer(track, info, plan) as writer:
            for block in self._at_output_rate(stems, info):
                writer.write(block)
            writer.commit()
        return replace(
            plan,
            duration=null_test.samples / info.sample_rate,
            elapsed=time.perf_counter() - begun,
            engine=selected.engine.name,
            null_dbfs=null_test.level,
            gain=writer.gain,
            confidence=confidence.figures,
            **_lines(track, remarks),
        )

    def _plan(self, track: Track, info: AudioInfo, engine: Engine) -> TrackReport:
        settings, duration = self.settings, self.duration_of(info)
        paths = self._paths(track.name, self.separator_for(info))
        there = settings.skip_existing and all(path.exists() for path in paths.values())
        return TrackReport(
            Path(track.label),
            self.model,
            paths,
            duration,
            device=engine.device,
            engine=engine.name,
            skipped=there,
            sample_rate=encoding_rate(settings.write, settings.sample_rate or info.sample_rate),
            audio_tracks=tuple(info.titles) if len(info.streams) > 1 else (),
            audio_track=info.stream + 1,
        )

    def _paths(self, track: str, separator: Separator) -> dict[str, Path]:
        return stem_paths(
            self.settings.folder,
            self.settings.path_template,
            model=self.model,
            track=track,
            stems=self.settings.selection.names(separator.sources),
            extension=self.settings.write.extension,
        )

    def _read(self, track: Track, remarks: Remarks | None = None) -> Iterator[Audio]:
        """Read the blocks of a track; `remarks` receives those of the reader at the end."""
        settings = self.settings
        with AudioReader(
            track.path,
            start=settings.start,
            duration=settings.duration,
            stream=settings.audio_track,
            tolerance=settings.tolerance,
        ) as reader:
            yield from reader.blocks()
            if remarks is not None:
                remarks.notes, remarks.losses = reader.remarks.notes, reader.remarks.losses
                remarks.truncation = reader.remarks.truncation

    def _separate(
        self,
        track: Track,
        info: AudioInfo,
        selected: SelectedEngine,
        progress: Progress | None,
        confidence: MeanConfidence,
        null_test: NullTest,
        remarks: Remarks,
    ) -> Iterator[Audio]:
        """Stems of a track `(stems, channels, samples)`; a multi-stream file has the mixture as the first."""
        separator, duration = self.separator_for(info), self.duration_of(info)
        pairs = separate_stream(
            separator,
            _watch(self._read(track, remarks), info.sample_rate, duration, progress),
            info.sample_rate,
            engine=selected.engine,
            level=measure_level(self._read(track)) if separator.normalization == "track" else None,
            settings=replace(self.settings.stream, batch_size=selected.batch_size),
            note=confidence.note,
        )
        for mixture, estimates in pairs:
            stems = self.settings.selection.select(mixture, estimates, separator.sources)
            null_test.add(mixture, stems)
            yield np.concatenate([mixture[None], stems]) if self._multi_stream else stems

    def _at_output_rate(self, stems: Iterator[Audio], info: AudioInfo) -> Iterator[Audio]:
        folded = (rearrange(block, "s c t -> (s c) t") for block in stems)
        rate = self.settings.sample_rate or info.sample_rate
        for block in resample_blocks(folded, info.sample_rate, rate):
            yield rearrange(block, "(s c) t -> s c t", c=info.channels)

    def _writer(self, track: Track, info: AudioInfo, plan: TrackReport) -> StemWriter:
        paths = plan.stems
        if self._multi_stream:
            paths = {MIXTURE: next(iter(plan.stems.values())), **plan.stems}
        return StemWriter(
            paths,
            self.settings.sample_rate or info.sample_rate,
            info.channels,
            self.settings.write,
            tags_from=track.path,
            mixture=MIXTURE if self._multi_stream else None,
        )

    @property
    def _multi_stream(self) -> bool:
        return self.settings.write.format == "stem"


def _lines(track: Track, remarks: Remarks) -> dict[str, Any]:
    """Remarks about the file of a track as figures of its report, with the name that the user knows."""
    lines = [*remarks.notes, *remarks.losses, remarks.truncation or ""]
    *named, truncation = [line.replace(str(track.path), track.label) for line in lines]
    count = len(remarks.notes)
    return {
        "notes": tuple(named[:count]),
        "losses": tuple(named[count:]),
        "truncation": truncation or None,
    }


def _watch(
    blocks: Iterator[Audio], sample_rate: int, duration: float | None, progress: Progress | None
) -> Iterator[Audio]:
    """Pass blocks on and report the progress."""
    done = 0
    for block in blocks:
        yield block
        done += block.shape[1]
        if progress is not None:
            progress(done / sample_rate, max(duration or 0.0, done / sample_rate))
