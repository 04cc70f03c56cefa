"""Line of a live separation: time, levels, load, delay, dropped blocks."""

from __future__ import annotations

import math
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from rich.text import Text

from soloist.cli.console import standard_error
from soloist.files import counted
from soloist.resources.live_line import BETWEEN, LinePart, LiveLine, fit

if TYPE_CHECKING:
    from soloist.live import LiveSession

_LEAST = -99.0
"""Level that silence is shown as, dB."""

_BARS = 10
"""Columns of a meter; one for each 6 dB."""


class LiveMeter:
    """Draws the line on a terminal, and nothing elsewhere.

    Args:
        quiet: Draw nothing on a terminal, too.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        console = standard_error()
        self._shown = console.is_terminal and not quiet
        self._line = LiveLine(console)

    def __enter__(self) -> LiveMeter:
        if self._shown:
            self._line.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.stop()

    def show(self, session: LiveSession) -> None:
        """Draw the figures of a session."""
        if self._shown:
            self._line.draw(lambda: Text(BETWEEN.join(self._texts(session)), no_wrap=True, overflow="crop"))

    def told(self, session: LiveSession) -> str:
        """Line at the end of a session."""
        work = session.punctuality
        load = work.busy / work.seconds if work.seconds else 0.0
        return f"{work.seconds:.1f} s, load {load:.0%}, {counted(session.dropped, 'block')} dropped"

    def _texts(self, session: LiveSession) -> list[str]:
        work = session.punctuality
        before, after = map(level_of, session.take_peaks())
        at = str(timedelta(seconds=int(work.seconds)))
        load = f"load {work.load():.0%}"
        dropped = f"{session.dropped} dropped"
        parts = [
            LinePart(at, at, 3),
            LinePart(f"in {bar(before)} {before:.0f} dB", f"in {before:.0f}", 1),
            LinePart(f"out {bar(after)} {after:.0f} dB", f"out {after:.0f}", 2),
            LinePart(load, load, 0),
            LinePart(dropped, dropped, 0),
        ]
        return fit(parts, self._line.console.width - 1)


def level_of(peak: float) -> float:
    """Level of a peak, dB of full scale; at least -99."""
    return max(_LEAST, 20 * math.log10(peak)) if peak else _LEAST


def bar(level: float) -> str:
    """Meter of ten columns from -60 dB to full scale."""
    lit = min(_BARS, max(0, round((level + 60) / 6)))
    return "#" * lit + "-" * (_BARS - lit)
