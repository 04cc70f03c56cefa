"""The short-time Fourier transform of Hybrid Demucs: frames centred on half hops, and no Nyquist bin."""

from __future__ import annotations

import math

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.transforms.transform import SpectralTransform

_OVERLAP = 1.5
"""Sum of the squared Hann windows that overlap by three quarters."""


class HalfHopSTFT(SpectralTransform):
    """Short-time Fourier transform with `length / hop` frames, rounded up, and `n_fft / 2` bins.

    Frame `t` is centred on sample `(t + 1/2) * hop_length`; the hop is a quarter of the window. Coefficients
    are divided by the root of `n_fft`. No frames lie beyond the ends of the signal, so the synthesis fades
    out over the outer one and a half hops, and the Nyquist frequency is missing: not exact.

    A. Défossez, "Hybrid spectrogram and waveform source separation", MDX workshop at ISMIR, 2021.

    Args:
        n_fft: Length of the window and of the Fourier transform, samples; a multiple of 8.
        delayed: Reproduce a defect of two published models: zeros in place of reflections beyond the ends,
            and a synthesis delayed by one and a half hops.

    Raises:
        UsageError: The length is no multiple of 8.
    """

    exact = False

    def __init__(self, n_fft: int = 4096, delayed: bool = False) -> None:
        super().__init__()
        if n_fft < 8 or n_fft % 8:
            raise UsageError(
                f"n_fft {n_fft} must be a multiple of 8: hops are quarters, and padded by halves"
            )
        self.n_fft = n_fft
        self.hop_length = n_fft // 4
        self.delayed = delayed
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    window: Tensor

    @property
    def num_bins(self) -> int:
        """Number of frequencies from 0 Hz to below half the sample rate."""
        return self.n_fft // 2

    @property
    def reach(self) -> int:
        """Half a window for the analysis and half a window for the synthesis."""
        return self.n_fft

    def length_of(self, frames: int) -> int:
        """Longest signal, in samples, with `frames` frames."""
        return frames * self.hop_length

    def forward(self, audio: Tensor) -> Tensor:
        """Analyse audio `(batch, channels, samples)` into complex `(batch, channels, frequency, frames)`."""
        left = self.hop_length + self.hop_length // 2
        right = left + (-audio.shape[-1]) % self.hop_length
        padded = pad(audio, (left, right)) if self.delayed else _reflect(audio, left, right)
        spectrum = torch.stft(
            rearrange(padded, "b c t -> (b c) t"),
            self.n_fft,
            self.hop_length,
            window=self.window.to(audio.dtype),
            center=False,
            normalized=True,
            return_complex=True,
        )
        return rearrange(spectrum[:, :-1], "(b c) f t -> b c f t", c=audio.shape[1])

    def inverse(self, coefficients: Tensor, length: int) -> Tensor:
        """Synthesise `(batch, channels, length)` from complex `(batch, channels, frequency, frames)`."""
        window = self.window.to(coefficients.real.dtype)
        spectrum = rearrange(pad(coefficients, (0, 0, 0, 1)), "b c f t -> (b c) t f")
        frames = torch.fft.irfft(spectrum, self.n_fft) * (window * (math.sqrt(self.n_fft) / _OVERLAP))
        # Each frame overlaps with the next three, by one hop less each.
        hops = frames.unflatten(-1, (4, self.hop_length))
        padded = sum(pad(hops[:, :, part], (0, 0, part, 3 - part)) for part in range(4))
        assert isinstance(padded, Tensor)
        audio = rearrange(padded, "(b c) t h -> b c (t h)", c=coefficients.shape[1])
        if not self.delayed:
            first = self.hop_length + self.hop_length // 2
            return audio[..., first : first + length]
        missing = _OVERLAP - window[-self.hop_length :].square()
        begin = audio[..., : self.hop_length] * (_OVERLAP / missing)
        return torch.cat([begin, audio[..., self.hop_length :]], dim=-1)[..., :length]

    def bin_frequencies(self, sample_rate: int) -> NDArray[np.float64]:
        """Centre of each bin, Hz, from 0 to below half the sample rate."""
        return np.arange(self.num_bins, dtype=np.float64) * (sample_rate / self.n_fft)

    def spectrogram(self, coefficients: Tensor, length: int) -> list[Tensor]:
        """Amplitudes of sinusoids `(batch, channels, frequency, frames)`, one column for each hop."""
        return [coefficients.abs() * (2 * math.sqrt(self.n_fft) / float(self.window.sum()))]


def _reflect(audio: Tensor, left: int, right: int) -> Tensor:
    """Reflect audio `(batch, channels, samples)` at its ends; zeros lengthen what is too short for that."""
    missing = max(left, right) - audio.shape[-1] + 1
    if missing > 0:
        after = min(right, missing)
        before = missing - after
        audio = pad(audio, (before, after))
        left, right = left - before, right - after
    return pad(audio, (left, right), mode="reflect")
