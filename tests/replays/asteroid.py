"""Asteroid's models as vectors record them: waveforms of one to three axes to waveforms of the sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from soloist.zoo.importers.asteroid import from_args, make_separator


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of a network of this code base."""
    return config.get("system") == "asteroid" and "model_args" in config and "ola" not in config


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """Rebuild the function that a vector records.

    Returns:
        A map from `(samples,)` to `(sources, samples)`, or from `(batch, samples)` or `(batch, 1, samples)`
        to `(batch, sources, samples)`.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    name, args = config["class"], dict(config["model_args"])
    if "architecture" in args:
        # Published tables with fewer channels, which the weights tell.
        args["architecture"] = args["architecture"].removesuffix("-narrow")
    separator = make_separator(name, from_args(name, args, state), state)

    @torch.no_grad()
    def separate(audio: Tensor) -> Tensor:
        audio = torch.as_tensor(audio)
        mixture = audio.reshape(-1, 1, audio.shape[-1])
        estimates = separator.synthesize(mixture)[:, :, 0]
        return estimates[0] if audio.ndim == 1 else estimates

    return separate
