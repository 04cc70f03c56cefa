"""Writing of a track's stems, all or none, and the disk space for them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import BinaryIO

import mutagen
import numpy as np
import soundfile

from soloist.audio.blocks import Audio
from soloist.audio.encode import (
    Blocks,
    Quantizer,
    encode_container,
    encode_flac,
    encode_vorbis,
    encode_wave,
    vorbis_quality,
    write_mp3_length,
    write_mp4_length,
)
from soloist.audio.file_formats import WriteOptions, check_channels, encoding_bitrate, encoding_rate
from soloist.audio.resample import StreamResampler
from soloist.audio.riff import WaveWriter, describe_pcm
from soloist.audio.stem_atom import describe_stems, write_stem_atom
from soloist.audio.tags import copy_tags
from soloist.errors import AudioError, Interrupted, UsageError
from soloist.files import Staging
from soloist.resources import run_at_once

_BLOCK = 65536
_FLOAT = 4
_VORBIS, _VARIES = 144_000, 1.25
"""Default bit rate of a Vorbis channel, bit/s, and the factor by which noise exceeds a requested one."""


class StemWriter:
    """Writer of all stems of one track; the files get their names in `commit`.

    Float WAV is written block by block. Other formats keep the samples as raw float beside the target until
    `commit`, because the common gain of `clip="rescale"` depends on the last sample: memory does not grow,
    but the disk holds the samples twice for a while. Audio is resampled to a rate that the format can hold
    (`encoding_rate`): Opus is always decoded at 48 kHz.

    Leaving the `with` block without `commit` removes every file and folder that the writer made.

    Args:
        paths: Name and file of each stem, in the order of the stems in `write`. For the format "stem" all
            files are the same.
        sample_rate: Sample rate of the stems, Hz.
        channels: Number of channels of each stem.
        options: Format and its options.
        tags_from: File from which tags and cover are copied.
        comment: Line about the origin of the stems, which their tags get.
        mixture: Name in `paths` of the mixture, which becomes the first stream; for the format "stem" only.

    Attributes:
        peak: Largest absolute sample so far, at the rate of the file and before any gain.
        gain: Common gain of all stems; known after `encode`.

    Raises:
        UsageError: Two paths are equal, or the format cannot hold this rate, these channels or bit rate.
        AudioError: A file cannot be written there.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        sample_rate: int,
        channels: int,
        options: WriteOptions,
        *,
        tags_from: Path | None = None,
        comment: str | None = None,
        mixture: str | None = None,
    ) -> None:
        _check_paths(paths, options, mixture)
        check_channels(options, channels)
        self.peak = 0.0
        self.gain = 1.0
        self._options = options
        self._channels = channels
        self._rate = encoding_rate(options, sample_rate)
        self._check_bitrate()
        self._paths = {name: Path(path) for name, path in paths.items()}
        self._mixture = mixture
        self._tags_from, self._comment = tags_from, comment
        self._samples = 0
        self._encoded, self._stop = False, Event()
        self._resamplers = [StreamResampler(sample_rate, self._rate, channels) for _ in paths]
        self._staging = Staging()
        self._sinks: list[WaveWriter | BinaryIO] = []
        self._files: list[Path] = []
        self._open_files()

    def __enter__(self) -> StemWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def write(self, stems: Audio) -> None:
        """Append the next block `(stems, channels, samples)`, float, nominally in [-1, 1].

        Raises:
            UsageError: The block has another number of stems or channels.
            AudioError: A sample is not finite, or cannot be written.
        """
        if stems.ndim != 3 or stems.shape[:2] != (len(self._paths), self._channels):
            expected = f"({len(self._paths)}, {self._channels}, samples)"
            raise UsageError(f"a block of stems must be {expected}, not {stems.shape}")
        self._append([r.process(stem) for r, stem in zip(self._resamplers, stems, strict=True)])

    def commit(self) -> None:
        """Encode the stems, unless that is done, and move all files to their names.

        Raises:
            UsageError: Nothing was written.
            AudioError: A file cannot be written; no file appears.
        """
        if not self._encoded:
            self.encode()
        with _writing(next(iter(self._paths.values()))):
            self._staging.promote()

    def encode(self) -> None:
        """Encode the stems, after the last block, so that `commit` has only to move the files.

        Raises:
            UsageError: Nothing was written.
            AudioError: A file cannot be written.
        """
        self._append([resampler.flush() for resampler in self._resamplers])
        if not self._samples:
            raise UsageError("nothing was written that could be committed")
        for path, sink in zip(self._paths.values(), self._sinks, strict=True):
            with _writing(path):
                sink.close()
        limit = self._full_scale()
        if self._options.clip == "rescale" and self.peak > limit:
            self.gain = limit / self.peak
        if self._options.format == "stem":
            self._finish_stem_file()
        else:
            self._finish_files()
        self._encoded = True

    def _open_files(self) -> None:
        try:
            for path in self._paths.values():
                with _writing(path):
                    self._sinks.append(self._open_sink(path))
        except BaseException:
            self._discard()
            raise

    def _open_sink(self, path: Path) -> WaveWriter | BinaryIO:
        """Open the target for float WAV, or a scratch file for other formats."""
        if self._options.is_float:
            self._files.append(self._staging.target(path))
            return WaveWriter(self._files[-1], describe_pcm(self._rate, self._channels, "f32"))
        self._files.append(self._staging.scratch(path))
        return open(self._files[-1], "wb")

    def _append(self, stems: Sequence[Audio]) -> None:
        """Write blocks `(channels, samples)`, one for each stem, at the rate of the file."""
        for (name, path), sink, stem in zip(self._paths.items(), self._sinks, stems, strict=True):
            if not stem.size:
                continue
            peak = float(np.abs(stem).max())
            if not np.isfinite(peak):
                at = self._samples / self._rate
                raise AudioError(f"{name} is not finite at {at:.3f} s or soon after; nothing is written")
            self.peak = max(self.peak, peak)
            with _writing(path):
                sink.write(np.ascontiguousarray(stem.T, dtype="<f4").tobytes())
        self._samples += stems[0].shape[1]

    def _full_scale(self) -> float:
        """Largest peak without clipping."""
        options = self._options
        if options.is_float:
            return np.inf
        return Quantizer.headroom(options.sample_bits) if options.sample_bits else 1.0

    def _finish_files(self) -> None:
        """Encode all stems at the same time."""
        calls = []
        for (name, path), written in zip(self._paths.items(), self._files, strict=True):
            with _writing(path):
                file = written if self._options.is_float else self._staging.target(path)
            calls.append(partial(self._finish_file, name, path, written, file))
        run_at_once(calls, self._stop)

    def _finish_file(self, name: str, path: Path, written: Path, file: Path) -> None:
        with _writing(path):
            if file != written:
                self._encode(name, written, file)
            self._finish(file)

    def _finish_stem_file(self) -> None:
        kept = dict(zip(self._paths, self._files, strict=True))
        names = sorted(kept, key=lambda name: name != self._mixture)
        path, options = self._paths[names[0]], self._options
        with _writing(path):
            file = self._staging.target(path)
            streams = [self._read_kept(kept[name]) for name in names]
            encode_container(file, streams, options, names=names, rate=self._rate, channels=self._channels)
            self._finish(file)
            write_stem_atom(file, describe_stems(names[1:]))

    def _encode(self, name: str, kept: Path, file: Path) -> None:
        """Encode the samples of a stem into a file."""
        options, rate, channels = self._options, self._rate, self._channels
        blocks = self._read_kept(kept)
        if options.sample_bits is not None:
            quantizer = Quantizer(options.sample_bits, options.seed, name)
            encode = encode_wave if options.format == "wav" else encode_flac
            encode(file, blocks, quantizer, rate=rate, channels=channels)
        elif options.format == "ogg":
            encode_vorbis(file, blocks, options, rate=rate, channels=channels)
        else:
            encode_container(file, [blocks], options, names=[name], rate=rate, channels=channels)

    def _finish(self, file: Path) -> None:
        """Add the exact length and the tags, which encoders do not write."""
        if self._options.format == "mp3":
            write_mp3_length(file, self._samples, self._rate)
        elif self._options.format in ("m4a", "stem"):
            write_mp4_length(file, self._samples)
        copy_tags(self._tags_from, file, self._options.format, self._comment)

    def _read_kept(self, kept: Path) -> Blocks:
        """Read a scratch file in blocks `(channels, samples)`, with the gain or the clipping applied."""
        with open(kept, "rb") as file:
            while len(values := np.fromfile(file, "<f4", _BLOCK * self._channels)):
                if self._stop.is_set():
                    raise Interrupted("another stem cannot be written")
                block = values.reshape(-1, self._channels).T * np.float32(self.gain)
                yield np.clip(block, -1, 1) if self._options.clip == "clamp" else block

    def _check_bitrate(self) -> None:
        if self._options.format == "ogg":
            vorbis_quality(self._options.bitrate, self._rate, self._channels)
        elif not self._options.sample_bits:
            encoding_bitrate(self._options, self._rate, self._channels)

    def _discard(self) -> None:
        for sink in self._sinks:
            with suppress(OSError):  # Closing flushes the buffer, which fails again on a full disk.
                sink.abandon() if isinstance(sink, WaveWriter) else sink.close()
        self._staging.discard()


