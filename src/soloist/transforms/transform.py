"""What every analysis/synthesis pair promises."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


class Transform(nn.Module):
    """An analysis `forward` and its synthesis `inverse`, exact for any length from one sample.

    Subclasses are differentiable, work on any batch and device, and do not loop over frames or bins.

    A signal of any length can be worked on in pieces: a piece that begins on a multiple of `hop_length` has
    the coefficients of the whole, only later, except where they see beyond its ends.

    Attributes:
        hop_length: Samples by which a signal may be shifted so that its coefficients only shift.
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
        """The amplitudes that sinusoids of the coefficients of `length` samples would have.

        Returns:
            For each run of bins with a time resolution of its own `(batch, channels, frequency, columns)`.
            The first column begins with the signal. A whole number of columns makes a `hop_length`, and as
            many hops as the signal has begun are there.
        """
        raise NotImplementedError


class SpectralTransform(Transform):
    """Transform with one tensor of coefficients, `(batch, planes, frequency, frames)`, real or complex.

    A spectral separator takes any of them. `inverse` takes one plane for each channel of each source.

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
        """Longest signal, in samples, that has no more than a number of frames, or the shortest of all."""
        raise NotImplementedError

    def widening(self, frames: int) -> int:
        """Samples that a network adds to `reach` and `lookahead` by a view of `frames` frames to one side."""
        return frames * self.hop_length
