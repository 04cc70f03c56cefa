"""Encoding blocks of float audio into files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from einops import rearrange
from numpy.typing import NDArray

from soloist.audio.dither import Quantizer
from soloist.audio.file_formats import WriteOptions, encoding_bitrate, xiph_order
from soloist.audio.riff import SampleType, WaveWriter, describe_pcm
from soloist.errors import UsageError

Blocks = Iterator[NDArray[np.float32]]

_CODECS = {"mp3": "libmp3lame", "opus": "libopus", "m4a": "aac", "stem": "aac"}
_MUXERS = {"mp3": "mp3", "opus": "opus", "m4a": "ipod", "stem": "mp4"}
# Free variable bit rate of Opus was measured 11 % above what was asked for, the constrained one 1 %.
_CODEC_OPTIONS = {"opus": {"vbr": "constrained"}}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_VORBIS_BEST, _VORBIS_DEFAULT = 1.0, 0.8
_VORBIS_BLOCK = 4096


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
    shift = 32 - quantizer.bits  # libsndfile takes the upper bits of 32
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
            # libsndfile puts a whole write on the stack of the encoder.
            for start in range(0, len(frames), _VORBIS_BLOCK):
                file.write(frames[start : start + _VORBIS_BLOCK])


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

    The edit list of MP4 says to the sample where sound begins and ends; its clock is the sample rate.
    """
    muxer = _MUXERS[options.format]
    settings = {"fflags": "+bitexact"}  # the same bytes every time: Ogg would get a random serial number
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
    """The quality, from 0 to 1, whose nominal bit rate is nearest to `bitrate` kbit/s.

    Raises:
        UsageError: No quality has such a bit rate at this sample rate (Hz) and number of channels.
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
    """What the encoder writes into the identification header (Vorbis I specification, 4.2.2), kbit/s.

    Zero where it names none, as at sample rates above 50 kHz.
    """
    memory = io.BytesIO()
    with _open_vorbis(memory, rate, channels, 1 - quality) as file:
        file.write(np.zeros((1, channels), np.float32))
    header = memory.getvalue()
    start = header.index(b"\x01vorbis") + 20
    return max(0, int.from_bytes(header[start : start + 4], "little", signed=True)) / 1000


class _Target:
    """A file that libsndfile writes through, so that no failure of the disk is lost.

    libsndfile does not say what went wrong, and nothing at all of what fails while it closes.
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
        """Write all of the data, or remember why not."""
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError as error:
            self._error = self._error or error
        return written

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
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


def _frame(block: NDArray[np.float32], position: int, rate: int) -> av.AudioFrame:
    packed = rearrange(block, "c t -> 1 (t c)")
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), "flt", _LAYOUTS[block.shape[0]])
    frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
    return frame
