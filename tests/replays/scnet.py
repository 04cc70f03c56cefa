"""SCNet as vectors record it: the network on waveforms, and a whole track that is normalised.

The original differs in this: a waveform is padded with zeros to an even number of frames; the mean of a
normalised track is added to every estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from replays.msst_cutting import demix, read_slices
from soloist.separators import SpectralSeparator
from soloist.zoo.importers.scnet import from_options, make_separator


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of an SCNet."""
    return config.get("system") == "scnet"


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Any]:
    """Rebuild the function that a vector records.

    A network maps `(batch, channels, samples)` to `(batch, sources, channels, samples)`; a whole track maps
    `(channels, samples)` to slices of its estimates, by their names.

    Raises:
        ModelError: The weights do not fit the settings.
    """
    model = {**config["kwargs"], "normalize_spectrum": config["class"] == "SCNetOfficial"}
    separator = make_separator(from_options({"model": model}, state), state)

    @torch.no_grad()
    def estimate(mixture: Tensor) -> Tensor:
        return _estimate_even_frames(separator, torch.as_tensor(mixture))

    if "yaml" not in config:
        return estimate
    audio, inference = config["yaml"]["audio"], config["yaml"]["inference"]

    def run(track: Tensor) -> dict[str, Tensor]:
        mono = track.mean(dim=0)
        mean, deviation = mono.mean(), mono.std(correction=0)
        estimates = demix(
            estimate,
            (track - mean) / deviation,
            audio["chunk_size"],
            inference["num_overlap"],
            inference["batch_size"],
        )
        slices = read_slices(estimates * deviation + mean, config["slices"])
        return {f"normalised/{name}": values for name, values in slices.items()}

    return run


def _estimate_even_frames(separator: SpectralSeparator, mixture: Tensor) -> Tensor:
    """Estimate from `(batch, channels, samples)`, padded by a sample or more to an even number of frames."""
    samples, hop = mixture.shape[-1], separator.transform.hop_length
    hops = samples // hop + 1
    hops += 1 - hops % 2
    return separator.estimate(pad(mixture, (0, hops * hop - samples)))[..., :samples]
