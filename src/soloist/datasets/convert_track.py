"""One track in another format: its stems are read side by side, block by block, and written together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from soloist.audio import Audio, StemWriter, WriteOptions, cut_blocks, probe, resample_blocks, to_channels
from soloist.datasets.track import MIXTURE, Stem, StemFile, StemTrack
from soloist.errors import AudioError, UsageError

_BLOCK = 65536
_INTEGERS = frozenset({"pcm_s8", "pcm_u8", "pcm_16", "pcm_24"})
"""Codings whose every sample FLAC and 24-bit WAV hold, full scale included."""


@dataclass(frozen=True)
class ConvertSettings:
    """What a corpus is converted to.

    Attributes:
        output: The folder that is written.
        write: Format of the files: one file a stem.
        sample_rate: Their rate, Hz; None for that of each track.
        mono: Whether channels are averaged to one.
        overwrite: Whether what is there already is done again.

    Raises:
        UsageError: The rate is out of range, or the format is one file for all stems.
    """

    output: Path
    write: WriteOptions
    sample_rate: int | None = None
    mono: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.sample_rate is not None and not 1000 <= self.sample_rate <= 768_000:
            raise UsageError(f"sample rate {self.sample_rate} Hz must lie in 1000..768000")
        if self.write.format == "stem":
            raise UsageError("a corpus is converted to one file a stem: choose flac or wav")


def stems_of(track: StemTrack) -> dict[str, Stem]:
    """What is written of a track: its stems, and the mixture where it is recorded."""
    return {**track.stems, **({} if track.mixture is None else {MIXTURE: track.mixture})}


def write_stems(stems: Mapping[str, Stem], files: Mapping[str, Path], settings: ConvertSettings) -> float:
    """Write the stems of a track; their files appear when all of them are complete.

    Args:
        stems: What is read. Those that end before the others are silent from there on.
        files: The file of each.
        settings: Format, rate, channels.

    Returns:
        The gain that all were multiplied with so that none clips.

    Raises:
        AudioError: A stem cannot be read, or a file cannot be written.
        UsageError: The format cannot hold it.
    """
    rate = settings.sample_rate or list(stems.values())[-1].sample_rate
    options = settings.write
    if not settings.mono and all(_is_integer(stem, rate) for stem in stems.values()):
        options = replace(options, clip="none")  # nothing clips: a sample at full scale is held as it is
    blocks = _side_by_side(list(stems.values()), rate, mono=settings.mono)
    first = next(blocks)
    with StemWriter(files, rate, first.shape[1], options) as writer:
        for block in chain([first], blocks):
            writer.write(block)
        writer.commit()
        return writer.gain


def are_complete(files: Sequence[Path], settings: ConvertSettings) -> bool:
    """Whether all files of a track are there.

    Raises:
        AudioError: One is damaged, or is not what the settings ask for.
    """
    if not all(file.exists() for file in files):
        return False
    for file in files:
        info = probe(file)
        if settings.sample_rate not in (None, info.sample_rate) or (settings.mono and info.channels > 1):
            raise AudioError(
                f"{file} is there with {info.sample_rate} Hz and {info.channels} channel(s); "
                "overwrite it, or choose another output folder"
            )
    return True


def _is_integer(stem: Stem, rate: int) -> bool:
    if not isinstance(stem, StemFile) or stem.sample_rate != rate:
        return False
    return probe(stem.path).codec in _INTEGERS


def _side_by_side(stems: Sequence[Stem], rate: int, *, mono: bool) -> Iterator[Audio]:
    """Blocks `(stems, channels, samples)` at a rate in Hz; one channel is copied where others have more."""
    with ExitStack() as opened:
        streams = [stem.blocks(_BLOCK) for stem in stems]
        for stream in streams:
            opened.callback(getattr(stream, "close", lambda: None))
        firsts = [next(stream) for stream in streams]
        channels = 1 if mono else max(first.shape[0] for first in firsts)
        yield from _stack(
            [
                cut_blocks(resample_blocks(_with(channels, first, stream), stem.sample_rate, rate), _BLOCK)
                for stem, first, stream in zip(stems, firsts, streams, strict=True)
            ],
            channels,
        )


def _with(channels: int, first: Audio, rest: Iterator[Audio]) -> Iterator[Audio]:
    return (to_channels(block, channels) for block in chain([first], rest))


def _stack(streams: Sequence[Iterator[Audio]], channels: int) -> Iterator[Audio]:
    for blocks in zip_longest(*streams):
        samples = max(block.shape[1] for block in blocks if block is not None)
        together = np.zeros((len(streams), channels, samples), np.float32)
        for stem, block in zip(together, blocks, strict=True):
            if block is not None:
                stem[:, : block.shape[1]] = block
        yield together
