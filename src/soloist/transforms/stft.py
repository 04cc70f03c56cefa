"""The short-time Fourier transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.resources import is_captured
from soloist.transforms.transform import SpectralTransform

Window = Literal["hann", "sqrt_hann", "hamming", "blackman", "rectangular"]

Extent = Literal["centred", "full"]
"""First frame of a signal: the one centred on its first sample, or one that ends where the signal begins."""


def make_window(name: Window, length: int) -> Tensor:
    """Periodic window `(length,)` by name.

    Raises:
        UsageError: There is no such window.
    """
    windows: dict[Window, Callable[[int], Tensor]] = {
        "hann": torch.hann_window,
        "sqrt_hann": lambda samples: torch.hann_window(samples).sqrt(),
        "hamming": torch.hamming_window,
        "blackman": torch.blackman_window,
        "rectangular": torch.ones,
    }
    if name not in windows:
        raise UsageError(f"there is no window {name!r}; there are {', '.join(windows)}")
    return windows[name](length)


class STFT(SpectralTransform):
    """Short-time Fourier transform with centred frames, exactly inverted by weighted overlap-add.

    Frame `t` is centred on sample `t * hop_length`. The signal is padded on the right to a whole
    number of hops: every sample lies between two frame centres, and signals of any length are
    reconstructed. Signals shorter than a window are padded with zeros.

    Args:
        n_fft: Length of the window and of the Fourier transform, samples.
        hop_length: Distance of the frames, samples; at most three quarters of the window, because the inverse
            divides by the sum of the squared windows.
        window: Name of the (periodic) window.
        pad_mode: Padding beyond the ends of the signal: "reflect", or zeros ("constant").
        scaled: Divide the coefficients by the sum of the window: the magnitude of a sinusoid is half its
            amplitude for any window.
        orthonormal: Divide the coefficients by the square root of `n_fft`.
        window_length: Length of a window shorter than the Fourier transform, centred in it; None for the same
            length.
        extent: "centred" for frames as above; "full" for all frames that touch the signal, which then lies
            between zeros: frame `t` begins at sample `t * hop_length - n_fft`.
    """

    def __init__(
        self,
        n_fft: int = 2048,
        hop_length: int = 1024,
        window: Window = "hann",
        pad_mode: Literal["reflect", "constant"] = "reflect",
        scaled: bool = False,
        window_length: int | None = None,
        extent: Extent = "centred",
        orthonormal: bool = False,
    ) -> None:
        super().__init__()
        length = n_fft if window_length is None else window_length
        if not 0 < hop_length <= 3 * length // 4:
            raise UsageError(
                f"hop_length {hop_length} must lie in 1..{3 * length // 4}, three quarters of the window"
            )
        if length > n_fft:
            raise UsageError(f"window_length {length} must not exceed n_fft, which is {n_fft}")
        if scaled and orthonormal:
            raise UsageError("coefficients are scaled by the window or by n_fft, not by both")
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.pad_mode = pad_mode
        if extent not in get_args(Extent):
            raise UsageError(f"extent {extent!r} is none of {', '.join(get_args(Extent))}")
        self.extent: Extent = extent
        before = (n_fft - length) // 2
        taps = nn.functional.pad(make_window(window, length), (before, n_fft - length - before))
        self.register_buffer("window", taps, persistent=False)
        # A number even on the meta device.
        with torch.device("cpu"):
            self.scale = 1 / make_window(window, length).sum().item() if scaled else 1.0
        self.scale = n_fft**-0.5 if orthonormal else self.scale

    window: Tensor

    @property
    def num_bins(self) -> int:
        """Number of frequencies from 0 Hz to half the sample rate, both included."""
        return self.n_fft // 2 + 1

    @property
    def reach(self) -> int:
        """Half a window for the analysis and half a window for the synthesis."""
        return self.n_fft

    def num_frames(self, length: int) -> int:
        """Number of frames of `length` samples."""
        if self.extent == "full":
            return -(-(length + self.n_fft) // self.hop_length)
        length = max(length, self.n_fft)
        return -(-length // self.hop_length) + 1

    def length_of(self, frames: int) -> int:
        """Longest signal, in samples, with at most `frames` frames; at least a window."""
        if self.extent == "full":
            return max(self.hop_length * frames - self.n_fft, self.n_fft)
        return max(self.hop_length * (frames - 1), self.n_fft)

    def forward(self, audio: Tensor) -> Tensor:
        """Analyse audio `(batch, channels, samples)` into complex `(batch, channels, frequency, frames)`."""
        padded = self._pad(rearrange(audio, "b c t -> (b c) t"))
        spectrum = torch.stft(
            padded,
            self.n_fft,
            self.hop_length,
            window=self.window.to(audio.dtype),
            center=False,
            return_complex=True,
        )
        spectrum = spectrum * self.scale if self.scale != 1.0 else spectrum
        return rearrange(spectrum, "(b c) f t -> b c f t", c=audio.shape[1])

    def inverse(self, coefficients: Tensor, length: int) -> Tensor:
        """Synthesise `(batch, channels, length)` from complex `(batch, channels, frequency, frames)`."""
        channels = coefficients.shape[1]
        spectrum = rearrange(coefficients, "b c f t -> (b c) f t")
        spectrum = spectrum / self.scale if self.scale != 1.0 else spectrum
        if is_captured():
            return rearrange(self._overlap_add(spectrum, length), "(b c) t -> b c t", c=channels)
        # `istft` drops half a window.
        before = self._lead - self.n_fft // 2
        audio = torch.istft(
            spectrum,
            self.n_fft,
            self.hop_length,
            window=self.window.to(spectrum.real.dtype),
            center=True,
            length=before + length,
        )
        return rearrange(audio[:, before:], "(b c) t -> b c t", c=channels)

    def _overlap_add(self, spectrum: Tensor, length: int) -> Tensor:
        """`torch.istft` in operations that can be traced for any number of frames.

        Args:
            spectrum: Complex `(batch, frequency, frames)`.
            length: Samples.

        Returns:
            `(batch, length)`.
        """
        window = self.window.to(spectrum.real.dtype)
        frames = torch.fft.irfft(spectrum, self.n_fft, dim=1) * window[:, None]
        weights = window.square()[None, :, None].expand(1, -1, frames.shape[-1])
        size = (1, (frames.shape[-1] - 1) * self.hop_length + self.n_fft)
        audio, weight = (
            nn.functional.fold(x, size, (1, self.n_fft), stride=(1, self.hop_length))[:, 0, 0]
            for x in (frames, weights)
        )
        inside = slice(self._lead, None)
        return audio[:, inside][:, :length] / weight[:, inside][:, :length]

    def bin_frequencies(self, sample_rate: int) -> NDArray[np.float64]:
        """Centre of each bin, Hz, from 0 to half the sample rate."""
        return np.arange(self.num_bins, dtype=np.float64) * (sample_rate / self.n_fft)

    def spectrogram(self, coefficients: Tensor, length: int) -> list[Tensor]:
        """Amplitudes of sinusoids `(batch, channels, frequency, frames)`, one column for each hop."""
        hops = -(-length // self.hop_length)
        first = (self._lead - self.n_fft // 2) // self.hop_length
        return [coefficients[..., first : first + hops].abs() * (2 / float(self.window.sum()) / self.scale)]

    @property
    def _lead(self) -> int:
        """Samples of the first frame before the signal."""
        return self.n_fft if self.extent == "full" else self.n_fft // 2

    def _pad(self, audio: Tensor) -> Tensor:
        if self.extent == "full":
            behind = self.n_fft - self.hop_length + -(audio.shape[-1] + self.n_fft) % self.hop_length
            return nn.functional.pad(audio, (self.n_fft, behind))
        half = self.n_fft // 2
        audio = nn.functional.pad(audio, (0, max(0, self.n_fft - audio.shape[-1])))
        # A window of odd length has one more sample after its centre than before.
        right = half + self.n_fft % 2 + (-audio.shape[-1]) % self.hop_length
        if self.pad_mode == "constant":
            return nn.functional.pad(audio, (half, right))
        return nn.functional.pad(audio[:, None], (half, right), mode="reflect")[:, 0]
