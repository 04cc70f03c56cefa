"""Separators that work on spectrograms: a transform, a network, a mask or a mapping, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from soloist.estimation.masks import PlaneOrder, complex_to_planes, planes_to_complex, with_phase_of
from soloist.networks.base import SpectralNetwork
from soloist.separators.base import Normalization, Separator
from soloist.transforms.stft import STFT


class SpectralSeparator(Separator):
    """Estimates each source's spectrogram from that of the mixture with a network.

    Args:
        transform: Analysis and synthesis.
        network: Maps what it sees of the mixture to `sources * channels` such spectrograms, those of the
            first source first.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Rate that the network was trained at, in Hz.
        channels: Channels of the mixture and of each estimate.
        representation: What the network sees: magnitudes, or the real and imaginary parts as channels.
        plane_order: In which order these parts are stacked.
        mode: "mapping": the network's output is the estimate; "masking": it is multiplied with what the
            network sees (real and imaginary parts each by their own mask). Magnitudes get the mixture's
            phase.
        chunk_frames: Frames that are best given at once.
        normalization: What the audio is normalised by; see `Separator`.
    """

    def __init__(
        self,
        transform: STFT,
        network: SpectralNetwork,
        *,
        sources: Sequence[str],
        sample_rate: int,
        channels: int = 2,
        representation: Literal["complex", "magnitude"] = "complex",
        plane_order: PlaneOrder = "parts",
        mode: Literal["mapping", "masking"] = "mapping",
        chunk_frames: int = 128,
        normalization: Normalization = "none",
    ) -> None:
        super().__init__(
            sources=sources, sample_rate=sample_rate, channels=channels, normalization=normalization
        )
        self.transform = transform
        self.network = network
        self.representation = representation
        self.plane_order: PlaneOrder = plane_order
        self.mode = mode
        self.chunk_frames = chunk_frames

    @property
    def chunk_length(self) -> int:
        """Samples that are analysed into `chunk_frames` frames."""
        return max(self.transform.hop_length * (self.chunk_frames - 1), self.transform.n_fft)

    @property
    def receptive_field(self) -> int | None:
        """The network's field, and the window's half on the way in and on the way out; None if unbounded."""
        frames = self.network.receptive_field
        return None if frames is None else frames * self.transform.hop_length + self.transform.n_fft

    @property
    def stride(self) -> int:
        """The grid of frames, and of frames that the network takes together."""
        return self.network.stride * self.transform.hop_length

    def estimate(self, mixture: Tensor) -> Tensor:
        """Estimate the sources of a mixture `(batch, channels, samples)`.

        Returns:
            Estimates `(batch, sources, channels, samples)`.
        """
        estimates = self.estimate_coefficients(self.transform(mixture))
        audio = self.transform.inverse(rearrange(estimates, "b s c f t -> b (s c) f t"), mixture.shape[-1])
        return rearrange(audio, "b (s c) t -> b s c t", c=self.channels)

    def estimate_coefficients(self, coefficients: Tensor) -> Tensor:
        """Estimate the sources' coefficients.

        Args:
            coefficients: Complex `(batch, channels, frequency, frames)`.

        Returns:
            Complex `(batch, sources, channels, frequency, frames)`.
        """
        seen = self.represent(coefficients)
        output = rearrange(self.network(seen), "b (s c) f t -> b s c f t", c=seen.shape[1])
        if self.representation == "complex":
            planes = output if self.mode == "mapping" else output * seen[:, None]
            estimates = planes_to_complex(rearrange(planes, "b s c f t -> (b s) c f t"), self.plane_order)
            return rearrange(estimates, "(b s) c f t -> b s c f t", b=seen.shape[0])
        if self.mode == "masking":
            return output * coefficients[:, None]
        return with_phase_of(output, coefficients[:, None])

    def represent(self, coefficients: Tensor) -> Tensor:
        """What the network sees of complex coefficients `(batch, channels, frequency, frames)`."""
        if self.representation == "complex":
            return complex_to_planes(coefficients, self.plane_order)
        return torch.abs(coefficients)
