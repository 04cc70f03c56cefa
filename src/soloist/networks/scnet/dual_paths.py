"""Dual paths of SCNet along frequency and time, and the Fourier transform of its features along time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.networks.layers.onednn import add_into, learns_on_cpu, project
from soloist.networks.layers.positions import RotaryPositions
from soloist.networks.layers.transformer import Attention, Axis, Transformer
from soloist.resources import is_captured


@dataclass(frozen=True)
class PathAttention:
    """Transformers of the dual paths, with rotary positions.

    Attributes:
        depth: Layers of a transformer.
        heads: Heads of an attention.
        head_dim: Features of a head.
        dropout: Probability, in training.
    """

    depth: int = 1
    heads: int = 8
    head_dim: int = 64
    dropout: float = 0.0


class DualPath(nn.Module):
    """Recurrence or attention along frequency, then along time, on normalised features; both are added.

    Args:
        channels: Channels of input and output.
        expand: Ratio of hidden features, for each direction, to channels.
        attention: Transformers in place of recurrent layers; None for recurrent ones.
    """

    def __init__(self, channels: int, expand: int, attention: PathAttention | None) -> None:
        super().__init__()
        self.frequency_norm, self.time_norm = nn.GroupNorm(1, channels), nn.GroupNorm(1, channels)
        axes: tuple[Axis, Axis] = ("bands", "frames")
        self.frequency_path, self.time_path = (
            SequenceRNN(channels, expand * channels, axis)
            if attention is None
            else SequenceAttention(channels, attention, axis)
            for axis in axes
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, bins, frames)` to the same shape; without gradients, in place."""
        if learns_on_cpu(x):
            # Recurrent layers take the steps of this layout as they are, and sums pass over memory in order.
            x = x.contiguous(memory_format=torch.channels_last)
        x = add_into(x, self.frequency_path(self.frequency_norm(x)))
        return add_into(x, self.time_path(self.time_norm(x)))


class SequenceAttention(nn.Module):
    """Transformer along frequency or time.

    Args:
        features: Features of a step.
        attention: Sizes of the transformer.
        axis: Axis of the sequences: "bands" for frequency.
    """

    def __init__(self, features: int, attention: PathAttention, axis: Axis) -> None:
        super().__init__()
        heads, size, dropout = attention.heads, attention.head_dim, attention.dropout
        layers = [Attention(features, heads, size, axis, dropout) for _ in range(attention.depth)]
        self.transformer = Transformer(layers, features, axis, norm=True, dropout=dropout)
        self.positions = RotaryPositions(size, heads)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, features, bins, frames)` to the same shape."""
        tokens = rearrange(x, "b c f t -> b t f c").contiguous()
        return rearrange(self.transformer(tokens, self.positions), "b t f c -> b c f t")


class SequenceRNN(nn.Module):
    """LSTM in both directions, and a linear layer back to the features of the input.

    Args:
        features: Features of a step.
        hidden_size: Hidden features of each direction.
        axis: Axis of the sequences: "bands" for frequency.
    """

    def __init__(self, features: int, hidden_size: int, axis: Axis) -> None:
        super().__init__()
        self.axis = axis
        self.lstm = nn.LSTM(features, hidden_size, bidirectional=True)
        self.linear = nn.Linear(2 * hidden_size, features)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, features, bins, frames)` to the same shape."""
        steps = "f (b t) c" if self.axis == "bands" else "t (b f) c"
        hidden, _ = self.lstm(rearrange(x, f"b c f t -> {steps}"))
        mapped = project(hidden, self.linear.weight, self.linear.bias)
        return rearrange(mapped, f"{steps} -> b c f t", b=x.shape[0])


def to_modulations(x: Tensor) -> Tensor:
    """Orthonormal Fourier transform along frames, as real and imaginary parts.

    Args:
        x: `(batch, channels, bins, frames)`.

    Returns:
        `(batch, 2 * channels, bins, frames // 2 + 1)`, the real parts first.
    """
    if is_captured():
        cosine, sine = _fourier_matrices(x, x.shape[-1])
        return torch.cat([x @ cosine, -(x @ sine)], dim=1)
    spectrum = torch.fft.rfft(x, norm="ortho")
    return torch.cat([spectrum.real, spectrum.imag], dim=1)


def from_modulations(x: Tensor, frames: int) -> Tensor:
    """Invert `to_modulations` for an even or odd number of frames."""
    real, imaginary = x.chunk(2, dim=1)
    if not is_captured():
        return torch.fft.irfft(torch.complex(real, imaginary), frames, norm="ortho")
    cosine, sine = _fourier_matrices(x, frames)
    # All but the first frequency, and the last one of an even number, stand for two.
    index = torch.arange(cosine.shape[1], device=x.device)
    share = 2.0 - ((index == 0) | (index * 2 == frames)).to(x.dtype)
    return (real * share) @ cosine.T - (imaginary * share) @ sine.T


def _fourier_matrices(like: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines `(frames, frames // 2 + 1)` of the orthonormal transform, for graphs."""
    time, frequency = (torch.arange(n, device=like.device) for n in (frames, frames // 2 + 1))
    # The remainder keeps angles small, and so exact. As a tensor, the divisor may be of any size in a graph.
    count = torch.scalar_tensor(frames, dtype=torch.long, device=like.device)
    angles = (time[:, None] * frequency % count).to(like.dtype) * (2 * torch.pi / frames)
    return angles.cos() * frames**-0.5, angles.sin() * frames**-0.5
