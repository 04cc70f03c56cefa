"""The modules that nussl 1.1.9 builds networks of, with its names of parameters and its axes.

Spectrograms are `(batch, frames, features, channels)`, masks and embeddings have one axis more. Only what
reproduces nussl's networks lies here; our own are `soloist.networks.recurrent_network` and its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from replays.nussl.filterbanks import STFT, LearnedFilterBank
from replays.nussl.norms import LayerNorm, batch_norm, group_norm, instance_norm
from replays.nussl.paths import ConvolutionalStack2D, DualPath, DualPathBlock
from soloist.errors import ModelError
from soloist.networks.layers.convolutions import EMBEDDING_ACTIVATIONS
from soloist.zoo.importers.nussl import named_activations

# Where in torch.nn lies what configurations may name.
_PLACES = ["activation", "batchnorm", "conv", "dropout", "flatten", "instancenorm", "linear"]
_PLACES += ["normalization", "padding", "pooling", "rnn"]
_TORCH = {f"torch.nn.modules.{place}" for place in _PLACES}


class AmplitudeToDB(nn.Module):
    """Levels in dB of magnitudes, which are at least 1e-4."""

    def forward(self, data: Tensor, ref: float = 1.0) -> Tensor:
        """Levels above a reference."""
        return 20 * torch.log10(data.abs().clamp(min=1e-4)) - 20 * math.log10(max(abs(ref), 1e-4))


class ShiftAndScale(nn.Module):
    """A gain and a shift of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, data: Tensor) -> Tensor:
        """Scale, then shift."""
        return data * self.scale + self.shift


class MelProjection(nn.Module):
    """Bins to mel bands or back, by a linear layer whose weights say how.

    Args:
        sample_rate: Of the audio, Hz; the weights hold what follows from it.
        num_frequencies: Bins.
        num_mels: Bands; none where nothing is to be projected.
        direction: "forward" or "backward".
        clamp: Whether the result is limited to 0..1.
        trainable: Whether training changes the weights.
    """

    def __init__(
        self,
        sample_rate: int,
        num_frequencies: int,
        num_mels: int,
        direction: str = "forward",
        clamp: bool = False,
        trainable: bool = False,
    ) -> None:
        super().__init__()
        sizes = (num_mels, num_frequencies) if direction == "backward" else (num_frequencies, num_mels)
        self.transform = nn.Linear(*sizes) if num_mels > 0 else nn.Identity()
        self.clamp = clamp

    def forward(self, data: Tensor) -> Tensor:
        """Project the third axis."""
        projected: Tensor = self.transform(data.transpose(2, -1)).transpose(2, -1)
        return projected.clamp(0, 1) if self.clamp else projected


class Embedding(nn.Module):
    """A linear layer, and the activations that its configuration names.

    `activation` is a list of names, or a text that is searched for them: in "gated_tanh" it finds "tanh" too.

    Args:
        num_features: Features of each frame that comes out.
        hidden_size: Features that come in.
        embedding_size: Values for each of these features.
        activation: What follows, and with "gated_tanh" what goes before.
        num_audio_channels: Channels that come out.
        dim_to_embed: Axes that are embedded, one after the other.
        bias: Whether the linear layer has one.
        reshape: Whether what comes out has axes for features, channels and values.
    """

    def __init__(
        self,
        num_features: int,
        hidden_size: int,
        embedding_size: int,
        activation: str | Sequence[str],
        num_audio_channels: int = 1,
        dim_to_embed: int | Sequence[int] = -1,
        bias: bool = True,
        reshape: bool = True,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.axes = [dim_to_embed] if isinstance(dim_to_embed, int) else list(dim_to_embed)
        self.shape = (num_features, num_audio_channels, embedding_size) if reshape else (-1,)
        self.linear = nn.Linear(hidden_size, num_features * num_audio_channels * embedding_size, bias=bias)
        if "gated_tanh" in activation:
            self.embed_linear = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.Tanh())
            self.embed_gate = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.Sigmoid())

    def forward(self, data: Tensor) -> Tensor:
        """Embed `(batch, ...)`."""
        axes = [axis % data.ndim for axis in self.axes]
        kept = [size for axis, size in enumerate(data.shape) if axis not in axes]
        for axis in axes:
            data = data.transpose(axis, -1)
        data = data.reshape(*kept, -1)
        if "gated_tanh" in self.activation:
            data = self.embed_linear(data) * self.embed_gate(data)
        return self._activate(self.linear(data).reshape(*kept, *self.shape))

    def _activate(self, data: Tensor) -> Tensor:
        for name in named_activations(self.activation):
            data = EMBEDDING_ACTIVATIONS[name](data)
        return data


