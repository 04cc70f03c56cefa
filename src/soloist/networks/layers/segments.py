"""Overlapping segments of frames, and masks from their features, of dual-path networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.networks.layers.mask_head import MaskActivation
from soloist.transforms.learned_filterbank import overlap_add


@dataclass(frozen=True)
class SegmentGrid:
    """Grid of segments whose first one lies partly or wholly before the first frame.

    Attributes:
        size: Frames of a segment.
        hop: Distance of the segments, frames.
        whole: Begin and end with a whole segment of zeros; otherwise with half a segment, and the number of
            frames, with the half before, is rounded up to whole segments, by one frame at least.
    """

    size: int
    hop: int
    whole: bool = True

    @property
    def before(self) -> int:
        """Zeros before the first frame."""
        return self.size if self.whole else self.size - self.hop

    def num_segments(self, frames: int) -> int:
        """Number of segments."""
        if self.whole:
            return (frames + self.size) // self.hop + 1
        return ((frames + self.before) // self.size + 1) * (self.size // self.hop)

    def split(self, frames: Tensor) -> Tensor:
        """Cut `(batch, frames, channels)` into `(batch, segments, size, channels)`."""
        length = (self.num_segments(frames.shape[1]) - 1) * self.hop + self.size
        behind = length - self.before - frames.shape[1]
        padded = pad(frames, (0, 0, self.before, behind))
        return padded.unfold(1, self.size, self.hop).transpose(2, 3)

    def add(self, segments: Tensor, frames: int) -> Tensor:
        """Add `(batch, segments, size, channels)` up to `(batch, frames, channels)` where they overlap."""
        total = overlap_add(rearrange(segments, "b s k c -> b c k s"), self.hop)
        missing = max(0, self.before + frames - total.shape[-1])
        return pad(total, (0, missing))[..., self.before : self.before + frames].transpose(1, 2)


class GatedMasks(nn.Module):
    """Masks of all sources, through a gate for each.

        segments - slope - sources - overlap-add -+- linear - tanh ----- (x) - filters - activation
                                                  +- linear - sigmoid ---^

    Args:
        grid: Grid of the segments.
        channels: Channels of a frame.
        num_filters: Filters of the filterbank.
        num_outputs: Channels of all sources.
        activation: Activation of the masks; "softmax" is over the outputs.
        direct: Give each source as many channels as filters, and no layer from one to the other; the sum of
            overlapping segments is divided by `size / hop`.
    """

    def __init__(
        self,
        grid: SegmentGrid,
        channels: int,
        num_filters: int,
        num_outputs: int,
        activation: MaskActivation,
        *,
        direct: bool = False,
    ) -> None:
        super().__init__()
        features = num_filters if direct else channels
        self.grid = grid
        self.num_outputs = num_outputs
        self.activation = activation
        self.share = grid.hop / grid.size if direct else 1.0
        self.slope = nn.PReLU()
        self.sources = nn.Linear(channels, num_outputs * features)
        self.value = nn.Linear(features, features)
        self.gate = nn.Linear(features, features)
        self.filters = nn.Identity() if direct else nn.Linear(features, num_filters, bias=False)

    def forward(self, segments: Tensor, frames: int) -> Tensor:
        """Map segments `(batch, segments, size, channels)` to masks `(batch, outputs, filters, frames)`."""
        x = self.grid.add(self.sources(self.slope(segments)), frames) * self.share
        x = x.unflatten(-1, (self.num_outputs, -1))
        x = self.filters(torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x)))
        logits = rearrange(x, "b t o n -> b o n t")
        if self.activation == "softmax":
            return logits.softmax(dim=1)
        return logits.sigmoid() if self.activation == "sigmoid" else logits.relu()
