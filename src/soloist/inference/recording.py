"""Reading of one recording: a file, an encoded file in memory, or samples from NumPy, PyTorch and others."""

from __future__ import annotations

import io
import math
import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, SupportsFloat, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from soloist.audio import Audio, AudioReader, Tolerance, spool_stream
from soloist.errors import AudioError, UsageError, one_line
from soloist.files import scratch_folder
from soloist.inference.track_report import remark_lines

AudioInput = str | PathLike[str] | bytes | bytearray | memoryview | BinaryIO | ArrayLike | Tensor
"""Path, encoded file as bytes or binary file object, or samples of any library."""

_MOST_CHANNELS = 64
"""Most channels of an array: seventh-order ambisonics."""

_CERTAIN_CHANNELS = 16
"""Most columns of an array of many rows that are certainly channels."""

_KINDS = "a path, bytes, a binary file object, or finite samples (channels, samples)"


@dataclass(frozen=True)
class Recording:
    """A recording in memory.

    Attributes:
        audio: Samples `(channels, samples)`.
        sample_rate: Their rate, Hz.
        name: Name for messages; empty for samples.
        path: The file; None for samples and for what has no path.
        remarks: Lines about the file for a `SeparationReport`; empty for samples.
    """

    audio: Audio
    sample_rate: int
    name: str = ""
    path: Path | None = None
    remarks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.audio.shape[1] / self.sample_rate


@dataclass(frozen=True)
class ReadOptions:
    """Part of a recording to read.

    Attributes:
        start: Start, s.
        duration: Duration, s; None for the rest.
        tolerance: Missing sound of a file that is no error; see `AudioReader`.
    """

    start: float = 0.0
    duration: float | None = None
    tolerance: Tolerance = "damage"

    def __post_init__(self) -> None:
        if not 0 <= self.start < math.inf:
            raise UsageError(f"start must be a time from 0 s on, not {self.start}")
        if self.duration is not None and not 0 < self.duration < math.inf:
            raise UsageError(f"duration must be a positive time in seconds, not {self.duration}")

    def cut(self, samples: NDArray[Any], sample_rate: int) -> NDArray[Any]:
        """Cut the part out of samples `(channels, samples)`.

        Raises:
            UsageError: The samples end before.
        """
        first = round(self.start * sample_rate)
        if first >= samples.shape[1]:
            seconds = samples.shape[1] / sample_rate
            raise UsageError(f"the audio ends before {self.start:.3f} s: it lasts {seconds:.3f} s")
        count = None if self.duration is None else max(1, round(self.duration * sample_rate))
        return samples[:, first : None if count is None else first + count]


def read_recording(
    audio: AudioInput, sample_rate: object = None, options: ReadOptions | None = None
) -> Recording:
    """Read a recording into memory.

    Integer samples are scaled to [-1, 1). An array `(samples, channels)` is transposed if its shape leaves no
    doubt: more than 64 rows and at most 16 columns.

    Args:
        audio: A path, an encoded file (bytes, or a binary file object from its position on), or samples
            `(channels, samples)`, `(samples, channels)` or `(samples,)`: an array, tensor or list.
        sample_rate: Sample rate of the samples in Hz, a whole number of any type; None for files.
        options: Part to read; None for the whole.

    Raises:
        AudioError: The file cannot be read.
        UsageError: The samples have an uncertain shape or scale or are not finite, the rate is missing or
            not whole, or a file has another rate.
    """
    options = options or ReadOptions()
    rate = None if sample_rate is None else whole_rate(sample_rate)
    if isinstance(audio, bytes | bytearray) or (isinstance(audio, memoryview) and audio.format == "B"):
        audio = io.BytesIO(audio)
    if isinstance(audio, str | PathLike):
        path = Path(os.fsdecode(audio))
        return _at_rate(_read_file(path, str(path), options), rate)
    if hasattr(audio, "read") and not isinstance(audio, np.ndarray | Tensor):
        return _at_rate(_read_stream(cast(BinaryIO, audio), options), rate)
    array = _orient(_to_array(audio))
    if rate is None:
        raise UsageError("samples need their rate (Hz)")
    return Recording(_to_audio(options.cut(array, rate)), rate)


def to_block(audio: ArrayLike | Tensor, channels: int) -> Audio:
    """Convert a block of samples `(channels, samples)`, or `(samples,)` of one channel, to float32.

    Raises:
        UsageError: The block has another shape or no certain scale, or a sample is not finite.
    """
    array = _to_array(audio)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != channels:
        raise UsageError(f"a block must be ({channels}, samples), not {array.shape}")
    return _to_audio(array)


