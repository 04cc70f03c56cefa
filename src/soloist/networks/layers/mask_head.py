"""Last layer of mask networks: from the features of each frame to masks."""

from __future__ import annotations

from typing import Literal, get_args

from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.frames import FrameConv

MaskActivation = Literal["sigmoid", "relu", "softmax"]


class MaskHead(nn.Module):
    """Linear layer and activation, from the channels of a frame to masks for its filters.

    Args:
        channels: Channels of a frame.
        num_filters: Filters of the filterbank.
        num_outputs: Channels of all sources.
        activation: "sigmoid" for masks in [0, 1], "relu" for masks from 0 up, "softmax" for masks that sum
            to one over the outputs.

    Raises:
        UsageError: The activation is unknown.
    """

    def __init__(
        self, channels: int, num_filters: int, num_outputs: int, activation: MaskActivation = "sigmoid"
    ) -> None:
        super().__init__()
        if activation not in get_args(MaskActivation):
            raise UsageError(f"activation {activation!r} is none of {', '.join(get_args(MaskActivation))}")
        self.num_outputs = num_outputs
        self.activation = activation
        self.linear = FrameConv(channels, num_outputs * num_filters, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)` to masks `(batch, outputs, filters, frames)`."""
        logits = rearrange(self.linear(x), "b (o n) t -> b o n t", o=self.num_outputs)
        if self.activation == "softmax":
            return logits.softmax(dim=1)
        return logits.sigmoid_() if self.activation == "sigmoid" else logits.relu_()
