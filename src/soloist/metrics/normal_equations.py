"""Normal equations of projections onto delayed signals: assembly, rank and solution.

Real references are often band-limited (a 16 kHz low-pass, AAC), dual mono, or silent: their delayed copies
span fewer dimensions than there are copies. A plain solution then amplifies rounding errors without bound.
If the smallest eigenvalue is below `RANK_TOLERANCE` of the largest, a ridge of that size suppresses the
directions below it and keeps those above, for the price of a second factorisation. On real music the ratios
agree with a truncated eigenvalue decomposition to less than the change for a factor of two in its threshold
(0.08 dB), in a twentieth of the time.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from soloist.metrics.overlapping_blocks import BlockGrid, Stretches

RANK_TOLERANCE = 1e-8
"""Ratio to the largest eigenvalue below which eigenvalues count as noise."""

_LEAST_RIDGE = 1e-12
"""Relative ridge that makes any system positive definite in double precision."""
_PROBES = 4
_POWER_STEPS = 8
_INVERSE_STEPS = 3


def correlate(
    references: Tensor, estimates: Tensor, stretch: Stretches, num_lags: int
) -> tuple[Tensor, Tensor]:
    """Correlate references with references and with estimates over one stretch, at lags from zero up.

    Args:
        references: `(..., samples)`, in all `references` signals.
        estimates: `(..., samples)`, in all `estimates` signals.
        stretch: One stretch of samples.
        num_lags: Number of lags.

    Returns:
        Sums over `n` of `reference_a[n] * reference_b[n + lag]`, `(references, references, lags)`, and of
        `reference_a[n] * estimate_b[n + lag]`, `(references, estimates, lags)`; float64.
    """
    grid = BlockGrid.of(num_lags, stretch.longest)
    num_references = references.shape[:-1].numel()
    num_signals = num_references + estimates.shape[:-1].numel()
    spectra = torch.zeros(
        grid.num_bins, num_references, num_signals, dtype=torch.complex128, device=references.device
    )
    for piece in grid.pieces(stretch, stretch.longest, num_signals):
        cuts = [grid.cut(signals, stretch, piece, lead=0)[0] for signals in (references, estimates)]
        blocks = torch.cat(cuts).unfold(-1, grid.size, grid.hop)
        # One factor without the overlap with the next block, so that no product counts twice.
        short = torch.fft.rfft(blocks[:num_references, :, : grid.hop], n=grid.size).conj_physical()
        long = torch.fft.rfft(blocks)
        # Contiguous factors: otherwise PyTorch multiplies small matrices in a loop.
        spectra += (
            rearrange(short, "r b f -> f r b").contiguous() @ rearrange(long, "s b f -> f b s").contiguous()
        )
    sums = torch.fft.irfft(rearrange(spectra, "f r s -> r s f"), n=grid.size)[..., :num_lags]
    return sums[:, :num_references], sums[:, num_references:]


def solve(
    correlations: Tensor, targets: Tensor, rank_tolerance: float = RANK_TOLERANCE
) -> tuple[Tensor, Tensor]:
    """Solve for the filters that project targets onto delayed signals, in least squares.

    Silent signals get filters of zeros. Values that are not finite make the filters of their system NaN, and
    leave other systems alone.

    Args:
        correlations: Correlations of signals `a` and `b`, at lags from zero up, `(systems, signals, signals,
            lags)`.
        targets: Correlations of signals and targets, `(systems, signals, targets, lags)`.
        rank_tolerance: Least ratio of the smallest to the largest eigenvalue of a full-rank system.

    Returns:
        Filters `(systems, signals, targets, taps)` with as many taps as lags, and True for rank-deficient
        systems, `(systems,)`.
    """
    finite = correlations.isfinite().flatten(1).all(dim=1)
    matrix = _block_toeplitz(correlations)
    largest = _largest_eigenvalue(matrix)
    factor, failed = _factorize(matrix)
    smallest = _smallest_eigenvalue(factor)
    deficient = finite & (failed | ~(smallest > rank_tolerance * largest))
    if deficient.any():
        ridged = _block_toeplitz(correlations[deficient])
        ridge = max(rank_tolerance, _LEAST_RIDGE) * largest[deficient, None]
        ridged.diagonal(dim1=-2, dim2=-1).add_(ridge)
        factor[deficient] = _factorize(ridged)[0]
    solution = _substitute(factor, rearrange(targets, "n s e l -> n (s l) e"))
    solution[~finite] = torch.nan
    return rearrange(solution, "n (s l) e -> n s e l", l=correlations.shape[-1]), deficient


def _block_toeplitz(correlations: Tensor) -> Tensor:
    """Gram matrix of delayed signals, `(systems, signals * lags, signals * lags)`.

    Columns are contiguous, for factorisation in place. The empty rows of silent signals get a harmless
    diagonal.
    """
    systems, signals, _, lags = correlations.shape
    negative = rearrange(correlations[..., 1:], "n a b l -> n b a l").flip(-1)
    both_signs = torch.cat([negative, correlations], dim=-1)
    delays = torch.arange(lags, device=correlations.device)
    places = delays[:, None] - delays + lags - 1
    matrix = correlations.new_empty(systems, signals, lags, signals, lags)
    for signal in range(signals):  # One gather for all signals would need the memory of two matrices.
        matrix[:, signal] = rearrange(both_signs[:, signal, :, places], "n b i j -> n i b j")
    matrix = matrix.reshape(systems, signals * lags, signals * lags).mT
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    mean = diagonal.mean(dim=-1, keepdim=True)
    diagonal += torch.where(diagonal == 0, torch.where(mean == 0, 1.0, mean), 0.0)
    return matrix


def _factorize(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky factor, in the memory of the matrix (up to hundreds of megabytes), and True for failures."""
    info = torch.empty(len(matrix), dtype=torch.int32, device=matrix.device)
    torch.linalg.cholesky_ex(matrix, out=(matrix, info))
    return matrix, info != 0


def _substitute(factor: Tensor, right_hand_sides: Tensor) -> Tensor:
    # torch.cholesky_solve would copy the factor.
    forward = torch.linalg.solve_triangular(factor, right_hand_sides, upper=False)
    return torch.linalg.solve_triangular(factor.mT, forward, upper=True)


def _largest_eigenvalue(matrix: Tensor) -> Tensor:
    """Largest eigenvalue by power iteration, `(systems,)`: never too large, hardly too small."""
    vectors = _probes(matrix)
    for _ in range(_POWER_STEPS):
        # With few vectors, products from the left are several times as fast as from the right.
        vectors = (vectors / vectors.norm(dim=-1, keepdim=True)) @ matrix
    return vectors.norm(dim=-1).amax(dim=-1)


def _smallest_eigenvalue(factor: Tensor) -> Tensor:
    """Smallest eigenvalue by inverse iteration with the Cholesky factor, `(systems,)`: never too small."""
    vectors = _probes(factor).mT
    for _ in range(_INVERSE_STEPS):
        vectors = _substitute(factor, vectors / vectors.norm(dim=-2, keepdim=True))
    return 1 / vectors.norm(dim=-2).amax(dim=-1)


def _probes(matrix: Tensor) -> Tensor:
    """Random vectors, equal for all systems, `(systems, probes, rows)`."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(_PROBES, matrix.shape[-1], generator=generator, dtype=matrix.dtype)
    return vectors.to(matrix.device).expand(len(matrix), -1, -1)
