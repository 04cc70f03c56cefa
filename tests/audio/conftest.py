"""Test signals and files for the tests of audio."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from soloist.audio import StemWriter, WriteOptions

Audio = NDArray[np.float32]


@pytest.fixture(scope="session")
def noise() -> Callable[..., Audio]:
    """Make noise `(channels, samples)` from 200 Hz to 3 kHz; all codecs preserve the waveform."""

    def make(
        channels: int = 2, samples: int = 20_001, rate: int = 44100, seed: int = 0, peak: float = 0.5
    ) -> Audio:
        spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((channels, samples)))
        frequency = np.fft.rfftfreq(samples, 1 / rate)
        spectrum[:, (frequency < 200) | (frequency > 3000)] = 0
        audio = np.fft.irfft(spectrum, samples)
        return (audio * peak / np.abs(audio).max()).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def delay_of() -> Callable[[Audio, Audio], int]:
    """Measure the lag between the first channels of two signals, samples."""

    def measure(later: Audio, earlier: Audio) -> int:
        length = later.shape[1] + earlier.shape[1]
        spectra = np.fft.rfft(later[0], length) * np.fft.rfft(earlier[0], length).conj()
        lag = int(np.fft.irfft(spectra, length).argmax())
        return lag if lag < later.shape[1] else lag - length

    return measure


@pytest.fixture(scope="session")
def write_file() -> Callable[..., Path]:
    """Write audio `(channels, samples)` to a file in the format of the options."""

    def write(path: Path, audio: Audio, rate: int = 44100, options: WriteOptions = WriteOptions()) -> Path:  # noqa: B008
        with StemWriter({"sound": path}, rate, audio.shape[0], options) as writer:
            writer.write(audio[None])
            writer.commit()
        return path

    return write


@pytest.fixture(scope="session")
def mux() -> Callable[..., Path]:
    """Write stereo audio with a codec in a container by FFmpeg, like other programs."""

    def write(
        path: Path,
        audio: Audio,
        codec: str,
        container: str,
        *,
        rate: int = 44100,
        bitrate: int = 128_000,
        settings: dict[str, str] | None = None,
        video: bool = False,
    ) -> Path:
        with av.open(str(path), "w", format=container, options=settings or {}) as file:
            picture = file.add_stream("mpeg4", rate=25) if video else None
            if picture is not None:
                picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
            sound = file.add_stream(codec, rate=rate)
            sound.bit_rate = bitrate
            if picture is not None:
                for number in range(10):
                    shot = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), "yuv420p")
                    shot.pts = number
                    file.mux(picture.encode(shot))
                file.mux(picture.encode(None))
            packed = np.ascontiguousarray(audio.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, "flt", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            file.mux(sound.encode(frame))
            file.mux(sound.encode(None))
        return path

    return write
