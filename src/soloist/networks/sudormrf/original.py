"""Original SuDoRM-RF, with softmax masks.

Tzinis, Wang and Smaragdis, "Sudo rm -rf: Efficient networks for universal audio source separation",
MLSP 2020.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.frames import FrameConv, Slope, channels_last
from soloist.networks.layers.normalization import GlobalNorm
from soloist.networks.sudormrf.improved import Pyramid, UBlock, normalized_levels


class OriginalUBlock(UBlock):
    """U-block with norms before and after the addition of residual and input.

    Args:
        channels: Channels of input and output.
        hidden_channels: Channels of the resolutions.
        depth: Number of resolutions.
    """

    def __init__(self, channels: int, hidden_channels: int, depth: int) -> None:
        pyramid = Pyramid(normalized_levels(hidden_channels, depth))
        super().__init__(channels, hidden_channels, pyramid, slopes_per_channel=True)
        self.narrow_norm = GlobalNorm(channels, inplace=True)
        self.sum_norm = GlobalNorm(channels, inplace=True)
        self.sum_activation = Slope(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)` to the same shape."""
        return self.sum_activation(self.sum_norm(self.narrow_norm(self.change(x)).add_(x)))


class MaskAlongFilters(nn.Module):
    """Convolution along the axis of the filters for each output, as long as that axis.

    Args:
        num_filters: Filters of the filterbank.
        num_outputs: Channels of all sources.
    """

    def __init__(self, num_filters: int, num_outputs: int) -> None:
        super().__init__()
        padding = (num_filters + 1) // 2
        self.conv = nn.Conv2d(1, num_outputs, (num_filters + 1, 1), padding=(padding, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, filters, frames)` to `(batch, outputs, filters, frames)`."""
        count = x.shape[1]
        if not self.training:
            return self.conv(x[:, None])[:, :, :count]
        # In training, the product with a Toeplitz matrix of the taps needs a fraction of the time and memory
        # of a convolution as long as its input.
        offset = int(self.conv.padding[0])
        taps = pad(self.conv.weight[:, 0, :, 0], (count - 1 - offset, offset - 1))
        logits = torch.einsum("o n i, b i t -> b o n t", taps.unfold(-1, count, 1).flip(1), x)
        return logits if self.conv.bias is None else logits + self.conv.bias[:, None, None]


class OriginalSuDoRMRF(MaskNetwork):
    """Original network: softmax masks over the sources, or a sigmoid mask for a single source.

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks; if different from `num_filters`, another layer expands them
            before the masks.
        hidden_channels: Channels inside the blocks.
        num_blocks: Number of blocks.
        depth: Resolutions in a block, each half of the one before.
        num_outputs: Channels of all sources.
        unused_norm: Keep the untrained normalisation that the published code never applies, for the published
            number of parameters.
    """

    def __init__(
        self,
        num_filters: int = 512,
        channels: int = 128,
        hidden_channels: int = 512,
        num_blocks: int = 16,
        depth: int = 5,
        num_outputs: int = 2,
        unused_norm: bool = False,
    ) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        self.frame_multiple = 2 ** (depth - 1)
        self.norm = GlobalNorm(num_filters)
        self.bottleneck = FrameConv(num_filters, channels, 1)
        self.blocks = nn.Sequential(
            *(OriginalUBlock(channels, hidden_channels, depth) for _ in range(num_blocks))
        )
        same = channels == num_filters
        self.expand: nn.Module = nn.Identity() if same else FrameConv(channels, num_filters, 1)
        self.mask: nn.Module = MaskAlongFilters(num_filters, num_outputs)
        if unused_norm:
            self.unused_norm = GlobalNorm(num_filters).requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to masks `(batch, outputs, filters, frames)`."""
        x = self.expand(self.blocks(self.bottleneck(self.norm(channels_last(features)))))
        logits = self.mask(x)
        return logits.sigmoid() if self.num_outputs == 1 else logits.softmax(dim=1)

    @torch.no_grad()
    def optimize(self) -> None:
        """Merge expansion and masks, both linear, into one convolution over one frame."""
        if not isinstance(self.mask, MaskAlongFilters):
            return
        weight, bias = self._expansion()
        num_filters, channels = weight.shape
        # The columns of the weight serve as frames; the bias of the masks is no part of the product.
        weight = self.mask(weight[None]) - self.mask(bias.new_zeros(1, num_filters, 1))
        merged = FrameConv(channels, self.num_outputs * num_filters, 1)
        merged.load_state_dict(
            {
                "weight": rearrange(weight, "1 o n c -> (o n) c 1"),
                "bias": rearrange(self.mask(bias[None, :, None]), "1 o n 1 -> (o n)"),
            }
        )
        self.expand = merged.to(bias)
        self.mask = nn.Unflatten(1, (self.num_outputs, num_filters))

    def _expansion(self) -> tuple[Tensor, Tensor]:
        """Weight `(filters, channels)` and bias `(filters,)` of the layer before the masks."""
        if isinstance(self.expand, FrameConv) and self.expand.bias is not None:
            return self.expand.weight[:, :, 0], self.expand.bias
        weight = torch.eye(self.bottleneck.out_channels).to(self.bottleneck.weight)
        return weight, weight.new_zeros(len(weight))
