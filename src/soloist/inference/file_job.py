"""The file job: read a track in blocks, separate it, write its stems in blocks."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange

from soloist.audio import (
    Audio,
    AudioInfo,
    AudioReader,
    StemWriter,
    WriteOptions,
    free_space,
    probe,
    resample_blocks,
    stem_space,
)
from soloist.errors import AudioError, UsageError
from soloist.inference.dry_run.disk_space import DiskSpace
from soloist.inference.engine_selection import EngineSelection, SelectedEngine
from soloist.inference.engines import Engine
from soloist.inference.engines.graph_cache import content_hash
from soloist.inference.inputs import Track
from soloist.inference.outputs import DEFAULT_TEMPLATE, MULTI_STREAM_TEMPLATE, check_template, stem_paths
from soloist.inference.placement import Existing, Identity, Placement, check_targets, identify, place, protect
from soloist.inference.stem_record import InputFile, StemRecord, forget, remember
from soloist.inference.stem_selection import NullTest, StemSelection
from soloist.inference.stream import StreamSettings, measure_level, separate_stream
from soloist.inference.track_report import MeanConfidence, TrackReport
from soloist.separators import Chunking, Separator
from soloist.zoo import card_of, load

MIXTURE = "mixture"

_SAME_LENGTH = 0.1
"""Largest difference of stems without a record from the recording's length, s."""

