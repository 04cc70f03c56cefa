"""Separators that work on spectrograms: a transform, a network, a mask or a mapping, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import UsageError
from soloist.estimation import WienerEM, complex_to_planes, planes_to_complex, with_phase_of
from soloist.estimation.representations import PlaneOrder, decibels
from soloist.losses import Prediction
from soloist.networks import SpectralNetwork, Variational
from soloist.separators.separator import Finish, Normalization
from soloist.separators.transform_separator import TransformSeparator
from soloist.transforms import SpectralTransform

Representation = Literal["complex", "magnitude", "decibels"]
"""What a network sees of a spectrogram."""


class SpectralSeparator(TransformSeparator):
    """Estimates each source's spectrogram from that of the mixture with a network.

    Args:
        transform: Analysis and synthesis.
        network: Maps what it sees of the mixture to `sources * channels` such spectrograms, those of the
            first source first.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Rate that the network was trained at, in Hz.
        channels: Channels of the mixture and of each estimate.
        ordered: Whether the order of the sources means something; that of talkers does not.
        representation: What the network sees: the real and imaginary parts as channels, magnitudes, or these
            in dB.
        plane_order: In which order the parts are stacked.
        mode: "mapping": the network's output is the estimate; "masking": it is multiplied with the mixture
            (real and imaginary parts each by their own mask). Magnitudes get the mixture's phase. From levels
            in dB come masks only.
        chunk_frames: Frames that are best given at once.
        normalization: What the audio is normalised by; see `Separator`.
        wiener: The filter that the magnitudes of the network's estimates, and the mixture, then go through;
            None for none. With its `residual`, the last source is what the others leave, and the network
            estimates one source less. Training minimises what is wrong before the filter.

    Raises:
        UsageError: One source alone is to be filtered, or levels in dB are to be mapped.
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
        mode: Literal["mapping", "masking"] = "mapping",
        chunk_frames: int = 128,
        normalization: Normalization = "none",
        wiener: WienerEM | None = None,
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

    @property
    def chunk_length(self) -> int:
        """Samples that are analysed into `chunk_frames` frames."""
        return self.transform.length_of(self.chunk_frames)

    @property
    def receptive_field(self) -> int | None:
        """The network's field and the transform's; None if unbounded.

        There is no bound for a Wiener filter, which models all that it is given.
        """
        return self._in_samples(self.network.receptive_field, self.transform.reach)

    @property
    def lookahead(self) -> int | None:
        """The network's future and the transform's; None if unbounded."""
        return self._in_samples(self.network.lookahead, self.transform.lookahead)

    def _in_samples(self, frames: int | None, around: int) -> int | None:
        if frames is None or (self.wiener is not None and self.wiener.iterations):
            return None
        return self.transform.widening(frames) + around

    @property
    def stride(self) -> int:
        """The grid of the transform's hops and of frames that the network takes together."""
        per_hop = self.transform.frames_per_hop
        return math.lcm(self.network.stride, per_hop) // per_hop * self.transform.hop_length

    @property
    def graph(self) -> SpectralNetwork:
        """The network."""
        return self.network

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Analysis before the network; masks or mappings, the filter and synthesis after it."""
        mixed = self.transform(mixture)
        seen = self.represent(mixed)

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            return self.synthesize(self.finish(outputs[0], mixed), mixture.shape[-1])

        return (seen,), finish

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
        residual = self.wiener is not None and self.wiener.residual
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
        return self.network(seen), None

    def estimate_coefficients(self, coefficients: Tensor) -> Tensor:
        """Estimate the sources' coefficients.

        Args:
            coefficients: Complex `(batch, channels, frequency, frames)`.

        Returns:
            Complex `(batch, sources, channels, frequency, frames)`.
        """
        return self.finish(self.network(self.represent(coefficients)), coefficients)

    def finish(self, output: Tensor, coefficients: Tensor) -> Tensor:
        """What the network's output makes of the mixture.

        Args:
            output: `(batch, sources * planes, frequency, frames)`.
            coefficients: Those of the mixture, complex `(batch, channels, frequency, frames)`.

        Returns:
            Complex `(batch, sources, channels, frequency, frames)`.
        """
        estimates = self.make_estimates(self.split_sources(output, coefficients), coefficients)
        return estimates if self.wiener is None else self.wiener(coefficients, estimates.abs())

    def split_sources(self, output: Tensor, coefficients: Tensor) -> Tensor:
        """The network's output `(batch, sources * planes, frequency, frames)` source by source.

        Returns:
            `(batch, sources, planes, frequency, frames)`, in the precision of the mixture's coefficients: a
            network may be run in less than there are complex numbers in.
        """
        planes = self.channels * (2 if self.representation == "complex" else 1)
        return rearrange(output.to(coefficients.real.dtype), "b (s c) f t -> b s c f t", c=planes)

    def make_estimates(self, output: Tensor, coefficients: Tensor) -> Tensor:
        """Make estimates of the network's output.

        Args:
            output: `(batch, sources, planes, frequency, frames)`.
            coefficients: Those of the mixture, complex `(batch, channels, frequency, frames)`.

        Returns:
            Complex `(batch, sources, channels, frequency, frames)`.
        """
        if self.representation == "complex":
            planes = output if self.mode == "mapping" else output * self.represent(coefficients)[:, None]
            estimates = planes_to_complex(rearrange(planes, "b s c f t -> (b s) c f t"), self.plane_order)
            return rearrange(estimates, "(b s) c f t -> b s c f t", b=output.shape[0])
        if self.mode == "masking":
            return output * coefficients[:, None]
        if self.transform.is_complex:
            return with_phase_of(output, coefficients[:, None])
        # The sign is the phase of a real coefficient.
        return torch.where(coefficients[:, None] < 0, -output, output)

    def represent(self, coefficients: Tensor) -> Tensor:
        """What the network sees of complex coefficients `(batch, channels, frequency, frames)`."""
        if self.representation == "complex":
            return complex_to_planes(coefficients, self.plane_order)
        magnitudes = torch.abs(coefficients)
        return magnitudes if self.representation == "magnitude" else decibels(magnitudes)
