"""SuDoRM-RF with group communication: groups of channels share one small block and exchange their mean.

Tzinis et al., "Compute and memory efficient universal sound source separation", 2022, after Luo, Han and
Mesgarani, "Group communication with context codec for lightweight source separation", TASLP 2021.
"""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.frames import FrameConv, Slope
from soloist.networks.layers.normalization import GlobalNorm
from soloist.networks.sudormrf.improved import Pyramid, ReluMaskNetwork, UBlock, normalized_levels


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(FrameConv(inputs, outputs, 1), Slope())


class TransformAverageConcatenate(nn.Module):
    """Exchange between groups of channels: each group takes its own features and the mean of all.

    Luo et al., "End-to-end microphone permutation and number invariant multi-channel speech separation",
    ICASSP 2020.

    Args:
        channels: Channels of a group.
        hidden_channels: Channels of the mean.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.transform = _dense(channels, hidden_channels)
        self.average = _dense(hidden_channels, hidden_channels)
        self.concatenate = _dense(2 * hidden_channels, channels)
        self.norm = GlobalNorm(channels, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, groups, channels, frames)` to the same shape."""
        groups = x.shape[1]
        flat = rearrange(x, "b g c t -> (b g) c t")
        own = self.transform(flat)
        mean = self.average(rearrange(own, "(b g) h t -> b g h t", g=groups).mean(dim=1))
        both = torch.cat([own, repeat(mean, "b h t -> (b g) h t", g=groups)], dim=1)
        return x + rearrange(self.norm(self.concatenate(both)), "(b g) c t -> b g c t", g=groups)


class GroupCommunicationBlock(nn.Module):
    """Communication between groups, then one U-block shared by all groups.

    Args:
        channels: Channels of all groups.
        hidden_channels: Channels inside the U-blocks of all groups.
        depth: Number of resolutions.
        num_groups: Number of groups.
    """

    def __init__(self, channels: int, hidden_channels: int, depth: int, num_groups: int) -> None:
        super().__init__()
        if channels % num_groups or hidden_channels < num_groups:
            raise UsageError(
                f"{channels} and {hidden_channels} channels do not split into {num_groups} groups"
            )
        self.num_groups = num_groups
        self.communication = TransformAverageConcatenate(channels // num_groups, 3 * channels // num_groups)
        hidden = hidden_channels // num_groups
        self.block = UBlock(channels // num_groups, hidden, Pyramid(normalized_levels(hidden, depth)))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)` to the same shape."""
        groups = self.communication(rearrange(x, "b (g c) t -> b g c t", g=self.num_groups))
        x = self.block(rearrange(groups, "b g c t -> (b g) c t"))
        return rearrange(x, "(b g) c t -> b (g c) t", g=self.num_groups)


class GroupCommSuDoRMRF(ReluMaskNetwork):
    """Improved network with group communication: a tenth of the parameters.

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks, of all groups.
        hidden_channels: Channels inside the blocks, of all groups.
        num_blocks: Number of blocks.
        depth: Resolutions in a block, each half of the one before.
        num_outputs: Channels of all sources.
        num_groups: Number of groups of channels.
    """

    def __init__(
        self,
        num_filters: int = 512,
        channels: int = 256,
        hidden_channels: int = 512,
        num_blocks: int = 8,
        depth: int = 5,
        num_outputs: int = 2,
        num_groups: int = 16,
    ) -> None:
        blocks = [
            GroupCommunicationBlock(channels, hidden_channels, depth, num_groups) for _ in range(num_blocks)
        ]
        super().__init__(blocks, num_filters, channels, num_outputs)
        self.frame_multiple = 2**depth