def whole_rate(sample_rate: object) -> int:
    """Convert a rate of any type to whole Hz.

    Raises:
        UsageError: It is not whole or not positive.
    """
    try:
        rate = float(cast(SupportsFloat, sample_rate))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        rate = float("nan")
    if isinstance(sample_rate, bool) or not rate.is_integer() or rate < 1:
        given = one_line(reprlib.repr(sample_rate))
        raise UsageError(f"the rate must be a whole number of Hz, such as 44100, not {given}")
    return int(rate)


def _at_rate(recording: Recording, rate: int | None) -> Recording:
    """Refuse a rate that is not that of the file."""
    there = recording.sample_rate
    if rate not in (None, there):
        raise UsageError(f"{recording.name} has {there} Hz, not {rate} Hz: leave out the rate")
    return recording


def _read_file(path: Path, name: str, options: ReadOptions) -> Recording:
    try:
        with AudioReader(
            path, start=options.start, duration=options.duration, tolerance=options.tolerance
        ) as reader:
            audio = np.concatenate(list(reader.blocks()), axis=1)
            lines = remark_lines(reader.remarks, str(path), name)
            return Recording(audio, reader.sample_rate, name, path, lines)
    except AudioError as error:
        # The advice is written for the command line.
        raise AudioError(str(error).replace("--keep-going", "keep_going=True")) from error


def _read_stream(stream: BinaryIO, options: ReadOptions) -> Recording:
    name = _name_of(stream)
    try:
        nothing = stream.read(0)
        rewound = not stream.seekable() or not stream.tell()
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{name} cannot be read: {one_line(error)}") from error
    if not isinstance(nothing, bytes | bytearray | memoryview):
        kind = type(nothing).__name__
        raise UsageError(f"{name} gives {kind} instead of bytes: open it in binary mode ('rb')")
    with scratch_folder() as path:
        try:
            path = spool_stream(stream, path)
            return replace(_read_file(path, name, options), path=None)
        except AudioError as error:
            message = str(error).replace(str(path), name).replace("the stream", name)
            hint = "" if rewound else "; reading began in the middle: seek(0) rewinds it"
            raise AudioError(message + hint) from error


def _name_of(stream: BinaryIO) -> str:
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else "the encoded audio"


def _to_array(audio: object) -> NDArray[Any]:
    """Convert samples of any library to an array of their own type and shape."""
    try:
        if isinstance(audio, Tensor):
            # NumPy has no bfloat16.
            audio = (audio.float() if audio.is_floating_point() else audio).numpy(force=True)
        array = np.asarray(audio)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = "samples and their rate are two arguments" if isinstance(audio, tuple) else one_line(error)
        raise UsageError(f"audio must be {_KINDS}, not {type(audio).__name__}: {reason}") from error
    if array.dtype.kind not in "fiu":
        given = f"{type(audio).__name__} of {array.dtype}"
        raise UsageError(f"audio must be {_KINDS} of one recording, not {given}")
    if array.dtype.kind in "iu" and array.dtype.itemsize > 4:
        raise UsageError(
            f"samples of {array.dtype} have no certain full scale: convert them to that of their source "
            "first, such as numpy.asarray(audio, numpy.int16)"
        )
    return array


def _orient(array: NDArray[Any]) -> NDArray[Any]:
    """Arrange samples as `(channels, samples)`.

    Raises:
        UsageError: The shape is not that of a recording, or rows and columns may each be channels.
    """
    shape = array.shape
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size:
        batch = "; separate the items of a batch one by one" if array.ndim > 2 else ""
        raise UsageError(f"audio must be finite samples (channels, samples), not of shape {shape}{batch}")
    rows, columns = array.shape
    if rows <= 2 or rows <= min(columns, _MOST_CHANNELS):
        return array
    if rows > _MOST_CHANNELS and columns <= _CERTAIN_CHANNELS:
        return array.T
    raise UsageError(
        f"audio of shape {shape} is not certainly (channels, samples) with up to {_MOST_CHANNELS} channels: "
        "transpose (samples, channels) with .T"
    )


def _to_audio(array: NDArray[Any]) -> Audio:
    """Convert samples `(channels, samples)` to float32, integers scaled to [-1, 1)."""
    if array.dtype.kind == "u":
        # Unsigned samples have their zero at half of full scale: the highest bit is the inverted sign.
        native = array.astype(array.dtype.newbyteorder("="))
        array = (native ^ (1 << 8 * native.itemsize - 1)).view(f"i{native.itemsize}")
    scale = 1.0 if array.dtype.kind == "f" else 2.0 ** (1 - 8 * array.dtype.itemsize)
    with np.errstate(over="ignore"):
        # A copy: the caller may fill the same array with the next recording.
        audio = np.array(array, np.float32, order="C")
    if not np.isfinite(audio).all():
        channel, sample = np.argwhere(~np.isfinite(audio))[0]
        raise UsageError(
            f"audio must be finite samples: sample {sample} of channel {channel} is {array[channel, sample]}"
        )
    return audio if scale == 1.0 else audio * np.float32(scale)
