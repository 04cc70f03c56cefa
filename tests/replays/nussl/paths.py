"""nussl's stack of convolutions, and its dual-path network with its defects.

The network returns zeros for the frames after the last whole chunk, and adds up overlapping chunks without
dividing by their number. `soloist.networks.dual_path` does neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

Size = int | Sequence[int]


class ConvolutionalStack2D(nn.Module):
    """Convolutions over frames and features, each but the last with a norm and a ReLU.

    The output of a layer with a residual is added to that of the next such layer.

    Args:
        in_channels: Channels of the input.
        channels: Channels of each layer.
        dilations: Dilation of each layer.
        filter_shapes: Size of each layer's filters.
        residuals: True for each layer with a residual.
        batch_norm: Have norms.
        use_checkpointing: Without effect in evaluation.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        dilations: Sequence[Size],
        filter_shapes: Sequence[Size],
        residuals: Sequence[bool],
        batch_norm: bool = True,
        use_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.residuals = list(residuals)
        widths = [in_channels, *channels]
        convs = [
            _same_conv(*sizes) for sizes in zip(widths[:-1], channels, filter_shapes, dilations, strict=True)
        ]
        self.layers = nn.ModuleList(_Layer(conv, batch_norm) for conv in convs[:-1])
        self.layers.append(convs[-1])
        # The last layer has two names in nussl.
        self.add_module(f"layer{len(convs) - 1}", convs[-1])

    def forward(self, data: Tensor) -> Tensor:
        """Map `(batch, frames, features, channels)`."""
        data = rearrange(data, "b t f c -> b c t f")
        kept = None
        for layer, residual in zip(self.layers, self.residuals, strict=True):
            data = layer(data)
            if residual:
                kept = data = data if kept is None else data + kept
        return rearrange(data, "b c t f -> b t f c")


class _Layer(nn.Module):
    def __init__(self, conv: nn.Conv2d, norm: bool) -> None:
        super().__init__()
        self.conv = conv
        self.batch_norm = nn.BatchNorm2d(conv.out_channels) if norm else nn.Identity()

    def forward(self, data: Tensor) -> Tensor:
        return F.relu(self.batch_norm(self.conv(data)))


def _same_conv(inputs: int, outputs: int, size: Size, dilation: Size) -> nn.Conv2d:
    """Make a convolution that, with odd filters, keeps the size of its input."""
    sizes, dilations = (
        (value, value) if isinstance(value, int) else tuple(value) for value in (size, dilation)
    )
    padding = tuple(d * (k - 1) // 2 for k, d in zip(sizes, dilations, strict=True))
    return nn.Conv2d(inputs, outputs, sizes, padding=padding, dilation=dilations)  # type: ignore[arg-type]


class DualPathBlock(nn.Module):
    """Processor, linear layer and norm with a residual, first inside chunks, then from chunk to chunk.

    Args:
        n_features: Features of a frame.
        hidden_size: Features of the processors' outputs.
        intra_processor: Map from `(rows, frames, n_features)` to `(rows, frames, hidden_size)`.
        inter_processor: The same from chunk to chunk.
    """

    def __init__(
        self, n_features: int, hidden_size: int, intra_processor: nn.Module, inter_processor: nn.Module
    ) -> None:
        super().__init__()
        self.intra_fc = nn.Linear(hidden_size, n_features)
        self.inter_fc = nn.Linear(hidden_size, n_features)
        self.intra_processor = intra_processor
        self.inter_processor = inter_processor
        self.intra_norm = nn.GroupNorm(1, n_features, 1e-8)
        self.inter_norm = nn.GroupNorm(1, n_features, 1e-8)

    def forward(self, data: Tensor) -> Tensor:
        """Map `(batch, chunks, frames, n_features)`."""
        data = data + _path(data, self.intra_processor, self.intra_fc, self.intra_norm)
        across = _path(data.transpose(1, 2), self.inter_processor, self.inter_fc, self.inter_norm)
        return data + across.transpose(1, 2)


def _path(data: Tensor, processor: nn.Module, linear: nn.Module, norm: nn.Module) -> Tensor:
    changed = linear(processor(data.flatten(0, 1))).unflatten(0, data.shape[:2])
    return rearrange(norm(rearrange(changed, "b r s f -> b f r s")), "b f r s -> b r s f")


class DualPath(nn.Module):
    """Dual-path blocks between two linear layers, on chunks that overlap.

    Args:
        num_layers: Number of blocks.
        chunk_size: Frames of a chunk.
        hop_size: Distance of the chunks, frames.
        in_features: Features of a frame, times channels.
        bottleneck_size: Features between the blocks.
        hidden_size: Features of the processors' outputs.
        intra_processor: Module that each block copies for the inside of chunks.
        inter_processor: Module that each block copies for the way from chunk to chunk.
        skip_connection: Add the input of each block to its output.
    """

    def __init__(
        self,
        num_layers: int,
        chunk_size: int,
        hop_size: int,
        in_features: int,
        bottleneck_size: int,
        hidden_size: int,
        intra_processor: nn.Module,
        inter_processor: nn.Module,
        skip_connection: bool = False,
    ) -> None:
        super().__init__()
        self.chunk_size, self.hop_size, self.skip_connection = chunk_size, hop_size, skip_connection
        self.bottleneck = nn.Linear(in_features, bottleneck_size)
        self.bottleneck_norm = nn.GroupNorm(1, in_features)
        self.inv_bottleneck = nn.Linear(bottleneck_size, in_features)
        self.prelu = nn.PReLU()
        self.layers = nn.ModuleList(
            DualPathBlock(bottleneck_size, hidden_size, deepcopy(intra_processor), deepcopy(inter_processor))
            for _ in range(num_layers)
        )

    def forward(self, data: Tensor) -> Tensor:
        """Map `(batch, frames, features, channels)`."""
        frames = rearrange(data, "b t f c -> b (f c) t")
        frames = self.bottleneck(self.bottleneck_norm(frames).mT)
        chunks = rearrange(frames.unfold(1, self.chunk_size, self.hop_size), "b s f k -> b s k f")
        for layer in self.layers:
            made = layer(chunks)
            chunks = chunks + made if self.skip_connection else made
        columns = rearrange(self.inv_bottleneck(self.prelu(chunks)), "b s k f -> b (f k) s")
        size, kernel = (data.shape[1], 1), (self.chunk_size, 1)
        summed = F.fold(columns, size, kernel, stride=(self.hop_size, 1))
        return rearrange(summed, "b (f c) t 1 -> b t f c", c=data.shape[3])
