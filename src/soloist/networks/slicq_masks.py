"""xumx-sliCQ: masks for the blocks of a sliCQ, by a small network for each block.

A *design* (`Autoencoder`, `BiLSTM`) holds the options of the networks and builds one for a given block.

S. Hanssian, "Music demixing with the sliCQ transform", MDX workshop at ISMIR, 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.networks.layers.convolutions import ConvNorm, Whitening
from soloist.transforms import overlap_slices


@dataclass(frozen=True)
class BlockShape:
    """Size of a block of coefficients.

    Attributes:
        bins: Frequencies of the block.
        width: Coefficients of a bin in a slice, an even number.
    """

    bins: int
    width: int

    @property
    def kernel(self) -> tuple[int, int]:
        """Kernel along frequency and time for the block, from the published table."""
        frequency = 1 if self.bins < 10 else 3 if self.bins < 20 else 5
        return frequency, 7 if self.width <= 100 else 13


class BlockMasks(nn.Module):
    """Network for the masks of all sources in one block.

    Input: the magnitudes of all slices on one time axis, summed where slices overlap. A subclass implements
    `run`. Each slice reads its masks at its own times.

    Args:
        num_sources: Number of sources.
        channels: Channels of the mixture and of each source.
        as_released: Follow the released code of xumx-sliCQ: the head doubles the time axis, and slices read
            from it one after the other, so that the end of a slice gets the mask of its middle.
    """

    def __init__(self, num_sources: int, channels: int, as_released: bool) -> None:
        super().__init__()
        self.num_sources = num_sources
        self.as_released = as_released
        outputs = num_sources * channels
        self.head: nn.Module = (
            nn.ConvTranspose2d(outputs, outputs, (1, 3), (1, 2), groups=num_sources)
            if as_released
            else nn.Conv2d(outputs, outputs, (1, 3), padding=(0, 1), groups=num_sources)
        )

    @property
    def radius(self) -> int | None:
        """Points of the time axis on either side that a mask can depend on; None if unbounded."""
        raise NotImplementedError(f"{type(self).__name__} does not implement radius")

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Initialise with the mean and the deviation of each bin, `(frequency,)`; by default, do nothing."""

    def run(self, x: Tensor) -> Tensor:
        """Map magnitudes to the input of the head.

        Args:
            x: `(batch, channels, frequency, time)`.

        Returns:
            `(batch, sources * channels, frequency, time)`, or longer.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement run")

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Estimate masks.

        Args:
            magnitudes: Magnitudes of the mixture, `(batch, channels, frequency, slices, coefficients)`.

        Returns:
            `(batch, sources, channels, frequency, slices, coefficients)`.
        """
        slices, width = magnitudes.shape[-2:]
        masks = torch.sigmoid(self.head(self.run(overlap_slices(magnitudes))))
        if self.as_released:
            masks = masks[..., : slices * width].unflatten(-1, (slices, width))
        else:
            masks = masks[..., : (slices + 1) * width // 2].unfold(-1, width, width // 2)
        return rearrange(masks, "b (n c) f s t -> b n c f s t", n=self.num_sources)


class AutoencoderMasks(BlockMasks):
    """Two convolutions without padding and two transposed ones, separate for each source.

    Grouped convolutions compute all sources together.

    Args:
        shape: Size of the block.
        num_sources: Number of sources.
        channels: Channels of the mixture and of each source.
        hidden_channels: Channels after the first and after the second convolution, for each source.
        as_released: See `BlockMasks`.
    """

    def __init__(
        self,
        shape: BlockShape,
        num_sources: int,
        channels: int,
        hidden_channels: tuple[int, int],
        as_released: bool,
    ) -> None:
        super().__init__(num_sources, channels, as_released)
        self.shape = shape
        self.whitening = Whitening(num_sources, shape.bins)
        first, second = hidden_channels
        widths = [num_sources * width for width in (channels, first, second, first, channels)]
        options = {"kernel_size": shape.kernel, "dilation": (1, 2), "groups": num_sources, "bias": False}
        kinds = (nn.Conv2d, nn.Conv2d, nn.ConvTranspose2d, nn.ConvTranspose2d)
        self.layers = nn.Sequential(
            *(
                ConvNorm(kind(before, after, **options), "relu")
                for kind, before, after in zip(kinds, widths, widths[1:], strict=False)
            )
        )

    @property
    def radius(self) -> int:
        """Points that the convolutions see, plus the displacement of the masks, half a slice, as released."""
        field = self._span + 1
        return field + self.shape.width // 2 if self.as_released else field

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Initialise with the mean and the standard deviation of each bin, `(frequency,)`."""
        self.whitening.set_statistics(mean, deviation)

    def run(self, x: Tensor) -> Tensor:
        """Whiten `(batch, channels, frequency, time)`, encode and decode."""
        missing = self._span + 1 - x.shape[-1]
        return self.layers(self.whitening(F.pad(x, (0, max(0, missing)))))

    @property
    def _span(self) -> int:
        """Points of the time axis that the convolutions remove and the transposed ones restore."""
        return 4 * (self.shape.kernel[1] - 1)


class BiLSTMMasks(BlockMasks):
    """Bidirectional LSTM along time for each source, and a linear layer on its input and output.

    Args:
        shape: Size of the block.
        num_sources: Number of sources.
        channels: Channels of the mixture and of each source.
        layers: Layers of the LSTM.
        as_released: See `BlockMasks`. The released code also folds spectrograms in the order of memory, so
            that a step of the LSTM is a piece of the time axis of one bin.
    """

    def __init__(
        self, shape: BlockShape, num_sources: int, channels: int, layers: int, as_released: bool
    ) -> None:
        super().__init__(num_sources, channels, as_released)
        features = channels * shape.bins
        self.sources = nn.ModuleList(
            RecurrentSource(features, layers, in_memory_order=as_released) for _ in range(num_sources)
        )

    @property
    def radius(self) -> None:
        """None: the LSTM is unbounded."""
        return None

    def run(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frequency, time)` by the network of each source."""
        return torch.cat([source(x) for source in self.sources], dim=1)


class RecurrentSource(nn.Module):
    """Norm, LSTM, and linear layer with a norm, on all channels and bins of a point in time.

    Args:
        features: Channels times bins.
        layers: Layers of the LSTM.
        in_memory_order: Fold spectrograms in the order of memory; see `BiLSTMMasks`.
    """

    def __init__(self, features: int, layers: int, in_memory_order: bool) -> None:
        super().__init__()
        units = max(1, features // 2)
        self.in_memory_order = in_memory_order
        self.norm_in = nn.BatchNorm1d(features)
        self.lstm = nn.LSTM(
            features, units, num_layers=layers, bidirectional=True, dropout=0.4 if layers > 1 else 0
        )
        self.linear = nn.Linear(features + 2 * units, features, bias=False)
        self.norm_out = nn.BatchNorm1d(features)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frequency, time)` to the same shape."""
        batch, channels, bins, time = x.shape
        if self.in_memory_order:
            rows = x.reshape(-1, channels * bins)
        else:
            rows = rearrange(x, "b c f t -> (t b) (c f)")
        steps = torch.tanh(self.norm_in(rows)).unflatten(0, (time, batch))
        rows = torch.cat([steps, self.lstm(steps)[0]], dim=-1).flatten(0, 1)
        rows = torch.relu(self.norm_out(self.linear(rows)))
        if self.in_memory_order:
            return rows.reshape(x.shape)
        return rearrange(rows, "(t b) (c f) -> b c f t", b=batch, c=channels)


class MaskDesign:
    """Design of the networks of the blocks."""

    def build(self, shape: BlockShape, num_sources: int, channels: int) -> BlockMasks:
        """Build the network of one block."""
        raise NotImplementedError


class Autoencoder(MaskDesign):
    """Design of convolutional denoising auto-encoders.

    E. M. Grais and M. D. Plumbley, "Single channel audio source separation using convolutional denoising
    autoencoders", GlobalSIP 2017.

    Args:
        hidden_channels: Channels after the first and after the second convolution, for each source.
        as_released: Read masks as the released code of xumx-sliCQ; see `BlockMasks`.

    Raises:
        UsageError: A number of channels is below 1.
    """

    def __init__(self, hidden_channels: tuple[int, int] = (25, 55), as_released: bool = False) -> None:
        if min(hidden_channels) < 1:
            raise UsageError(f"hidden_channels {list(hidden_channels)} must be at least 1 each")
        self.hidden_channels = hidden_channels
        self.as_released = as_released

    def build(self, shape: BlockShape, num_sources: int, channels: int) -> AutoencoderMasks:
        """Build an auto-encoder with the published kernels."""
        return AutoencoderMasks(shape, num_sources, channels, self.hidden_channels, self.as_released)


class BiLSTM(MaskDesign):
    """Design of recurrent networks, similar to Open-Unmix.

    Args:
        layers: Layers of the LSTM.
        as_released: Fold spectrograms and read masks as the released code of xumx-sliCQ; see `BiLSTMMasks`.

    Raises:
        UsageError: The number of layers is below 1.
    """

    def __init__(self, layers: int = 2, as_released: bool = False) -> None:
        if layers < 1:
            raise UsageError(f"layers {layers} must be at least 1")
        self.layers = layers
        self.as_released = as_released

    def build(self, shape: BlockShape, num_sources: int, channels: int) -> BiLSTMMasks:
        """Build a network with `channels * bins / 2` units in each direction."""
        return BiLSTMMasks(shape, num_sources, channels, self.layers, self.as_released)


class XumxSliCQ(nn.Module):
    """Masks of all sources for each block of a sliCQ.

    Blocks above the bandwidth pass: the masks of all sources are 1 there.

    Args:
        blocks: Sizes of the blocks of the transform.
        num_sources: Number of sources.
        channels: Channels of the mixture and of each source.
        num_bins: Bins below the bandwidth. If None, all.
        design: Design of the networks. If None, the published auto-encoder.

    Raises:
        UsageError: No block lies below the bandwidth.
    """

    full_precision: ClassVar[tuple[str, ...]] = ("blocks.*.head",)

    def __init__(
        self,
        blocks: Sequence[BlockShape],
        num_sources: int = 4,
        channels: int = 2,
        *,
        num_bins: int | None = None,
        design: MaskDesign | None = None,
    ) -> None:
        super().__init__()
        first_bins = [sum(block.bins for block in blocks[:index]) for index in range(len(blocks))]
        live = [
            block
            for block, first in zip(blocks, first_bins, strict=True)
            if num_bins is None or first < num_bins
        ]
        if not live:
            raise UsageError(f"none of {len(blocks)} blocks lies below bin {num_bins}")
        design = design or Autoencoder()
        self.num_sources = num_sources
        self.shapes = live
        self.blocks = nn.ModuleList(design.build(block, num_sources, channels) for block in live)

    @property
    def radius(self) -> float | None:
        """Slices on either side that a mask can depend on, a fraction; None if unbounded."""
        networks = cast(Sequence[BlockMasks], self.blocks)
        points = [network.radius for network in networks]
        widths = [shape.width for shape in self.shapes]
        bounded = [radius / width for radius, width in zip(points, widths, strict=True) if radius is not None]
        return max(bounded) if len(bounded) == len(points) else None

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Initialise with the mean and the deviation of each bin's magnitudes, `(bins,)`, from 0 Hz up."""
        sizes = [shape.bins for shape in self.shapes]
        parts = (values[: sum(sizes)].split(sizes) for values in (mean, deviation))
        for network, *statistics in zip(self.blocks, *parts, strict=True):
            network.set_statistics(*statistics)

    def forward(self, magnitudes: Sequence[Tensor]) -> list[Tensor]:
        """Estimate the masks of each block.

        Args:
            magnitudes: Magnitudes of the mixture, `(batch, channels, frequency, slices, coefficients)` for
                each block.

        Returns:
            `(batch, sources, channels, frequency, slices, coefficients)` for each block.
        """
        masks = [network(block) for network, block in zip(self.blocks, magnitudes, strict=False)]
        return self.complete(masks, magnitudes)

    def complete(self, masks: Sequence[Tensor], blocks: Sequence[Tensor]) -> list[Tensor]:
        """Append masks of ones for the blocks above the bandwidth.

        Args:
            masks: `(batch, sources, channels, frequency, slices, coefficients)` for each block below it.
            blocks: All blocks of the mixture, `(batch, channels, frequency, slices, coefficients)`.

        Returns:
            Masks for all blocks.
        """
        passed = [
            block.real.new_ones(()).expand(block.shape[0], self.num_sources, *block.shape[1:])
            for block in blocks[len(masks) :]
        ]
        return [*masks, *passed]
