"""Decoding with libsndfile: PCM files, FLAC, Ogg and MP3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from soloist.audio.blocks import Audio, block_length
from soloist.audio.byte_ranges import SplicedFile
from soloist.audio.decoder import AudioInfo, Remarks, damage, drop_first, truncation
from soloist.audio.file_formats import xiph_order
from soloist.audio.foreign_lines import no_foreign_lines

_BLOCK = 32768  # libsndfile seeks after each read, which takes longer than decoding a short block.
_SMALL_BLOCK = 4096  # Just before a damage, to decode up to it.
_CODECS = {"mpeg_layer_iii": "mp3", "mpeg_layer_ii": "mp2", "mpeg_layer_i": "mp1"}


class SoundFileDecoder:
    """Decoder of a file that libsndfile reads correctly; see `open_soundfile`."""

    def __init__(
        self, remarks: Remarks, file: soundfile.SoundFile, source: SplicedFile | None, samples: int | None
    ) -> None:
        subtype = file.subtype.lower()
        samples = file.frames if samples is None else samples
        self.remarks = remarks
        self._file, self._source = file, source
        order = xiph_order(file.channels) if file.format == "OGG" else range(file.channels)
        self._order = np.argsort(order)
        self.info = AudioInfo(
            path=remarks.path,
            duration=samples / file.samplerate,
            samples=samples,
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
        if self._source is not None:
            self._source.close()

    def _point_of_entry(self, first: int) -> int:
        """Latest sample from which decoding to `first` gives the samples of a decoding from the beginning.

        Layer III depends on the frames before (bit reservoir, overlap) and Vorbis on the block before; one
        second is more than enough. Opus and ADPCM depend on the whole past.
        """
        if not self._file.seekable():
            return 0
        if self.info.codec in ("mp3", "vorbis"):
            return max(0, first - self.info.sample_rate)
        if self.info.codec.startswith("pcm") or self.info.codec in ("float", "double", "ulaw", "alaw"):
            return first
        return 0

    def _decode_from(self, start: int) -> Iterator[Audio]:
        info, rate = self.info, self.info.sample_rate
        position = start
        try:
            if self._file.seekable():
                with self._quiet():
                    self._file.seek(start)
            while len(frames := self._read(position)):
                position += len(frames)
                yield np.ascontiguousarray(frames.T[self._order])
        except soundfile.LibsndfileError as error:
            raise damage(info.path, position / rate, error.error_string.strip(" .")) from error
        if info.samples is not None and position < info.samples:
            raise truncation(info.path, position / rate, info.duration)

    def _quiet(self) -> AbstractContextManager[None]:
        """Context in which the MP3 decoder cannot write to standard error; others do not."""
        return no_foreign_lines() if self.info.codec in _CODECS.values() else nullcontext()

    def _read(self, position: int) -> NDArray[np.float32]:
        """Read the next frames `(frames, channels)`, which begin at `position`."""
        left = max(0, cast(int, self.info.samples) - position)
        try:
            return self._read_block(min(_BLOCK, block_length(self.info.channels), left))
        except soundfile.LibsndfileError:
            if not self._file.seekable():
                raise
            with self._quiet():
                self._file.seek(position)
            return self._read_block(min(_SMALL_BLOCK, left))

    def _read_block(self, length: int) -> NDArray[np.float32]:
        # Into an array: damaged files have positions beyond their ends, from which soundfile would compute
        # a negative length.
        block = np.empty((length, self.info.channels), np.float32)
        with self._quiet():
            return cast(NDArray[np.float32], self._file.read(out=block, always_2d=True))


def open_soundfile(
    remarks: Remarks, source: SplicedFile | None = None, *, samples: int | None = None
) -> SoundFileDecoder | None:
    """Open a file with libsndfile.

    Args:
        remarks: The file, and what the decoder has to say about it.
        source: Bytes in place of the file; the decoder closes them.
        samples: Length in samples. If None, the length in the header.

    Returns:
        None if libsndfile cannot read the file.
    """
    try:
        # By its bytes: libsndfile's wrapper cannot encode a name that is not UTF-8.
        path = os.fsencode(remarks.path) if os.name == "posix" else remarks.path
        with no_foreign_lines():
            file = soundfile.SoundFile(source or path)
    except (soundfile.LibsndfileError, TypeError):  # TypeError: the name ends with ".raw".
        return None
    return SoundFileDecoder(remarks, file, source, samples)
