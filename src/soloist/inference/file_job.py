"""The file job: read a track in blocks, separate it, write its stems in blocks."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
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
    free_space,
    probe,
    resample_blocks,
    stem_space,
)
from soloist.audio.file_formats import encoding_rate
from soloist.errors import AudioError, UsageError
from soloist.inference.engine_selection import EngineSelection, SelectedEngine
from soloist.inference.engines import Engine
from soloist.inference.file_settings import FileSettings
from soloist.inference.inputs import Track
from soloist.inference.outputs import DiskSpace, stem_paths
from soloist.inference.placement import Placement, Placer, check_targets
from soloist.inference.stem_record import InputFile, StemRecord, announce, remember
from soloist.inference.stem_selection import NullTest
from soloist.inference.stream import measure_level, separate_stream
from soloist.inference.track_report import MeanConfidence, PartsProgress, Progress, TrackReport, watch
from soloist.input_files import Identity, identify_all, protect
from soloist.separators import Chunking, CompositeSeparator, Separator
from soloist.separators.composite_separator import leaves, model_hash
from soloist.zoo import card_of, load
from soloist.zoo.cards import own_name
from soloist.zoo.composition_files import find_composition

MIXTURE = "mixture"
DENOISE = "denoise"
"""Task of the models that keep as much noise as is wished."""

_ASSUMED_SECONDS = 600.0
"""Length of files of unknown length, for the choice of an engine."""

_SAME_LENGTH = 0.1
"""Largest difference of stems without a record from the recording's length, s."""

