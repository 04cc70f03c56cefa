"""Separators on spectrograms: a transform, a network, a mask or a mapping, and the inverse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.estimation import RatioMask, WienerEM, complex_to_planes, planes_to_complex, with_phase_of
from soloist.estimation.representations import PlaneOrder, decibels
from soloist.losses import Prediction
from soloist.networks import SpectralNetwork, Variational
from soloist.separators.separator import Cutting, Finish, Follower, Normalization, Note, PartitionGrid
from soloist.separators.transform_separator import TransformSeparator
from soloist.transforms import STFT, SpectralTransform

Representation = Literal["complex", "magnitude", "decibels"]
"""Input of the network: real and imaginary parts, magnitudes, or levels in dB."""


Mode = Literal["mapping", "masking", "complex_masking"]
"""Use of the network's output: as the estimate, or as a real or complex factor of the mixture."""


class SpectralSeparator(TransformSeparator):
    """Estimates the spectrogram of each source with a network.

    Args:
        transform: Analysis and synthesis: an `STFT`, a `SliCQMatrix`, a `LearnedFilterbank`, or another
            `SpectralTransform`.
        network: Maps the represented mixture to `sources * channels` spectrograms of the same representation,
            source by source.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Sample rate of the network, Hz.
        channels: Channels of the mixture and of each estimate.
        ordered: True if the order of the sources is fixed; False for talkers.
        representation: Input of the network: real and imaginary parts as channels, magnitudes, or magnitudes
            in dB. Real coefficients have no complex representation.
        plane_order: Order of the real and imaginary parts.
        mode: "mapping": the network's output is the estimate; "masking": the output multiplies the mixture
            (real and imaginary parts each by a mask of their own); "complex_masking": real and imaginary part
            of the output are one complex mask. Magnitudes get the phase of the mixture, or its sign. Levels
            in dB allow masks only.
        chunk_frames: Best length of a chunk, frames.
        normalization: Normalisation of the audio; see `Separator`.
        wiener: Filter of the estimated magnitudes and the mixture: of all channels together, or a `RatioMask`
            for each; None for none. With `wiener.residual`, the last source is the rest, and the network
            estimates one source less. Losses see the estimates before the filter.
        partitioned: Separate recordings in partitions of `chunk_frames` frames, counted from the first frame,
            as a network that cuts its input into pieces of so many frames separates them at once. Needs an
            `STFT` of full extent.
        cutting: Cut of recordings into chunks, as a published program makes it; None for chunks of
            `chunk_frames` frames.

    Raises:
        UsageError: A filter for one source, a mapping of levels in dB, complex masks for another
            representation, a representation or filter that real coefficients do not have, or partitions of a
            transform that has none.
    """

    transform: SpectralTransform
    network: SpectralNetwork

    def __init__(
        self,
        transform: SpectralTransform,
        network: SpectralNetwork,
        *,
        sources: Sequence[str],
        sample_rate: int,
        channels: int = 2,
        ordered: bool = True,
        representation: Representation = "complex",
        plane_order: PlaneOrder = "parts",
        mode: Mode = "mapping",
        chunk_frames: int = 128,
        normalization: Normalization = "none",
        wiener: WienerEM | RatioMask | None = None,
        partitioned: bool = False,
        cutting: Cutting | None = None,
    ) -> None:
        super().__init__(
            sources=sources,
            sample_rate=sample_rate,
            channels=channels,
            ordered=ordered,
            normalization=normalization,
        )
        self.transform = transform
        self.network = network
        self.representation: Representation = representation
        self.plane_order: PlaneOrder = plane_order
        self.mode = mode
        self.chunk_frames = chunk_frames
        self.wiener = wiener
        self.partitioned = partitioned
        self._cutting = cutting
        self._check_parts()

    def _check_parts(self) -> None:
        if self.wiener is not None and len(self.sources) < 2:
            raise UsageError("one source alone cannot be filtered: add another, which may be wiener.residual")
        if not self.transform.is_complex and (self.representation == "complex" or self.wiener is not None):
            name = type(self.transform).__name__
            raise UsageError(
                f"{name} has real coefficients: set representation to magnitude or decibels, and no wiener"
            )
        if self.representation == "decibels" and self.mode == "mapping":
            raise UsageError("a network that sees decibels estimates masks: set mode to masking")
        stft = self.transform
        if self.partitioned and not (
            isinstance(stft, STFT) and stft.extent == "full" and stft.n_fft % stft.hop_length == 0
        ):
            raise UsageError("partitions need an STFT of full extent, whose hops fill the window exactly")
        if self.mode == "complex_masking" and self.representation != "complex":
            raise UsageError("complex masks need real and imaginary parts: set representation to complex")

    @property
    def chunk_length(self) -> int:
        """Samples of `chunk_frames` frames, or of a chunk of the `cutting`."""
        if self._cutting is not None:
            return self._cutting.length
        return self.transform.length_of(self.chunk_frames)

    @property
    def cutting(self) -> Cutting | None:
        """Cut of recordings into chunks, if it is part of the separator."""
        return self._cutting

    @property
    def receptive_field(self) -> int | None:
        """Field of network and transform, samples; None if unbounded.

        A Wiener filter models the whole input, without bound.
        """
        return self._in_samples(self.network.receptive_field, self.transform.reach)

    @property
    def lookahead(self) -> int | None:
        """Look-ahead of network and transform, samples; None if unbounded."""
        return self._in_samples(self.network.lookahead, self.transform.lookahead)

    def _in_samples(self, frames: int | None, around: int) -> int | None:
        if frames is None or (isinstance(self.wiener, WienerEM) and self.wiener.iterations):
            return None
        return self.transform.widening(frames) + around

    @property
    def stride(self) -> int:
        """Least common grid of the transform's hops and the network's stride, samples."""
        per_hop = self.transform.frames_per_hop
        return math.lcm(self.network.stride, per_hop) // per_hop * self.transform.hop_length

    @property
    def partition(self) -> PartitionGrid | None:
        """Partitions of `chunk_frames` frames, if the separator is `partitioned`."""
        if not self.partitioned:
            return None
        window, hop = self.transform.reach, self.transform.hop_length
        return PartitionGrid(self.chunk_frames * hop, window - hop, window)

    def follow(self, note: Note | None = None) -> Follower | None:
        """Make a follower for one recording; None for a separator without partitions."""
        return _PartitionFollower(self) if self.partitioned else None

    @property
    def graph(self) -> SpectralNetwork:
        """The network."""
        return self.network

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Analysis; and a callback for masks or mappings, the filter and synthesis."""
        mixed = self.transform(mixture)
        seen = self.represent(mixed)

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            return self.synthesize_each(self.finish(outputs[0], mixed), mixture.shape[-1])

        return (seen,), finish

    def synthesize_each(self, estimates: Tensor, length: int) -> Tensor:
        """`synthesize` one source after the other: less memory, and no more time."""
        if not self.transform.exact:
            # Learned filters may be each source's own, or join the sources.
            return self.synthesize(estimates, length)
        return torch.cat([self.synthesize(each, length) for each in estimates.split(1, dim=1)], dim=1)

    def predict(self, mixture: Tensor) -> Prediction:
        """Prediction for a mixture `(batch, channels, samples)`, as losses take it.

        The coefficients are those of the estimates before the filter, at the level of the mixture; masks are
        given where magnitudes are masked. A transform that is not exact has neither.
        """
        mixed, level = self.analyze(mixture)
        planes, latent = self._explain(self.represent(mixed))
        output, length = self.split_sources(planes, mixed), mixture.shape[-1]
        coefficients = self.make_estimates(output, mixed)
        if not self.transform.exact:
            # Levels come back as audio only, and references have no coefficients to compare with.
            return Prediction(
                mixture,
                lambda: self.restore_estimates(self.synthesize(coefficients, length), mixture, level),
                latent=latent,
            )
        residual = isinstance(self.wiener, WienerEM) and self.wiener.residual
        if residual:
            rest = mixed[:, None] - coefficients.sum(dim=1, keepdim=True)
            coefficients = torch.cat([coefficients, rest], dim=1)
        restored = self.restore(coefficients, mixture, level)
        masked = self.representation != "complex" and self.mode == "masking" and not residual
        return Prediction(
            mixture,
            lambda: self.synthesize(restored, length),
            analyze=self.transform,
            coefficients=restored,
            masks=output if masked else None,
            latent=latent,
        )

    def _explain(self, seen: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Output of the network, and the distribution of its bottleneck if it is variational."""
        if isinstance(self.network, Variational):
            return self.network.explain(seen)
        return self.run_network(self.network, seen)[0], None

    def estimate_coefficients(self, coefficients: Tensor) -> Tensor:
        """Estimate the sources' coefficients.

        Args:
            coefficients: Mixture `(batch, channels, frequency, frames)`.

        Returns:
            `(batch, sources, channels, frequency, frames)`.
        """
        output = self.run_network(self.network, self.represent(coefficients))[0]
        return self.finish(output, coefficients)

    def finish(self, output: Tensor, coefficients: Tensor) -> Tensor:
        """Filtered estimates of the sources' coefficients.

        Args:
            output: Output of the network, `(batch, sources * planes, frequency, frames)`.
            coefficients: Mixture `(batch, channels, frequency, frames)`.

        Returns:
            `(batch, sources, channels, frequency, frames)`.
        """
        planes = self.split_sources(output, coefficients)
        if self.wiener is None:
            return self.make_estimates(planes, coefficients)
        return self.wiener(coefficients, self._estimate_magnitudes(planes, coefficients))

    def split_sources(self, output: Tensor, coefficients: Tensor) -> Tensor:
        """Output `(batch, sources * planes, frequency, frames)` of the network, source by source.

        Returns:
            `(batch, sources, planes, frequency, frames)`, in the precision of the mixture's coefficients:
            networks may run in a precision without complex numbers.
        """
        planes = self.channels * (2 if self.representation == "complex" else 1)
        return rearrange(output.to(coefficients.real.dtype), "b (s c) f t -> b s c f t", c=planes)

    def make_estimates(self, output: Tensor, coefficients: Tensor) -> Tensor:
        """Estimates before the filter.

        Args:
            output: Output of the network, `(batch, sources, planes, frequency, frames)`.
            coefficients: Mixture `(batch, channels, frequency, frames)`.

        Returns:
            `(batch, sources, channels, frequency, frames)`.
        """
        if self.representation == "complex":
            planes = output * self.represent(coefficients)[:, None] if self.mode == "masking" else output
            estimates = planes_to_complex(rearrange(planes, "b s c f t -> (b s) c f t"), self.plane_order)
            estimates = rearrange(estimates, "(b s) c f t -> b s c f t", b=output.shape[0])
            return estimates * coefficients[:, None] if self.mode == "complex_masking" else estimates
        if self.mode == "masking":
            return output * coefficients[:, None]
        if self.transform.is_complex:
            return with_phase_of(output, coefficients[:, None])
        # The sign is the phase of a real coefficient.
        return torch.where(coefficients[:, None] < 0, -output, output)

    def _estimate_magnitudes(self, output: Tensor, coefficients: Tensor) -> Tensor:
        """Magnitudes of `make_estimates` for the filter; of real outputs without complex numbers."""
        if self.representation == "complex":
            return self.make_estimates(output, coefficients).abs()
        bins = self.wiener.num_bins if isinstance(self.wiener, RatioMask) else None
        output, coefficients = output[..., :bins, :], coefficients[..., :bins, :]
        if self.mode == "masking":
            return (output * coefficients.abs()[:, None]).abs_()
        return output.abs()

    def represent(self, coefficients: Tensor) -> Tensor:
        """Input of the network for coefficients `(batch, channels, frequency, frames)`."""
        if self.representation == "complex":
            return complex_to_planes(coefficients, self.plane_order)
        magnitudes = torch.abs(coefficients)
        return magnitudes if self.representation == "magnitude" else decibels(magnitudes)


class _PartitionFollower:
    """Estimates whole partitions, by the frames that lie within the chunk.

    Args:
        separator: Separator with partitions.
    """

    def __init__(self, separator: SpectralSeparator) -> None:
        self.separator = separator
        self.outside = separator.transform.reach // separator.transform.hop_length

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Analysis; and a callback for the estimates' shares.

        Args:
            mixture: Chunks of whole partitions, `(chunks, groups * channels, samples)`.
        """
        separator, outside = self.separator, self.outside
        groups, length = mixture.shape[1] // separator.channels, mixture.shape[-1]
        # Frames that reach beyond the chunk belong to its neighbours.
        every = separator.transform(rearrange(mixture, "b (g c) t -> (b g) c t", g=groups))
        mixed = every[..., outside : 1 - outside]

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            estimates = separator.finish(outputs[0], mixed)
            # One source after the other: less memory, and no more time.
            whole = (pad(each, (outside, outside - 1)) for each in estimates.split(1, dim=1))
            audio = torch.cat([separator.synthesize(each, length) for each in whole], dim=1)
            return rearrange(audio, "(b g) s c t -> b s (g c) t", g=groups)

        return (separator.represent(mixed),), finish
