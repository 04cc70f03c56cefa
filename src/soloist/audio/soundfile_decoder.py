"""Decoding with libsndfile: PCM files, FLAC, Ogg and MP3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import mutagen.mp3
import numpy as np
import soundfile
from numpy.typing import NDArray

from soloist.audio.blocks import Audio
from soloist.audio.decoder import AudioInfo, damage, drop_first, truncation
from soloist.audio.file_formats import xiph_order
from soloist.audio.riff import check_complete
from soloist.errors import AudioError

_BLOCK = 32768  # libsndfile seeks after each read, which takes longer than decoding a short block.
_SMALL_BLOCK = 4096  # Just before a damage, to decode up to it.
_LOWEST_MPEG1_RATE = 32000
_OGG_PAGE_LIMIT = 27 + 255 + 255 * 255
_CODECS = {"mpeg_layer_iii": "mp3", "mpeg_layer_ii": "mp2", "mpeg_layer_i": "mp1"}


class SoundFileDecoder:
    """Decoder of a file that libsndfile reads correctly; see `open_soundfile`."""

    def __init__(self, path: Path, file: soundfile.SoundFile) -> None:
        subtype = file.subtype.lower()
        self._file = file
        order = xiph_order(file.channels) if file.format == "OGG" else range(file.channels)
        self._order = np.argsort(order)
        self.info = AudioInfo(
            path=path,
            duration=file.frames / file.samplerate,
            samples=file.frames,
            sample_rate=file.samplerate,
            channels=file.channels,
            container=file.format.lower().replace("wavex", "wav"),
            codec=_CODECS.get(subtype, subtype),
        )

    def decode(self, first: int) -> Iterator[Audio]:
        """Decode from sample `first` on; see `Decoder.decode`."""
        start = self._point_of_entry(first)
        yield from drop_first(self._decode_from(start), first - start)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _point_of_entry(self, first: int) -> int:
        """Latest sample from which decoding to `first` gives the samples of a decoding from the beginning.

        Layer III depends on the frames before (bit reservoir, overlap) and Vorbis on the block before; one
        second is more than enough. Opus and ADPCM depend on the whole past.
        """
        if self.info.codec in ("mp3", "vorbis"):
            return max(0, first - self.info.sample_rate)
        if self.info.codec.startswith("pcm") or self.info.codec in ("float", "double", "ulaw", "alaw"):
            return first
        return 0

    def _decode_from(self, start: int) -> Iterator[Audio]:
        info, rate = self.info, self.info.sample_rate
        position = start
        try:
            self._file.seek(start)
            while len(frames := self._read(position)):
                position += len(frames)
                yield np.ascontiguousarray(frames.T[self._order])
        except soundfile.LibsndfileError as error:
            raise damage(info.path, position / rate, error.error_string.strip(" .")) from error
        if info.samples is not None and position < info.samples:
            raise truncation(info.path, position / rate, info.duration)

    def _read(self, position: int) -> NDArray[np.float32]:
        """Read the next frames `(frames, channels)`, which begin at `position`."""
        try:
            frames = self._file.read(_BLOCK, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            self._file.seek(position)
            frames = self._file.read(_SMALL_BLOCK, dtype="float32", always_2d=True)
        return cast(NDArray[np.float32], frames)


def open_soundfile(path: Path) -> SoundFileDecoder | None:
    """Open a file with libsndfile.

    Returns:
        None if libsndfile cannot read the file correctly: unknown formats, WAV streams without a length, MP3
        without a Xing or VBRI header (libsndfile guesses the length, and stops there), and MP3 of low rates.

    Raises:
        AudioError: The file is truncated.
    """
    chunks = check_complete(path)
    if chunks is not None and chunks.data_size is None:
        return None
    try:
        # By its bytes: libsndfile's wrapper cannot encode a name that is not UTF-8.
        file = soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else path)
    except (soundfile.LibsndfileError, TypeError):  # TypeError: the name ends with ".raw".
        return None
    try:
        if _reads_right(path, file):
            return SoundFileDecoder(path, file)
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _reads_right(path: Path, file: soundfile.SoundFile) -> bool:
    if file.format == "MP3":
        # Below 32 kHz (MPEG-2) libsndfile prints warnings about frames that it decodes correctly.
        return file.samplerate >= _LOWEST_MPEG1_RATE and _has_length_header(path)
    if file.format == "OGG":
        _check_last_page(path)
    return True


def _has_length_header(path: Path) -> bool:
    """Tell whether the first frame of an MP3 file states the number of frames."""
    with open(path, "rb") as file:
        try:
            frame = mutagen.mp3.MPEGInfo(file).frame_offset
        except mutagen.MutagenError:
            return False
        file.seek(frame)
        head = file.read(64)
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))


def _check_last_page(path: Path) -> None:
    """Raise AudioError if an Ogg file ends in the middle of a page (RFC 3533)."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _OGG_PAGE_LIMIT))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    segments = page[26] if len(page) > 26 else 0
    complete = 27 + segments + sum(page[27 : 27 + segments])
    if page.startswith(b"OggS") and len(page) < complete:
        raise AudioError(f"{path} is truncated: it ends in the middle of a page; copy it again")
