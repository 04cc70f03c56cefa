"""Ensemble of separators of any kinds: average, median, largest or smallest magnitude of their estimates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from soloist.audio import Audio, cut_blocks
from soloist.errors import UsageError
from soloist.separators.chunked_separation import separate_blocks
from soloist.separators.chunking import Chunking
from soloist.separators.combined_separator import CombinedSeparator
from soloist.separators.composite_plans import EnsembleMethod, EnsemblePlan, MemberWeights
from soloist.separators.composite_separator import (
    Blocks,
    CompositeSeparator,
    PartRunner,
    StoredPart,
    beyond_rate,
)
from soloist.separators.separator import Separator
from soloist.separators.training_free.mask_separator import frame_length
from soloist.transforms import STFT

_FRAME = 0.046
"""Duration of the frames of median, min and max, s."""

_WINDOWS = 16
"""Frames, end to end, in a block whose bins are chosen at once."""


class Ensemble(CompositeSeparator):
    """Combination of the estimates of several separators, source by source.

    The members may have different rates, chunks, normalisations and sources. A source is combined from the
    members that have it, and a weight for it. Frequencies that the rate of a member cannot hold come from the
    others. If all members have the same sources, whose estimates add up to the mixture, and the same weight
    for each of them, then the averages add up to the mixture.

    `median`, `min` and `max` choose each bin of the short-time Fourier transform (of 46 ms, a quarter apart)
    by its magnitude; the median of an even number is the mean of the middle two. They take a member that
    has a weight, and leave one that has none.

    Args:
        members: The separators, with sources whose order is fixed.
        weights: Weight of each member, 0 or more: one for all of its sources, or one for each, with 0 for
            those left out; None for ones. The weights of a source are divided by their sum. A member without
            a weight of its own has none for `other` if the first member with `other` has another set of
            sources, because there it holds something else.
        method: "average", "median", "min" or "max", for all sources; or a method for each, with the average
            for those left out.
        sources: Names of the sources; None for those of all members, in their order.

    Raises:
        UsageError: The members do not go together, or the weights or methods do not fit them.
    """

    def __init__(
        self,
        members: Sequence[Separator],
        weights: Sequence[MemberWeights | None] | None = None,
        method: EnsembleMethod | Mapping[str, EnsembleMethod] = "average",
        sources: Sequence[str] | None = None,
    ) -> None:
        plan = EnsemblePlan.of([member.sources for member in members], weights, method, sources)
        super().__init__(members, plan.sources)
        if not self.ordered:
            raise UsageError("estimates without an order of the sources cannot be combined")
        self.weights, self.methods = plan.weights, plan.methods
        n_fft = frame_length(self.sample_rate, _FRAME)
        self._stft = STFT(n_fft, n_fft // 4, "sqrt_hann", pad_mode="constant", scaled=True)

    def takes_mixture(self, place: int) -> bool:
        """True: all members separate the mixture."""
        return True

    @property
    def running(self) -> list[int]:
        """Places of the members that have a weight for any source."""
        return [place for place, row in enumerate(self.weights) if any(row)]

    def only(self, sources: Sequence[str]) -> Separator:
        """The members that have a weight for one of these sources, each as cheap as can be had."""
        kept = [source for source in self.sources if source in sources]
        members, weights, stored = list[Separator](), list[MemberWeights](), dict[int, StoredPart]()
        for place, (member, row) in enumerate(zip(self.parts, self.weights, strict=True)):
            wanted = dict(zip(self.sources, row, strict=True))
            wanted = {source: wanted[source] for source in kept if wanted[source]}
            if not wanted:
                continue
            if place in self.stored:
                stored[len(members)] = self.stored[place].only(list(wanted))
            members.append(member.only(list(wanted)))
            weights.append(wanted)
        methods = dict(zip(self.sources, self.methods, strict=True))
        combined = Ensemble(members, weights, {source: methods[source] for source in kept}, kept)
        combined.stored = stored
        return combined

    def fused(self) -> CombinedSeparator:
        """The ensemble as one network, which takes chunks of one length for all members.

        Raises:
            UsageError: The members differ in rate, channels or normalisation, or are not averaged.
        """
        if set(self.methods) != {"average"}:
            raise UsageError("only averages of models are a network: take the method average")
        members = [self.load_part(place) for place in range(len(self.parts))]
        return CombinedSeparator(members, self.weights, self.sources)

    def combine(self, blocks: Blocks, runner: PartRunner) -> Iterator[Audio]:
        """Combine the estimates of the members; see `CompositeSeparator.combine`."""
        copies = runner.share(blocks, len(self.running))
        streams = {
            place: self._fold(place, runner.separate(place, copy))
            for place, copy in zip(self.running, copies, strict=True)
        }
        streams = self._filled(streams, runner)
        aligned = [cut_blocks(stream, self._length) for stream in streams.values()]
        together = (torch.from_numpy(np.concatenate(pieces)[None]) for pieces in zip(*aligned, strict=True))
        for piece in separate_blocks(self._combine, together, self._chunking):
            yield piece[0].numpy()

    def _fold(self, place: int, blocks: Blocks) -> Iterator[Audio]:
        """Estimates of a member as arrays `(sources of the ensemble * channels, samples)`."""
        theirs = self.parts[place].sources
        for estimates in blocks:
            ours = np.zeros((len(self.sources), *estimates.shape[1:]), np.float32)
            for index in np.flatnonzero(self.weights[place]):
                ours[index] = estimates[theirs.index(self.sources[index])]
            yield rearrange(ours, "s c t -> (s c) t")

    def _filled(self, streams: dict[int, Iterator[Audio]], runner: PartRunner) -> dict[int, Iterator[Audio]]:
        """Streams of the members, with the mean of the others where the rate of a member ends."""
        rates = {place: self.parts[place].sample_rate for place in streams}
        low = [place for place, rate in rates.items() if rate < self.sample_rate]
        full = [place for place in streams if place not in low]
        if not low or not full:
            return streams
        copies = {place: runner.share(cut_blocks(streams[place], self._length), 2) for place in full}
        means = (
            self._average(full, pieces) for pieces in zip(*(copies[place][0] for place in full), strict=True)
        )
        filled = {place: iter(copies[place][1]) for place in full}
        for place, mean in zip(low, runner.share(means, len(low)), strict=True):
            missing = beyond_rate(mean, self.sample_rate, rates[place])
            pairs = zip(
                cut_blocks(streams[place], self._length), cut_blocks(missing, self._length), strict=True
            )
            filled[place] = (own + more for own, more in pairs)
        return {place: filled[place] for place in streams}

    def _average(self, places: Sequence[int], pieces: Sequence[Audio]) -> Audio:
        """Weighted mean of folded estimates of some members; zeros where none has a weight."""
        weights = np.array([self.weights[place] for place in places], np.float32)
        weights /= np.maximum(weights.sum(axis=0), np.finfo(np.float32).tiny)
        unfolded = rearrange(np.stack(pieces), "m (s c) t -> m s c t", s=len(self.sources))
        return rearrange(np.einsum("ms,msct->sct", weights, unfolded), "s c t -> (s c) t")

    @property
    def _length(self) -> int:
        """Samples of a block of all members."""
        return _WINDOWS * self._stft.n_fft

    @property
    def _chunking(self) -> Chunking:
        """Blocks with as much context as a bin depends on: their result is that of the whole track."""
        reach = self._stft.n_fft
        return Chunking(self._length + 2 * reach, trim=reach, stride=self._stft.hop_length)

    def _combine(self, pieces: Tensor) -> Tensor:
        """Combine folded estimates `(1, members * sources * channels, samples)` of the members that run."""
        members, length = len(self.running), pieces.shape[-1]
        estimates = rearrange(pieces[0], "(m s c) t -> s m c t", m=members, s=len(self.sources))
        combined = []
        for index, method in enumerate(self.methods):
            weights = torch.tensor([self.weights[place][index] for place in self.running])
            own = estimates[index, weights > 0]
            if len(own) == 1:
                combined.append(own[0])
            elif method == "average":
                shares = weights[weights > 0] / weights.sum()
                combined.append(torch.einsum("m,mct->ct", shares, own))
            else:
                spectrum = choose_bins(self._stft(own), method)
                combined.append(self._stft.inverse(spectrum[None], length)[0])
        return torch.stack(combined)[None]


def choose_bins(spectra: Tensor, method: EnsembleMethod) -> Tensor:
    """Value of each bin by its magnitude among those of several spectra.

    Args:
        spectra: Complex `(members, ...)`.
        method: "min", "max", or "median": the value in the middle, or the mean of the two there.

    Returns:
        Complex `(...)`.
    """
    order, count = spectra.abs().argsort(dim=0), len(spectra)
    places = {"min": (0,), "max": (count - 1,), "median": ((count - 1) // 2, count // 2)}[method]
    return torch.stack([spectra.take_along_dim(order[place][None], 0)[0] for place in places]).mean(dim=0)
