"""Contracts of networks: spectrograms or features of a filterbank in, masks or estimates out."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

State = tuple[Tensor, ...]
"""Memory of a causal network behind the frames so far; empty at the beginning of a stream."""


class SpectralNetwork(nn.Module):
    """Network on real spectrograms, from `inputs` planes to `outputs` planes of the same size.

    The number of frames is any number from one up.
    """

    source_lists: ClassVar[tuple[str, ...]] = ()
    """Names of attributes that hold a list with a part for each source, in the order of the sources."""

    full_precision: ClassVar[tuple[str, ...]] = ()
    """Names of the layers that stay in float32 where the network computes in bfloat16 or float16.

    Those without which estimates in bfloat16 differ by 1 dB more; `*` stands for any part of a name.
    """

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None if unbounded."""
        return None

    @property
    def lookahead(self) -> int | None:
        """Frames of the future that an output frame can depend on; None if unbounded."""
        return self.receptive_field

    @property
    def stride(self) -> int:
        """Shift of the input, in frames, that shifts the output by as many."""
        return 1

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Estimate masks or spectrograms of the sources.

        Args:
            spectrogram: `(batch, inputs, frequency, frames)`.

        Returns:
            `(batch, outputs, frequency, frames)`, the planes of the first source first.
        """
        raise NotImplementedError


@runtime_checkable
class Standardizing(Protocol):
    """Network with trainable normalisation of each bin, initialised from the statistics of a corpus."""

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Initialise with the mean and the standard deviation of each bin's magnitudes, `(frequency,)`."""


@runtime_checkable
class Variational(Protocol):
    """Network with a random bottleneck, whose distribution a loss keeps near the standard normal one."""

    def explain(self, spectrogram: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map a spectrogram, and return the distribution of the bottleneck as well.

        Returns:
            The output of `forward`, and the mean and the standard deviation, each `(batch, ...)`.
        """
        ...


@runtime_checkable
class Streaming(Protocol):
    """Causal network that can be run piece by piece, with its memory carried over.

    Pieces of any length give what `forward` gives for the whole.
    """

    def step(self, frames: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Estimate from the next frames.

        Args:
            frames: Next frames, one or more, in the shape that `forward` takes.
            state: State behind the frames before; empty at the beginning of a stream.

        Returns:
            The output of `forward` for these frames, and the state behind them.
        """
        ...


class MaskNetwork(nn.Module):
    """Network from features `(batch, filters, frames)` to `(batch, outputs, filters, frames)`.

    Outputs are the channels of all sources, the first source first: masks for the features, or the features
    of the sources themselves.

    Attributes:
        frame_multiple: Divisor of the number of frames that the network takes, and shift of the input, in
            frames, that shifts the output by as many.
        full_precision: See `SpectralNetwork`.
    """

    frame_multiple: int = 1
    full_precision: ClassVar[tuple[str, ...]] = ()

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None if unbounded."""
        return None

    @property
    def lookahead(self) -> int | None:
        """Frames of the future that an output frame can depend on; None if unbounded."""
        return self.receptive_field

    def forward(self, features: Tensor) -> Tensor:
        """Estimate masks or features of the sources.

        Args:
            features: `(batch, filters, frames)`.

        Returns:
            `(batch, outputs, filters, frames)`.
        """
        raise NotImplementedError


class WaveformNetwork(nn.Module):
    """Network from the waveform of a mixture to those of its sources.

    Attributes:
        num_sources: Number of sources.
        audio_channels: Channels of the mixture and of each source.
        full_precision: See `SpectralNetwork`.
    """

    full_precision: ClassVar[tuple[str, ...]] = ()
    num_sources: int
    audio_channels: int

    def valid_length(self, samples: int) -> int:
        """Least length from `samples` up that the network takes."""
        return samples

    def forward(self, waveform: Tensor) -> Tensor:
        """Separate a mixture.

        Args:
            waveform: `(batch, audio_channels, samples)`, of a valid length.

        Returns:
            `(batch, sources, audio_channels, samples)`.
        """
        raise NotImplementedError
