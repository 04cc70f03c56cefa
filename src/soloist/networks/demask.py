"""DeMask: masks of single frames by layers on their Fourier bins.

S. Cornell and M. Pariente, recipe "DeMask: speech enhancement for surgical masks" of asteroid, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.convolutions import Activation, make_activation
from soloist.networks.layers.normalization import NormScope, make_frame_norm

BinParts = Literal["magnitude", "parts", "both"]
"""Values of each bin: its magnitude; real and imaginary part; all three, the magnitude first."""

_SHARES = {"magnitude": 1, "parts": 2, "both": 3}
_FLOOR = 1e-8


class DeMask(MaskNetwork):
    """Masks of one source, for the features of a `FreeFilterbank` of Fourier filters.

    Args:
        num_bins: Bins from 0 Hz to half the sample rate, both included.
        hidden_sizes: Features of the layers between the first norm and the masks.
        seen: Values of each bin that the first layer sees.
        masked: "magnitude" for one mask for both parts of a bin, "parts" for one each.
        norm: Scope of the norms.
        hidden_activation: Activation between the layers.
        dropout: Dropout probability, in training.
        activation: Activation of the masks.

    Raises:
        UsageError: An option is unknown.
    """

    def __init__(
        self,
        num_bins: int = 257,
        hidden_sizes: Sequence[int] = (1024,),
        seen: BinParts = "magnitude",
        masked: Literal["magnitude", "parts"] = "magnitude",
        norm: NormScope = "global",
        hidden_activation: Activation = "relu",
        dropout: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        if seen not in get_args(BinParts) or masked not in ("magnitude", "parts"):
            raise UsageError(f"{seen!r} or {masked!r} is none of {', '.join(get_args(BinParts))}")
        self.seen, self.masked = seen, masked
        inputs = _SHARES[seen] * num_bins
        layers: list[nn.Module] = [make_frame_norm(norm, inputs)]
        for size in hidden_sizes:
            layers += [nn.Conv1d(inputs, size, 1), make_frame_norm(norm, size)]
            layers += [make_activation(hidden_activation), nn.Dropout(dropout)]
            inputs = size
        layers += [nn.Conv1d(inputs, _SHARES[masked] * num_bins, 1), make_activation(activation)]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, 2 * num_bins, frames)`, real parts first, to masks of a source.

        Returns:
            `(batch, 1, 2 * num_bins, frames)`.
        """
        masks = self.layers(self._represent(features))
        return (torch.cat([masks, masks], dim=1) if self.masked == "magnitude" else masks)[:, None]

    def _represent(self, features: Tensor) -> Tensor:
        if self.seen == "parts":
            return features
        real, imaginary = features.chunk(2, dim=1)
        magnitudes = (real.square() + imaginary.square() + _FLOOR).sqrt()
        return magnitudes if self.seen == "magnitude" else torch.cat([magnitudes, features], dim=1)
