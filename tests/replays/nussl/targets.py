"""Training targets of nussl's networks.

A point that several sources share equally belongs to none of them (in Soloist to the first). The loudest
source of a phase-sensitive target is that of the largest phase-sensitive magnitude.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from replays.nussl.oracles import double_stft
from soloist.errors import ModelError
from soloist.losses import DeepClustering
from soloist.losses.coefficients import phase_sensitive_ratio


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of nussl's training targets."""
    return str(config.get("system", "")).startswith("nussl") and config.get("kind") == "tf_transforms"


def from_reference(
    config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """Rebuild the targets of a vector.

    Args:
        config: `stft`: [window length, hop length, window].
        state: Empty; targets have no weights.

    Returns:
        A callable on the mixture `(channels, samples)` and the sources `(sources, channels, samples)` that
        returns, with axes (frequency, frames, channels, sources), the magnitudes of the mixture, those of the
        sources, their ideal binary masks, and the weights of points.

    Raises:
        ModelError: nussl has no such window.
    """
    if state:
        raise ModelError(f"targets of nussl have no weights, but were given {sorted(state)[0]}")
    stft = double_stft(*config["stft"])

    def targets(mixture: Tensor, sources: Tensor) -> dict[str, Tensor]:
        # In double precision, because rounding decides which source is the loudest.
        whole, parts = (stft(torch.as_tensor(audio).double()) for audio in (mixture[None], sources))
        in_phase = phase_sensitive_ratio(whole, parts) * whole.abs()
        weights = DeepClustering("magnitude").weigh(whole.abs().flatten(1)) / len(mixture) ** 0.5
        made = {
            "msa/mix_magnitude": whole.abs(),
            "msa/source_magnitudes": parts.abs(),
            "msa/ideal_binary_mask": _loudest(parts.abs()),
            "msa/weights": weights.view_as(whole),
            "psa/source_magnitudes": in_phase,
            "psa/ideal_binary_mask": _loudest(in_phase),
        }
        alone = ("msa/mix_magnitude", "msa/weights")
        return {
            name: rearrange(value, "1 c f t -> f t c" if name in alone else "s c f t -> f t c s").float()
            for name, value in made.items()
        }

    return targets


def _loudest(magnitudes: Tensor) -> Tensor:
    """Mask of ones for the points of `(sources, ...)` at which a source is louder than all others."""
    most = magnitudes == magnitudes.amax(dim=0)
    return (most & (most.sum(dim=0) == 1)).to(magnitudes.dtype)
