"""Recurrent networks on spectrograms: masks or embeddings of each point.

    spectrogram - normalisation - (mel bands) - LSTM or GRU, several layers - linear - (bins) - planes

Networks of deep clustering [1], of mask inference, and of both together (chimera) [2].

[1] J. R. Hershey, Z. Chen, J. Le Roux and S. Watanabe, "Deep clustering: Discriminative embeddings for
    segmentation and separation", ICASSP 2016.
[2] Y. Luo, Z. Chen, J. R. Hershey, J. Le Roux and N. Mesgarani, "Deep clustering and conventional networks
    for music separation: Stronger together", ICASSP 2017.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import Activation, make_activation
from soloist.networks.layers.mel import MelProjection
from soloist.networks.layers.normalization import InputNorm, InputNormalization
from soloist.networks.layers.recurrence import Cell, make_rnn


class RecurrentNetwork(SpectralNetwork):
    """Recurrent layers and a linear one, from the frames of a spectrogram to masks or embeddings.

    Args:
        inputs: Planes of the spectrogram, such as the channels of the mixture.
        outputs: Planes of the output: masks, the first source first, or embeddings.
        num_bins: Frequencies of the spectrogram.
        hidden_size: Recurrent features of a frame, for each direction.
        layers: Recurrent layers.
        cell: "lstm" or "gru".
        bidirectional: Run in both directions of time.
        dropout: Dropout probability between the recurrent layers.
        normalization: Normalisation of the input to zero mean and unit deviation: "none"; by statistics of
            the training over all points ("batch") or for each bin ("bins"), with a learned gain and shift; or
            by statistics of the item, without gain and shift ("instance").
        mel: Projection of the input onto mel bands. If None, the input is the bins.
        mel_outputs: Make the output planes of mel bands, and project them back to bins.
        activation: Output activation. "softmax" is over the sources, so that their masks sum to one; each
            source then has as many planes as the input.

    Raises:
        UsageError: The cell, the normalisation or the activation is unknown, or sizes do not fit.
    """

    full_precision: ClassVar[tuple[str, ...]] = ("head",)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        num_bins: int,
        hidden_size: int = 600,
        layers: int = 4,
        cell: Cell = "lstm",
        bidirectional: bool = True,
        dropout: float = 0.3,
        normalization: InputNormalization = "batch",
        mel: MelProjection | None = None,
        mel_outputs: bool = False,
        activation: Activation | Literal["softmax"] = "identity",
    ) -> None:
        super().__init__()
        _check(inputs, outputs, num_bins, mel, mel_outputs, activation)
        self.num_bins = num_bins
        self.normalization: nn.Module = (
            nn.Identity() if normalization == "none" else InputNorm(normalization, num_bins)
        )
        self.mel = mel
        self.mel_outputs = mel_outputs
        seen = num_bins if mel is None else mel.num_mels
        self.rnn = make_rnn(
            cell, inputs * seen, hidden_size, layers=layers, bidirectional=bidirectional, dropout=dropout
        )
        self.made = seen if mel_outputs else num_bins
        self.head = nn.Linear((1 + bidirectional) * hidden_size, outputs * self.made)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        softmax = nn.Softmax(dim=1)
        self.activation = softmax if activation == "softmax" else make_activation(activation)
        self.causal = not bidirectional and normalization != "instance"

    @property
    def lookahead(self) -> int | None:
        """Frames of look-ahead: 0 for one direction without "instance" normalisation; None otherwise."""
        return 0 if self.causal else None

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map a spectrogram `(batch, inputs, num_bins, frames)` to `(batch, outputs, num_bins, frames)`.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        inputs, num_bins = spectrogram.shape[1:3]
        if num_bins != self.num_bins:
            raise UsageError(f"the network is made for {self.num_bins} bins and was given {num_bins}")
        x = self.normalization(spectrogram)
        x = x if self.mel is None else self.mel(x)
        features, _ = self.rnn(rearrange(x, "b c f t -> b t (c f)"))
        planes = rearrange(self.head(features), "b t (o f) -> b o f t", f=self.made)
        if self.mel is not None and self.mel_outputs:
            planes = self.mel.inverse(planes)
        if not isinstance(self.activation, nn.Softmax):
            return self.activation(planes)
        masks = self.activation(rearrange(planes, "b (s c) f t -> b s c f t", c=inputs))
        return rearrange(masks, "b s c f t -> b (s c) f t")


def _check(
    inputs: int, outputs: int, num_bins: int, mel: MelProjection | None, mel_outputs: bool, activation: str
) -> None:
    if mel is None and mel_outputs:
        raise UsageError("mel_outputs needs a mel projection: give one as mel")
    if mel is not None and mel.num_bins != num_bins:
        raise UsageError(f"the mel projection is of {mel.num_bins} bins, and the spectrogram of {num_bins}")
    if activation == "softmax" and outputs % inputs:
        raise UsageError(f"a softmax over sources of {inputs} planes needs a multiple as outputs: {outputs}")
