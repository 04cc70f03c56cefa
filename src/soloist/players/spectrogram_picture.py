"""Spectrograms as PNG, without a plotting library."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from soloist.audio import Audio
from soloist.plots.stft_levels import stft_levels

WIDTH, HEIGHT = 480, 128
_LOWEST = 50.0
_WINDOW = 2048
_FLOOR_DB = -80.0
# Dark to bright with steadily growing lightness, to be read in grey and by the colour-blind.
_ANCHORS = (
    (7, 6, 26),
    (62, 16, 101),
    (134, 38, 108),
    (205, 68, 76),
    (245, 134, 38),
    (250, 206, 90),
    (252, 253, 214),
)


def spectrogram_uri(audio: Audio, sample_rate: int) -> str:
    """Draw audio `(channels, samples)` as a data URI: time to the right, log frequency upwards.

    Levels reach from -80 dB of a full-scale sinusoid (dark) to 0 dB.
    """
    return "data:image/png;base64," + base64.b64encode(encode_png(_pixels(audio, sample_rate))).decode()


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode indices into the palette `(rows, columns)`, the top row first, as a PNG file."""
    rows, columns = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    filtered = np.pad(pixels, ((0, 0), (1, 0)))  # each row begins with its filter: none
    chunks = (
        (b"IHDR", header),
        (b"PLTE", _palette()),
        (b"IDAT", zlib.compress(filtered.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def spectrogram_of_file(path: Path, columns: int = 2 * WIDTH) -> bytes:
    """Draw a sound file of any length as PNG: each column is the spectrum of a short window.

    Args:
        path: A file that libsndfile reads, such as FLAC.
        columns: Width of the picture.
    """
    window = np.hanning(_WINDOW).astype(np.float32)
    with soundfile.SoundFile(path) as file:
        spectra = np.abs(np.fft.rfft(_windows(file, columns) * window)) / window.sum()
        levels = (20 * np.log10(2 * spectra + 1e-9)).astype(np.float32)
        return encode_png(_colours(levels.T, file.samplerate))


def _windows(file: soundfile.SoundFile, count: int) -> NDArray[np.float32]:
    """Windows `(count, samples)` of the mean of a file's channels, at equal distances."""
    places = np.linspace(0, max(0, len(file) - _WINDOW), count).round().astype(int)

    def read(frames: int) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = file.read(frames, dtype="float32", always_2d=True, fill_value=0.0).mean(
            axis=1
        )
        return mean

    # A seek decodes as much as two windows hold.
    if len(file) <= 2 * count * _WINDOW:
        return np.lib.stride_tricks.sliding_window_view(read(max(len(file), _WINDOW)), _WINDOW)[places]
    windows = np.empty((count, _WINDOW), np.float32)
    for window, place in zip(windows, places, strict=True):
        file.seek(place)
        window[:] = read(_WINDOW)
    return windows


def _pixels(audio: Audio, sample_rate: int) -> NDArray[np.uint8]:
    """Indices into the palette `(HEIGHT, WIDTH)`, the highest frequency first."""
    levels = stft_levels(torch.from_numpy(audio), sample_rate, WIDTH)
    columns = np.linspace(0, levels.shape[1] - 1, WIDTH).round().astype(int)
    return _colours(levels[:, columns], sample_rate)


def _colours(levels: NDArray[np.float32], sample_rate: int) -> NDArray[np.uint8]:
    """Indices into the palette `(HEIGHT, columns)` of levels `(bins, columns)` in dB."""
    # Of a rate below 100 Hz, the lowest octave is the picture.
    places = np.geomspace(min(2 * _LOWEST / sample_rate, 0.5), 1, HEIGHT + 1) * (levels.shape[0] - 1)
    # reduceat gives the value at an edge where two edges meet: the nearest bin, at low frequencies.
    rows = np.maximum.reduceat(levels, places[:-1].round().astype(int), axis=0)[::-1]
    return (255 * np.clip(1 - rows / _FLOOR_DB, 0, 1)).astype(np.uint8)


def _palette() -> bytes:
    anchors = np.array(_ANCHORS, dtype=np.float64)
    positions = np.linspace(0, len(anchors) - 1, 256)
    colours = [np.interp(positions, np.arange(len(anchors)), channel) for channel in anchors.T]
    return np.stack(colours, axis=1).round().astype(np.uint8).tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
