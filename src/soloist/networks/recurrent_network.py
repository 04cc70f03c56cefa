"""Recurrent networks on spectrograms: masks or embeddings of each point from what comes before and after.

    spectrogram - normalisation - (mel bands) - LSTM or GRU, several layers - linear - (bins) - planes

They are the networks of deep clustering [1], of mask inference, and of both at once [2].

[1] J. R. Hershey, Z. Chen, J. Le Roux and S. Watanabe, "Deep clustering: Discriminative embeddings for
    segmentation and separation", ICASSP 2016.
[2] Y. Luo, Z. Chen, J. R. Hershey, J. Le Roux and N. Mesgarani, "Deep clustering and conventional networks
    for music separation: Stronger together", ICASSP 2017.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import Activation, make_activation
from soloist.networks.layers.mel import MelProjection

Cell = Literal["lstm", "gru"]
InputNormalization = Literal["none", "batch", "bins", "instance"]


class RecurrentNetwork(SpectralNetwork):
    """Maps each frame of a spectrogram to planes of all bins, by recurrent layers and a linear one.

    Args:
        inputs: Planes of the spectrogram, such as the channels of the mixture.
        outputs: Planes that are made: masks, those of the first source first, or embeddings.
        num_bins: Frequencies of the spectrogram.
        hidden_size: Features of a frame inside, for each direction.
        layers: Recurrent layers.
        cell: "lstm" or "gru".
        bidirectional: Whether a frame depends on later ones too.
        dropout: Probability with which a feature between the layers is left out in training.
        normalization: What the spectrogram is brought to zero mean and unit deviation by, before a learned
            gain and shift: nothing, statistics of the training over all points ("batch") or of each bin
            ("bins"), or those of the item itself, without gain and shift ("instance").
        mel: Bands that the network sees in the place of bins; None for the bins.
        mel_outputs: Whether planes are made of these bands too, and then brought back to bins.
        activation: What follows. "softmax" is over the sources, so that their masks add up to one; the planes
            of a source are then as many as the inputs.

    Raises:
        UsageError: There is no such cell, normalisation or activation, or the sizes do not fit.
    """

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
        """Nothing of the future for layers of one direction, unless an item is normalised as a whole."""
        return 0 if self.causal else None

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Planes `(batch, outputs, num_bins, frames)` for a spectrogram `(batch, inputs, num_bins, frames)`.

        Raises:
            UsageError: Another number of bins than the network was made for.
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


class InputNorm(nn.Module):
    """Brings a spectrogram `(batch, channels, num_bins, frames)` to zero mean and unit deviation.

    Args:
        kind: Over what: see `RecurrentNetwork`.
        num_bins: Frequencies.

    Raises:
        UsageError: There is no such normalisation.
    """

    def __init__(self, kind: InputNormalization, num_bins: int) -> None:
        super().__init__()
        if kind not in get_args(InputNormalization):
            known = ", ".join(get_args(InputNormalization))
            raise UsageError(f"normalization {kind!r} is none of {known}")
        self.groups = num_bins if kind == "bins" else 1
        self.norm = nn.InstanceNorm1d(1) if kind == "instance" else nn.BatchNorm1d(self.groups)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        rows = rearrange(x, "b c (g f) t -> b g (c f t)", g=self.groups)
        shape = {"c": x.shape[1], "t": x.shape[3]}
        return rearrange(self.norm(rows), "b g (c f t) -> b c (g f) t", **shape)


def make_rnn(
    cell: Cell,
    inputs: int,
    hidden_size: int,
    *,
    layers: int = 1,
    bidirectional: bool = True,
    dropout: float = 0.0,
) -> nn.LSTM | nn.GRU:
    """A recurrent stack on `(batch, frames, inputs)`, initialised by `initialize_rnn`.

    Args:
        cell: "lstm" or "gru".
        inputs: Features of a frame that come in.
        hidden_size: Features of a frame that go out, for each direction.
        layers: Layers.
        bidirectional: Whether a frame depends on later ones too.
        dropout: Probability with which a feature between the layers is left out in training.

    Raises:
        UsageError: There is no such cell.
    """
    if cell not in get_args(Cell):
        raise UsageError(f"cell {cell!r} is none of {', '.join(get_args(Cell))}")
    rnn = (nn.LSTM if cell == "lstm" else nn.GRU)(
        inputs,
        hidden_size,
        num_layers=layers,
        batch_first=True,
        bidirectional=bidirectional,
        # Of one layer, PyTorch warns that there is nothing to leave out.
        dropout=dropout if layers > 1 else 0.0,
    )
    initialize_rnn(rnn)
    return rnn


@torch.no_grad()
def initialize_rnn(rnn: nn.LSTM | nn.GRU) -> None:
    """Draw the weights of each gate by Xavier's rule; biases are zero, but an LSTM begins by remembering.

    The bias of its forget gate is one: R. Jozefowicz, W. Zaremba and I. Sutskever, "An empirical exploration
    of recurrent network architectures", ICML 2015. Of the two biases that are added up, one has it.
    """
    for name, parameter in rnn.named_parameters():
        if parameter.ndim == 2:
            for gate in parameter.split(rnn.hidden_size):
                nn.init.xavier_uniform_(gate)
            continue
        parameter.zero_()
        if isinstance(rnn, nn.LSTM) and name.startswith("bias_ih"):
            # In PyTorch's order: input, forget, cell, output.
            parameter[rnn.hidden_size : 2 * rnn.hidden_size] = 1.0


def _check(
    inputs: int, outputs: int, num_bins: int, mel: MelProjection | None, mel_outputs: bool, activation: str
) -> None:
    if mel is None and mel_outputs:
        raise UsageError("mel_outputs are brought back from mel bands: give the projection as mel")
    if mel is not None and mel.num_bins != num_bins:
        raise UsageError(f"the mel projection is of {mel.num_bins} bins, and the spectrogram of {num_bins}")
    if activation == "softmax" and outputs % inputs:
        raise UsageError(f"a softmax over sources of {inputs} planes needs a multiple as outputs: {outputs}")
