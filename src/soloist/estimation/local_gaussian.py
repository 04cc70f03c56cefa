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

    Hermitian matrices of `channels` rows are stored as `channels ** 2` real numbers with the inner products
    of the matrices, so that sums over sources and over time are products of real matrices.

    Attributes:
        powers: `(batch, frequency, sources, frames)`.
        covariances: `(batch, frequency, sources, channels ** 2)`.
    """

    powers: Tensor
    covariances: Tensor

    @classmethod
    def of(cls, powers: Tensor, moments: Tensor, eps: Tensor) -> LocalGaussians:
        """Normalise packed moments of the channels, summed over time, by powers; `eps` is `(batch,)`."""
        return cls(powers, moments / (eps.reshape(-1, 1, 1, 1) + powers.sum(dim=-1, keepdim=True)))

    @classmethod
    def measure(cls, signals: Tensor, eps: Tensor) -> LocalGaussians:
        """Measure signals, complex `(batch, frequency, sources, channels, frames)`; `eps` is `(batch,)`."""
        powers = (signals.real.square() + signals.imag.square()).mean(dim=3)
        return cls.of(powers, _pack(signals @ signals.mH), eps)

    @classmethod
    def with_phase_of(cls, mixture: Tensor, magnitudes: Tensor, eps: Tensor) -> LocalGaussians:
        """Measure magnitudes `(batch, frequency, sources, channels, frames)` with the mixture's phase."""
        squares = magnitudes.square()
        powers = squares.mean(dim=3)
        energies = mixture.real.square() + mixture.imag.square()
        silent = energies == 0
        # The phase of a zero is 0.
        aligned = _across(mixture * energies.masked_fill(silent, 1).rsqrt() + silent)
        products = [first * second for first, second in _pairs(magnitudes, 3)]
        parts = [
            product @ planes[:, :, index, :, None]
            for planes in (aligned.real, aligned.imag)
            for index, product in enumerate(products)
        ]
        return cls.of(powers, torch.cat([squares.sum(dim=-1), *parts], dim=3), eps)

    def whiten(self, mixture: Tensor, floor: Tensor) -> Tensor:
        """Multiply the mixture by the inverse of its covariance.

        Args:
            mixture: `(batch, frequency, channels, frames)`.
            floor: Added to the diagonal of the covariance, `(batch,)`.

        Returns:
            `(batch, frequency, channels, frames)`.
        """
        channels = mixture.shape[2]
        packed = self.covariances.mT @ self.powers
        packed[:, :, :channels].add_(floor.reshape(-1, 1, 1, 1))
        if channels == 1:
            return mixture / packed
        if channels == 2:
            # Closed form: much faster than a solver of many small systems.
            first, second = packed[:, :, 0], packed[:, :, 1]
            across = torch.complex(packed[:, :, 2], packed[:, :, 3]) / _ROOT
            left, right = mixture.unbind(dim=2)
            determinant = first * second - packed[:, :, 2:].square().sum(dim=2) / 2
            adjugate = [second * left - across * right, first * right - across.conj() * left]
            return torch.stack(adjugate, dim=2) / determinant[:, :, None]
        return torch.linalg.solve(_unpack(packed.mT), mixture.mT[..., None])[..., 0].mT

    def estimate(self, whitened: Tensor, dtype: torch.dtype) -> Tensor:
        """Estimate the sources from the whitened mixture.

        Args:
            whitened: Result of `whiten`, `(batch, frequency, channels, frames)`.
            dtype: Type of the real and imaginary parts.

        Returns:
            `(batch, frequency, sources, channels, frames)`.
        """
        matrices = rearrange(_unpack(self.covariances), "b f s c d -> b f (s c) d")
        # Real arithmetic: twice as fast as small complex matrices, and the powers are real.
        planes = rearrange(torch.view_as_real(whitened), "b f c t part -> b f (part c) t")
        parts = [
            torch.cat(halves, dim=3) @ planes
            for halves in ([matrices.real, -matrices.imag], [matrices.imag, matrices.real])
        ]
        shape = (self.powers.shape[2], whitened.shape[2])
        real, imaginary = (
            (part.unflatten(2, shape) * self.powers[:, :, :, None]).to(dtype) for part in parts
        )
        return torch.complex(real, imaginary)

    def filtered(self, whitened: Tensor, eps: Tensor) -> LocalGaussians:
        """Measure the estimates of the whitened mixture `(batch, frequency, channels, frames)`.

        A shortcut by squares of the whitened mixture would save the estimates, but loses precision: with
        sources of rank one, large terms must cancel to the power of a source.
        """
        return self.measure(self.estimate(whitened, whitened.real.dtype), eps)


def _across(signals: Tensor) -> Tensor:
    """Packed products of different channels of signals `(batch, frequency, channels, frames)`."""
    pairs = [first * second.conj() for first, second in _pairs(signals, 2)]
    return _ROOT * torch.stack(pairs, dim=2) if pairs else signals[:, :, :0]


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
