"""GTCRN, UL-UNAS and DTLN as vectors record them.

The originals differ in this: GTCRN and UL-UNAS lose what is behind the last whole hop, which UL-UNAS fills
with zeros; DTLN pads nothing, so that the ends lie in fewer frames, and the last samples in none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from soloist.networks import UnasBlock
from soloist.transforms.learned_filterbank import overlap_add
from soloist.zoo.importers import dtln, gtcrn, ul_unas

_KINDS = ("full", "separable", "inverted")


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of these networks."""
    return config.get("system") in ("gtcrn", "ulunas", "dtln")


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Any]:
    """Rebuild the function that a vector records: waveforms `(batch, samples)` to the speech in them.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    tensors = {name: torch.as_tensor(value) for name, value in state.items()}
    make = {"gtcrn": _gtcrn, "ulunas": _ulunas, "dtln": _dtln}[config["system"]]
    return torch.no_grad()(make(config["kwargs"], tensors))


def _gtcrn(kwargs: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], dict[str, Tensor]]:
    separator = gtcrn.make_separator(gtcrn.CONFIG, state)

    def run(audio: Tensor) -> dict[str, Tensor]:
        audio = torch.as_tensor(audio)[:, None]
        hops = audio.shape[-1] // 256
        spectrum = separator.estimate_coefficients(separator.transform(audio))[:, 0, 0, :, : hops + 1]
        return {
            "spectrum": torch.view_as_real(spectrum),
            "wave": separator.estimate(audio)[:, 0, 0, : 256 * hops],
        }

    return run


def _ulunas(kwargs: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    separator = ul_unas.make_separator(ul_unas.from_blocks(ul_unas.blocks_of(state)), state)
    if kwargs:
        # The table that the importer reads from names and shapes is that of the vector.
        rows = zip(*(kwargs[key] for key in ("types", "channels", "kernels", "groups")), strict=True)
        strides = [2, 2, 1, 1, 1]
        table = [
            UnasBlock(_KINDS[kind], channels, tuple(kernel), stride, groups)
            for (kind, channels, kernel, groups), stride in zip(rows, strides, strict=True)
        ]
        assert ul_unas.blocks_of(state) == table

    def run(audio: Tensor) -> Tensor:
        audio = torch.as_tensor(audio)[:, None]
        whole = audio.shape[-1] // 256 * 256
        return pad(separator.estimate(audio)[:, 0, 0, :whole], (0, audio.shape[-1] - whole))

    return run


def _dtln(kwargs: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    length, hop = kwargs.get("frame_len", 512), kwargs.get("frame_hop", 128)
    network = dtln.make_separator(dtln.from_sizes(length, hop), state).network

    def run(audio: Tensor) -> Tensor:
        frames = torch.as_tensor(audio).unfold(-1, length, hop).transpose(1, 2)
        estimate = overlap_add(network(frames), hop)[:, 0]
        return pad(estimate, (0, audio.shape[-1] - estimate.shape[-1]))

    return run
