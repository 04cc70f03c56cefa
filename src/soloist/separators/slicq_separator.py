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
    """Masks the blocks of a sliCQ with one network a block.

    S. Hanssian, "Music demixing with the sliCQ transform", MDX workshop at ISMIR, 2021.

    Args:
        transform: Analysis and synthesis; the blocks decide the sizes of the network.
        network: Design of the network of a block.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Sample rate of the transform, Hz.
        channels: Channels of the mixture and of each estimate.
        bandwidth: Frequency, Hz, above which blocks have no network: each source gets the mixture there, and
            the Wiener filter shares it. None for a network for every block.
        wiener_iterations: Iterations of the Wiener filter, which makes the estimates add up to the mixture; 0
            for no filter.
        soft_mask: Begin the filter with masks divided by their sum.
        chunk_slices: Best length of a chunk, slices.
        normalization: Normalisation of the audio; see `Separator`.

    Raises:
        UsageError: The transform has another sample rate, or a number is out of range.
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
        """Samples of `chunk_slices` slices."""
        return max(1, self.chunk_slices - 1) * self.transform.hop_length

    @property
    def receptive_field(self) -> int | None:
        """Field of network and transform, samples; None if unbounded.

        A Wiener filter models the whole input, without bound.
        """
        radius = self.network.radius
        if radius is None or self.wiener.iterations:
            return None
        return math.ceil((1 + radius) * self.transform.slice_length) + self.transform.reach

    @property
    def stride(self) -> int:
        """Distance of the slices, samples."""
        return self.transform.hop_length

    @property
    def graph(self) -> nn.Module:
        """The networks of the blocks below the bandwidth."""
        return _Masks(self.network)

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Analysis; and a callback for masks, the filter and synthesis."""
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
        """Prediction for a mixture `(batch, channels, samples)`, as losses take it: blocks and masks.

        The blocks are the masked mixture before the filter, at the level of the mixture.
        """
        mixed, level = self.analyze(mixture)
        masks = self.estimate_masks(mixed)
        coefficients = self.restore(apply_masks(masks, mixed), mixture, level)
        return Prediction(
            mixture,
            lambda: self.synthesize(coefficients, mixture.shape[-1]),
            analyze=self.transform,
            coefficients=coefficients,
            masks=masks,
        )

    def estimate_masks(self, mixed: Sequence[Tensor]) -> list[Tensor]:
        """Masks for blocks of the mixture.

        Args:
            mixed: Complex `(batch, channels, frequency, slices, coefficients)` for each block.

        Returns:
            `(batch, sources, channels, frequency, slices, coefficients)` for each block.
        """
        return self._match(self.run_network(_Masks(self.network), *(block.abs() for block in mixed)), mixed)

    def _match(self, masks: Sequence[Tensor], mixed: Sequence[Tensor]) -> list[Tensor]:
        # Networks may run in a precision without complex numbers.
        return [mask.to(block.real.dtype) for mask, block in zip(masks, mixed, strict=True)]

    def spectrograms(self, coefficients: Sequence[Tensor]) -> list[Tensor]:
        """Magnitudes `(batch, channels, frequency, frames)` of each block, overlapping slices added up."""
        return [overlap_slices(block.abs()) for block in coefficients]


class _Masks(nn.Module):
    """The networks of the blocks below the bandwidth, with one argument and one output a block."""

    def __init__(self, network: XumxSliCQ) -> None:
        super().__init__()
        self.network = network

    def forward(self, *magnitudes: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(magnitudes))


def apply_masks(masks: Sequence[Tensor], mixed: Sequence[Tensor]) -> list[Tensor]:
    """Masked blocks of the mixture; shapes as in `SliCQSeparator.estimate_masks`."""
    return [mask * block[:, None] for mask, block in zip(masks, mixed, strict=True)]
