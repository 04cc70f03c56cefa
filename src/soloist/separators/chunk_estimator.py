"""Adapters between a stream of chunks and an estimator: silence, level, channels."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from soloist.estimation import align_sources
from soloist.separators.chunked_separation import Estimate
from soloist.separators.level import Level
from soloist.separators.separator import Separator


def make_estimate(
    separator: Separator, engine: Estimate, level: Level | None = None, *, follows: bool = False
) -> Estimate:
    """Estimator of batches of chunks with any number of channels.

    Args:
        separator: The separator.
        engine: Runs the separator's network.
        level: Level of the whole track, for a separator that is normalised by the track.
        follows: True if the engine follows the sources of one recording: it takes consecutive chunks with any
            multiple of the separator's channels.
    """
    grouped = engine if follows else _in_groups(engine, separator.channels, separator.ordered)
    adapted = _with_channels(grouped, separator.channels)
    leveled = _with_level(adapted, separator, level)
    return _with_silence(leveled, len(separator.sources), outside_of(separator, level))


def outside_of(separator: Separator, level: Level | None) -> float:
    """Value of samples beyond the track that normalisation makes zero, as the separator expects there."""
    return 0.0 if level is None or separator.normalization != "track" else float(level.mean.flatten()[0])


def _with_silence(estimate: Estimate, num_sources: int, outside: float) -> Estimate:
    """Return silence for silent chunks without running the engine."""

    def gated(mixture: Tensor) -> Tensor:
        zero = mixture.eq(0).flatten(1)
        silent = zero.all(dim=1)
        if outside:
            # Silence with context beyond the track; a track of nothing but its mean is no silence.
            beyond = mixture.eq(torch.tensor(outside, dtype=mixture.dtype)).flatten(1)
            silent |= (zero | beyond).all(dim=1) & zero.any(dim=1)
        sounding = ~silent
        if sounding.all():
            return estimate(mixture)
        estimates = mixture.new_zeros(mixture.shape[0], num_sources, *mixture.shape[1:])
        if sounding.any():
            estimates[sounding] = estimate(mixture[sounding])
        return estimates

    return gated


def _with_level(estimate: Estimate, separator: Separator, level: Level | None) -> Estimate:
    if separator.normalization == "none":
        return estimate

    def normalized(mixture: Tensor) -> Tensor:
        whole = level if separator.normalization == "track" else None
        used = whole or Level.of(mixture)
        return used.restore(estimate(used.normalize(mixture)), separator.mean_share)

    return normalized


def _with_channels(estimate: Estimate, channels: int) -> Estimate:
    """Adapt an estimator of multiples of `channels` channels to any number of channels.

    The last channel is repeated up to the next multiple, and its estimates are averaged.
    """

    def adapted(mixture: Tensor) -> Tensor:
        present = mixture.shape[1]
        copies = (-present) % channels
        if not copies:
            return estimate(mixture)
        estimates = estimate(torch.cat([mixture, mixture[:, -1:].expand(-1, copies, -1)], dim=1))
        last = estimates[:, :, present - 1 :].mean(dim=2, keepdim=True)
        return torch.cat([estimates[:, :, : present - 1], last], dim=2)

    return adapted


def _in_groups(engine: Estimate, channels: int, ordered: bool) -> Estimate:
    """Run a separator of `channels` channels on each group of so many channels."""

    def grouped(mixture: Tensor) -> Tensor:
        groups = mixture.shape[1] // channels
        if groups == 1:
            return engine(mixture)
        estimates = engine(rearrange(mixture, "b (g c) t -> (b g) c t", c=channels))
        estimates = rearrange(estimates, "(b g) s c t -> g b s c t", g=groups)
        if not ordered:
            everything = slice(0, mixture.shape[-1])
            shared = estimates[0].mean(dim=2, keepdim=True).expand_as(estimates[0])
            aligned = [align_sources(group, shared, everything) for group in estimates[1:]]
            estimates = torch.stack([estimates[0], *aligned])
        return rearrange(estimates, "g b s c t -> b s (g c) t")

    return grouped
