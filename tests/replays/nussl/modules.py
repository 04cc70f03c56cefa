"""Modules of nussl's networks, with its names of parameters and its axes.

Spectrograms are `(batch, frames, features, channels)`; masks and embeddings have one more axis.
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

# Modules of torch.nn whose classes a configuration may name.
_PLACES = ["activation", "batchnorm", "conv", "dropout", "flatten", "instancenorm", "linear"]
_PLACES += ["normalization", "padding", "pooling", "rnn"]
_TORCH = {f"torch.nn.modules.{place}" for place in _PLACES}


class AmplitudeToDB(nn.Module):
    """Levels in dB of magnitudes, limited to at least 1e-4."""

    def forward(self, data: Tensor, ref: float = 1.0) -> Tensor:
        """Levels above a reference."""
        return 20 * torch.log10(data.abs().clamp(min=1e-4)) - 20 * math.log10(max(abs(ref), 1e-4))


class ShiftAndScale(nn.Module):
    """One gain and one shift of all values."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, data: Tensor) -> Tensor:
        """Scale, then shift."""
        return data * self.scale + self.shift


class MelProjection(nn.Module):
    """Linear layer from bins to mel bands or back.

    Args:
        sample_rate: Rate of the audio, Hz; without effect, because the weights depend on it.
        num_frequencies: Number of bins.
        num_mels: Number of bands; 0 for no projection.
        direction: "forward" or "backward".
        clamp: Limit the result to 0..1.
        trainable: Without effect.
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
    """Linear layer with the activations that its configuration names.

    `activation` is a list of names, or a text that contains some: "gated_tanh" contains "tanh" too.

    Args:
        num_features: Features of each frame of the output.
        hidden_size: Features of the input.
        embedding_size: Values for each feature of the output.
        activation: Activations after the layer, and with "gated_tanh" before it.
        num_audio_channels: Channels of the output.
        dim_to_embed: Axes that are embedded, one after the other.
        bias: Give the linear layer a bias.
        reshape: Give the output axes of features, channels and values.
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
    """Recurrent layers on frames, with all other axes as features.

    Args:
        num_features: Features of the input.
        hidden_size: Features of the output, for each direction.
        num_layers: Number of layers.
        bidirectional: Run in both directions.
        dropout: Without effect in evaluation.
        rnn_type: "lstm" or "gru".
        batch_first: Take the first axis for the batch, else for time.
        init_forget: Without effect; an option of the initial weights.
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
    """Function without parameters, as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        """Apply the function."""
        return self.function(*inputs)


def _with_axes_of(first: Tensor, second: Tensor) -> Tensor:
    """Expand the second along the last axes of the first that the second lacks."""
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
    """Make the module of a configuration: `class` and `args`, which may hold other modules.

    Raises:
        ModelError: The class is unknown, or an argument is unknown or missing.
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