_log = logging.getLogger(__name__)


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
        self.model = own_name(model)
        self.settings = settings
        composition = find_composition(self.model)
        self._label = self.model if composition is None else composition.label
        self._folder_name = self.model if composition is None else composition.name
        card = card_of(model)
        self._any_rate = card.sample_rate is None
        if settings.strength is not None and card.task != DENOISE:
            raise UsageError(f"--strength is for denoisers, and {self.model} is none: see soloist models")
        self._loaded: tuple[dict[str, int], Separator, EngineSelection] | None = None
        self._model_hash = ""
        # Errors that concern every track are raised before the first one.
        separator, _ = self._load({})
        self._names = self._names_of(separator)
        self._inputs: dict[Identity, Path] = {}
        self._paths("track", self._names)

    def protect(self, tracks: Sequence[Track]) -> None:
        """Refuse to replace any of the tracks by a stem, now and in `run`.

        Raises:
            UsageError: A stem would replace a track, or tracks would share a file; names the way out.
        """
        for track in tracks:
            self._inputs |= _identities(track)
        targets = []
        for track in tracks:
            with suppress(AudioError):  # `run` names a track whose name is too long.
                targets.append((track.path, self._paths(track.name, self._names)))
        check_targets(targets, self._inputs)

    def probe(self, track: Track) -> AudioInfo:
        """Properties of a track's file, and of the audio stream that is separated.

        Raises:
            AudioError: The file cannot be read.
            UsageError: The file has no such audio stream.
        """
        settings = self.settings
        return probe(track.path, stream=settings.audio_track, tolerance=settings.tolerance)

    def separator_for(self, info: AudioInfo) -> Separator:
        """The separator for a kind of input, of the sources that the selected stems need."""
        return self._load_for(info)[0]

    def select_engine(self, info: AudioInfo) -> SelectedEngine:
        """Select the engine and the batch size for a file.

        Returns:
            With a trial only if `soloist tune` measured such chunks and batches.
        """
        separator, engines = self._load_for(info)
        selected = engines.select(self.count_chunks(info))
        batch_size = self.settings.stream.batch_size or selected.batch_size
        usual = self.chunk_length(info) == Chunking.of(separator).input_length
        alike = usual and batch_size == selected.batch_size
        return SelectedEngine(selected.engine, batch_size, selected.trial if alike else None)

    def count_chunks(self, info: AudioInfo) -> int:
        """Number of chunks of a file, in all passes."""
        return self.settings.stream.shifts * self.chunking(info).count(self.samples_of(info))

    def chunk_length(self, info: AudioInfo) -> int:
        """Samples of the chunks of a file, as the separator sees them."""
        return self.chunking(info).longest_input(self.samples_of(info))

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
            strength = self.settings.strength
            options: dict[str, Any] = {} if strength is None else {"strength": strength}
            separator = load(self.model, **overrides, **options)
            selection = self.settings.selection
            selection.check(separator.sources)
            # The hash of the whole model: a stem is the same whichever others are made.
            self._model_hash = self._model_hash or model_hash(separator)
            separator = separator.only(selection.needed(separator.sources))
            for part in leaves(separator):
                self.settings.stream.chunking(part)
            engines = EngineSelection(separator, self.settings.engine, self.settings.device)
            self._loaded = (overrides, separator, engines)
        return self._loaded[1:]

    def plan(self, track: Track) -> TrackReport:
        """Report what `run` would do.

        Raises:
            AudioError: The file cannot be read, or the stems would replace those of another recording.
            UsageError: A stem would replace an input.
        """
        info = self.probe(track)
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
        info = self.probe(track)
        batch_size = self.settings.stream.batch_size or 1
        selected = SelectedEngine(engine, batch_size) if engine else self.select_engine(info)
        record = self._record(track, info)
        plan = self._plan(track, info, selected.engine, record)
        if plan.skipped:
            return plan
        self.disk_space(info, plan.stems).check(track.label)
        confidence, null_test = MeanConfidence(), NullTest()
        remarks = Remarks(track.path)
        stems = self._separate(track, info, selected, progress, confidence, null_test, remarks)
        with self._writer(track, info, plan) as writer:
            for block in self._at_output_rate(stems, info):
                writer.write(block)
            writer.encode()
            if engine is None:
                announce(plan.stems.values(), record)
            writer.commit()
        elapsed = time.perf_counter() - begun
        if engine is None:
            self._remember(plan, record, track, remarks)
        return replace(
            plan,
            duration=null_test.samples / info.sample_rate,
            elapsed=elapsed,
            engine=selected.engine.name,
            null_dbfs=null_test.level,
            gain=writer.gain,
            confidence=confidence.figures,
            **_lines(track, remarks),
        )

    def _plan(self, track: Track, info: AudioInfo, engine: Engine, record: StemRecord) -> TrackReport:
        placement = self._place(track, info, record)
        return TrackReport(
            Path(track.label),
            self._label,
            placement.stems,
            self.duration_of(info),
            device=engine.device,
            engine=engine.name,
            skipped=placement.done,
            note=placement.note,
            sample_rate=encoding_rate(self.settings.write, self.settings.sample_rate or info.sample_rate),
            audio_tracks=tuple(info.titles) if len(info.streams) > 1 else (),
            audio_track=info.stream + 1,
        )

    def _place(self, track: Track, info: AudioInfo, record: StemRecord) -> Placement:
        # Some separators have as many sources as the file has channels.
        names, duration = self._names_of(self.separator_for(info)), self.duration_of(info)

        def fits(path: Path) -> bool:
            try:
                length = probe(path).duration
            except AudioError:
                return False
            return None not in (length, duration) and abs((length or 0) - (duration or 0)) <= _SAME_LENGTH

        placer = Placer(record, track.path, fits, self.settings.existing)
        placement = placer.place(track.name, lambda name: self._paths(name, names))
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
            "stream": settings.stream.recorded(),
            "write": asdict(settings.write),
            "audio_track": settings.audio_track,
            "truncation": None,
        }
        if settings.strength is not None:
            values["strength"] = settings.strength
        return StemRecord(
            InputFile.of(track.path, track.alias),
            settings.start,
            settings.duration,
            self._label,
            self._model_hash,
            json.loads(json.dumps(values)),
        )

    def _remember(self, plan: TrackReport, record: StemRecord, track: Track, remarks: Remarks) -> None:
        # The rest of a truncated file is never finished.
        settings = {**record.settings, "truncation": remarks.truncation}
        try:
            record = replace(record, input=record.input.hashed(track.path), settings=settings)
            remember(plan.stems.values(), record)
        except OSError as error:
            _log.warning("%s: the stems are there, but no record of them: %s", plan.input, error)

    def _names_of(self, separator: Separator) -> tuple[str, ...]:
        return self.settings.selection.names(separator.sources)

    def _paths(self, track: str, stems: Sequence[str]) -> dict[str, Path]:
        return stem_paths(
            self.settings.folder,
            self.settings.path_template,
            model=self._folder_name,
            track=track,
            stems=stems,
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
        separator, blocks = self.separator_for(info), self._read(track, remarks)
        heard = None
        if isinstance(separator, CompositeSeparator) and separator.one_by_one:
            # The first part reads the whole file: progress is that of all parts.
            heard = PartsProgress(len(list(leaves(separator))), self.duration_of(info), progress)
        else:
            blocks = watch(blocks, info.sample_rate, self.duration_of(info), progress)
        pairs = separate_stream(
            separator,
            blocks,
            info.sample_rate,
            engine=selected.engine,
            level=measure_level(self._read(track)) if separator.measures_track else None,
            settings=replace(self.settings.stream, batch_size=selected.batch_size),
            note=confidence.note,
            heard=heard,
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
    return identify_all([track.path, *filter(None, [track.origin])])


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
