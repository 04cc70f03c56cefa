"""SpectrogramNets with a recurrent or a variational bottleneck.

K. Zohoury, "Auralflow: A lightweight BSS model toolkit for PyTorch", 2022.
D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.spectrogram_net import LEVELS, SpectrogramNet

Axis = Literal["time", "frequency"]
Recurrence = Literal["axis", "batch", "none"]

_SEQUENCES = {"time": "b c f t -> b t (c f)", "frequency": "b c f t -> b f (c t)"}
_PLANES = {"time": "b t (c f) -> b c f t", "frequency": "b f (c t) -> b c f t"}


class RecurrentBottleneck(nn.Module):
    """Bidirectional LSTM and two linear layers, along one axis of a spectrogram.

    Args:
        channels: Input channels; the output has twice as many.
        size: Points of the other axis, which are features together with the channels.
        axis: Axis of the sequence.
        recurrence: Direction of the LSTM: along the "axis"; along the items of the "batch", as released; or
            "none", with each point a sequence of its own.
        layers: Layers of the LSTM.
        hidden_size: Features of the LSTM, for each direction.
        dropout: Dropout probability between the layers.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        axis: Axis = "time",
        recurrence: Recurrence = "axis",
        layers: int = 3,
        hidden_size: int = 1024,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.features = channels * size
        self.axis: Axis = axis
        self.recurrence: Recurrence = recurrence
        self.lstm = nn.LSTM(
            self.features,
            hidden_size,
            num_layers=layers,
            bidirectional=True,
            batch_first=recurrence != "batch",
            dropout=dropout if layers > 1 else 0.0,
        )
        self.dense = nn.Sequential(
            nn.Linear(2 * hidden_size, hidden_size),
            nn.SELU(),
            nn.Linear(hidden_size, 2 * self.features),
            nn.SELU(),
        )

    def forward(self, coded: Tensor) -> Tensor:
        """Map `(batch, channels, frequency, frames)` to `(batch, 2 * channels, frequency, frames)`."""
        return self.recur(self.sequences(coded))

    def sequences(self, coded: Tensor) -> Tensor:
        """Turn `(batch, channels, frequency, frames)` into sequences `(batch, points, features)`."""
        return rearrange(coded, _SEQUENCES[self.axis])

    def recur(self, sequences: Tensor) -> Tensor:
        """Map sequences `(batch, points, features)` to `(batch, 2 * channels, frequency, frames)`."""
        if self.recurrence == "none":
            x = self.lstm(rearrange(sequences, "b n d -> (b n) 1 d"))[0]
            x = rearrange(x, "(b n) 1 d -> b n d", b=sequences.shape[0])
        else:
            x = self.lstm(sequences)[0]
        return rearrange(self.dense(x), _PLANES[self.axis], c=2 * self.channels)


class VariationalBottleneck(RecurrentBottleneck):
    """Recurrent bottleneck whose input is drawn from a normal distribution; in evaluation, its mean."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.mean = nn.Linear(self.features, self.features)
        self.log_deviation = nn.Linear(self.features, self.features)

    def forward(self, coded: Tensor) -> Tensor:
        """Map `(batch, channels, frequency, frames)` to `(batch, 2 * channels, frequency, frames)`."""
        return self.draw(*self.distribution(coded))

    def distribution(self, coded: Tensor) -> tuple[Tensor, Tensor]:
        """Map `(batch, channels, frequency, frames)` to mean and deviation `(batch, points, features)`."""
        sequences = self.sequences(coded)
        return self.mean(sequences), self.log_deviation(sequences).exp()

    def draw(self, mean: Tensor, deviation: Tensor) -> Tensor:
        """Draw from a distribution `(batch, points, features)`, or take its mean in evaluation, and recur.

        Returns:
            `(batch, 2 * channels, frequency, frames)`.
        """
        noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
        return self.recur(mean + noise * deviation)


class SpectrogramNetLSTM(SpectrogramNet):
    """`SpectrogramNet` with an LSTM as bottleneck, for long-range dependencies.

    Args:
        recurrent_layers: Layers of the LSTM.
        hidden_size: Features of the LSTM, for each direction.
        axis: Axis of the LSTM; the other axis and the channels are its features. "frequency" needs
            `num_frames`.
        recurrence: See `RecurrentBottleneck`.
        recurrent_dropout: Dropout probability between the layers of the LSTM.
        unused_bottleneck: Keep the convolutional bottleneck, unused, as in released weights.
        **options: Arguments of `SpectrogramNet`.

    Raises:
        UsageError: The axis is "frequency", and `num_frames` is None.
    """

    bottleneck_class: type[RecurrentBottleneck] = RecurrentBottleneck

    def __init__(
        self,
        channels: int = 1,
        num_sources: int = 1,
        *,
        recurrent_layers: int = 3,
        hidden_size: int = 1024,
        axis: Axis = "time",
        recurrence: Recurrence = "axis",
        recurrent_dropout: float = 0.3,
        unused_bottleneck: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(channels, num_sources, **options)
        length = self.num_bins if axis == "time" else self.num_frames
        if length is None:
            raise UsageError(
                "an LSTM along the frequency axis has frames as features: say how many (num_frames)"
            )
        self.unused = self.bottleneck if unused_bottleneck else None
        self.bottleneck = self.bottleneck_class(
            self.widths[-2],
            length // 2**LEVELS,
            axis=axis,
            recurrence=recurrence,
            layers=recurrent_layers,
            hidden_size=hidden_size,
            dropout=recurrent_dropout,
        )


class SpectrogramNetVAE(SpectrogramNetLSTM):
    """`SpectrogramNetLSTM` with a variational bottleneck.

    Train it with the sum of `KLDivergence` and a loss on the estimates. In evaluation the mean replaces the
    draw.
    """

    bottleneck_class = VariationalBottleneck
    bottleneck: VariationalBottleneck

    def explain(self, spectrogram: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Estimate masks from magnitudes `(batch, channels, num_bins, frames)`, and return the distribution.

        Returns:
            Masks as of `forward`; mean and standard deviation, each `(batch, points, features)`.
        """
        coded, skips = self.encode(self.cut(spectrogram))
        mean, deviation = self.bottleneck.distribution(coded)
        masks = self.join(self.decode(self.bottleneck.draw(mean, deviation), skips), spectrogram)
        return masks, (_whole(mean, spectrogram), _whole(deviation, spectrogram))


def _whole(pieces: Tensor, spectrogram: Tensor) -> Tensor:
    """Join `(pieces, points, features)` of the pieces of a spectrogram to `(batch, points, features)`."""
    return rearrange(pieces, "(b n) p d -> b (n p) d", b=spectrogram.shape[0])
