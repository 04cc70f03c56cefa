"""Settings of the separation of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from soloist.audio import AudioInfo, WriteOptions, free_space, stem_space
from soloist.audio.decoder import Tolerance
from soloist.errors import UsageError
from soloist.inference.outputs import DEFAULT_TEMPLATE, MULTI_STREAM_TEMPLATE, DiskSpace, check_template
from soloist.inference.placement import Existing
from soloist.inference.stem_selection import StemSelection
from soloist.inference.stream import StreamSettings


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
        precision: Precision of the network: one of `PRECISIONS`, or "auto"; see `EngineSelection`.
        audio_track: Audio stream of files that have several: its number from 0, or its language or name.
        skip_existing: Skip tracks whose stems are all finished: of this recording and excerpt, by this model
            and these settings.
        keep_going: Separate what there is of a truncated file.
        overwrite: Replace stems of another recording, too, which otherwise keep their names.
        strength: Level of the noise that a denoiser keeps, dB; None for the least.
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
    precision: str = "auto"
    audio_track: int | str = 0
    skip_existing: bool = False
    keep_going: bool = False
    overwrite: bool = False
    strength: float | None = None

    def __post_init__(self) -> None:
        if self.skip_existing and self.overwrite:
            raise UsageError("--skip-existing and --overwrite exclude each other")
        if self.start < 0 or (self.duration is not None and not self.duration > 0):
            raise UsageError("the start must not be negative and the duration must be more than 0 s")
        if self.sample_rate is not None and not 1000 <= self.sample_rate <= 768_000:
            raise UsageError(f"sample rate {self.sample_rate} Hz must lie in 1000..768000")
        check_template(self.path_template, one_file_per_stem=not self.multi_stream)

    @property
    def existing(self) -> Existing:
        """Treatment of finished stems."""
        return "skip" if self.skip_existing else "replace" if self.overwrite else "keep"

    @property
    def tolerance(self) -> Tolerance:
        """Missing sound that does not end a separation."""
        return "truncation" if self.keep_going else "damage"

    @property
    def multi_stream(self) -> bool:
        """True if one file holds the mixture and all stems."""
        return self.write.format == "stem"

    @property
    def path_template(self) -> str:
        """The template in force."""
        return self.template or (MULTI_STREAM_TEMPLATE if self.multi_stream else DEFAULT_TEMPLATE)

    def rate_of(self, info: AudioInfo) -> int:
        """Rate of the stems of a file, Hz."""
        return self.sample_rate or info.sample_rate

    def duration_of(self, info: AudioInfo) -> float | None:
        """Separated seconds of a file; None if its length is unknown."""
        if info.duration is None:
            return self.duration
        left = max(0.0, info.duration - self.start)
        return left if self.duration is None else min(left, self.duration)

    def disk_space(self, info: AudioInfo, stems: Mapping[str, Path]) -> DiskSpace:
        """Disk space of the stems of a file."""
        free, duration = free_space(next(iter(stems.values()))), self.duration_of(info)
        available = None if free is None else free / 1e6
        if duration is None:
            return DiskSpace(None, None, available)
        sizes = stem_space(self.write, duration, self.rate_of(info), info.channels)
        needed, kept = ((len(stems) + self.multi_stream) * size / 1e6 for size in sizes)
        return DiskSpace(needed, kept, available)
