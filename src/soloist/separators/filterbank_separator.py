"""Separators with a learned filterbank: analysis, a network that estimates masks, synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.estimation import ConsistencyWeights, project_onto_mixture
from soloist.networks import MaskNetwork
from soloist.networks.layers.frames import channels_last
from soloist.separators.separator import Finish, Normalization, Separator
from soloist.transforms import Filterbank


class FilterbankSeparator(Separator):
    """Estimates the features of each source under a learned filterbank, and synthesises the source.

        mixture -> analysis -+-> network -> masks -> (x) -> synthesis -> (consistency) -> estimates
                             +----------------------^

    Args:
        filterbank: Analysis and synthesis.
        network: Estimates masks, or the sources' features, from the mixture's features.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Sample rate of the network, Hz.
        channels: Channels of the mixture and of each estimate.
        ordered: True if the order of the sources is fixed; False for talkers.
        mode: "masking": the network's output multiplies the features of the mixture; "mapping": the output is
            the features of the sources.
        consistency: Weights that share the rest of the (normalised) mixture among the estimates; None to
            leave the rest out.
        normalization: Normalisation of the audio; see `Separator`.
        chunk_length: Best length of a chunk, samples. None for four seconds, the usual length in training, or
            four receptive fields if longer.
        pad_multiple: Length, samples, to a multiple of which the mixture is padded with zeros. Part of the
            model, because global normalisations count the zeros. None for the network's own stride.

    Raises:
        UsageError: Filterbank, network and sources do not fit together.
    """

    def __init__(
        self,
        filterbank: Filterbank,
        network: MaskNetwork,
        *,
        sources: Sequence[str] = ("speaker1", "speaker2"),
        sample_rate: int = 8000,
        channels: int = 1,
        ordered: bool = False,
        mode: Literal["masking", "mapping"] = "masking",
        consistency: ConsistencyWeights | None = None,
        normalization: Normalization = "track",
        chunk_length: int | None = None,
        pad_multiple: int | None = None,
    ) -> None:
        super().__init__(
            sources=sources,
            sample_rate=sample_rate,
            channels=channels,
            ordered=ordered,
            normalization=normalization,
        )
        if filterbank.num_outputs != len(self.sources) * channels:
            raise UsageError(
                f"the filterbank synthesises {filterbank.num_outputs} channels, but {len(self.sources)} "
                f"sources of {channels} channels are asked for"
            )
        if network.frame_multiple > 1 and filterbank.even:
            raise UsageError(
                f"kernel_size {filterbank.kernel_size} must be odd: the network halves the number of frames, "
                "and an even kernel has one frame too many"
            )
        self.filterbank = filterbank
        self.network = network
        self.mode = mode
        self.consistency: ConsistencyWeights | None = consistency
        self.pad_multiple = pad_multiple or self.stride
        self._chunk_length = chunk_length

    @property
    def minimum_length(self) -> int:
        """Samples of the shortest audio of the filterbank."""
        return self.filterbank.minimum_length

    @property
    def chunk_length(self) -> int:
        """Requested length, or four seconds, or four receptive fields if longer."""
        if self._chunk_length:
            return self._chunk_length
        length = max(4 * self.sample_rate, 4 * (self.receptive_field or 0))
        return -(-length // self.pad_multiple) * self.pad_multiple

    @property
    def receptive_field(self) -> int | None:
        """Field of network and filters, samples; None if unbounded."""
        frames = self.network.receptive_field
        return None if frames is None else frames * self.filterbank.hop_length + self.filterbank.reach

    @property
    def lookahead(self) -> int | None:
        """Look-ahead of network and filters, samples; None if unbounded.

        Consistency weighted by powers depends on the whole mixture, without bound.
        """
        frames = self.network.lookahead
        if frames is None or self.consistency == "magsq":
            return None
        return frames * self.filterbank.hop_length + self.filterbank.lookahead

    @property
    def stride(self) -> int:
        """Common grid of the frames and the network's stride, samples."""
        return self.filterbank.hop_length * self.network.frame_multiple

    def estimate(self, mixture: Tensor) -> Tensor:
        """Estimate the sources of a mixture `(batch, channels, samples)`.

        Returns:
            Estimates `(batch, sources, channels, samples)`.
        """
        estimates = self.synthesize(mixture)
        if self.consistency is None:
            return estimates
        return project_onto_mixture(estimates, mixture, self.consistency)

    @property
    def graph(self) -> nn.Module:
        """The whole separator, on multiples of `pad_multiple` samples."""
        return _Whole(self)

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Padding; and a callback that cuts the estimates."""
        samples = mixture.shape[-1]
        padded = pad(mixture, (0, -samples % self.pad_multiple))
        return (padded,), lambda outputs: outputs[0][..., :samples]

    def synthesize(self, mixture: Tensor) -> Tensor:
        """Estimates of network and filterbank alone for a mixture `(batch, channels, samples)`.

        Returns:
            Estimates `(batch, sources, channels, samples)`, not made consistent.
        """
        samples = mixture.shape[-1]
        padded = pad(mixture, (0, -samples % self.pad_multiple))
        features = channels_last(self.filterbank(padded)[:, 0])
        output = self.run_network(self.network, features)[0]
        if self.mode == "masking":
            # In place without gradients: this is the largest tensor of all.
            output = output * features[:, None] if torch.is_grad_enabled() else output.mul_(features[:, None])
        audio = self.filterbank.inverse(output, samples)
        return rearrange(audio, "b (s c) t -> b s c t", c=self.channels)


class _Whole(nn.Module):
    """A separator's `estimate` as a module."""

    def __init__(self, separator: FilterbankSeparator) -> None:
        super().__init__()
        self.separator = separator

    def forward(self, mixture: Tensor) -> Tensor:
        return self.separator.estimate(mixture)
