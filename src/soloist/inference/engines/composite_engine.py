"""The engine of a composite separator: an engine for each of its parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from soloist.inference.engines.engine import Engine, Estimate
from soloist.separators import CompositeSeparator, Note, Separator


class CompositeEngine:
    """Runs a composite separator, each part with an engine of its own.

    Args:
        separator: The separator.
        make: Makes the engine of a part; at once for all parts whose weights are in memory.
        name: Name of the engine, before those of the parts are made.
        device: Device of the computation.
        precision: Precision of the networks, before the engines of the parts are made.

    Attributes:
        name: Names of the engines of the parts that were made.
        device: Device of the computation.
        precision: Precisions of the networks of the parts that were made.
    """

    def __init__(
        self,
        separator: CompositeSeparator,
        make: Callable[[Separator], Engine],
        name: str,
        device: str,
        precision: str = "float32",
    ) -> None:
        self.name, self.device, self.precision = name, device, precision
        self._separator, self._make = separator, make
        self._engines: dict[int, Engine] = {}
        self._told: dict[int, tuple[str, str]] = {}
        for place in range(len(separator.parts)):
            if place not in separator.stored:
                self.part(place)

    @property
    def batch_limit(self) -> int | None:
        """Most chunks at once for which the memory sufficed, of the parts that are there."""
        limits = [each.batch_limit for each in self._engines.values() if each.batch_limit is not None]
        return min(limits, default=None)

    def part(self, place: int) -> Engine:
        """The engine of a part; see `release`."""
        if place not in self._engines:
            self._engines[place] = self._make(self._separator.load_part(place))
            self._told[place] = (self._engines[place].name, self._engines[place].precision)
            names, precisions = zip(*self._told.values(), strict=True)
            self.name, self.precision = (", ".join(dict.fromkeys(each)) for each in (names, precisions))
        return self._engines[place]

    def release(self, place: int) -> None:
        """Free the memory of a part that is not kept there."""
        if place in self._separator.stored:
            self._engines.pop(place, None)

    def __call__(self, mixture: Tensor) -> Tensor:
        """Estimate `(batch, sources, channels, samples)` from `(batch, channels, samples)` of any length."""
        places = range(len(self._separator.parts))
        return self._separator.estimate(mixture, [partial(self._estimate, place) for place in places])

    def _estimate(self, place: int, mixture: Tensor) -> Tensor:
        estimates = self.part(place)(mixture)
        self.release(place)
        return estimates

    def follow(self, note: Note | None = None) -> Estimate | None:
        """None: each part follows its sources itself."""
        return None
