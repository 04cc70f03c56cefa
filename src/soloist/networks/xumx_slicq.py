"""xumx-sliCQ: masks for the blocks of a sliCQ, by a small convolutional auto-encoder for each block.

S. Hanssian, "Music demixing with the sliCQ transform", MDX workshop at ISMIR, 2021; after E. M. Grais and
M. D. Plumbley, "Single channel audio source separation using convolutional denoising autoencoders", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.networks.layers import ConvNorm


@dataclass(frozen=True)
class BlockShape:
    """What a network has to know of a block of coefficients.

    Attributes:
        bins: Frequencies of the block.
        width: Coefficients of each in a slice.
    """

    bins: int
    width: int

    @property
    def kernel(self) -> tuple[int, int]:
        """The kernel along frequency and time that suits the block: the published table."""
        frequency = 1 if self.bins < 10 else 3 if self.bins < 20 else 5
        return frequency, 7 if self.width <= 100 else 13


class Whitening(nn.Module):
    """Shifts and scales each bin, for each source by values of its own.

    They begin as the statistics of a corpus, or as nothing, and are trained.

    Args:
        num_sources: Sources.
        bins: Frequencies.
    """

    def __init__(self, num_sources: int, bins: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(num_sources, bins))
        self.scale = nn.Parameter(torch.ones(num_sources, bins))

    def forward(self, x: Tensor) -> Tensor:
        """Whiten `(batch, channels, frequency, time)` into `(batch, sources * channels, frequency, time)`."""
        shift, scale = self.shift[:, None, :, None], self.scale[:, None, :, None]
        return rearrange((x[:, None] + shift) * scale, "b s c f t -> b (s c) f t")


class BlockAutoencoder(nn.Module):
    """Masks of all sources for one block: two convolutions, two back, and one that doubles the time axis.

    The convolutions neither pad nor share anything between the sources; they are one grouped convolution
    each. They reach across slices, whose coefficients are added up where slices overlap.

    Args:
        shape: The block.
        num_sources: Sources.
        channels: Channels of the mixture and of each source.
        hidden_channels: Channels after the first and after the second convolution, for each source.
    """

    def __init__(
        self, shape: BlockShape, num_sources: int, channels: int, hidden_channels: tuple[int, int] = (25, 55)
    ) -> None:
        super().__init__()
        self.num_sources = num_sources
        self.whitening = Whitening(num_sources, shape.bins)
        first, second = hidden_channels
        widths = [num_sources * width for width in (channels, first, second, first, channels)]
        options = {"kernel_size": shape.kernel, "dilation": (1, 2), "groups": num_sources, "bias": False}
        kinds = (nn.Conv2d, nn.Conv2d, nn.ConvTranspose2d, nn.ConvTranspose2d)
        self.layers = nn.Sequential(
            *(
                ConvNorm(kind(before, after, **options), "relu")  # type: ignore[arg-type]
                for kind, before, after in zip(kinds, widths, widths[1:], strict=False)
            )
        )
        outputs = num_sources * channels
        self.grow = nn.ConvTranspose2d(outputs, outputs, (1, 3), (1, 2), groups=num_sources)
        self.minimum_frames = 4 * (shape.kernel[1] - 1) + 1

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Masks `(batch, sources, channels, frequency, slices, coefficients)`.

        Args:
            magnitudes: Of the mixture, `(batch, channels, frequency, slices, coefficients)`.
        """
        slices, width = magnitudes.shape[-2:]
        x = self.whitening(overlap_slices(magnitudes))
        missing = self.minimum_frames - x.shape[-1]
        x = self.grow(self.layers(F.pad(x, (0, max(0, missing)))))
        # The first `slices * width` of the doubled axis are taken as the coefficients, as published: what
        # lies at twice the time of a coefficient decides about it.
        masks = torch.sigmoid(x[..., : slices * width])
        return rearrange(masks, "b (n c) f (s t) -> b n c f s t", n=self.num_sources, s=slices)


def overlap_slices(block: Tensor) -> Tensor:
    """Add up what slices say about the time that they share.

    Args:
        block: `(..., slices, coefficients)`, each slice half a slice after the one before.

    Returns:
        `(..., (slices + 1) * coefficients / 2)`.
    """
    early, late = block.chunk(2, dim=-1)
    total = F.pad(early, (0, 0, 0, 1)) + F.pad(late, (0, 0, 1, 0))
    return total.flatten(-2)


class XumxSliCQ(nn.Module):
    """Masks of all sources for each block of a sliCQ.

    Blocks that begin above the bandwidth are passed through: each source's mask is one there.

    Args:
        blocks: The blocks of the transform.
        num_sources: Sources.
        channels: Channels of the mixture and of each source.
        num_bins: Bins below the bandwidth; None for all.
        hidden_channels: Channels inside, for each source.

    Raises:
        UsageError: No block lies below the bandwidth.
    """

    def __init__(
        self,
        blocks: Sequence[BlockShape],
        num_sources: int = 4,
        channels: int = 2,
        *,
        num_bins: int | None = None,
        hidden_channels: tuple[int, int] = (25, 55),
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
        self.num_sources = num_sources
        self.blocks = nn.ModuleList(
            BlockAutoencoder(block, num_sources, channels, hidden_channels) for block in live
        )

    def forward(self, magnitudes: Sequence[Tensor]) -> list[Tensor]:
        """Masks `(batch, sources, channels, frequency, slices, coefficients)` of each block.

        Args:
            magnitudes: Of the mixture, `(batch, channels, frequency, slices, coefficients)` for each block.
        """
        masks = [network(block) for network, block in zip(self.blocks, magnitudes, strict=False)]
        passed = [
            block.new_ones(())[None].expand(len(block), self.num_sources, *block.shape[1:])
            for block in magnitudes[len(masks) :]
        ]
        return masks + passed
