"""SepFormer and RE-SepFormer as vectors record them: `(batch, samples)` to `(batch, samples, speakers)`.

The memory of the original's RE-SepFormer attends to the segments of all recordings of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from soloist.networks import ResourceEfficientSepFormer
from soloist.zoo.importers.speechbrain import from_settings, make_separator

_PARTS = {
    "Dual_Path_Model": ("SBtfintra", "SBtfinter"),
    "ResourceEfficientSeparator": ("intra_mdl", "mem_mdl"),
}


class _Leaking(ResourceEfficientSepFormer):
    """Network whose memory sees the batch as one recording."""

    def remember(self, stage: int, means: Tensor) -> Tensor:
        """Map the means of all items as one sequence."""
        return super().remember(stage, means.flatten(0, 1)[None]).view_as(means)


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of this code base."""
    return config.get("system") == "sepformer"


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """Rebuild the function that a vector records.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    kwargs = config["kwargs"]
    intra, inter = (_plain(kwargs[part]) for part in _PARTS[config["class"]])
    settings = {"masknet": {**kwargs["MaskNet"], "intra": intra, "inter": inter}}
    separator = make_separator(from_settings(settings, state), state)
    if isinstance(separator.network, ResourceEfficientSepFormer):
        separator.network.__class__ = _Leaking

    @torch.no_grad()
    def separate(audio: Tensor) -> Tensor:
        return separator.synthesize(torch.as_tensor(audio)[:, None])[:, :, 0].transpose(1, 2)

    return separate


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a transformer, with its activation by the last part of its name."""
    return {
        key: str(value).rpartition(".")[2].lower() if key == "activation" else value
        for key, value in settings.items()
    }
