"""Conversions between complex spectrograms and the real representations of networks."""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from soloist.resources import is_captured

PlaneOrder = Literal["parts", "channels"]
"""Order of the planes of a stereo spectrogram: "parts" is [re L, re R, im L, im R], "channels" is
[re L, im L, re R, im R]."""


def complex_to_planes(coefficients: Tensor, order: PlaneOrder = "parts") -> Tensor:
    """Complex `(batch, channels, frequency, frames)` to real `(batch, 2 * channels, frequency, frames)`."""
    pattern = "b c f t part -> b (part c) f t" if order == "parts" else "b c f t part -> b (c part) f t"
    return rearrange(torch.view_as_real(coefficients), pattern)


def planes_to_complex(planes: Tensor, order: PlaneOrder = "parts") -> Tensor:
    """Real `(batch, 2 * channels, frequency, frames)` to complex `(batch, channels, frequency, frames)`."""
    pattern = "b (part c) f t -> b c f t part" if order == "parts" else "b (c part) f t -> b c f t part"
    parts = rearrange(planes, pattern, part=2)
    steps = parts.storage_offset(), *parts.stride()[:-1]
    if not is_captured() and parts.stride(-1) == 1 and all(step % 2 == 0 for step in steps):
        # With the channels next to each other in memory, the numbers are complex ones already.
        return torch.view_as_complex(parts)
    return torch.complex(*parts.unbind(-1))


def decibels(magnitudes: Tensor, floor: float = 1e-4) -> Tensor:
    """Levels of magnitudes in dB; smaller magnitudes than `floor` count as `floor`."""
    return 20 * magnitudes.clamp(min=floor).log10()


def with_phase_of(magnitudes: Tensor, coefficients: Tensor) -> Tensor:
    """Give real magnitudes the phase of complex coefficients of a shape that broadcasts with the magnitudes.

    The phase of a zero is 0, for either sign.
    """
    phase = coefficients.angle().masked_fill(coefficients == 0, 0)
    return torch.polar(magnitudes, phase.expand_as(magnitudes))
