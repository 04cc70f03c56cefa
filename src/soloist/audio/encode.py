"""Encoding of float audio blocks into files: quantisation, codecs, exact lengths."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from einops import rearrange
from mutagen.mp3 import MPEGInfo
from mutagen.mp4 import MP4, MP4FreeForm
from numpy.typing import NDArray

from soloist.audio.blocks import Audio
from soloist.audio.file_formats import WriteOptions, encoding_bitrate, xiph_order
from soloist.audio.riff import SampleType, WaveWriter, describe_pcm
from soloist.errors import UsageError

if TYPE_CHECKING:
    import av

Blocks = Iterator[Audio]

ITUNES_LENGTH = "----:com.apple.iTunes:iTunSMPB"
"""Mutagen's name for the MP4 atom of iTunes' gapless information."""

_CODECS = {"mp3": "libmp3lame", "opus": "libopus", "m4a": "aac", "stem": "aac"}
_MUXERS = {"mp3": "mp3", "opus": "opus", "m4a": "ipod", "stem": "mp4"}
# Measured excess over the requested bit rate of Opus: 11 % with free VBR, 1 % with constrained VBR.
_CODEC_OPTIONS = {"opus": {"vbr": "constrained"}}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_VORBIS_BEST, _VORBIS_DEFAULT = 1.0, 0.8
_VORBIS_BLOCK = 4096
_AAC_DELAY = 1024
_AAC_FRAME = 1024
_LAME_DELAY = 576
# Offsets in a Xing header, from its name: number of frames, delays, checksum.
_FRAMES, _DELAYS, _CHECKSUM = 8, 141, 154


class Quantizer:
    """Quantiser of float audio to integers, with triangular dither of two least significant bits.

    The dither, uncorrelated between channels and stems, makes mean and variance of the error independent of
    the signal (Lipshitz, Wannamaker and Vanderkooy, "Quantization and dither: a theoretical survey", 1992).
    Integer values stay unchanged: digital silence stays silent, and 16-bit audio is written without loss
    with 16 or 24 bits. Values out of range saturate. The result depends neither on the lengths of the blocks
    nor on other stems.

    Args:
        bits: Bits per sample.
        seed: Seed of the dither.
        name: Name of the stem; each stem has another dither.
    """

    def __init__(self, bits: int, seed: int, name: str) -> None:
        self.bits = bits
        self._full_scale = 1 << (bits - 1)
        self._random = np.random.default_rng([seed, zlib.crc32(name.encode())])

    @staticmethod
    def headroom(bits: int) -> float:
        """Largest absolute value that cannot saturate with any dither."""
        full_scale = 1 << (bits - 1)
        return (full_scale - 1.5) / full_scale

    def quantize(self, block: Audio) -> NDArray[np.int32]:
        """Round a block `(channels, samples)` in [-1, 1) to integers of the same shape."""
        channels, samples = block.shape
        draws = self._random.random((samples, channels, 2))
        dither = (draws[..., 0] - draws[..., 1]).T
        scaled = block.astype(np.float64) * self._full_scale
        rounded = np.where(scaled == np.rint(scaled), scaled, np.floor(scaled + dither + 0.5))
        return np.clip(rounded, -self._full_scale, self._full_scale - 1).astype(np.int32)


def encode_wave(path: Path, blocks: Blocks, quantizer: Quantizer, *, rate: int, channels: int) -> None:
    """Write blocks `(channels, samples)` as a WAV file of 16 or 24 bits."""
    octets_per_sample = quantizer.bits // 8
    sample_type: SampleType = "s16" if octets_per_sample == 2 else "s24"
    with WaveWriter(path, describe_pcm(rate, channels, sample_type)) as file:
        for block in blocks:
            integers = rearrange(quantizer.quantize(block).astype("<i4"), "c t -> (t c) 1")
            octets = np.ascontiguousarray(integers).view(np.uint8)
            file.write(octets[:, :octets_per_sample].tobytes())


def encode_flac(path: Path, blocks: Blocks, quantizer: Quantizer, *, rate: int, channels: int) -> None:
    """Write blocks `(channels, samples)` as a FLAC file of 16 or 24 bits."""
    shift = 32 - quantizer.bits  # libsndfile reads the upper bits of 32-bit integers.
    with (
        _Target(path) as target,
        soundfile.SoundFile(target, "w", rate, channels, f"PCM_{quantizer.bits}", format="FLAC") as file,
    ):
        for block in blocks:
            file.write(np.ascontiguousarray(quantizer.quantize(block).T << shift))


def encode_vorbis(path: Path, blocks: Blocks, options: WriteOptions, *, rate: int, channels: int) -> None:
    """Write blocks `(channels, samples)` as Ogg Vorbis."""
    level = 1 - vorbis_quality(options.bitrate, rate, channels)
    order = xiph_order(channels)
    with _Target(path) as target, _open_vorbis(target, rate, channels, level) as file:
        for block in blocks:
            frames = np.ascontiguousarray(block[order].T)
            # libsndfile copies each write to the encoder's stack, so writes must be short.
            for start in range(0, len(frames), _VORBIS_BLOCK):
                file.write(frames[start : start + _VORBIS_BLOCK])


@contextmanager
def _ffmpeg_errors() -> Iterator[None]:
    """Turn errors of FFmpeg into those of the system."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno or 0, error.strerror or str(error)) from error