class RecurrentStack(nn.Module):
    """Recurrent layers on frames, all other axes of which are features.

    Args:
        num_features: Features that come in.
        hidden_size: Features that go out, for each direction.
        num_layers: Layers.
        bidirectional: Whether a frame depends on later ones too.
        dropout: Not of this place, where networks are evaluated.
        rnn_type: "lstm" or "gru".
        batch_first: Whether the first axis is the batch; else it is time.
        init_forget: How the original begins.
    """

    def __init__(
        self,
        num_features: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        rnn_type: str = "lstm",
        batch_first: bool = True,
        init_forget: bool = True,
    ) -> None:
        super().__init__()
        kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
        if rnn_type not in kinds:
            raise ModelError(f"nussl has no recurrent layers {rnn_type!r}")
        self.rnn = kinds[rnn_type](
            num_features, hidden_size, num_layers, batch_first=batch_first, bidirectional=bidirectional
        )

    def forward(self, data: Tensor) -> Tensor:
        """Features `(batch, frames, hidden_size * directions)` of `(batch, frames, ...)`."""
        features: Tensor = self.rnn(data.flatten(2))[0]
        return features


class Apply(nn.Module):
    """What has no parameters, as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        """Apply it."""
        return self.function(*inputs)


def _with_axes_of(first: Tensor, second: Tensor) -> Tensor:
    """The second, along the last axes of the first that it lacks."""
    missing = first.ndim - second.ndim
    return second.reshape(*second.shape, *[1] * missing).expand_as(first)


_KINDS: dict[str, Callable[..., nn.Module]] = {
    "Alias": lambda: Apply(lambda data: data),
    "AmplitudeToDB": AmplitudeToDB,
    "BatchNorm": batch_norm,
    "Concatenate": lambda dim=1: Apply(lambda *parts: torch.cat(parts, dim=dim)),
    "ConvolutionalStack2D": ConvolutionalStack2D,
    "DualPath": DualPath,
    "DualPathBlock": DualPathBlock,
    "Embedding": Embedding,
    "Expand": lambda: Apply(_with_axes_of),
    "GroupNorm": group_norm,
    "InstanceNorm": instance_norm,
    "LayerNorm": LayerNorm,
    "LearnedFilterBank": LearnedFilterBank,
    "Mask": lambda: Apply(lambda mask, data: mask * _with_axes_of(mask, data)),
    "MelProjection": MelProjection,
    "RecurrentStack": RecurrentStack,
    "STFT": STFT,
    "ShiftAndScale": ShiftAndScale,
    "Split": lambda split_sizes, dim=1: Apply(lambda data: data.split(split_sizes, dim)),
}


def make_module(config: Mapping[str, Any]) -> nn.Module:
    """The module of a configuration: its `class` and `args`, which may hold others.

    Raises:
        ModelError: There is no such class, or an argument is not one of its, or is missing.
    """
    name = config["class"]
    arguments = {
        key: make_module(value) if isinstance(value, Mapping) and "class" in value else value
        for key, value in (config.get("args") or {}).items()
    }
    kind = _KINDS.get(name) or _torch_layer(name)
    try:
        return kind(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"nussl's {name} cannot be made: {error}") from error


def _torch_layer(name: str) -> Callable[..., nn.Module]:
    layer: Any = getattr(nn, name, None)
    if getattr(layer, "__module__", None) in _TORCH:
        kind: Callable[..., nn.Module] = layer
        return kind
    raise ModelError(f"nussl has no module {name!r}, nor has torch.nn a layer of that name")
