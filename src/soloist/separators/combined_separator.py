"""Combination of separators: a bag, or an ensemble, whose estimates are averaged for each source."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.files import some
from soloist.separators.chunked_separation import separate_chunked
from soloist.separators.chunking import Chunking
from soloist.separators.separator import ChunkEdges, Finish, Separator


class CombinedSeparator(Separator):
    """Average of the estimates of several separators, weighted for each source.

    A member whose weights are all zero never runs. Chunks are those of the member with the longest ones; a
    member of shorter chunks cuts each of them again. Members that want context of different lengths around a
    chunk get none: a member must see the same whichever others there are.

    A bag of models of one training is described in A. Défossez, "Hybrid Spectrogram and Waveform Source
    Separation", MDX workshop at ISMIR 2021.

    Args:
        members: The separators, of one sample rate, number of channels and normalisation, with sources whose
            order is fixed.
        weights: Weight of each source for each member, `[member][source]`, 0 or more; None for ones. The
            weights of a source are divided by their sum.
        sources: Names of the sources; None for those of the first member. A member has all sources for which
            its weight is not zero.

    Raises:
        UsageError: The members do not go together, or the weights do not fit them.
    """

    _rows: Tensor

    def __init__(
        self,
        members: Sequence[Separator],
        weights: Sequence[Sequence[float]] | None = None,
        sources: Sequence[str] | None = None,
    ) -> None:
        if not members:
            raise UsageError("a combined separator needs at least one member")
        first = members[0]
        _check_alike(members)
        super().__init__(
            sources=first.sources if sources is None else sources,
            sample_rate=first.sample_rate,
            channels=first.channels,
            normalization=first.normalization,
        )
        self.members = nn.ModuleList(members)
        # A combination of members that are ready to estimate is ready itself.
        self.training = any(member.training for member in members)
        ones = [[1.0] * len(self.sources)] * len(members)
        self.weights = [[float(weight) for weight in row] for row in (ones if weights is None else weights)]
        self._check_weights()
        rows = torch.tensor(self.weights, dtype=torch.float64)
        self.register_buffer("_rows", (rows / rows.sum(dim=0)).float(), persistent=False)
        self._widens = _widen_alike([part for part in self.parts if not self._cuts(part)])

    def _check_weights(self) -> None:
        sizes = [len(row) for row in self.weights]
        if sizes != [len(self.sources)] * len(self.members):
            raise UsageError(
                f"weights of {len(self.members)} members for {len(self.sources)} sources are as many rows of "
                f"as many numbers, not rows of {sizes}"
            )
        if not all(0 <= weight < math.inf for row in self.weights for weight in row):
            raise UsageError(f"weights must be 0 or more, not {self.weights}")
        for source, column in zip(self.sources, zip(*self.weights, strict=True), strict=True):
            if not any(column):
                raise UsageError(f"no member has a weight for {source!r}")
        for member, row in zip(self.parts, self.weights, strict=True):
            for source, weight in zip(self.sources, row, strict=True):
                if weight and source not in member.sources:
                    raise UsageError(
                        f"a member has a weight for {source!r}, but only {', '.join(member.sources)}"
                    )

    @property
    def parts(self) -> list[Separator]:
        """The members, as separators."""
        return [member for member in self.members if isinstance(member, Separator)]

    @property
    def running(self) -> dict[int, Separator]:
        """The members that have a weight for any source, by their places."""
        return {place: part for place, part in enumerate(self.parts) if any(self.weights[place])}

    def only(self, sources: Sequence[str]) -> Separator:
        """The members that have a weight for one of these sources, each as cheap as can be had."""
        kept = [source for source in self.sources if source in sources]
        places = [self.sources.index(source) for source in kept]
        members, weights = [], []
        for member, row in zip(self.parts, self.weights, strict=True):
            wanted = {source: row[place] for source, place in zip(kept, places, strict=True)}
            if any(wanted.values()):
                members.append(member.only([source for source, weight in wanted.items() if weight]))
                weights.append(list(wanted.values()))
        combined = CombinedSeparator(members, weights, kept)
        combined._widens = self._widens
        return combined

    @property
    def mean_share(self) -> float:
        """The share of the first member."""
        return self.parts[0].mean_share

    @property
    def minimum_length(self) -> int:
        """The longest of the members."""
        return max(member.minimum_length for member in self.running.values())

    @property
    def chunk_length(self) -> int:
        """The longest of the members."""
        return max(member.chunk_length for member in self.running.values())

    @property
    def chunk_edges(self) -> ChunkEdges:
        """Centred chunks if a member has them."""
        edges = {part.chunk_edges for part in self.running.values()}
        return "centered" if "centered" in edges else "signal"

    def input_length(self, samples: int) -> int:
        """The input of the members that do not cut such a chunk; the chunk alone if theirs differ."""
        running = self.running.values()
        whole = [part for part in running if samples <= part.chunk_length or not self._cuts(part)]
        longest = max(part.input_length(samples) for part in whole)
        return longest if self._widens else max(samples, self.minimum_length)

    @property
    def receptive_field(self) -> int | None:
        """The longest of the members; None if one is unbounded."""
        return _longest([part.receptive_field for part in self.running.values()])

    @property
    def lookahead(self) -> int | None:
        """The longest of the members; None if one is unbounded."""
        return _longest([part.lookahead for part in self.running.values()])

    @property
    def stride(self) -> int:
        """Least common grid of the members."""
        return math.lcm(*(part.stride for part in self.running.values()))

    def estimate(self, mixture: Tensor) -> Tensor:
        """Weighted estimates of the members that run; see `Separator.estimate`."""
        estimates = mixture.new_zeros(mixture.shape[0], len(self.sources), *mixture.shape[1:])
        for place, part in self.running.items():
            self._add(estimates, self._run(part, mixture), place)
        return estimates

    def _run(self, part: Separator, mixture: Tensor) -> Tensor:
        if self._cuts(part) and mixture.shape[-1] > part.input_length(part.chunk_length):
            return separate_chunked(part, mixture, Chunking.of(part))
        return part.estimate(mixture)

    def _cuts(self, part: Separator) -> bool:
        return part.chunk_length < self.chunk_length

    def _add(self, estimates: Tensor, estimated: Tensor, place: int) -> None:
        """Add the estimates of a member, weighted."""
        weights = self.weights[place]
        ours = [index for index, weight in enumerate(weights) if weight]
        theirs = [self.parts[place].sources.index(self.sources[index]) for index in ours]
        estimates[:, ours] += self._rows[place, ours, None, None] * estimated[:, theirs]

    @property
    def graph(self) -> nn.Module | None:
        """The graphs of the members that run, side by side; None if one has none, or cuts chunks itself."""
        running = list(self.running.values())
        graphs = [part.graph for part in running]
        counts = [0 if graph is None else _count_inputs(graph) for graph in graphs]
        if any(self._cuts(part) for part in running) or not all(counts):
            return None
        return _SideBySide([graph for graph in graphs if graph is not None], counts)

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Inputs of the members one after the other, and a callback that weighs their estimates."""
        staged = [part.stage(mixture) for part in self.running.values()]
        counts = [len(inputs) for inputs, _ in staged]

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            estimates = mixture.new_zeros(mixture.shape[0], len(self.sources), *mixture.shape[1:])
            shares = _split(outputs, counts)
            for place, (_, finish_member), share in zip(self.running, staged, shares, strict=True):
                self._add(estimates, finish_member(share), place)
            return estimates

        return tuple(tensor for inputs, _ in staged for tensor in inputs), finish

    def optimize(self) -> Separator:
        """Rewrite the members for fast inference, in place; see `Separator.optimize`."""
        for part in self.parts:
            part.optimize()
        self.eval()
        return self


