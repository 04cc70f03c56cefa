"""Normalisations of features and of spectrograms."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from soloist.errors import UsageError
from soloist.resources import is_captured

InputNormalization = Literal["none", "batch", "bins", "instance"]

NormScope = Literal["global", "cumulative", "frame"]
"""Frames over which a frame is normalised: all, those so far, or itself."""


def instance_norm_gelu(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Instance norm and GELU, with gradients, of channels-last tensors on a processor.

    The normalised input is computed again for the gradients in place of being kept.

    Args:
        x: `(batch, channels, height, width)`, stored channels-last.
        weight: Gain of each channel.
        bias: Shift of each channel.
        eps: Added to the variance.
    """
    result: Tensor = _InstanceNormGelu.apply(x, weight, bias, eps)
    return result


class _InstanceNormGelu(torch.autograd.Function):
    """`instance_norm_gelu`, by batch norms of one item after the other: PyTorch has them for this layout."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        """Normalise and activate."""
        result, statistics = torch.empty_like(x), x.new_empty(2, len(x), x.shape[1])
        for item, each, mean, scale in zip(x.split(1), result.split(1), *statistics, strict=True):
            torch.ops.aten.native_batch_norm.out(
                item, weight, bias, None, None, True, 0.0, eps, out=each, save_mean=mean, save_invstd=scale
            )
            torch.ops.aten.gelu_(each)
        ctx.save_for_backward(x, weight, bias, statistics)
        ctx.eps = eps
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the input, the gains and the shifts."""
        x, weight, bias, statistics = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        parts = []
        for item, given, mean, scale in zip(x.split(1), gradient.split(1), *statistics, strict=True):
            normalized, _, _ = torch.native_batch_norm(
                item, weight, bias, mean, scale.square().reciprocal(), False, 0.0, 0.0
            )
            torch.ops.aten.gelu_backward.grad_input(given, normalized, grad_input=normalized)
            parts.append(
                torch.ops.aten.native_batch_norm_backward(
                    normalized, item, weight, None, None, mean, scale, True, ctx.eps, [True] * 3
                )
            )
        items, of_weight, of_bias = zip(*parts, strict=True)
        # One item is not copied.
        return items[0] if len(items) == 1 else torch.cat(items), sum(of_weight), sum(of_bias), None


class GlobalNorm(nn.Module):
    """Global layer norm: each item over all channels and frames, with a gain and a shift for each channel.

    A group norm with one group (Conv-TasNet, Luo and Mesgarani 2019, eq. 10-12).

    Args:
        channels: Channels of the input `(batch, channels, frames)`.
        eps: Added to the (biased) variance.
        inplace: Overwrite the input if there are no gradients.
    """

    def __init__(self, channels: int, eps: float = 1e-8, inplace: bool = False) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.eps = eps
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, frames)`; without gradients, keep the memory layout."""
        plain = torch.is_grad_enabled() or is_captured()
        if plain or x.dtype not in (torch.float32, torch.float64):
            return nn.functional.group_norm(x, 1, self.gain, self.shift, self.eps)
        return self._overwrite(x if self.inplace else x.clone())

    def _overwrite(self, x: Tensor) -> Tensor:
        # Allocating a result costs more than the arithmetic.
        x.sub_(x.mean(dim=(1, 2), keepdim=True))
        gain = self.gain * torch.rsqrt(_power(x) + self.eps)[:, None]
        return torch.addcmul(self.shift[:, None], x, gain[:, :, None], out=x)


class CumulativeNorm(nn.Module):
    """Cumulative layer norm: each frame over all frames so far, with a gain and a shift for each channel.

    The causal normalisation of Conv-TasNet (Luo and Mesgarani 2019, eq. 13-15).

    Args:
        channels: Channels of the input `(batch, channels, frames)`.
        step: Frames that arrive together: each is normalised over all frames up to the end of its step. The
            number of frames is a multiple of `step`.
        eps: Added to the (biased) variance.
        inplace: Overwrite the input if there are no gradients.
    """

    def __init__(self, channels: int, step: int = 1, eps: float = 1e-8, inplace: bool = False) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.step = step
        self.eps = eps
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, frames)`; keep the memory layout."""
        mean, scale = self._statistics(x)
        gain, shift = self.gain[:, None], self.shift[:, None]
        if torch.is_grad_enabled() or not self.inplace:
            return torch.addcmul(shift, (x - mean) * scale, gain).to(x.dtype)
        return torch.addcmul(shift, x.sub_(mean).mul_(scale), gain, out=x)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and inverse standard deviation up to each frame, both `(batch, 1, frames)`."""
        # Sums over all frames overflow half precision.
        wide = x if x.dtype == torch.float64 else x.float()
        mean, power = (
            values.mean(dim=1).unflatten(-1, (-1, self.step)).mean(dim=-1) for values in (wide, wide.square())
        )
        steps = torch.arange(1, mean.shape[-1] + 1, device=x.device, dtype=mean.dtype)
        mean, power = mean.cumsum(-1) / steps, power.cumsum(-1) / steps
        variance = (power - mean.square()).clamp(min=0)
        return self._for_each_frame(mean), self._for_each_frame(torch.rsqrt(variance + self.eps))

    def _for_each_frame(self, of_steps: Tensor) -> Tensor:
        return of_steps.repeat_interleave(self.step, -1)[:, None]


