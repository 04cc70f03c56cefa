"""Contracts of analysis/synthesis pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


class Transform(nn.Module):
    """An analysis `forward` and its synthesis `inverse`, exact for any length from one sample.

    Subclasses are differentiable, work on any batch and device, and do not loop over frames or bins.

    Signals can be processed in pieces: a piece that begins on a multiple of `hop_length` has the coefficients
    of the whole signal, shifted, except near the ends of the piece.

    Attributes:
        hop_length: Grid in samples: a signal shifted by a multiple has the same coefficients, shifted.
    """

    hop_length: int

    @property
    def reach(self) -> int:
        """Samples on either side that analysis followed by synthesis can depend on."""
        raise NotImplementedError

    def forward(self, audio: Tensor) -> Any:
        """Analyse audio `(batch, channels, samples)` into coefficients: a tensor, or a list of blocks."""
        raise NotImplementedError

    def inverse(self, coefficients: Any, length: int) -> Tensor:
        """Synthesise `length` samples `(batch, channels, length)` from coefficients."""
        raise NotImplementedError

    def bin_frequencies(self, sample_rate: int) -> NDArray[np.float64]:
        """Centre of each bin, Hz, from 0 to half the sample rate."""
        raise NotImplementedError

    def spectrogram(self, coefficients: Any, length: int) -> list[Tensor]:
        """Amplitudes of sinusoids with the coefficients of `length` samples.

        Returns:
            For each run of bins with one time resolution `(batch, channels, frequency, columns)`. The first
            column begins with the signal. Each begun `hop_length` of the signal has a whole number of
            columns.
        """
        raise NotImplementedError


class SpectralTransform(Transform):
    """Transform with one tensor of coefficients, `(batch, planes, frequency, frames)`, real or complex.

    Any of these works in a `SpectralSeparator`. `inverse` takes one plane for each channel of each source.

    Attributes:
        frames_per_hop: Frames for each `hop_length` samples.
        is_complex: True for coefficients with a phase, one plane for each channel; False for real ones.
        exact: True if `inverse` undoes `forward`, and both are linear. False for a filterbank that learns
            both.
    """

    frames_per_hop: int = 1
    is_complex: bool = True
    exact: bool = True

    @property
    def num_bins(self) -> int:
        """Frequencies, or filters, of the coefficients."""
        raise NotImplementedError

    @property
    def lookahead(self) -> int:
        """Samples of the future that analysis followed by synthesis can depend on."""
        return self.reach

    def length_of(self, frames: int) -> int:
        """Longest signal, in samples, with at most `frames` frames, or the shortest signal worth a chunk."""
        raise NotImplementedError

    def widening(self, frames: int) -> int:
        """Samples by which a network with a field of `frames` frames widens `reach` and `lookahead`."""
        return frames * self.hop_length