class _SideBySide(nn.Module):
    """Graphs that each take their share of the inputs; a graph has as many outputs as inputs."""

    def __init__(self, graphs: Sequence[nn.Module], counts: Sequence[int]) -> None:
        super().__init__()
        self.graphs = nn.ModuleList(graphs)
        self.counts = list(counts)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Outputs of all graphs, in order."""
        outputs: list[Tensor] = []
        for graph, share in zip(self.graphs, _split(inputs, self.counts), strict=True):
            made = graph(*share)
            outputs += [made] if isinstance(made, Tensor) else made
        return tuple(outputs)


def _split(tensors: Sequence[Tensor], counts: Sequence[int]) -> list[Sequence[Tensor]]:
    """Consecutive runs of so many tensors."""
    ends = list(itertools.accumulate(counts))
    return [tensors[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _count_inputs(graph: nn.Module) -> int:
    """Number of inputs of a graph; 0 if its signature leaves it open."""
    kinds = [parameter.kind for parameter in inspect.signature(graph.forward).parameters.values()]
    return 0 if inspect.Parameter.VAR_POSITIONAL in kinds else len(kinds)


def _widen_alike(members: Sequence[Separator]) -> bool:
    """True if members want inputs of the same lengths for a full chunk and for shorter ones."""
    lengths = [max(1, members[0].chunk_length // part) for part in (1, 2, 3, 1000)]
    return len({tuple(map(member.input_length, lengths)) for member in members}) == 1


def _longest(fields: Sequence[int | None]) -> int | None:
    bounded = [field for field in fields if field is not None]
    return max(bounded) if len(bounded) == len(fields) else None


def _check_alike(members: Sequence[Separator]) -> None:
    for name in ("sample_rate", "channels", "normalization"):
        values = {str(getattr(member, name)) for member in members}
        if len(values) > 1:
            raise UsageError(f"members of a combined separator must have one {name}, not {some(values)}")
    if not all(member.ordered for member in members):
        raise UsageError("estimates without an order of the sources cannot be averaged")
