"""Convolutional recurrent network: masks by convolutions along frequency around recurrences over frames.

    log magnitudes - convolutions - 1 x 1 - LSTMs - linear - 1 x 1 - transposed convolutions - sigmoid - mask
                          |                                                 (+)
                          +--------------------------------------------------^

K. Tan and D. Wang, "A convolutional recurrent neural network for real-time speech enhancement", Interspeech
2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.carry import Carry
from soloist.networks.layers.contracts import SpectralNetwork, State
from soloist.networks.layers.convolutions import ConvNorm

_FLOOR = 1e-3
"""Least magnitude whose logarithm is taken: about that of the noise of 16-bit samples."""

_ACTIVATIONS = {"prelu": nn.PReLU, "relu": nn.ReLU}


class ConvRecurrentNetwork(SpectralNetwork):
    """Real mask of one source, from the magnitudes of one channel.

    Smaller than the paper's: strides are longer and channels fewer, and what the recurrences need not hear
    goes past them.

    Args:
        num_bins: Frequencies from 0 Hz to half the sample rate, both included.
        channels: Channels of each convolution.
        kernels: Taps of each convolution along frequency, odd.
        strides: Bins or bands that become one in each convolution.
        frames: Taps of each convolution along time, of this frame and those before.
        squeezed: Channels that the recurrences hear, of each band of the last convolution.
        hidden_size: Features of an LSTM.
        layers: Number of LSTMs.
        dropout: Dropout probability between the LSTMs.
        activation: "prelu", or "relu", which trains a sixth faster.

    Raises:
        UsageError: There are not as many kernels and strides as channels, the bins do not fit the strides, or
            the activation is unknown.
    """

    def __init__(
        self,
        num_bins: int = 257,
        channels: Sequence[int] = (16, 32),
        kernels: Sequence[int] = (9, 5),
        strides: Sequence[int] = (4, 2),
        frames: int = 2,
        squeezed: int = 8,
        hidden_size: int = 152,
        layers: int = 2,
        dropout: float = 0.0,
        activation: Literal["prelu", "relu"] = "prelu",
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise UsageError(f"activation {activation!r} is none of {', '.join(_ACTIVATIONS)}")
        activate = _ACTIVATIONS[activation]
        if not len(channels) == len(kernels) == len(strides) >= 1:
            raise UsageError("channels, kernels and strides must be as many, at least one each")
        self.past = frames - 1
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        inputs, bands = 1, num_bins
        for outputs, kernel, stride in zip(channels, kernels, strides, strict=True):
            if (bands - 1) % stride or not kernel % 2:
                raise UsageError(
                    f"{num_bins} bins, less one, must be divisible by the strides, and kernels be odd"
                )
            down = nn.Conv2d(inputs, outputs, (frames, kernel), (1, stride), (0, kernel // 2))
            self.down.append(nn.Sequential(ConvNorm(down), activate()))
            up = nn.ConvTranspose2d(outputs, inputs, (1, kernel), (1, stride), (0, kernel // 2))
            # The first one, which comes last, makes the mask.
            last = not len(self.up)
            self.up.insert(0, up if last else nn.Sequential(ConvNorm(up), activate()))
            inputs, bands = outputs, (bands - 1) // stride + 1
        self.squeeze = nn.Sequential(ConvNorm(nn.Conv2d(inputs, squeezed, 1)), activate())
        self.rnn = nn.LSTM(squeezed * bands, hidden_size, layers, batch_first=True, dropout=dropout)
        self.linear = nn.Linear(hidden_size, squeezed * bands)
        self.widen = nn.Sequential(ConvNorm(nn.Conv2d(squeezed, inputs, 1)), activate())

    @property
    def lookahead(self) -> int:
        """Frames of look-ahead: 0."""
        return 0

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Estimate a mask from magnitudes `(batch, 1, num_bins, frames)`.

        Returns:
            Mask `(batch, 1, num_bins, frames)`, in [0, 1].
        """
        return self.step(spectrogram)[0]

    def step(self, frames: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Estimate the mask of the next frames; see `Streaming`."""
        carry = Carry(state)
        x = frames.transpose(2, 3).clamp(min=_FLOOR).log10()
        skips = []
        for block in self.down:
            x = block(carry.prepend(x, self.past))
            skips.append(x)
        squeezed = self.squeeze(x)
        bands = squeezed.shape[3]
        heard = carry.recur(self.rnn, rearrange(squeezed, "b c t f -> b t (c f)"))
        x = self.widen(rearrange(self.linear(heard), "b t (c f) -> b c t f", f=bands))
        for block in self.up:
            x = block(x + skips.pop())
        return x.sigmoid().transpose(2, 3), carry.state
