"""Filterbanks without padding, whose filters are learned freely, in pairs, or are those of an STFT.

M. Pariente, S. Cornell, A. Deleforge and E. Vincent, "Filterbank design for end-to-end speech separation",
ICASSP 2020.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.transforms.learned_filterbank import Filterbank, overlap_add

FilterKind = Literal["free", "mirrored", "stft"]


class FreeFilterbank(Filterbank):
    """Filterbank of one channel, with the same synthesis for every source.

    Frame `t` begins with sample `t * hop_length`, and only whole frames count: the last samples may lie in
    none, and are silent in the estimates.

    Args:
        num_filters: Number of filters; of the Fourier transform, its length.
        kernel_size: Samples of a filter.
        hop_length: Distance of the frames, samples.
        num_sources: Number of synthesised sources.
        kind: "free": all filters are learned; "mirrored": one half is learned, the other one is the same
            reversed in time; "stft": real and imaginary parts of a Fourier transform under the root of a Hann
            window, the same for analysis and synthesis, and not learned.
        activation: Activation of the analysis; "gated": a ReLU times a sigmoid of other filters, all of them
            learned.

    Raises:
        UsageError: The number of filters is odd where they are pairs, the window is longer than the Fourier
            transform, or gated filters are not free.
    """

    def __init__(
        self,
        num_filters: int = 512,
        kernel_size: int = 16,
        hop_length: int = 8,
        num_sources: int = 2,
        kind: FilterKind = "free",
        activation: Literal["identity", "relu", "gated"] = "identity",
    ) -> None:
        super().__init__()
        if activation == "gated" and kind != "free":
            raise UsageError(f"gated filters must be free, not {kind}")
        if kind != "free" and num_filters % 2:
            raise UsageError(f"num_filters {num_filters} must be even for {kind} filters, which are pairs")
        if kind == "stft" and kernel_size > num_filters:
            raise UsageError(
                f"kernel_size {kernel_size} must not exceed num_filters {num_filters} of an STFT"
            )
        self.num_filters = num_filters + 2 if kind == "stft" else num_filters
        self.kernel_size = kernel_size
        self.minimum_length = kernel_size
        self.hop_length = hop_length
        self.num_outputs = num_sources
        self.kind = kind
        self.activation = nn.Identity() if activation == "identity" else nn.ReLU()
        self.gate = nn.Parameter(torch.empty(num_filters, 1, kernel_size)) if activation == "gated" else None
        if kind == "stft":
            self.register_buffer("fourier", fourier_filters(num_filters, kernel_size, hop_length), False)
            return
        rows = num_filters // 2 if kind == "mirrored" else num_filters
        self.analysis = nn.Parameter(torch.empty(rows, 1, kernel_size))
        self.synthesis = nn.Parameter(torch.empty(rows, 1, kernel_size))
        nn.init.xavier_normal_(self.analysis)
        nn.init.xavier_normal_(self.synthesis)
        if self.gate is not None:
            nn.init.xavier_normal_(self.gate)

    fourier: Tensor

    @property
    def num_bins(self) -> int:
        """Number of features of a frame."""
        return self.num_filters

    @property
    def reach(self) -> int:
        """Samples on either side that analysis and synthesis can depend on."""
        return self.kernel_size - 1

    def length_of(self, frames: int) -> int:
        """Longest signal, in samples, with at most `frames` frames."""
        return self.hop_length * frames + self.kernel_size - 1

    def forward(self, audio: Tensor) -> Tensor:
        """Analyse audio `(batch, 1, samples)` into features `(batch, 1, filters, frames)`."""
        filters = self.fourier if self.kind == "stft" else self._completed(self.analysis)
        features: Tensor = self.activation(F.conv1d(audio, filters, stride=self.hop_length))
        if self.gate is not None:
            features = features * F.conv1d(audio, self.gate, stride=self.hop_length).sigmoid()
        return features[:, None]

    def inverse(self, coefficients: Tensor, length: int) -> Tensor:
        """Synthesise `(batch, outputs, length)` from features `(batch, outputs, filters, frames)`."""
        filters = self.fourier if self.kind == "stft" else self._completed(self.synthesis)
        frames = torch.einsum("b o n t, n k -> b o k t", coefficients, filters[:, 0])
        audio = overlap_add(frames, self.hop_length)
        return F.pad(audio, (0, length - audio.shape[-1]))

    def _completed(self, filters: Tensor) -> Tensor:
        """All filters `(filters, 1, kernel_size)`, of which half may be learned."""
        if self.kind == "free":
            return filters
        # In a circle: the first sample stays the first.
        return torch.cat([filters, filters.flip(-1).roll(1, -1)])


def fourier_filters(n_fft: int, kernel_size: int, hop_length: int) -> Tensor:
    """Real parts of all bins, then imaginary parts, `(n_fft + 2, 1, kernel_size)`; analysis undoes synthesis.

    Args:
        n_fft: Length of the Fourier transform, in whose middle the window stands.
        kernel_size: Length of the window.
        hop_length: Distance of the frames, samples.
    """
    spectra = torch.fft.rfft(torch.eye(n_fft, dtype=torch.float64)).T
    parts = torch.stack([spectra.real, spectra.imag]) / (0.5 * (kernel_size * n_fft / hop_length) ** 0.5)
    parts[:, [0, -1]] /= 2**0.5
    window = torch.hann_window(kernel_size, dtype=torch.float64).sqrt()
    before = (n_fft - kernel_size) // 2
    return (parts[..., before : before + kernel_size] * window).flatten(0, 1).float()[:, None]
