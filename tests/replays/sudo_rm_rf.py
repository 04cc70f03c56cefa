"""SuDoRM-RF in all its variants, and its mixture consistency.

The authors' code differs in this: the original variant fails for some kernels and lengths; the attentive one
always has four heads of 256 channels, and ends at 5000 frames of its second resolution; estimates of several
channels have one axis of sources and channels; silence may give noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from soloist.estimation import ConsistencyWeights, project_onto_mixture
from soloist.zoo.importers.sudo_rm_rf import VARIANTS, make_separator

_CONSISTENCY = "mixture_consistency"


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of this code base."""
    return config.get("system") in (*VARIANTS, _CONSISTENCY)


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild the function that a vector records.

    Returns:
        For a network: audio `(batch, channels, samples)` to estimates `(batch, sources * channels, samples)`.
        For mixture consistency: estimates `(batch, sources, samples)` and mixture `(batch, 1, samples)`, as a
        dict or a list of both, to a dict keyed by the kind of weights.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    if config["system"] == _CONSISTENCY:
        return _consistency
    separator = make_separator(config, state)

    @torch.no_grad()
    def separate(mixture: Tensor) -> Tensor:
        return rearrange(separator.synthesize(torch.as_tensor(mixture)), "b s c t -> b (s c) t")

    return separate


def _consistency(signals: Mapping[str, Tensor] | Sequence[Tensor]) -> dict[str, Tensor]:
    """Project estimates `(batch, sources, samples)` onto a mixture `(batch, 1, samples)`, in each way."""
    if isinstance(signals, Mapping):
        signals = [signals["estimates"], signals["mixture"]]
    estimates, mixture = (torch.as_tensor(signal) for signal in signals)

    def project(estimates: Tensor, weights: ConsistencyWeights) -> Tensor:
        return project_onto_mixture(estimates[:, :, None], mixture, weights)[:, :, 0]

    return {
        "uniform": project(estimates, "uniform"),
        "magsq": project(estimates, "magsq"),
        "magsq_all_zero": project(torch.zeros_like(estimates), "magsq"),
    }
