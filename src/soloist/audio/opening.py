"""Choice of the decoder of a file, by its bytes rather than by its header."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from soloist.audio.adts_layout import adts_layout
from soloist.audio.blocks import Audio
from soloist.audio.byte_ranges import SplicedFile
from soloist.audio.chained_decoder import ChainedDecoder
from soloist.audio.chunk_layout import chunk_layout
from soloist.audio.decoder import WAY_OUT, Decoder, Remarks, check_plausible
from soloist.audio.flac_layout import flac_layout
from soloist.audio.layout import Layout, Part
from soloist.audio.mpeg_layout import mpeg_layout
from soloist.audio.ogg_layout import ogg_layout
from soloist.audio.sized_layout import sized_layout
from soloist.audio.soundfile_decoder import SoundFileDecoder, open_soundfile
from soloist.audio.wave_layout import mpeg_range, wave_layout
from soloist.errors import AudioError, UsageError
from soloist.urls import missing

_MPEG_AUDIO = ("mp1", "mp2", "mp3")


def open_decoder(remarks: Remarks, stream: int | str = 0) -> Decoder:
    """Open a file with the library that reads it rightly.

    Args:
        remarks: The file, and what the decoder has to say about it.
        stream: Number of the audio stream, from 0, or its language or name.

    Raises:
        AudioError: The file is missing, empty, truncated, or not audio.
        UsageError: The file is a pipe or device, or has no such stream.
    """
    check_readable(remarks.path)
    decoder = _open(remarks, stream)
    try:
        check_plausible(decoder.info)
    except AudioError:
        decoder.close()
        raise
    return decoder


def _open(remarks: Remarks, stream: int | str) -> Decoder:
    # Formats of libsndfile have one stream; FFmpeg finds or refuses a higher number.
    if stream:
        return _by_ffmpeg(remarks, stream)
    found = os.stat(remarks.path)
    layout = _find_layout(remarks.path, found.st_size, found.st_mtime_ns)
    if layout is None:
        return _open_whole(remarks)
    for note in layout.notes:
        remarks.note(note)
    if layout.truncation:
        remarks.end_early(AudioError(f"{remarks.path} is truncated: {layout.truncation}; {WAY_OUT}"))
    open_part = partial(_open_part, remarks, found.st_size)
    if len(layout.parts) == 1:
        return open_part(layout.parts[0])
    return ChainedDecoder(remarks, layout.parts, open_part)


def is_read_once(path: Path) -> bool:
    """Tell whether a file cannot be read twice: a pipe or socket, or a file whose size is not known."""
    try:
        found = os.stat(path)
        if stat.S_ISREG(found.st_mode):
            return found.st_size == 0 and _has_bytes(path)
        return stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode)
    except (OSError, ValueError):
        return False


def check_readable(path: Path) -> None:
    """Refuse a path that cannot be read, without waiting for a pipe.

    Raises:
        AudioError: The file is missing or empty, or a folder.
        UsageError: The path is a pipe or a device.
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise AudioError(f"{path} is a folder, not an audio file")
        if not stat.S_ISREG(found.st_mode) or (found.st_size == 0 and _has_bytes(path)):
            reason = "is a pipe or device, which can be read only once"
            raise UsageError(f"{path} {reason}: name - and send it to standard input")
        if not _has_bytes(path):
            raise AudioError(f"{path} is empty")
    except FileNotFoundError as error:
        raise AudioError(missing(path)) from error
    except UsageError:
        raise
    except (OSError, ValueError) as error:
        raise AudioError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _has_bytes(path: Path) -> bool:
    with open(path, "rb") as file:
        return bool(file.read(1))


@lru_cache(maxsize=4096)
def _find_layout(path: Path, size: int, changed: int) -> Layout | None:
    """Find the layout of a file once, as long as its size and time of change stay."""
    within = mpeg_range(path)
    if within is not None:
        return mpeg_layout(path, *within)
    layouts = (wave_layout, ogg_layout, flac_layout, chunk_layout, sized_layout, adts_layout, mpeg_layout)
    return next((layout for find in layouts if (layout := find(path)) is not None), None)


def _open_whole(remarks: Remarks) -> Decoder:
    decoder = open_soundfile(remarks)
    if decoder is None:
        return _by_ffmpeg(remarks)
    if decoder.info.codec in _MPEG_AUDIO:
        # libsndfile guesses the length, and stops there.
        decoder.close()
        return _by_ffmpeg(remarks)
    return _ReadingOn(decoder, Part(0, 0))


def _open_part(remarks: Remarks, size: int, part: Part) -> Decoder:
    if not part.by_ffmpeg:
        decoder = open_soundfile(remarks, _source(remarks, size, part), samples=part.samples)
        if decoder is not None:
            return _ReadingOn(decoder, part)
    return _open_container(remarks, size, part)


def _by_ffmpeg(remarks: Remarks, *arguments: Any, **options: Any) -> Decoder:
    # Most files need no FFmpeg, whose import takes longer than their opening.
    from soloist.audio.container_decoder import ContainerDecoder

    return ContainerDecoder(remarks, *arguments, **options)


def _open_container(remarks: Remarks, size: int, part: Part) -> Decoder:
    return _by_ffmpeg(
        remarks,
        source=_source(remarks, size, part),
        samples=part.samples,
        rate=part.rate,
        delay=part.delay,
        damaged=part.damaged,
    )


def _source(remarks: Remarks, size: int, part: Part) -> SplicedFile | None:
    """Bytes of a part; None if it is the whole file."""
    if not part.prefix and part.start == 0 and part.end in (0, size):
        return None
    return SplicedFile(remarks.path, part.start, part.end, part.prefix)


class _ReadingOn:
    """Decoder with libsndfile that goes on with FFmpeg where libsndfile stops at a damage."""

    def __init__(self, decoder: SoundFileDecoder, part: Part) -> None:
        self.info, self.remarks = decoder.info, decoder.remarks
        self._decoder, self._part = decoder, part

    def decode(self, first: int) -> Iterator[Audio]:
        """Decode from sample `first` on; see `Decoder.decode`."""
        position = first
        try:
            for block in self._decoder.decode(first):
                position += block.shape[1]
                yield block
        except AudioError as error:
            if self.remarks.tolerance == "nothing":
                raise
            yield from self._go_on(position, error)

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def _go_on(self, position: int, error: AudioError) -> Iterator[Audio]:
        """Decode the rest with FFmpeg.

        Raises:
            AudioError: The rest is missing, and truncation is not tolerated.
        """
        samples, losses = self.info.samples, len(self.remarks.losses)
        found = 0
        try:
            other = _open_container(self.remarks, 0, self._part)
        except AudioError:
            self.remarks.end_early(error)
            return
        try:
            for block in other.decode(position):
                block = block if samples is None else block[:, : samples - position - found]
                found += block.shape[1]
                yield block
        finally:
            other.close()
        if samples is not None and position + found < samples:
            self.remarks.end_early(error)
        elif len(self.remarks.losses) == losses:
            self.remarks.lose(position / self.info.sample_rate, 0.0, error)
