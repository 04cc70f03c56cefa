"""Line that stays at the bottom of a terminal, with as many figures as its width holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.live import Live

_REFRESH = 0.2
"""Least seconds between two pictures of the line."""

BETWEEN = ", "
"""Text between two parts of a line."""


@dataclass(frozen=True)
class LinePart:
    """Part of a line in a terminal.

    Attributes:
        text: The part in full.
        short: The part where the line is too long.
        rank: Parts of high rank are left out first.
    """

    text: str
    short: str
    rank: int


def fit(parts: Sequence[LinePart], columns: int) -> list[str]:
    """Choose texts of parts that fit in a line: the least important are shortened first, then left out.

    Args:
        parts: Parts of the line, from left to right.
        columns: Columns of text, of which commas take two between two parts.
    """
    by_rank = sorted(range(len(parts)), key=lambda place: -parts[place].rank)
    texts = {place: part.text for place, part in enumerate(parts)}
    for place in by_rank:
        if _width([*texts.values()]) > columns:
            texts[place] = parts[place].short
    for place in by_rank[:-1]:
        if _width([*texts.values()]) > columns:
            del texts[place]
    return [*texts.values()]


def _width(texts: Sequence[str]) -> int:
    return cell_len(BETWEEN.join(texts))


class LiveLine:
    """The line, drawn a few times a second at most.

    Args:
        console: Console to draw on.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, auto_refresh=False)
        self._drawn = 0.0

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def stop(self) -> None:
        """Release the terminal; the last line stays."""
        self._live.stop()

    def draw(self, make: Callable[[], RenderableType], *, now: bool = False) -> None:
        """Draw the line, unless the last one is recent.

        Args:
            make: Makes the line.
            now: Draw it in any case.
        """
        if not self._live.is_started or (monotonic() - self._drawn < _REFRESH and not now):
            return
        self._drawn = monotonic()
        self._live.update(make(), refresh=True)
