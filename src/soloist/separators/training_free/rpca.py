"""Separation by robust principal component analysis."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.training_free.mask_separator import MaskType, RepetitionSeparator
from soloist.transforms import Window


class RPCA(RepetitionSeparator):
    """Splits magnitudes into a low-rank matrix, the accompaniment, and a sparse one, the vocals [1].

    The split minimises the nuclear norm of the one and `1 / sqrt(largest dimension)` times the absolute
    sum of the other, by the inexact augmented Lagrange multiplier method [2].

    Memory and, faster, time grow with the length of a chunk; RPCA is by far the slowest separator without
    training. Each chunk of a file has a low-rank matrix of its own.

    Args:
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture; each is separated by itself.
        n_fft: Length of the window, samples; None for the power of two nearest to 40 ms.
        hop_length: Distance of the frames, samples; None for half the window.
        window: Name of the window.
        mask: "hard" gives a bin to the larger of the two matrices [1]; "soft" shares it in proportion.
        high_pass: Frequency, Hz, below which everything is accompaniment; 0 for none.
        max_iterations: Most iterations.
        tolerance: Relative error of the sum of the two matrices that ends the iterations.

    References:
        [1] P.-S. Huang, S. D. Chen, P. Smaragdis and M. Hasegawa-Johnson, "Singing-voice separation from
        monaural recordings using robust principal component analysis", ICASSP 2012.
        [2] Z. Lin, M. Chen and Y. Ma, "The augmented Lagrange multiplier method for exact recovery of
        corrupted low-rank matrices", arXiv:1009.5055, 2010.
    """

    channels_apart = True

    def __init__(
        self,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        n_fft: int | None = None,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        mask: MaskType = "hard",
        high_pass: float = 100.0,
        max_iterations: int = 100,
        tolerance: float = 1e-7,
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length,
            window=window,
            mask=mask,
            high_pass=high_pass,
        )
        if max_iterations < 1 or tolerance < 0:
            raise UsageError("RPCA needs at least one iteration and a tolerance that is not negative")
        self.max_iterations = max_iterations
        self.tolerance = tolerance

    def background(self, magnitudes: Tensor) -> Tensor:
        """Share of the low-rank matrix; see `RepetitionSeparator`."""
        return torch.stack([torch.stack([self._share(channel) for channel in item]) for item in magnitudes])

    def _share(self, magnitudes: Tensor) -> Tensor:
        low_rank, sparse = decompose(magnitudes.double(), self.max_iterations, self.tolerance)
        low_rank, total = low_rank.abs(), low_rank.abs() + sparse.abs()
        empty = total <= 0
        return torch.where(empty, 1.0, low_rank / total.masked_fill(empty, 1)).to(magnitudes)


def decompose(matrix: Tensor, max_iterations: int = 100, tolerance: float = 1e-7) -> tuple[Tensor, Tensor]:
    """Split a matrix into a sum of a low-rank and a sparse one; see `RPCA`.

    Args:
        matrix: Real `(rows, columns)`, in double precision.
        max_iterations: Most iterations.
        tolerance: Relative error of the sum that ends the iterations.
    """
    sparse = torch.zeros_like(matrix)
    norm = torch.linalg.matrix_norm(matrix)
    if norm == 0:
        return matrix, sparse
    weight = max(matrix.shape) ** -0.5
    spectral_norm = torch.linalg.matrix_norm(matrix, 2)
    multipliers = matrix / torch.maximum(spectral_norm, matrix.abs().amax() / weight)
    penalty = 1.25 / spectral_norm
    largest_penalty = penalty * 1e7
    for _ in range(max_iterations):
        low_rank = shrink_singular_values(matrix - sparse + multipliers / penalty, 1 / penalty)
        sparse = torch.nn.functional.softshrink(
            matrix - low_rank + multipliers / penalty, float(weight / penalty)
        )
        residual = matrix - low_rank - sparse
        multipliers = multipliers + penalty * residual
        penalty = torch.minimum(penalty * 1.5, largest_penalty)
        if torch.linalg.matrix_norm(residual) < tolerance * norm:
            break
    return low_rank, sparse


def shrink_singular_values(matrix: Tensor, amount: Tensor) -> Tensor:
    """Lower the singular values of `(rows, columns)` by an amount, down to zero.

    The smaller Gram matrix gives the singular values in a fraction of the time of a decomposition; in double
    precision, its error lies far below any amount used here.
    """
    if matrix.shape[0] < matrix.shape[1]:
        return shrink_singular_values(matrix.T, amount).T
    squares, vectors = torch.linalg.eigh(matrix.T @ matrix)
    kept = squares > amount.square()
    values, vectors = squares[kept].sqrt(), vectors[:, kept]
    return (matrix @ vectors * (1 - amount / values)) @ vectors.T