_log = logging.getLogger(__name__)

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
        skip_existing: Skip tracks whose stems are all finished: of this recording and excerpt, by this model
            and these settings.
        overwrite: Replace stems of another recording, too, which otherwise keep their names.
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
    skip_existing: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.skip_existing and self.overwrite:
            raise UsageError("--skip-existing and --overwrite exclude each other")
        if self.start < 0 or (self.duration is not None and not self.duration > 0):
            raise UsageError("the start must not be negative and the duration must be more than 0 s")
        if self.sample_rate is not None and not 1000 <= self.sample_rate <= 768_000:
            raise UsageError(f"sample rate {self.sample_rate} Hz must lie in 1000..768000")
        check_template(self.path_template, one_file_per_stem=self.write.format != "stem")

    @property
    def existing(self) -> Existing:
        """Treatment of finished stems."""
        return "skip" if self.skip_existing else "replace" if self.overwrite else "keep"

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
        self._names = self._names_of(separator)
        self._model_hash = content_hash(separator)
        self._inputs: dict[Identity, Path] = {}
        self._paths("track", self._names)

    def protect(self, tracks: Sequence[Track]) -> None:
        """Refuse to replace any of the tracks by a stem, now and in `run`.

        Raises:
            UsageError: A stem would replace a track, or tracks would share a file; names the way out.
        """
        for track in tracks:
            self._inputs |= _identities(track)
        check_targets([(track.path, self._paths(track.name, self._names)) for track in tracks], self._inputs)

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
        return max(1, round(self.duration_of(info) * self.separator_for(info).sample_rate))

    def duration_of(self, info: AudioInfo) -> float:
        """Separated seconds of a file."""
        left = max(0.0, info.duration - self.settings.start)
        return left if self.settings.duration is None else min(left, self.settings.duration)

    def disk_space(self, info: AudioInfo, stems: Mapping[str, Path]) -> DiskSpace:
        """Disk space of the stems of a file."""
        rate = self.settings.sample_rate or info.sample_rate
        sizes = stem_space(self.settings.write, self.duration_of(info), rate, info.channels)
        needed, kept = ((len(stems) + self._multi_stream) * size / 1e6 for size in sizes)
        free = free_space(next(iter(stems.values())))
        return DiskSpace(needed, kept, None if free is None else free / 1e6)

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
            AudioError: The file cannot be read, or the stems would replace those of another recording.
            UsageError: A stem would replace an input.
        """
        info = probe(track.path)
        return self._plan(track, info, self.select_engine(info).engine, self._record(track, info))

    def run(
        self, track: Track, progress: Progress | None = None, *, engine: Engine | None = None
    ) -> TrackReport:
        """Separate a track; all stems appear under their names when they are complete.

        Args:
            track: The track.
            progress: Callback that receives the progress.
            engine: Runs the separator in place of the engine of the settings, for a trial: no record is kept.

        Raises:
            AudioError: The file cannot be read, or the stems cannot be written or have no room, or would
                replace those of another recording.
            UsageError: A stem would replace an input.
        """
        begun = time.perf_counter()
        info = probe(track.path)
        batch_size = self.settings.stream.batch_size or 1
        selected = SelectedEngine(engine, batch_size) if engine else self.select_engine(info)
        record = self._record(track, info)
        plan = self._plan(track, info, selected.engine, record)
        if plan.skipped:
            return plan
        self.disk_space(info, plan.stems).check()
        confidence, null_test = MeanConfidence(), NullTest()
        stems = self._separate(track, info, selected, progress, confidence, null_test)
        with self._writer(track, info, plan) as writer:
            for block in self._at_output_rate(stems, info):
                writer.write(block)
            # A stem without a record is safe, one with the record of another is not.
            forget(plan.stems.values())
            writer.commit()
        elapsed = time.perf_counter() - begun
        if engine is None:
            self._remember(plan, record)
        return replace(
            plan,
            duration=null_test.samples / info.sample_rate,
            elapsed=elapsed,
            engine=selected.engine.name,
            null_dbfs=null_test.level,
            gain=writer.gain,
            confidence=confidence.figures,
        )

    def _plan(self, track: Track, info: AudioInfo, engine: Engine, record: StemRecord) -> TrackReport:
        placement = self._place(track, info, record)
        return TrackReport(
            track.path,
            self.model,
            placement.stems,
            self.duration_of(info),
            device=engine.device,
            engine=engine.name,
            skipped=placement.done,
            note=placement.note,
        )

    def _place(self, track: Track, info: AudioInfo, record: StemRecord) -> Placement:
        # Some separators have as many sources as the file has channels.
        names, duration = self._names_of(self.separator_for(info)), self.duration_of(info)

        def fits(path: Path) -> bool:
            try:
                return abs(probe(path).duration - duration) <= _SAME_LENGTH
            except AudioError:
                return False

        placement = place(
            track.name, lambda name: self._paths(name, names), record, fits, self.settings.existing
        )
        protect(placement.stems.values(), _identities(track) | self._inputs)
        return placement

    def _record(self, track: Track, info: AudioInfo) -> StemRecord:
        """Record of the stems of a track, without the hash of the whole file."""
        settings, selection = self.settings, self.settings.selection
        values: dict[str, Any] = {
            "rate": settings.sample_rate or info.sample_rate,
            "consistency": selection.consistency,
            # The residual is that of the selected stems.
            "residual_of": [selection.complement_of, *selection.stems] if selection.residual else None,
            "stream": {**asdict(settings.stream), "batch_size": None},
            "write": asdict(settings.write),
        }
        return StemRecord(
            InputFile.of(track.path),
            settings.start,
            settings.duration,
            self.model,
            self._model_hash,
            json.loads(json.dumps(values)),
        )

    def _remember(self, plan: TrackReport, record: StemRecord) -> None:
        try:
            remember(plan.stems.values(), replace(record, input=record.input.hashed()))
        except OSError as error:
            _log.warning("%s: the stems are there, but no record of them: %s", plan.input, error)

    def _names_of(self, separator: Separator) -> tuple[str, ...]:
        return self.settings.selection.names(separator.sources)

    def _paths(self, track: str, stems: Sequence[str]) -> dict[str, Path]:
        return stem_paths(
            self.settings.folder,
            self.settings.path_template,
            model=self.model,
            track=track,
            stems=stems,
            extension=self.settings.write.extension,
        )

    def _read(self, track: Track) -> Iterator[Audio]:
        settings = self.settings
        with AudioReader(track.path, start=settings.start, duration=settings.duration) as reader:
            yield from reader.blocks()

    def _separate(
        self,
        track: Track,
        info: AudioInfo,
        selected: SelectedEngine,
        progress: Progress | None,
        confidence: MeanConfidence,
        null_test: NullTest,
    ) -> Iterator[Audio]:
        """Stems of a track `(stems, channels, samples)`; a multi-stream file has the mixture as the first."""
        separator, duration = self.separator_for(info), self.duration_of(info)
        pairs = separate_stream(
            separator,
            _watch(self._read(track), info.sample_rate, duration, progress),
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


def _identities(track: Track) -> dict[Identity, Path]:
    paths = [track.path, *filter(None, [track.origin])]
    return {identity: path for path in paths if (identity := identify(path)) is not None}


def _watch(
    blocks: Iterator[Audio], sample_rate: int, duration: float, progress: Progress | None
) -> Iterator[Audio]:
    """Pass blocks on and report the progress."""
    done = 0
    for block in blocks:
        yield block
        done += block.shape[1]
        if progress is not None:
            progress(done / sample_rate, max(duration, done / sample_rate))
