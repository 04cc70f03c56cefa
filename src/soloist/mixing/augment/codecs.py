"""Augmentation by lossy coding: artefacts of MP3, AAC and Opus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from soloist.audio import Audio, StemWriter, WriteOptions, read_audio, resample_audio
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation

Codec = Literal["mp3", "aac", "opus"]

_FORMATS = {"mp3": "mp3", "aac": "m4a", "opus": "opus"}
_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_CODED_RATE = 48000
"""Rate at which audio of other rates is coded, Hz."""


class LossyCoding(Augmentation):
    """Random lossy coding of the sources of an example, each by itself, so that they sum to the mixture.

    Delays of the codecs are taken back. A second of a stereo source at 44.1 kHz takes 40 to 80 ms of a core,
    longer than reading: `p` need not be large.

    Args:
        codecs: Codecs to choose from: mp3, aac, opus.
        bitrate: Range of the bit rate of a channel, kbit/s, drawn uniformly on a scale of octaves.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of a variation of an example.
        seed: Seed of the choice.

    Raises:
        UsageError: There is no such codec, the range is reversed or not from 16 to 160 kbit/s, or `p` is not
            a probability.
    """

    def __init__(
        self,
        codecs: Sequence[Codec] = ("mp3", "aac", "opus"),
        bitrate: tuple[float, float] = (24.0, 96.0),
        *,
        sample_rate: int,
        p: float = 0.3,
        seed: int = 0,
    ) -> None:
        super().__init__(p=p, seed=seed)
        if (wrong := [codec for codec in codecs if codec not in _FORMATS]) or not codecs:
            named = ", ".join(_FORMATS)
            raise UsageError(f"LossyCoding: codecs must be some of {named}, not {wrong or list(codecs)}")
        if not 16 <= bitrate[0] <= bitrate[1] <= 160:
            raise UsageError(f"LossyCoding: bitrate {list(bitrate)} is no range from 16 to 160 kbit/s")
        self.codecs = tuple(codecs)
        self.bitrate = bitrate
        self.sample_rate = sample_rate

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Code and decode the sources; see `Augmentation.apply`.

        Raises:
            AudioError: The temporary folder is full.
        """
        codec = self.codecs[rng.integers(len(self.codecs))]
        bitrate = float(np.exp2(rng.uniform(*np.log2(self.bitrate))))
        if not self.chosen(rng, 1)[0]:
            return references
        return _code(references, self.sample_rate, codec, bitrate)


def _code(references: Audio, sample_rate: int, codec: Codec, bitrate: float) -> Audio:
    """Code and decode sources `(sources, channels, samples)` at a bit rate of each channel, kbit/s."""
    rate = sample_rate if sample_rate in _RATES else _CODED_RATE
    sources, channels, samples = references.shape
    audio = references if rate == sample_rate else _resample(references, sample_rate, rate)
    options = WriteOptions(_FORMATS[codec], bitrate=_allowed(codec, bitrate, channels, rate), clip="none")  # type: ignore[arg-type]
    with TemporaryDirectory(prefix="soloist-") as folder:
        paths = {str(number): Path(folder) / f"{number}.{options.extension}" for number in range(sources)}
        with StemWriter(paths, rate, channels, options) as writer:
            writer.write(audio)
            writer.commit()
        decoded = [read_audio(path) for path in paths.values()]
    coded = np.zeros_like(references)
    for place, (heard, own) in enumerate(decoded):
        heard = heard if own == sample_rate else resample_audio(heard, own, sample_rate)
        length = min(samples, heard.shape[1])
        coded[place, :, :length] = heard[:, :length]
    return coded


def _resample(references: Audio, rate: int, new: int) -> Audio:
    return np.stack([resample_audio(source, rate, new) for source in references])


def _allowed(codec: Codec, bitrate: float, channels: int, rate: int) -> int:
    """Bit rate of a file that the codec has at a sample rate: MP3 knows a few only."""
    total = bitrate * channels
    if codec != "mp3":
        return round(min(total, 6 * rate * channels // 1000))
    # MPEG-1, MPEG-2 and MPEG-2.5, layer III.
    known: tuple[int, ...] = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    if rate < 32000:
        known = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    if rate < 16000:
        known = (8, 16, 24, 32, 40, 48, 56, 64)
    return min(known, key=lambda each: abs(each - total))
