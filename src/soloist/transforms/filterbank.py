"""A filterbank that is learned: a strided convolution, and a transposed one on the way back."""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError


class LearnedFilterbank(nn.Module):
    """Analyses audio with learned filters and synthesises the sources from what is left of it.

    Unlike a `Transform` it promises no reconstruction: it is trained together with the network between
    its halves. Frame `t` is centred on sample `t * hop_length` (or ends there, if causal). The synthesis
    looks half a kernel ahead.

    Args:
        num_filters: Filters, often called bases.
        kernel_size: Samples of a filter.
        hop_length: Distance of the frames, samples; None for half a kernel.
        channels: Channels of the audio, on the way in and of each source on the way out.
        num_sources: Sources that are synthesised.
        synthesis: "joint": each output is a sum over the features of all of them; "separate": over its
            own features only.
        activation: What follows the analysis.
        bias: Whether filters have biases.
        causal: Whether a frame sees no sample after its own. The analysis filters then reach
            `kernel_size` samples back. They are stored as published, with twice the length and a second
            half that is masked out.
    """

    past: Tensor | None

    def __init__(
        self,
        num_filters: int = 512,
        kernel_size: int = 21,
        hop_length: int | None = None,
        channels: int = 1,
        num_sources: int = 2,
        synthesis: Literal["joint", "separate"] = "joint",
        activation: Literal["identity", "relu"] = "identity",
        bias: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__()
        if kernel_size < 2 or not 0 < (hop_length or 1) <= kernel_size:
            raise UsageError(
                f"kernel_size {kernel_size} must be at least 2 and hop_length {hop_length} no more"
            )
        self.num_filters = num_filters
        self.kernel_size = kernel_size
        self.hop_length = hop_length or kernel_size // 2
        self.num_outputs = num_sources * channels
        taps = 2 * kernel_size - 1 if causal else kernel_size
        self.analysis = nn.Conv1d(channels, num_filters, taps, self.hop_length, padding=taps // 2, bias=bias)
        self.activation = nn.ReLU() if activation == "relu" else nn.Identity()
        self.synthesis = nn.ConvTranspose1d(
            self.num_outputs * num_filters,
            self.num_outputs,
            kernel_size,
            self.hop_length,
            padding=kernel_size // 2,
            groups=1 if synthesis == "joint" else self.num_outputs,
            bias=bias,
        )
        past = (torch.arange(taps) < kernel_size).float() if causal else None
        self.register_buffer("past", past, persistent=False)
        nn.init.xavier_uniform_(self.analysis.weight)
        nn.init.xavier_uniform_(self.synthesis.weight)

    @property
    def reach(self) -> int:
        """Samples on either side that analysis followed by synthesis can depend on."""
        return self.kernel_size // 2 + (self.kernel_size // 2 if self.past is None else self.kernel_size - 1)

    def forward(self, audio: Tensor) -> Tensor:
        """Analyse audio `(batch, channels, samples)` into features `(batch, filters, frames)`."""
        weight = self.analysis.weight if self.past is None else self.analysis.weight * self.past
        conv = self.analysis
        return self.activation(F.conv1d(audio, weight, conv.bias, conv.stride, conv.padding))

    def inverse(self, features: Tensor, length: int) -> Tensor:
        """Synthesise `(batch, outputs, length)` from features `(batch, outputs, filters, frames)`."""
        stacked = rearrange(features, "b o n t -> b (o n) t")
        covered = (features.shape[-1] - 1) * self.hop_length + self.kernel_size - 2 * (self.kernel_size // 2)
        conv = self.synthesis
        audio = F.conv_transpose1d(
            stacked,
            conv.weight,
            conv.bias,
            conv.stride,
            conv.padding,
            output_padding=min(max(0, length - covered), self.hop_length - 1),
            groups=conv.groups,
        )
        return audio[..., :length]
