"""SpectrogramNets with a recurrent network between their halves, and a variational one.

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
    """A bidirectional LSTM and two linear layers, along one axis of a spectrogram.

    Args:
        channels: Channels that come in; twice as many go out.
        size: Bins, or frames, of the other axis, which are features with the channels.
        axis: The axis whose points follow each other.
        recurrence: What the LSTM runs along: the "axis"; the items of the "batch", with the points beside
            each other; or nothing ("none"), every point being a sequence of its own.
        layers: Layers of the LSTM.
        hidden_size: Features inside, for each direction.
        dropout: Probability with which a feature between the layers is left out in training.
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
        """The points of the axis, `(batch, points, features)`, of what comes in."""
        return rearrange(coded, _SEQUENCES[self.axis])

    def recur(self, sequences: Tensor) -> Tensor:
        """What goes out for sequences `(batch, points, features)`."""
        if self.recurrence == "none":
            x = self.lstm(rearrange(sequences, "b n d -> (b n) 1 d"))[0]
            x = rearrange(x, "(b n) 1 d -> b n d", b=sequences.shape[0])
        else:
            x = self.lstm(sequences)[0]
        return rearrange(self.dense(x), _PLANES[self.axis], c=2 * self.channels)


class VariationalBottleneck(RecurrentBottleneck):
    """A `RecurrentBottleneck` that is given a draw from a normal distribution around what it would be given.

    In evaluation it is given the mean.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.mean = nn.Linear(self.features, self.features)
        self.log_deviation = nn.Linear(self.features, self.features)

    def forward(self, coded: Tensor) -> Tensor:
        """Map `(batch, channels, frequency, frames)` to `(batch, 2 * channels, frequency, frames)`."""
        return self.draw(*self.distribution(coded))

    def distribution(self, coded: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each `(batch, points, features)`, for what comes in."""
        sequences = self.sequences(coded)
        return self.mean(sequences), self.log_deviation(sequences).exp()

    def draw(self, mean: Tensor, deviation: Tensor) -> Tensor:
        """What goes out for a draw from a distribution, or for its mean in evaluation."""
        noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
        return self.recur(mean + noise * deviation)


class SpectrogramNetLSTM(SpectrogramNet):
    """A `SpectrogramNet` with an LSTM between its halves, which relates what is far apart.

    Args:
        recurrent_layers: Layers of the LSTM.
        hidden_size: Its features, for each direction.
        axis: The axis that it runs along; the other one is its features, with the channels. "frequency" takes
            a number of frames that is fixed by `num_frames`.
        recurrence: See `RecurrentBottleneck`.
        recurrent_dropout: Probability with which a feature between its layers is left out in training.
        unused_bottleneck: Keep the convolutions that the LSTM stands for, unused, as released; to load what
            was saved with them.
        **options: Arguments of `SpectrogramNet`.

    Raises:
        UsageError: The axis is "frequency", and any number of frames is to be taken.
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
    """A `SpectrogramNetLSTM` whose LSTM is given draws from a distribution that the way down describes.

    It is trained with `KLDivergence` beside a loss on what it makes. Only in training is anything drawn; in
    evaluation the LSTM is given the means.
    """

    bottleneck_class = VariationalBottleneck
    bottleneck: VariationalBottleneck

    def explain(self, spectrogram: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The masks of a spectrogram, and the distribution that they were drawn from.

        Returns:
            What `forward` gives, and mean and standard deviation, each `(batch, points, features)`.
        """
        coded, skips = self.encode(self.cut(spectrogram))
        mean, deviation = self.bottleneck.distribution(coded)
        masks = self.join(self.decode(self.bottleneck.draw(mean, deviation), skips), spectrogram)
        return masks, (_whole(mean, spectrogram), _whole(deviation, spectrogram))


def _whole(pieces: Tensor, spectrogram: Tensor) -> Tensor:
    """What belongs to the pieces of a spectrogram, `(pieces, points, features)`, by items."""
    return rearrange(pieces, "(b n) p d -> b (n p) d", b=spectrogram.shape[0])
