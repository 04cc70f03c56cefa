"""Sounds made of a job's tracks: pieces to play, mixes, stems in other formats, archives."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from soloist.audio import Audio, StemWriter, WriteOptions
from soloist.errors import UsageError
from soloist.files import scratch_folder
from soloist.server.jobs import MIXTURE, Job

PIECE = 5.0
"""Seconds of a piece, except the last one."""

_BLOCK = 65536


@dataclass(frozen=True)
class Fader:
    """Level and place of a track in a mix.

    Attributes:
        track: Name of the track.
        level: Level, dB; at most 12.
        pan: Place from -1 (left) to 1 (right); for stereo only.
    """

    track: str
    level: float = 0.0
    pan: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Fader:
        """Read `NAME`, `NAME,LEVEL` or `NAME,LEVEL,PAN`.

        Raises:
            UsageError: It is none of these, or a number is out of range.
        """
        name, *numbers = text.rsplit(",", 2) if text.count(",") > 1 else text.split(",")
        try:
            fader = cls(name, *map(float, numbers))
        except (ValueError, TypeError):
            raise UsageError(f"{text!r} is no track, level in dB and place, such as vocals,-20,0") from None
        if not (-120 <= fader.level <= 12 and -1 <= fader.pan <= 1):
            raise UsageError(f"{text!r}: the level must lie in -120..12 dB and the place in -1..1")
        return fader


def read_piece(job: Job, track: str, number: int) -> bytes:
    """Encode a piece of a track as FLAC with 16 bits.

    Raises:
        KeyError: The job has no such track, or the track no such piece.
    """
    with soundfile.SoundFile(job.track(track)) as file:
        length = round(PIECE * file.samplerate)
        if not 0 <= number * length < max(1, len(file)):
            raise KeyError(number)
        file.seek(number * length)
        samples = file.read(length, dtype="float32", always_2d=True)
        encoded = io.BytesIO()
        soundfile.write(encoded, samples, file.samplerate, "PCM_16", format="FLAC")
    return encoded.getvalue()


def write_mix(job: Job, faders: Sequence[Fader], options: WriteOptions, path: Path) -> None:
    """Write a mix of a job's tracks; it is lowered as a whole where it would clip.

    Args:
        job: The job.
        faders: The tracks that sound.
        options: Format of the file.
        path: The file.

    Raises:
        KeyError: The job has no such track.
        UsageError: The format cannot hold the mix.
    """
    blocks = [_blocks(job.track(fader.track)) for fader in faders]
    gains = [_gains(fader, job.channels) for fader in faders]
    with StemWriter({"mix": path}, job.sample_rate, job.channels, options) as writer:
        for pieces in zip(*blocks, strict=False):
            length = min(piece.shape[1] for piece in pieces)
            mixed = sum(gain @ piece[:, :length] for gain, piece in zip(gains, pieces, strict=True))
            writer.write(np.asarray(mixed, np.float32)[None])
        writer.commit()


def write_stems(job: Job, options: WriteOptions, path: Path) -> None:
    """Write all stems into one `.stem.mp4` with the mixture as its first stream.

    Raises:
        UsageError: The format cannot hold the stems.
    """
    names = [MIXTURE, *job.stems]
    paths = dict.fromkeys(names, path)
    with StemWriter(paths, job.sample_rate, job.channels, options, mixture=MIXTURE) as writer:
        for pieces in zip(*(_blocks(job.track(name)) for name in names), strict=False):
            length = min(piece.shape[1] for piece in pieces)
            writer.write(np.stack([piece[:, :length] for piece in pieces]))
        writer.commit()


def stream_archive(job: Job, options: WriteOptions) -> Iterator[bytes]:
    """Yield a zip of all stems in a format, piece by piece; the names in it never climb."""
    sink = _Sink()
    with scratch_folder(job.folder) as scratch, zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for number, name in enumerate(job.stems, 1):
            path = scratch / f"{number}.{options.extension}"
            write_mix(job, [Fader(name)], options, path)
            member = zipfile.ZipInfo(f"{number} {plain_name(name)}.{options.extension}")
            with path.open("rb") as file, archive.open(member, "w", force_zip64=True) as packed:
                while block := file.read(1 << 18):
                    packed.write(block)
                    yield sink.take()
            path.unlink()
    yield sink.take()


def plain_name(name: str) -> str:
    """A name of at most 100 characters for a file on any system, without folders."""
    plain = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]', "_", name).strip(" .")[:100]
    return plain or "song"


def _blocks(path: Path) -> Iterator[Audio]:
    with soundfile.SoundFile(path) as file:
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            yield block.T


def _gains(fader: Fader, channels: int) -> Audio:
    """Matrix `(channels, channels)` from a track to the mix.

    A stereo track is placed as a browser does it (Web Audio API, StereoPannerNode): the far side moves over.
    """
    gain = 10 ** (fader.level / 20)
    matrix = np.eye(channels)
    if channels == 2 and fader.pan:
        angle = (fader.pan + (fader.pan < 0)) * np.pi / 2
        over, kept = (np.cos(angle), np.sin(angle)) if fader.pan < 0 else (np.sin(angle), np.cos(angle))
        near, far = (0, 1) if fader.pan < 0 else (1, 0)
        matrix[near, far], matrix[far, far] = over, kept
    return (gain * matrix).astype(np.float32)


class _Sink(io.RawIOBase):
    """File that keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._kept += piece
        return len(piece)

    def take(self) -> bytes:
        taken, self._kept = bytes(self._kept), bytearray()
        return taken
