"""The file job: read a track in blocks, separate it, write its stems in blocks."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
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
    probe,
    resample_blocks,
)
from soloist.audio.file_formats import encoding_rate
from soloist.errors import AudioError, UsageError
from soloist.inference.engine_selection import SelectedEngine, shares_batches
from soloist.inference.engines import Engine, batch_notes
from soloist.inference.file_settings import FileSettings
from soloist.inference.inputs import Track
from soloist.inference.loaded_models import LoadedModel, load_model
from soloist.inference.outputs import origin_comment, stem_paths
from soloist.inference.placement import Placement, Placer, check_targets
from soloist.inference.shared_batches import BatchMember
from soloist.inference.stem_record import InputFile, StemRecord, announce, remember
from soloist.inference.stem_separation import Findings, Watch, separate_stems
from soloist.inference.stream import measure_level
from soloist.inference.track_report import TrackReport, remark_lines
from soloist.input_files import Identity, identify_all, protect
from soloist.resources import is_gpu, read_ahead, take_behind
from soloist.separators import Chunking, Separator
from soloist.separators.composite_separator import leaves
from soloist.zoo import card_of
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

    Attributes:
        model_hash: Hash of the model's weights and attributes.
        stems: Names of the stems.

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
        # Errors that concern every track are raised before the first one.
        self._loaded: tuple[dict[str, int], LoadedModel] | None = None
        loaded = self._load({})
        # At the model's own rate and channels: a stem is by the same model whatever the recording has.
        self.model_hash = loaded.content
        self.stems = self._names_of(loaded.separator)
        self._inputs: dict[Identity, Path] = {}
        self._paths("track", self.stems)

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
                targets.append((track.path, self._paths(track.name, self.stems)))
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
        return self._load_for(info).separator

    def select_engine(self, info: AudioInfo) -> SelectedEngine:
        """Select the engine and the batch size for a file; see `LoadedModel.select_engine`."""
        return self._load_for(info).select_engine(self.settings.stream, self.samples_of(info))

    def shared_batch(self, track: Track) -> int:
        """Most chunks at once of this file and others together; 1 if each file has batches of its own.

        Raises:
            AudioError: The file cannot be read.
        """
        info = self.probe(track)
        return self.select_engine(info).batch_size if shares_batches(self.separator_for(info)) else 1

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
        seconds = self.settings.duration_of(info)
        seconds = _ASSUMED_SECONDS if seconds is None else seconds
        return max(1, round(seconds * self.separator_for(info).sample_rate))

    def _load_for(self, info: AudioInfo) -> LoadedModel:
        kind = {"sample_rate": info.sample_rate, "channels": info.channels}
        return self._load(kind if self._any_rate else {})

    def _load(self, kind: dict[str, int]) -> LoadedModel:
        # A model whose files change in the meantime stays the same for all files of a batch.
        loaded = self._loaded
        if loaded is None or loaded[0] != kind:
            settings = self.settings
            options: dict[str, Any] = {} if settings.strength is None else {"strength": settings.strength}
            model = load_model(
                self.model,
                settings.selection,
                engine=settings.engine,
                device=settings.device,
                precision=settings.precision,
                **kind,
                **options,
            )
            for part in leaves(model.separator):
                settings.stream.chunking(part)
            self._loaded = loaded = (kind, model)
        return loaded[1]

    def plan(self, track: Track) -> TrackReport:
        """Report what `run` would do.

        Raises:
            AudioError: The file cannot be read, or the stems would replace those of another recording.
            UsageError: A stem would replace an input.
        """
        info = self.probe(track)
        engine = self.select_engine(info).engine
        return self._plan(track, info, engine, self._record(track, info, engine))

    def run(
        self,
        track: Track,
        watch: Watch | None = None,
        *,
        engine: Engine | None = None,
        member: BatchMember | None = None,
    ) -> TrackReport:
        """Separate a track; all stems appear under their names when they are complete.

        Args:
            track: The track.
            watch: Receives the progress, and may end the separation.
            engine: Runs the separator in place of the engine of the settings, for a trial: no record is kept.
            member: The track among those whose chunks share batches; None for batches of its own.

        Raises:
            AudioError: The file cannot be read, or the stems cannot be written or have no room, or would
                replace those of another recording.
            UsageError: A stem would replace an input.
            Interrupted: The separation was cancelled; nothing is left of it.
        """
        findings = Findings()
        info = self.probe(track)
        batch_size = self.settings.stream.batch_size or 1
        selected = SelectedEngine(engine, batch_size) if engine else self.select_engine(info)
        record = self._record(track, info, selected.engine)
        plan = self._plan(track, info, selected.engine, record)
        if plan.skipped:
            return plan
        self.settings.disk_space(info, plan.stems).check(track.label)
        remarks = Remarks(track.path)
        shared = replace(selected, engine=member.share(selected.engine)) if member else selected
        blocks = self._separate(track, info, shared, watch or Watch(), findings, remarks)
        # An error holds on to the stems, and these to the thread that reads.
        with closing(blocks) as stems, self._writer(track, info, plan) as writer:
            take_behind(self._at_output_rate(stems, info), writer.write)
            if member is not None:
                member.leave()
            writer.encode()
            if engine is None:
                announce(plan.stems.values(), record)
            writer.commit()
        figures = findings.figures(info.sample_rate)
        if engine is None:
            self._remember(plan, record, track, remarks)
        lines = remark_lines(remarks, str(track.path), track.label)
        lines["notes"] += batch_notes(selected.engine)
        return replace(plan, **figures, engine=selected.engine.name, gain=writer.gain, **lines)

    def _plan(self, track: Track, info: AudioInfo, engine: Engine, record: StemRecord) -> TrackReport:
        placement = self._place(track, info, record)
        return TrackReport(
            input=Path(track.label),
            model=self._label,
            stems=placement.stems,
            duration=self.settings.duration_of(info),
            device=engine.device,
            engine=engine.name,
            precision=engine.precision,
            skipped=placement.done,
            note=placement.note,
            sample_rate=encoding_rate(self.settings.write, self.settings.rate_of(info)),
            audio_tracks=tuple(info.titles) if len(info.streams) > 1 else (),
            audio_track=info.stream + 1,
        )

    def _place(self, track: Track, info: AudioInfo, record: StemRecord) -> Placement:
        # Some separators have as many sources as the file has channels.
        names, duration = self._names_of(self.separator_for(info)), self.settings.duration_of(info)

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

    def _record(self, track: Track, info: AudioInfo, engine: Engine) -> StemRecord:
        """Record of the stems of a track, without the hash of the whole file."""
        settings, selection = self.settings, self.settings.selection
        values: dict[str, Any] = {
            "rate": settings.rate_of(info),
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
        if engine.precision != "float32":
            values["precision"] = engine.precision
        return StemRecord(
            InputFile.of(track.path, track.alias),
            settings.start,
            settings.duration,
            self._label,
            self.model_hash,
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
        """Read the blocks of a track in a thread; `remarks` receives those of the reader at the end."""
        return read_ahead(self._read_blocks(track, remarks))

    def _read_blocks(self, track: Track, remarks: Remarks | None) -> Iterator[Audio]:
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
        watch: Watch,
        findings: Findings,
        remarks: Remarks,
    ) -> Generator[Audio, None, None]:
        """Stems of a track `(stems, channels, samples)`; a multi-stream file has the mixture as the first."""
        separator = self.separator_for(info)
        by_track = separator.measures_track
        pairs = separate_stems(
            separator,
            self._read(track, remarks),
            info.sample_rate,
            selection=self.settings.selection,
            selected=selected,
            settings=self.settings.stream,
            level=measure_level(watch.follow(self._read(track))) if by_track else None,
            duration=self.settings.duration_of(info),
            watch=watch,
            findings=findings,
            # A CPU is busy with the network already.
            ahead=is_gpu(selected.engine.device),
        )
        for mixture, stems in pairs:
            yield np.concatenate([mixture[None], stems]) if self.settings.multi_stream else stems

    def _at_output_rate(self, stems: Iterator[Audio], info: AudioInfo) -> Iterator[Audio]:
        folded = (rearrange(block, "s c t -> (s c) t") for block in stems)
        rate = self.settings.rate_of(info)
        for block in resample_blocks(folded, info.sample_rate, rate):
            yield rearrange(block, "(s c) t -> s c t", c=info.channels)

    def _writer(self, track: Track, info: AudioInfo, plan: TrackReport) -> StemWriter:
        paths = plan.stems
        if self.settings.multi_stream:
            paths = {MIXTURE: next(iter(plan.stems.values())), **plan.stems}
        return StemWriter(
            paths,
            self.settings.rate_of(info),
            info.channels,
            self.settings.write,
            tags_from=track.path,
            comment=origin_comment(self._folder_name),
            mixture=MIXTURE if self.settings.multi_stream else None,
        )


def _identities(track: Track) -> dict[Identity, Path]:
    return identify_all([track.path, *filter(None, [track.origin])])
