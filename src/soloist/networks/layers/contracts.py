"""Contracts of networks: spectrograms or features of a filterbank in, masks or estimates out."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


class SpectralNetwork(nn.Module):
    """Maps a real spectrogram `(batch, inputs, frequency, frames)` to `(batch, outputs, frequency, frames)`.

    It takes any number of frames from one up and returns as many.
    """

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None where there is no bound."""
        return None

    @property
    def lookahead(self) -> int | None:
        """Frames of the future that an output frame can depend on; None where there is no bound."""
        return self.receptive_field

    @property
    def stride(self) -> int:
        """Frames by which an input may be shifted so that the output only shifts with it."""
        return 1

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map a spectrogram to a mask or to spectrograms of the sources."""
        raise NotImplementedError


@runtime_checkable
class Standardizing(Protocol):
    """A network that normalises each bin by statistics of magnitudes, which it can begin with."""

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Begin with the mean and the deviation of the magnitudes of each bin, both `(frequency,)`."""


@runtime_checkable
class Variational(Protocol):
    """A network with a random bottleneck, whose distribution a loss keeps near the standard normal one."""

    def explain(self, spectrogram: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What the network makes of a spectrogram, and how the bottleneck was distributed for it.

        Returns:
            The output, and the mean and the standard deviation, each `(batch, ...)`.
        """
        ...


class MaskNetwork(nn.Module):
    """Maps features `(batch, filters, frames)` to `(batch, outputs, filters, frames)`.

    Outputs are the channels of the sources, those of the first source first: masks for the features, or
    the features of the sources themselves.

    Attributes:
        frame_multiple: What the number of frames is to be padded to a multiple of; and the frames by
            which an input may be shifted so that the output only shifts with it.
    """

    frame_multiple: int = 1

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None where there is no bound."""
        return None

    @property
    def lookahead(self) -> int | None:
        """Frames of the future that an output frame can depend on; None where there is no bound."""
        return self.receptive_field

    def forward(self, features: Tensor) -> Tensor:
        """Estimate masks for the features, or the sources' features."""
        raise NotImplementedError
