"""Separators with a network on waveforms."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.networks import WaveformNetwork
from soloist.separators.centered_separator import CenteredSeparator, ItemLevel
from soloist.separators.separator import Finish, Normalization


class WaveformSeparator(CenteredSeparator):
    """Estimates the waveforms of the sources with a network on the waveform of the mixture.

    A mixture of another length than the network takes is centred between zeros.

    Args:
        network: The network.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Sample rate of mixture and estimates, Hz.
        channels: Channels of the mixture and of each estimate.
        standardize: Give the network chunks of zero mean and unit deviation, both over the mean of the
            channels, and undo this for each estimate.
        chunk_length: Best length of a chunk, samples.
        normalization: Normalisation of the audio; see `Separator`.
        mean_to_each: See `CenteredSeparator`.

    Raises:
        UsageError: Network and sources do not fit together.
    """

    def __init__(
        self,
        network: WaveformNetwork,
        *,
        sources: Sequence[str],
        sample_rate: int = 44100,
        channels: int = 2,
        standardize: bool = True,
        chunk_length: int = 441000,
        normalization: Normalization = "track",
        mean_to_each: bool = False,
    ) -> None:
        super().__init__(
            sources=sources,
            sample_rate=sample_rate,
            channels=channels,
            chunk_length=chunk_length,
            normalization=normalization,
            mean_to_each=mean_to_each,
        )
        if (network.num_sources, network.audio_channels) != (len(self.sources), channels):
            raise UsageError(
                f"the network is one for {network.num_sources} sources of {network.audio_channels} channels, "
                f"the separator has {len(self.sources)} of {channels}"
            )
        self.network = network
        self.standardize = standardize

    def input_length(self, samples: int) -> int:
        """Least length that the network takes without padding."""
        return self.network.valid_length(max(samples, self.minimum_length))

    @property
    def graph(self) -> WaveformNetwork:
        """The network."""
        return self.network

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Level and padding; and a callback that undoes both."""
        samples = mixture.shape[-1]
        level = ItemLevel.of(mixture.mean(dim=1, keepdim=True)) if self.standardize else None
        waveform = mixture if level is None else level.normalize(mixture)
        missing = self.network.valid_length(samples) - samples
        before = missing // 2

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            estimates = outputs[0][..., before : before + samples]
            return estimates if level is None else level.restore(estimates)

        return (pad(waveform, (before, missing - before)),), finish
