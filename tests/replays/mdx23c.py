"""MDX23C as vectors record it: the network on waveforms, and whole tracks cut in three ways.

The original differs in this: a waveform loses its samples beyond the last whole hop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from replays.msst_cutting import demix, read_slices, sdx23_demix
from soloist.separators import SpectralSeparator
from soloist.zoo.importers.mdx23c import from_options, make_separator


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of an MDX23C."""
    return config.get("system") == "mdx23c" and config.get("class") == "TFC_TDF_net"


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Any]:
    """Rebuild the function that a vector records.

    A network maps `(batch, channels, samples)` to `(batch, sources, channels, samples)`; a whole track maps
    `(channels, samples)` to slices of its estimates, by their names.

    Raises:
        ModelError: The weights do not fit the settings.
    """
    separator = make_separator(from_options(config["kwargs"]["config"]), state)

    @torch.no_grad()
    def estimate(mixture: Tensor) -> Tensor:
        return _estimate_whole_hops(separator, torch.as_tensor(mixture))

    if "yaml" not in config:
        return estimate
    if "overlap" in config:
        audio = config["yaml"]["audio"]
        chunk = audio["hop_length"] * (audio["dim_t"] - 1)
        return lambda track: read_slices(
            sdx23_demix(estimate, track, chunk, config["overlap"]), config["slices"]
        )

    def run(track: Tensor) -> dict[str, Tensor]:
        inference = config["yaml"]["inference"]
        chunk = config["yaml"]["audio"]["chunk_size"]
        runs = {
            "batch1": demix(estimate, track, chunk, inference["num_overlap"], 1),
            "batch3": demix(estimate, track, chunk, inference["num_overlap"], 3),
            "sdx23_cutting": sdx23_demix(estimate, track, chunk, inference["num_overlap"]),
        }
        return {
            f"{name}/{part}": values
            for name, estimates in runs.items()
            for part, values in read_slices(estimates, config["slices"]).items()
        }

    return run


def _estimate_whole_hops(separator: SpectralSeparator, mixture: Tensor) -> Tensor:
    """Estimate from a mixture `(batch, channels, samples)` without frames beyond its last whole hop."""
    transform = separator.transform
    hops = mixture.shape[-1] // transform.hop_length
    # Reflected here, because Soloist's transform completes the last hop.
    padded = pad(mixture, (0, transform.n_fft // 2), mode="reflect")
    coefficients = transform(padded)[..., : hops + 1]
    estimates = separator.estimate_coefficients(coefficients)
    return separator.synthesize(estimates, hops * transform.hop_length)
