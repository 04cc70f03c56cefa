"""Separators with one network on spectrogram and waveform at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.estimation import WienerEM, complex_to_planes, planes_to_complex, with_phase_of
from soloist.networks import HybridNetwork
from soloist.separators.centered_separator import CenteredSeparator, ItemLevel
from soloist.separators.separator import Finish, Normalization
from soloist.transforms import HalfHopSTFT


class HybridSeparator(CenteredSeparator):
    """Adds up estimates that a network makes as spectrograms and as waveforms.

        mixture -+- analysis - norm -+- network -+- norm undone - synthesis -+- estimates
                 +------------ norm -+           +- norm undone -------------+

    A. Défossez, "Hybrid spectrogram and waveform source separation", MDX workshop at ISMIR, 2021.

    Args:
        transform: Analysis and synthesis.
        network: Maps the normalised spectrogram and waveform of the mixture to those of the sources.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Sample rate of the network, Hz.
        channels: Channels of the mixture and of each estimate.
        representation: "complex" for real and imaginary parts; "magnitude" for magnitudes, which get the
            phase of the mixture.
        subbands: Bands of equal width that the network sees as planes of one band.
        chunk_length: Best length of a chunk, samples.
        pad_to_chunk: Pad shorter mixtures with zeros at their ends to the length of a chunk, as in training.
        normalization: Normalisation of the audio; see `Separator`.
        mean_to_each: See `CenteredSeparator`.
        wiener: Filter of the estimated magnitudes and the mixture; None for none. The rest that
            `wiener.residual` asks for is dropped.

    Raises:
        UsageError: Transform, network and sources do not fit together.
    """

    def __init__(
        self,
        transform: HalfHopSTFT,
        network: HybridNetwork,
        *,
        sources: Sequence[str],
        sample_rate: int = 44100,
        channels: int = 2,
        representation: Literal["complex", "magnitude"] = "complex",
        subbands: int = 1,
        chunk_length: int = 343980,
        pad_to_chunk: bool = False,
        normalization: Normalization = "track",
        mean_to_each: bool = False,
        wiener: WienerEM | None = None,
    ) -> None:
        super().__init__(
            sources=sources,
            sample_rate=sample_rate,
            channels=channels,
            chunk_length=chunk_length,
            normalization=normalization,
            mean_to_each=mean_to_each,
        )
        self.transform = transform
        self.network = network
        self.representation: Literal["complex", "magnitude"] = representation
        self.subbands = subbands
        self.pad_to_chunk = pad_to_chunk
        self.wiener = wiener
        self._check_parts()

    def _check_parts(self) -> None:
        design = self.network.design
        planes = self.channels * (2 if self.representation == "complex" else 1) * self.subbands
        wanted = (len(self.sources), self.channels, planes, self.transform.num_bins // self.subbands)
        found = (design.num_sources, design.audio_channels, design.planes, design.num_bins)
        for what, ours, its in zip(("sources", "channels", "planes", "bins"), wanted, found, strict=True):
            if ours != its:
                raise UsageError(f"the network is one for {its} {what}, the separator has {ours}")
        if self.wiener is not None and self.representation != "magnitude":
            raise UsageError(
                "a Wiener filter takes magnitudes: set representation to magnitude, or no wiener"
            )

    def input_length(self, samples: int) -> int:
        """Length of a chunk, if the network always sees that; else the chunk alone.

        Raises:
            UsageError: The chunk is longer than those of the training.
        """
        if not self.pad_to_chunk:
            return max(samples, self.minimum_length)
        if samples > self.chunk_length:
            seconds = self.chunk_length / self.sample_rate
            raise UsageError(f"this model separates chunks of at most {seconds:g} s, as in its training")
        return self.chunk_length

    @property
    def graph(self) -> HybridNetwork:
        """The network."""
        return self.network

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Padding, analysis and normalisation; and a callback that undoes all of it."""
        samples = mixture.shape[-1]
        if self.pad_to_chunk:
            mixture = pad(mixture, (0, max(0, self.chunk_length - samples)))
        mixed = self.transform(mixture)
        planes = self._represent(mixed)
        spectrum_level, wave_level = ItemLevel.of(planes), ItemLevel.of(mixture)

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            # Networks may run in a precision without complex numbers.
            spectrograms, waveforms = (output.to(mixture.dtype) for output in outputs)
            coefficients = self._estimate_coefficients(spectrum_level.restore(spectrograms), mixed)
            # One source after the other, for less memory.
            sources = [self.transform.inverse(each, mixture.shape[-1]) for each in coefficients.unbind(1)]
            return (torch.stack(sources, dim=1) + wave_level.restore(waveforms))[..., :samples]

        return (spectrum_level.normalize(planes), wave_level.normalize(mixture)), finish

    def _represent(self, coefficients: Tensor) -> Tensor:
        """Input of the network for coefficients `(batch, channels, frequency, frames)`."""
        if self.representation == "complex":
            planes = complex_to_planes(coefficients, "channels")
        else:
            planes = torch.abs(coefficients)
        if self.subbands == 1:
            return planes
        return rearrange(planes, "b c (k f) t -> b (c k) f t", k=self.subbands)

    def _estimate_coefficients(self, output: Tensor, mixed: Tensor) -> Tensor:
        """Coefficients of the sources, `(batch, sources, channels, frequency, frames)`.

        Args:
            output: Output of the network, `(batch, sources * planes, frequency, frames)`.
            mixed: Mixture `(batch, channels, frequency, frames)`.
        """
        sources = len(self.sources)
        if self.subbands > 1:
            output = rearrange(output, "b (c k) f t -> b c (k f) t", k=self.subbands)
        if self.representation == "complex":
            planes = rearrange(output, "b (s p) f t -> (b s) p f t", s=sources)
            return rearrange(planes_to_complex(planes, "channels"), "(b s) c f t -> b s c f t", s=sources)
        magnitudes = rearrange(output, "b (s c) f t -> b s c f t", s=sources)
        if self.wiener is None:
            return with_phase_of(magnitudes, mixed[:, None])
        return self.wiener(mixed, magnitudes)[:, :sources]
