"""Local Gaussian model of sources: a power for each time and frequency, a covariance for each frequency.

[1] N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source separation using
a full-rank spatial covariance model", IEEE TASLP 18(7), 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import isqrt

import torch
from einops import rearrange
from torch import Tensor

_ROOT = 2**0.5


@dataclass(frozen=True)
class LocalGaussians:
    """Local Gaussian models of sources: power at each time, covariance of the channels [1].

    The last two axes of all tensors are frequency and frames, or frames and frequency: that which is
    contiguous in memory comes last. Hermitian matrices of `channels` rows are stored as `channels ** 2` real
    numbers, with the inner products of the matrices. Sums over sources and frames are products of whole
    planes, much faster than those of many small matrices.

    Attributes:
        powers: `(batch, sources, frequency, frames)`.
        covariances: `(batch, sources, channels ** 2, frequency, 1)`.
        frames: Axis of the frames: -1 or -2.
    """

    powers: Tensor
    covariances: Tensor
    frames: int = -1

    @classmethod
    def of(cls, powers: Tensor, moments: Tensor, eps: Tensor, frames: int) -> LocalGaussians:
        """Normalise packed moments of the channels, summed over time, by powers; `eps` is `(batch,)`."""
        energies = eps.reshape(-1, 1, 1, 1) + powers.sum(dim=frames, keepdim=True)
        return cls(powers, moments / energies[:, :, None], frames)

    @classmethod
    def measure(cls, signals: Tensor, eps: Tensor, frames: int = -1) -> LocalGaussians:
        """Measure signals, complex `(batch, sources, channels, frequency, frames)`; `eps` is `(batch,)`."""
        squares = signals.real.square() + signals.imag.square()
        across = [(first * second.conj()).sum(frames, True) for first, second in _pairs(signals, 2)]
        moments = [squares.sum(dim=frames, keepdim=True)]
        if across:
            joined = _ROOT * torch.stack(across, dim=2)
            moments += [joined.real, joined.imag]
        return cls.of(squares.mean(dim=2), torch.cat(moments, dim=2), eps, frames)

    @classmethod
    def with_phase_of(cls, mixture: Tensor, magnitudes: Tensor, eps: Tensor, frames: int) -> LocalGaussians:
        """Measure magnitudes with the phase of the mixture.

        Args:
            mixture: Real and imaginary parts, `(2, batch, channels, frequency, frames)`.
            magnitudes: `(batch, sources, channels, frequency, frames)`.
            eps: `(batch,)`.
            frames: Axis of the frames: -1 or -2.
        """
        squares = magnitudes.square()
        products = [first * second for first, second in _pairs(magnitudes, 2)]
        across = [
            _ROOT * (product * part[:, None]).sum(dim=frames, keepdim=True)
            for parts in _phase_differences(mixture)
            for product, part in zip(products, parts, strict=True)
        ]
        moments = [squares.sum(dim=frames, keepdim=True), *(part[:, :, None] for part in across)]
        return cls.of(squares.mean(dim=2), torch.cat(moments, dim=2), eps, frames)

    def whiten(self, mixture: Tensor, floor: Tensor) -> Tensor:
        """Multiply the mixture by the inverse of its covariance.

        Args:
            mixture: Real and imaginary parts, `(2, batch, channels, frequency, frames)`.
            floor: Added to the diagonal of the covariance, `(batch,)`.

        Returns:
            Complex `(batch, channels, frequency, frames)`.
        """
        channels = mixture.shape[2]
        packed = self.covariances[:, 0] * self.powers[:, 0, None]
        for covariance, powers in zip(self.covariances.unbind(1)[1:], self.powers.unbind(1)[1:], strict=True):
            packed = packed.addcmul_(covariance, powers[:, None])
        packed[:, :channels].add_(floor.reshape(-1, 1, 1, 1))
        if channels == 1:
            return torch.complex(*(mixture / packed))
        if channels == 2:
            return _solve_pairs(packed, mixture)
        matrices = _unpack(packed.movedim(1, -1))
        solved = torch.linalg.solve(matrices, torch.complex(*mixture).movedim(1, -1)[..., None])
        return solved[..., 0].movedim(-1, 1)

    def estimate(self, whitened: Tensor, dtype: torch.dtype) -> Tensor:
        """Estimate the sources from the whitened mixture.

        Args:
            whitened: Result of `whiten`, `(batch, channels, frequency, frames)`.
            dtype: Complex type of the estimates.

        Returns:
            `(batch, sources, channels, frequency, frames)`.
        """
        weighted = whitened[:, None].to(dtype) * self.powers[:, :, None].to(dtype)
        columns = rearrange(_unpack(self.covariances.movedim(2, -1)), "b s f t c d -> d b s c f t")
        first, *others = columns.to(dtype, memory_format=torch.contiguous_format)
        estimates = first * weighted[:, :, :1]
        for channel, column in enumerate(others, 1):
            estimates = estimates.addcmul_(column, weighted[:, :, channel, None])
        return estimates

    def filtered(self, whitened: Tensor, eps: Tensor) -> LocalGaussians:
        """Measure the estimates of the whitened mixture `(batch, channels, frequency, frames)`.

        A shortcut by squares of the whitened mixture would save the estimates, but loses precision: with
        sources of rank one, large terms must cancel to the power of a source.
        """
        return self.measure(self.estimate(whitened, whitened.dtype), eps, self.frames)


def _solve_pairs(packed: Tensor, mixture: Tensor) -> Tensor:
    """Solve systems of two channels in closed form: much faster than a solver of many small systems.

    Args:
        packed: Covariances, `(batch, 4, frequency, frames)`; overwritten.
        mixture: Real and imaginary parts, `(2, batch, 2, frequency, frames)`.

    Returns:
        Complex `(batch, 2, frequency, frames)`.
    """
    packed[:, 2:].div_(_ROOT)
    determinant = packed[:, 0] * packed[:, 1] - packed[:, 2:].square().sum(dim=1)
    first, second, real, imaginary = (packed / determinant[:, None]).unbind(dim=1)
    left, right = mixture.unbind(dim=2)
    solved = []
    for power, same, other, sign in ((second, left, right, 1), (first, right, left, -1)):
        planes = (power * same).addcmul_(real, other, value=-1)
        planes[0].addcmul_(imaginary, other[1], value=sign)
        planes[1].addcmul_(imaginary, other[0], value=-sign)
        solved.append(torch.complex(*planes))
    return torch.stack(solved, dim=1)


def _phase_differences(mixture: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Cosines and sines of the phase differences of pairs of channels.

    Args:
        mixture: Real and imaginary parts, `(2, batch, channels, frequency, frames)`.
    """
    energies = mixture.square().sum(dim=0)
    silent = energies == 0
    phases = mixture * energies.masked_fill(silent, 1).rsqrt()
    # The phase of a zero is 0.
    phases[0].add_(silent)
    pairs = _pairs(phases, 2)
    sines = [(first[1] * second[0]).addcmul_(first[0], second[1], value=-1) for first, second in pairs]
    return [(first * second).sum(dim=0) for first, second in pairs], sines


def _pairs(signals: Tensor, dim: int) -> list[tuple[Tensor, Tensor]]:
    """Pairs of channels, in the order of packed matrices."""
    return list(combinations(signals.unbind(dim), 2))


def _pack(matrices: Tensor) -> Tensor:
    """Pack Hermitian `(..., channels, channels)` into real `(..., channels ** 2)`."""
    channels = matrices.shape[-1]
    first, second = torch.triu_indices(channels, channels, 1)
    across = matrices[..., first, second] * _ROOT
    return torch.cat([matrices.diagonal(dim1=-2, dim2=-1).real, across.real, across.imag], dim=-1)


def _unpack(packed: Tensor) -> Tensor:
    """Undo `_pack`."""
    channels = isqrt(packed.shape[-1])
    first, second = torch.triu_indices(channels, channels, 1)
    diagonal, real, imaginary = packed.split([channels, len(first), len(first)], dim=-1)
    across = torch.complex(real, imaginary) / _ROOT
    matrices = torch.diag_embed(diagonal).to(across.dtype)
    matrices[..., first, second] = across
    matrices[..., second, first] = across.conj()
    return matrices