class FrameNorm(nn.Module):
    """Layer norm of each frame over its channels, with a gain and a shift for each channel.

    Args:
        channels: Channels of the input `(batch, channels, frames)`.
        eps: Added to the (biased) variance.
    """

    def __init__(self, channels: int, eps: float = 1e-8) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, frames)`."""
        frames = x.transpose(1, 2)
        return nn.functional.layer_norm(frames, self.gain.shape, self.gain, self.shift, self.eps).transpose(
            1, 2
        )


def make_frame_norm(scope: NormScope, channels: int, *, inplace: bool = False) -> nn.Module:
    """Make a norm of `(batch, channels, frames)`.

    Args:
        scope: "global" over all frames, "cumulative" over the frames so far, "frame" over each by itself.
        channels: Number of channels.
        inplace: Overwrite the input if there are no gradients.

    Raises:
        UsageError: The scope is unknown.
    """
    if scope not in get_args(NormScope):
        raise UsageError(f"norm {scope!r} is none of {', '.join(get_args(NormScope))}")
    if scope == "frame":
        return FrameNorm(channels)
    return (GlobalNorm if scope == "global" else CumulativeNorm)(channels, inplace=inplace)


class InputNorm(nn.Module):
    """Normalisation of a spectrogram `(batch, channels, num_bins, frames)` to zero mean and unit deviation.

    Args:
        kind: Scope of the statistics; see `RecurrentNetwork`.
        num_bins: Number of frequencies.

    Raises:
        UsageError: The kind is unknown.
    """

    def __init__(self, kind: InputNormalization, num_bins: int) -> None:
        super().__init__()
        if kind not in get_args(InputNormalization):
            known = ", ".join(get_args(InputNormalization))
            raise UsageError(f"normalization {kind!r} is none of {known}")
        self.groups = num_bins if kind == "bins" else 1
        self.norm = nn.InstanceNorm1d(1) if kind == "instance" else nn.BatchNorm1d(self.groups)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, num_bins, frames)`."""
        rows = rearrange(x, "b c (g f) t -> b g (c f t)", g=self.groups)
        shape = {"c": x.shape[1], "t": x.shape[3]}
        return rearrange(self.norm(rows), "b g (c f t) -> b c (g f) t", **shape)


def _power(x: Tensor) -> Tensor:
    """Mean square `(batch,)` of `(batch, channels, frames)`.

    Sums over some hundred neighbours come first, so that rounding errors stay small.
    """
    channels, frames = x.shape[1:]
    neighbours = math.gcd(frames, -(-512 // channels)) * channels
    rows = x.transpose(1, 2).reshape(x.shape[0], -1, neighbours)
    return torch.linalg.vector_norm(rows, dim=2).square().mean(dim=1) / neighbours
