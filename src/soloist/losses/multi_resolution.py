"""Spectral losses over several resolutions.

R. Yamamoto, E. Song and J.-M. Kim, "Parallel WaveGAN: A fast waveform generation model based on generative
adversarial networks with multi-resolution spectrogram", ICASSP 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import UsageError
from soloist.losses.loss import SourceLoss


class MultiResolutionSTFT(SourceLoss):
    """Spectral convergence plus mean absolute difference of log magnitudes, averaged over resolutions.

    Spectral convergence is the norm of the difference of the magnitudes over the norm of the reference's.
    A silent reference has none; the log magnitudes alone then ask for a silent estimate.

    Args:
        n_ffts: Length of the Fourier transform of each resolution, samples.
        hop_lengths: Distance of the frames of each resolution, samples.
        window_lengths: Length of the (Hann) window of each resolution, samples, at most the transform's.
        floor: Least magnitude; smaller ones count as `floor`. Windows are not normalised: the magnitude of a
            sinusoid is a quarter of its amplitude times the length of the window.

    Raises:
        UsageError: The three lists differ in length or are empty, or a window exceeds its transform.
    """

    def __init__(
        self,
        n_ffts: Sequence[int] = (1024, 2048, 512),
        hop_lengths: Sequence[int] = (120, 240, 50),
        window_lengths: Sequence[int] = (600, 1200, 240),
        floor: float = 1e-4,
    ) -> None:
        super().__init__()
        self.resolutions = _resolutions(n_ffts, hop_lengths, window_lengths)
        self.floor = floor

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Loss for signals `(batch, sources, channels, samples)`: `(batch, sources)`."""
        losses = [
            self._compare(self._analyze(estimates, *sizes), self._analyze(references, *sizes))
            for sizes in self.resolutions
        ]
        return torch.stack(losses).mean(dim=0)

    def _compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        level = torch.linalg.vector_norm(references, dim=-1)
        silent = (references <= self.floor).all(dim=-1)
        difference = torch.linalg.vector_norm(estimates - references, dim=-1)
        convergence = (difference / level.masked_fill(silent, 1.0)).masked_fill(silent, 0.0)
        return convergence + (estimates.log() - references.log()).abs().mean(dim=-1)

    def _analyze(self, signals: Tensor, n_fft: int, hop_length: int, window_length: int) -> Tensor:
        """Analyse `(batch, sources, channels, samples)` to magnitudes `(batch, sources, numbers)`."""
        return _spectra(signals, n_fft, hop_length, window_length).abs().clamp(min=self.floor)


class MultiResolutionComplex(SourceLoss):
    """Mean modulus of the difference of complex spectra, averaged over resolutions.

    Phases count, unlike in `MultiResolutionSTFT`. Beside the mean absolute difference of samples, it is the
    loss of the published RoFormers, which add up the five resolutions that are the default here:

    W.-T. Lu, J.-C. Wang, Q. Kong and Y.-N. Hung, "Music source separation with band-split RoPE transformer",
    ICASSP 2024.

    Args:
        n_ffts: Length of the Fourier transform of each resolution, samples.
        hop_lengths: Distance of the frames of each resolution, samples.
        window_lengths: Length of the (Hann) window of each resolution, samples, at most the transform's.

    Raises:
        UsageError: The three lists differ in length or are empty, or a window exceeds its transform.
    """

    def __init__(
        self,
        n_ffts: Sequence[int] = (4096, 2048, 2048, 2048, 2048),
        hop_lengths: Sequence[int] = (147, 147, 147, 147, 147),
        window_lengths: Sequence[int] = (4096, 2048, 1024, 512, 256),
    ) -> None:
        super().__init__()
        self.resolutions = _resolutions(n_ffts, hop_lengths, window_lengths)

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Loss for signals `(batch, sources, channels, samples)`: `(batch, sources)`."""
        # The transform is linear: one for the difference.
        difference = estimates - references
        return torch.stack(
            [_spectra(difference, *sizes).abs().mean(dim=-1) for sizes in self.resolutions]
        ).mean(dim=0)


def _resolutions(
    n_ffts: Sequence[int], hop_lengths: Sequence[int], window_lengths: Sequence[int]
) -> list[tuple[int, int, int]]:
    """Sizes of each resolution, checked."""
    if not len(n_ffts) == len(hop_lengths) == len(window_lengths) >= 1:
        raise UsageError("n_ffts, hop_lengths and window_lengths must be as many, at least one each")
    if any(window > n_fft for window, n_fft in zip(window_lengths, n_ffts, strict=True)):
        raise UsageError(f"window_lengths {list(window_lengths)} must not exceed n_ffts {list(n_ffts)}")
    return list(zip(n_ffts, hop_lengths, window_lengths, strict=True))


def _spectra(signals: Tensor, n_fft: int, hop_length: int, window_length: int) -> Tensor:
    """Analyse `(batch, sources, channels, samples)` to complex `(batch, sources, numbers)`."""
    spectra = torch.stft(
        rearrange(signals, "b s c t -> (b s c) t"),
        n_fft,
        hop_length,
        window_length,
        torch.hann_window(window_length, dtype=signals.dtype, device=signals.device),
        # Zeros beyond the ends; reflection would need more samples than half a window.
        pad_mode="constant",
        return_complex=True,
    )
    return rearrange(spectra, "(b s c) f t -> b s (c f t)", b=signals.shape[0], s=signals.shape[1])
