"""TasNet: masks for the features of a filterbank by a stack of LSTMs.

Luo and Mesgarani, "TasNet: Time-domain audio separation network for real-time, single-channel speech
separation", ICASSP 2018.
"""

from __future__ import annotations

from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.mask_head import MaskActivation, MaskHead
from soloist.networks.layers.normalization import NormScope, make_frame_norm
from soloist.networks.layers.recurrence import Cell, make_rnn


class TasNet(MaskNetwork):
    """Masks by recurrent layers over frames, which are normalised one by one.

        features - norm - pair of layers -+- pair of layers - + - ... - masks
                                          +-------------------^

    A skip connection bypasses each pair of layers but the first. Asteroid's LSTM-TasNet has none, and
    normalises over all frames, or over those so far.

    Args:
        num_filters: Filters of the filterbank.
        hidden_size: Features of a layer, for each direction; as published, 500 in two or 1000 in one.
        layers: Recurrent layers, an even number with skip connections.
        num_outputs: Channels of all sources.
        cell: "lstm" or "gru".
        bidirectional: Run in both directions of time.
        dropout: Dropout probability between the two layers of a pair, or all layers without connections.
        activation: Activation of the masks: "softmax" over the outputs as published, "sigmoid", or "relu".
        norm: Frames that a frame is normalised over: itself ("frame"), those so far ("cumulative"), or all
            ("global").
        skips: False for no skip connections.

    Raises:
        UsageError: The number of layers is odd, or the cell or the activation is unknown.
    """

    def __init__(
        self,
        num_filters: int = 500,
        hidden_size: int = 500,
        layers: int = 4,
        num_outputs: int = 2,
        cell: Cell = "lstm",
        bidirectional: bool = True,
        dropout: float = 0.0,
        activation: MaskActivation = "softmax",
        norm: NormScope = "frame",
        skips: bool = True,
    ) -> None:
        super().__init__()
        if layers < 1 or (skips and layers % 2):
            raise UsageError(f"layers {layers} must be an even number: pairs of them have a skip connection")
        features = (1 + bidirectional) * hidden_size
        by_frame = norm == "frame"
        self.norm = nn.LayerNorm(num_filters, eps=1e-8) if by_frame else make_frame_norm(norm, num_filters)
        depth = 2 if skips else layers
        self.pairs = nn.ModuleList(
            make_rnn(cell, inputs, hidden_size, layers=depth, bidirectional=bidirectional, dropout=dropout)
            for inputs in [num_filters] + [features] * (layers // depth - 1)
        )
        self.masks = MaskHead(features, num_filters, num_outputs, activation)
        self.causal = not bidirectional and norm != "global"

    @property
    def lookahead(self) -> int | None:
        """Frames of look-ahead: 0 for layers of one direction and norms of the past; None otherwise."""
        return 0 if self.causal else None

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to masks `(batch, outputs, filters, frames)`."""
        first, *others = self.pairs
        normalized = (
            self.norm(features.transpose(1, 2))
            if isinstance(self.norm, nn.LayerNorm)
            else self.norm(features).transpose(1, 2)
        )
        x, _ = first(normalized)
        for pair in others:
            residual, _ = pair(x)
            x = x + residual
        return self.masks(x.transpose(1, 2))
