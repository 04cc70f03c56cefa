"""Separators on the blocks of a sliced constant-Q transform."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.estimation import WienerEM
from soloist.losses import Prediction
from soloist.networks import BlockShape, MaskDesign, XumxSliCQ
from soloist.separators.separator import Finish, Normalization
from soloist.separators.transform_separator import TransformSeparator
from soloist.transforms import SliCQ, overlap_slices


class SliCQSeparator(TransformSeparator):
    """Masks the blocks of the mixture's sliCQ with a network for each block.

    S. Hanssian, "Music demixing with the sliCQ transform", MDX workshop at ISMIR, 2021.

    Args:
        transform: Analysis and synthesis; its blocks decide the sizes of the network.
        network: How the network of a block is made.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Rate of the transform, in Hz.
        channels: Channels of the mixture and of each estimate.
        bandwidth: Blocks that begin above it, in Hz, have no network: each source gets the mixture there,
            which only the Wiener filter then shares among them. None for all blocks.
        wiener_iterations: How often the mixture is filtered by what the masks leave of it, which makes the
            estimates add up to it; 0 for not at all.
        soft_mask: Begin with the masks as shares of their sum, in place of the masks as they are.
        chunk_slices: Slices that are best given at once.
        normalization: What the audio is normalised by; see `Separator`.

    Raises:
        UsageError: The transform is one for another sample rate, or a number is out of range.
    """

    transform: SliCQ
    network: XumxSliCQ

    def __init__(
        self,
        transform: SliCQ,
        network: MaskDesign,
        *,
        sources: Sequence[str],
        sample_rate: int,
        channels: int = 2,
        bandwidth: float | None = 16000.0,
        wiener_iterations: int = 1,
        soft_mask: bool = False,
        chunk_slices: int = 48,
        normalization: Normalization = "none",
    ) -> None:
        super().__init__(
            sources=sources, sample_rate=sample_rate, channels=channels, normalization=normalization
        )
        if transform.sample_rate != sample_rate:
            raise UsageError(
                f"the transform is one for {transform.sample_rate} Hz, the separator for {sample_rate} Hz"
            )
        limit = math.inf if bandwidth is None else bandwidth
        if not limit >= 0:
            raise UsageError(f"bandwidth {limit:g} Hz must not be negative; give none for all blocks")
        if chunk_slices < 1:
            raise UsageError(f"chunk_slices {chunk_slices} must be at least 1")
        self.transform = transform
        self.network = XumxSliCQ(
            [BlockShape(block.bins, block.width) for block in transform.blocks],
            len(self.sources),
            channels,
            num_bins=sum(frequency <= limit for frequency in transform.frequencies),
            design=network,
        )
        self.wiener = WienerEM(wiener_iterations, "mask" if soft_mask else "phase", window=None)
        self.chunk_slices = chunk_slices

    @property
    def chunk_length(self) -> int:
        """Samples that are analysed into `chunk_slices` slices."""
        return max(1, self.chunk_slices - 1) * self.transform.hop_length

    @property
    def receptive_field(self) -> int | None:
        """What a slice and what the network sees beyond it depend on; None where there is no bound.

        There is none for a Wiener filter, which models all that it is given.
        """
        radius = self.network.radius
        if radius is None or self.wiener.iterations:
            return None
        return math.ceil((1 + radius) * self.transform.slice_length) + self.transform.reach

    @property
    def stride(self) -> int:
        """The grid of slices."""
        return self.transform.hop_length

    @property
    def graph(self) -> nn.Module:
        """The networks of the blocks below the bandwidth."""
        return _Masks(self.network)

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Analysis before the networks; masks, the filter and synthesis after them."""
        mixed = self.transform(mixture)
        seen = tuple(block.abs() for block in mixed[: len(self.network.blocks)])

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            masks = self._match(self.network.complete(outputs, mixed), mixed)
            return self.synthesize(self._filter(masks, mixed), mixture.shape[-1])

        return seen, finish

    def _filter(self, masks: Sequence[Tensor], mixed: Sequence[Tensor]) -> list[Tensor]:
        if not self.wiener.iterations and self.wiener.start != "mask":
            return apply_masks(masks, mixed)
        magnitudes = [mask * block.abs()[:, None] for mask, block in zip(masks, mixed, strict=True)]
        return self.wiener.filter_blocks(mixed, magnitudes)

    def predict(self, mixture: Tensor) -> Prediction:
        """What a loss sees of a mixture `(batch, channels, samples)`: blocks of coefficients and masks.

        The coefficients are what the masks leave of the mixture, not filtered, and at its level whatever the
        normalisation.
        """
        mixed, level = self.analyze(mixture)
        masks = self.run_network(mixed)
        coefficients = self.restore(apply_masks(masks, mixed), mixture, level)
        return Prediction(
            mixture,
            lambda: self.synthesize(coefficients, mixture.shape[-1]),
            analyze=self.transform,
            coefficients=coefficients,
            masks=masks,
        )

    def run_network(self, mixed: Sequence[Tensor]) -> list[Tensor]:
        """Masks for blocks of the mixture.

        Args:
            mixed: Complex `(batch, channels, frequency, slices, coefficients)` for each block.

        Returns:
            `(batch, sources, channels, frequency, slices, coefficients)` for each block.
        """
        return self._match(self.network([block.abs() for block in mixed]), mixed)

    def _match(self, masks: Sequence[Tensor], mixed: Sequence[Tensor]) -> list[Tensor]:
        # A network may be run in less precision than there are complex numbers in.
        return [mask.to(block.real.dtype) for mask, block in zip(masks, mixed, strict=True)]

    def spectrograms(self, coefficients: Sequence[Tensor]) -> list[Tensor]:
        """Magnitudes `(batch, channels, frequency, frames)` of each block, overlapping slices added up."""
        return [overlap_slices(block.abs()) for block in coefficients]


class _Masks(nn.Module):
    """The networks of the blocks below the bandwidth, from and to tensors one by one."""

    def __init__(self, network: XumxSliCQ) -> None:
        super().__init__()
        self.network = network

    def forward(self, *magnitudes: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(magnitudes))


def apply_masks(masks: Sequence[Tensor], mixed: Sequence[Tensor]) -> list[Tensor]:
    """What masks leave of the mixture's blocks; shapes are those of `SliCQSeparator.run_network`."""
    return [mask * block[:, None] for mask, block in zip(masks, mixed, strict=True)]
