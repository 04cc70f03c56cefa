"""Projections of estimates onto delayed references: filters, and energies for each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from einops import rearrange
from torch import Tensor

from soloist.metrics.normal_equations import correlate, solve
from soloist.metrics.overlapping_blocks import BlockGrid, Stretches


@dataclass(frozen=True)
class Projections:
    """Filters that project the channels of estimates onto references.

    Attributes:
        joint: Filters onto all references, `(sources * channels, sources * channels, taps)`: from the channel
            of a reference to the channel of an estimate's projection.
        own: Filters onto one reference, `(sources, channels, paired * channels, taps)`: from the channel of
            the reference to the channel of an estimate's projection. `paired` is 1 if each reference has its
            own estimate, and the number of sources if each reference is paired with all estimates.
        rank_deficient: True if delayed copies of the references are linearly dependent.
    """

    joint: Tensor
    own: Tensor
    rank_deficient: bool

    @classmethod
    def of(
        cls,
        references: Tensor,
        estimates: Tensor,
        stretch: Stretches,
        *,
        num_taps: int,
        all_pairs: bool,
        rank_tolerance: float,
    ) -> Projections:
        """Find the filters by least squares over a stretch.

        Args:
            references: `(sources, channels, samples)`.
            estimates: `(sources, channels, samples)`.
            stretch: One stretch of samples.
            num_taps: Length of the filters.
            all_pairs: Pair each reference with all estimates, instead of its own.
            rank_tolerance: See `bss_eval`.
        """
        sources, channels, _ = references.shape
        among, across = correlate(references, estimates, stretch, num_taps)
        gains = _unit_energy_gains(among, channels)
        among, across = among * gains * gains[:, 0], across * gains
        joint, deficient = solve(among[None], across[None], rank_tolerance)
        joint = joint[0] * gains
        if sources == 1:
            return cls(joint, joint[None], bool(deficient))
        each = torch.arange(sources, device=among.device)
        among = rearrange(among, "(s c) (z d) l -> s z c d l", c=channels, d=channels)[each, each]
        across = rearrange(across, "(s c) (z d) l -> s z c d l", c=channels, d=channels)
        across = across if all_pairs else across[each, each][:, None]
        across = rearrange(across, "s z c d l -> s c (z d) l")
        own, own_deficient = solve(among, across, rank_tolerance)
        own = own * rearrange(gains, "(s c) 1 1 -> s c 1 1", c=channels)
        return cls(joint, own, bool(deficient | own_deficient.any()))


def _unit_energy_gains(correlations: Tensor, channels: int) -> Tensor:
    """Gains `(sources * channels, 1, 1)` that give the channels of each source unit energy together.

    Without them, a quiet source would pass for a linear dependence of loud ones.
    """
    energies = rearrange(correlations[..., 0].diagonal(), "(s c) -> s c", c=channels).sum(dim=1)
    gains = torch.where(energies > 0, energies.rsqrt(), 1)
    return gains.repeat_interleave(channels)[:, None, None]


@dataclass(frozen=True)
class Energies:
    """Energies over the channels and samples of each window.

    `s` is a reference, `e` an estimate, `p` the projection of `e` onto `s`, and `q` the projection of `e`
    onto all references. `paired` is 1 if each reference has its own estimate; see `Projections`.

    Attributes:
        reference: Energy of `s`, `(windows, sources)`.
        estimate: Energy of `e`, `(windows, sources)`.
        joint: Energy of `q`, `(windows, sources)`, by estimate.
        artefacts: Energy of `e - q`, `(windows, sources)`, by estimate.
        error: Energy of `e - s`, `(windows, sources, paired)`.
        spatial: Energy of `p - s`, `(windows, sources, paired)`.
        own: Energy of `p`, `(windows, sources, paired)`.
        interference: Energy of `q - p`, `(windows, sources, paired)`.
        distortion: Energy of `e - p`, `(windows, sources, paired)`.
    """

    reference: Tensor
    estimate: Tensor
    joint: Tensor
    artefacts: Tensor
    error: Tensor
    spatial: Tensor
    own: Tensor
    interference: Tensor
    distortion: Tensor

    @classmethod
    def concatenate(cls, parts: Sequence[Energies]) -> Energies:
        """Concatenate the energies of several parts along the windows."""
        return cls(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(cls)))


def measure_energies(
    references: Tensor, estimates: Tensor, projections: Projections, windows: Stretches
) -> Energies:
    """Project each window, and measure the energies.

    Windows of the references are cut out before the filters, so that the tails of the filters count.

    Args:
        references: `(sources, channels, samples)`.
        estimates: `(sources, channels, samples)`.
        projections: Filters.
        windows: Windows.
    """
    sources, channels, _ = references.shape
    paired = projections.own.shape[2] // channels
    grid = BlockGrid.of(projections.joint.shape[-1], windows.longest)
    filters = _FilterSpectra.of(projections, grid.size)
    single = torch.zeros(4, len(windows), sources, dtype=torch.float64, device=references.device)
    pairs = single.new_zeros(5, len(windows), sources, paired)
    match = "w (s c) t -> w s 1 c t" if paired == 1 else "w (z c) t -> w 1 z c t"
    for piece in grid.pieces(windows, windows.longest + grid.reach, 2 * sources * channels):
        cut = grid.cut(references, windows, piece, lead=grid.reach)
        q, p = filters.apply(cut.unfold(-1, grid.size, grid.hop))
        s = rearrange(cut[..., grid.reach :], "w (s c) t -> w s 1 c t", c=channels)
        cut = grid.cut(estimates, windows, piece, lead=grid.reach)
        e, q = rearrange(cut[..., grid.reach :], match, c=channels), rearrange(q, match, c=channels)
        p = rearrange(p, "w s (z c) t -> w s z c t", c=channels)
        single[:, piece.stretches] += torch.stack([_energy(x).flatten(1) for x in (s, e, q, e - q)])
        pairs[:, piece.stretches] += torch.stack([_energy(x) for x in (e - s, p - s, p, q - p, e - p)])
    return Energies(*single, *pairs)


def _energy(signals: Tensor) -> Tensor:
    return torch.linalg.vector_norm(signals, dim=(-2, -1)).square()


@dataclass(frozen=True)
class _FilterSpectra:
    """Fourier transforms of projection filters, stored for products at each frequency.

    Attributes:
        joint: `(frequency, references, estimates)`, by channels.
        own: `(frequency, sources, channels, paired * channels)`.
        size: Length of the transforms.
        reach: Invalid samples at the beginning of a block.
    """

    joint: Tensor
    own: Tensor
    size: int
    reach: int

    @classmethod
    def of(cls, projections: Projections, size: int) -> _FilterSpectra:
        joint = torch.fft.rfft(projections.joint, n=size)
        own = torch.fft.rfft(projections.own, n=size)
        return cls(
            rearrange(joint, "r e f -> f r e").contiguous(),
            rearrange(own, "s c e f -> f s c e").contiguous(),
            size,
            projections.joint.shape[-1] - 1,
        )

    def apply(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Filter overlapping blocks `(windows, references, blocks, size)`, and join the valid samples.

        Returns:
            Joint projections `(windows, estimates, samples)` and own ones
            `(windows, sources, paired * channels, samples)`.
        """
        windows = len(blocks)
        # Contiguous factors: otherwise PyTorch multiplies small matrices in a loop.
        spectra = rearrange(torch.fft.rfft(blocks), "w r b f -> f (w b) r").contiguous()
        joint = self._join(rearrange(spectra @ self.joint, "f (w b) e -> w e b f", w=windows))
        spectra = rearrange(spectra, "f n (s c) -> f s n c", s=self.own.shape[1]).contiguous()
        return joint, self._join(rearrange(spectra @ self.own, "f s (w b) e -> w s e b f", w=windows))

    def _join(self, spectra: Tensor) -> Tensor:
        blocks = torch.fft.irfft(spectra, n=self.size)[..., self.reach :]
        return rearrange(blocks, "... b t -> ... (b t)")