def stem_space(
    options: WriteOptions, duration: float, sample_rate: int, channels: int
) -> tuple[float, float]:
    """Upper bounds of the disk space of a stem in bytes: while it is written, and of the finished file.

    All formats but float WAV need space for raw float samples until they are encoded; see `StemWriter`.

    Args:
        options: Format and its options.
        duration: Length in seconds.
        sample_rate: Sample rate in Hz.
        channels: Number of channels.
    """
    rate = encoding_rate(options, sample_rate)
    kept = duration * rate * channels * _FLOAT
    if options.is_float:
        return kept, kept
    if options.sample_bits:
        encoded = duration * rate * channels * options.sample_bits / 8
    elif options.format == "ogg":
        encoded = duration * (_VARIES * 1000 * options.bitrate if options.bitrate else channels * _VORBIS) / 8
    else:
        encoded = duration * encoding_bitrate(options, rate, channels) / 8
    return kept + encoded, encoded


def free_space(path: Path) -> float | None:
    """Free bytes on the disk of a path; None if the system cannot tell."""
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), None)
    try:
        usage = None if folder is None else shutil.disk_usage(folder)
    except OSError:
        return None
    # Some file systems, such as those over a network, report no size at all.
    return float(usage.free) if usage is not None and usage.total else None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Convert errors of writing a file to one AudioError with its path."""
    try:
        yield
    except (OSError, mutagen.MutagenError, soundfile.SoundFileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"cannot write {path}: {reason}") from error


def _check_paths(paths: Mapping[str, Path], options: WriteOptions, mixture: str | None) -> None:
    """Raise UsageError unless the paths differ, or are all equal for the format "stem"."""
    if not paths:
        raise UsageError("there must be at least one stem to write")
    different = {os.path.abspath(path) for path in paths.values()}
    if options.format != "stem":
        if mixture is not None:
            raise UsageError('a mixture among the stems is for the format "stem" only')
        if len(different) < len(paths):
            raise UsageError(
                f"two stems would be written to one file; give each its own: {sorted(different)}"
            )
        return
    if len(different) > 1:
        raise UsageError(f'the format "stem" is one file for all stems, not {len(different)}')
    if mixture not in paths or len(paths) < 2:
        raise UsageError('the format "stem" needs the mixture and at least one stem')
