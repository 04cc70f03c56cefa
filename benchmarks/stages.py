"""Transforms as stages of their own, beside the network: what that would save on a CPU.

    python benchmarks/stages.py [--threads 2] [--seconds 60] [--rounds 3] [--small]

Spleeter and HTDemucs of their published sizes, with random weights, separate chunks for so many seconds of
audio: one step after the other, and with the analysis of the next chunk and the synthesis of the last one in
threads beside the network. Both run in turn. Prints the medians, the share of the steps beside the network,
and the median of the ratios of the pairs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from gpu import make_htdemucs, make_spleeter
from soloist.resources import read_ahead, take_behind
from soloist.separators import Finish, Separator

Staged = tuple[tuple[Tensor, ...], Finish]


class Stages:
    """The three steps of a separator, on a number of chunks.

    Args:
        separator: The separator.
        seconds: Seconds of audio.
    """

    def __init__(self, separator: Separator, seconds: float) -> None:
        self._separator = separator
        self._chunks = max(2, round(seconds * separator.sample_rate / separator.chunk_length))
        self._mixture = 0.1 * torch.randn(1, separator.channels, separator.chunk_length)
        self.network_seconds = 0.0

    def one_by_one(self) -> None:
        """Run the steps one after the other."""
        for staged in self._staged():
            self._finish(self._run(staged))

    def at_once(self) -> None:
        """Run the steps of three chunks at once."""
        take_behind(map(self._run, read_ahead(self._staged())), self._finish)

    def _staged(self) -> Iterator[Staged]:
        for _ in range(self._chunks):
            with torch.inference_mode():
                staged = self._separator.stage(self._mixture)
            yield staged

    @torch.inference_mode()
    def _run(self, staged: Staged) -> tuple[Sequence[Tensor], Finish]:
        assert self._separator.graph is not None
        begun = time.perf_counter()
        outputs = self._separator.run_network(self._separator.graph, *staged[0])
        self.network_seconds += time.perf_counter() - begun
        return outputs, staged[1]

    @torch.inference_mode()
    def _finish(self, estimated: tuple[Sequence[Tensor], Finish]) -> None:
        estimated[1](estimated[0])


def taken(run: Callable[[], None]) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="tiny networks, to rehearse")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    separators = {
        "Spleeter": make_spleeter(options.small),
        "HTDemucs": make_htdemucs(None, options.small),
    }
    for name, separator in separators.items():
        separator.optimize()
        Stages(separator, 0.0).one_by_one()
        stages = Stages(separator, options.seconds)
        pairs, beside = [], []
        for _ in range(options.rounds):
            stages.network_seconds = 0.0
            alone = taken(stages.one_by_one)
            beside.append(1 - stages.network_seconds / alone)
            pairs.append((alone, taken(stages.at_once)))
        alone, together = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio, share = statistics.median(after / before for before, after in pairs), statistics.median(beside)
        print(
            f"{name}: one by one {alone:.2f} s, of which {100 * share:.0f} % beside the network; "
            f"at once {together:.2f} s, ratio {ratio:.3f}"
        )


if __name__ == "__main__":
    main()
