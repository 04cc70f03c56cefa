"""Separation of a recording in memory, in one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal, SupportsFloat

import numpy as np

from soloist.audio import Audio, StemWriter, WriteOptions, cut_blocks
from soloist.audio.file_formats import Clip, Format
from soloist.inference.dry_run.memory_use import WAY_OUT
from soloist.inference.engines import batch_notes
from soloist.inference.loaded_models import LoadedModel, load_for
from soloist.inference.outputs import origin_comment, stem_paths
from soloist.inference.recording import AudioInput, ReadOptions, Recording, read_recording
from soloist.inference.stem_selection import Consistency, StemSelection
from soloist.inference.stem_separation import Cancel, Findings, Progress, Watch, separate_stems
from soloist.inference.stream import StreamSettings, measure_level
from soloist.inference.track_report import SeparationReport
from soloist.input_files import identify_all, protect
from soloist.resources import is_gpu, within_memory

_BLOCK = 1 << 18
"""Samples of the blocks in which a recording is resampled and written."""


class Separation(Mapping[str, Audio]):
    """The stems of a recording: a read-only mapping from name to samples `(channels, samples)`, float32.

    Args:
        stems: Samples of each stem, of equal shapes.
        sample_rate: Their rate, Hz.
        mixture: Samples of the recording, of the same shape.
        report: Report of the separation.
        path: File of the recording, which `save` does not replace and from which it copies tags.

    Attributes:
        sample_rate: Rate of the stems, Hz.
        mixture: Samples of the recording `(channels, samples)`.
        report: Time, engine, null test, and lines about the file.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal((2, 44100)).astype(np.float32)
        >>> separation = soloist.separate(0.1 * noise, 44100, model="hpss")
        >>> list(separation), separation["harmonic"].shape, separation.sample_rate
        (['harmonic', 'percussive'], (2, 44100), 44100)
    """

    def __init__(
        self,
        stems: Mapping[str, Audio],
        sample_rate: int,
        mixture: Audio,
        report: SeparationReport,
        path: Path | None = None,
    ) -> None:
        self._stems = dict(stems)
        self._path = path
        self.sample_rate = sample_rate
        self.mixture = mixture
        self.report = report

    def __getitem__(self, name: str) -> Audio:
        return self._stems[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stems)

    def __len__(self) -> int:
        return len(self._stems)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {stem.shape}" for name, stem in self.items())
        return f"<{type(self).__name__} at {self.sample_rate} Hz: {shapes}>"

    @property
    def residual(self) -> Audio:
        """The mixture minus all stems `(channels, samples)`."""
        residual = self.mixture.copy()
        for stem in self._stems.values():
            residual -= stem
        return residual

    def save(
        self,
        folder: str | PathLike[str],
        *,
        format: Format = "wav",
        bit_depth: Literal[16, 24, 32] | None = None,
        bitrate: int | None = None,
        clip: Clip = "rescale",
    ) -> dict[str, Path]:
        """Write each stem as `<folder>/<stem>.<format>`: all files, or none.

        Args:
            folder: The output folder; made if missing.
            format: One of `soloist.audio.FORMATS`, except the multi-stream "stem".
            bit_depth: Bits of a sample, for "wav" 16, 24 or 32 (float, the default), for "flac" 16 or 24.
            bitrate: Bit rate of a file of a lossy format, kbit/s.
            clip: Treatment of samples beyond full scale; see `WriteOptions`.

        Returns:
            The file of each stem.

        Raises:
            UsageError: An option does not fit the format, a stem's name is no file name, or a stem would
                replace the recording.
            AudioError: A file cannot be written.
        """
        options = WriteOptions(format, bit_depth, bitrate, clip)
        stems, extension = list(self), options.extension
        paths = stem_paths(Path(folder), "{stem}.{ext}", model="", track="", stems=stems, extension=extension)
        if self._path is not None:
            protect(paths.values(), identify_all([self._path]), way_out="choose another folder")
        channels, comment = len(self.mixture), origin_comment(self.report.model)
        with StemWriter(
            paths, self.sample_rate, channels, options, tags_from=self._path, comment=comment
        ) as writer:
            for first in range(0, self.mixture.shape[1], _BLOCK):
                writer.write(np.stack([stem[:, first : first + _BLOCK] for stem in self.values()]))
            writer.commit()
        return paths


def separate(
    audio: AudioInput,
    rate: SupportsFloat | str | None = None,
    *,
    model: str | PathLike[str] | None = None,
    stems: str | Sequence[str] | None = (),
    two_stems: str | None = None,
    residual: bool = False,
    consistency: Consistency = "none",
    start: float = 0.0,
    duration: float | None = None,
    keep_going: bool = False,
    device: str = "auto",
    engine: str = "auto",
    precision: str = "auto",
    settings: StreamSettings | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Separation:
    """Separate a recording that fits in memory; `soloist.Batch` separates files of any length.

    Models stay in memory for the next call (`soloist.clear` forgets them). Threads may call it at once; those
    with the same model take turns, chunk by chunk.

    Args:
        audio: A path, an encoded file of any format (bytes or a binary file object), or samples
            `(channels, samples)` or `(samples,)` in [-1, 1]: an array, tensor or list. Integers are scaled;
            an array `(samples, channels)` of more than 64 rows and at most 16 columns is transposed.
        rate: Rate of the samples in Hz, a whole number of any type; not needed for a file.
        model: Name in the zoo, which is downloaded if it is not on disk, or path of a model folder; None for
            the best on disk, else one that is downloaded (see `soloist.zoo.choose_default`).
        stems: Name or names of the requested stems; None or empty for all.
        two_stems: One stem to separate from everything else (`no_<stem>`).
        residual: Add the mixture minus all stems as the stem `residual`.
        consistency: "mixture" makes the estimates add up to the mixture; see `StemSelection`.
        start: Start of the excerpt, s.
        duration: Duration of the excerpt, s; None for the rest.
        keep_going: Separate what there is of a truncated file; the line about it is `report.truncation`.
        device: "auto", "cpu", "cuda", "mps".
        engine: Engine of the network, one of `soloist.inference.ENGINES`, or "auto".
        precision: "float32", "bfloat16", "float16", or "auto": float32, unless `soloist tune` measured that
            another one is faster and inaudible.
        settings: Chunks, overlap, shifts, batches.
        progress: Callback that receives the seconds done and the seconds in all, after each chunk; what it
            raises ends the separation, and is raised.
        cancel: Request to stop, such as a `threading.Event`; heard between chunks.

    Returns:
        Samples `(channels, samples)` of each stem, at the rate and of the length of the input.

    Raises:
        AudioError: The file cannot be read.
        ModelError: The model is unknown or damaged, or cannot be downloaded.
        UsageError: Samples without a rate, or of an uncertain shape or scale; a stem that the model does not
            have; or an engine or a precision that cannot run the model.
        OutOfMemoryError: The memory does not suffice.
        Interrupted: `cancel` was set.

    Example:
        >>> separation = soloist.separate("song.mp3", two_stems="vocals")  # doctest: +SKIP
        >>> separation.save("stems", format="flac")  # doctest: +SKIP
    """
    findings, watch = Findings(), Watch(progress, cancel)
    watch.check()
    selection = StemSelection.named(stems, two_stems, residual, consistency)
    options = ReadOptions(start, duration, "truncation" if keep_going else "damage")
    recording = read_recording(audio, rate, options)
    with within_memory(f"at {recording.name or 'the audio'}: {WAY_OUT}"):
        loaded = load_for(
            model,
            selection,
            engine=engine,
            device=device,
            precision=precision,
            sample_rate=recording.sample_rate,
            channels=len(recording.audio),
        )
        return _separate(recording, loaded, selection, settings or StreamSettings(), watch, findings)


def _separate(
    recording: Recording,
    loaded: LoadedModel,
    selection: StemSelection,
    settings: StreamSettings,
    watch: Watch,
    findings: Findings,
) -> Separation:
    separator, mixture, rate = loaded.separator, recording.audio, recording.sample_rate
    watch.advance(0.0, recording.seconds)
    selected = loaded.select_engine(settings, max(1, round(recording.seconds * separator.sample_rate)))
    pairs = separate_stems(
        separator,
        cut_blocks([mixture], _BLOCK),
        rate,
        selection=selection,
        selected=selected,
        settings=settings,
        level=measure_level([mixture]) if separator.measures_track else None,
        duration=recording.seconds,
        watch=watch,
        findings=findings,
        # A CPU is busy with the network already.
        ahead=is_gpu(selected.engine.device),
    )
    names, position = selection.names(separator.sources), 0
    stems = np.empty((len(names), *mixture.shape), np.float32)
    for _, block in pairs:
        stems[..., position : position + block.shape[-1]] = block
        position += block.shape[-1]
    notes = recording.remarks.get("notes", ()) + batch_notes(selected.engine)
    report = SeparationReport(
        model=loaded.name,
        device=selected.engine.device,
        engine=selected.engine.name,
        precision=selected.engine.precision,
        sample_rate=rate,
        **findings.figures(rate),
        **{**recording.remarks, "notes": notes},
    )
    return Separation(dict(zip(names, stems, strict=True)), rate, mixture, report, recording.path)