@_ffmpeg_errors()
def encode_container(
    path: Path,
    streams: Sequence[Blocks],
    options: WriteOptions,
    *,
    names: Sequence[str],
    rate: int,
    channels: int,
) -> None:
    """Write MP3, Opus or AAC with FFmpeg, one stream for each iterator over blocks `(channels, samples)`.

    With the sample rate as clock, MP4 edit lists state the beginning and the end exactly.

    Raises:
        OSError: FFmpeg cannot write the file.
    """
    import av

    muxer = _MUXERS[options.format]
    settings = {"fflags": "+bitexact"}  # Reproducible bytes: Ogg streams get random serial numbers otherwise.
    if muxer in ("ipod", "mp4"):
        settings["movie_timescale"] = str(rate)
    with av.open(f"file:{path}", "w", format=muxer, options=settings) as container:
        outputs = [_add_stream(container, options, rate, channels) for _ in streams]
        if options.format == "stem":
            for output, name in zip(outputs, names, strict=True):
                output.metadata.update({"title": name, "handler_name": name})
        position = 0
        for blocks in zip(*streams, strict=True):
            for output, block in zip(outputs, blocks, strict=True):
                container.mux(output.encode(_frame(block, position, rate)))
            position += blocks[0].shape[1]
        for output in outputs:
            container.mux(output.encode(None))


def vorbis_quality(bitrate: int | None, rate: int, channels: int) -> float:
    """Find the quality, from 0 to 1, with the nominal bit rate nearest to `bitrate` kbit/s.

    Raises:
        UsageError: No quality has this bit rate at this sample rate (Hz) and number of channels.
    """
    if bitrate is None:
        return _VORBIS_DEFAULT
    lowest, highest = (_nominal_bitrate(quality, rate, channels) for quality in (0.0, _VORBIS_BEST))
    if not lowest <= bitrate <= highest:
        raise UsageError(
            f"bit rate of ogg at {rate} Hz and {channels} channel(s) must be "
            + (f"{lowest:.0f} to {highest:.0f} kbit/s" if highest else "left to the encoder")
            + f", not {bitrate}"
        )
    below, above = 0.0, _VORBIS_BEST
    while above - below > 1e-3:
        middle = (below + above) / 2
        if _nominal_bitrate(middle, rate, channels) < bitrate:
            below = middle
        else:
            above = middle
    return above


def _nominal_bitrate(quality: float, rate: int, channels: int) -> float:
    """Bit rate in the identification header (Vorbis I specification, 4.2.2), kbit/s.

    Zero if the encoder states none, as at sample rates above 50 kHz.
    """
    memory = io.BytesIO()
    with _open_vorbis(memory, rate, channels, 1 - quality) as file:
        file.write(np.zeros((1, channels), np.float32))
    header = memory.getvalue()
    start = header.index(b"\x01vorbis") + 20
    return max(0, int.from_bytes(header[start : start + 4], "little", signed=True)) / 1000


def write_mp4_length(path: Path, samples: int) -> None:
    """Write iTunes' gapless information, the number of samples, into an AAC file (MP4).

    The edit list states the same, but FFmpeg's libraries read only its beginning.
    """
    padding = -(samples + _AAC_DELAY) % _AAC_FRAME
    text = f" 00000000 {_AAC_DELAY:08X} {padding:08X} {samples:016X}" + " 00000000" * 8
    file: Any = MP4(path)
    if file.tags is None:
        file.add_tags()
    file.tags[ITUNES_LENGTH] = [MP4FreeForm(text.encode())]
    file.save()


def write_mp3_length(path: Path, samples: int, rate: int) -> None:
    """Correct the padding in the LAME header of an MP3 file to a length of `samples` samples.

    FFmpeg counts the padding of the last frame only. If LAME adds a frame to flush its decoder, the padding
    of the frame before is lost: one length in 25 would be up to 46 samples too long.
    """
    with open(path, "r+b") as file:
        start = MPEGInfo(file).frame_offset
        file.seek(start)
        frame = bytearray(file.read(256))
        tag = frame.index(b"Info")
        (frames,) = struct.unpack_from(">I", frame, tag + _FRAMES)
        frame_length = 1152 if rate >= 32000 else 576
        padding = frames * frame_length - _LAME_DELAY - samples
        frame[tag + _DELAYS : tag + _DELAYS + 3] = (_LAME_DELAY << 12 | padding).to_bytes(3, "big")
        struct.pack_into(">H", frame, tag + _CHECKSUM, _crc16(bytes(frame[: tag + _CHECKSUM])))
        file.seek(start)
        file.write(frame)


class _Target:
    """File object for libsndfile that keeps errors of the disk and raises them when it is left.

    libsndfile reports errors without their cause, and no error at all from closing.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed on leaving
        self._error: OSError | None = None

    def __enter__(self) -> _Target:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._error is not None:
            raise self._error

    def write(self, data: bytes) -> int:
        """Write the data, and keep an error if there is one."""
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError as error:
            self._error = self._error or error
        return written

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()


def _open_vorbis(target: _Target | io.BytesIO, rate: int, channels: int, level: float) -> soundfile.SoundFile:
    return soundfile.SoundFile(target, "w", rate, channels, "VORBIS", format="OGG", compression_level=level)


def _add_stream(container: Any, options: WriteOptions, rate: int, channels: int) -> Any:
    codec, codec_options = _CODECS[options.format], _CODEC_OPTIONS.get(options.format)
    stream = container.add_stream(codec, rate=rate, options=codec_options)
    stream.codec_context.layout = _LAYOUTS[channels]
    stream.codec_context.time_base = Fraction(1, rate)
    stream.bit_rate = encoding_bitrate(options, rate, channels)
    return stream


def _frame(block: Audio, position: int, rate: int) -> av.AudioFrame:
    import av

    packed = rearrange(block, "c t -> 1 (t c)")
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), "flt", _LAYOUTS[block.shape[0]])
    frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
    return frame


def _crc16(data: bytes) -> int:
    """Checksum CRC-16/ARC."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value
