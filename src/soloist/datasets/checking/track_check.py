"""Check of one track: decodes its stems in parallel and compares them with each other and the mixture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soloist.audio import Audio
from soloist.datasets.checking.corpus_report import Finding, Kind
from soloist.datasets.checking.stem_scan import StemFacts, StemScan
from soloist.datasets.track import MIXTURE, StemTrack

SILENCE = 1e-4
"""Lowest peak of a stem that is not silent (-80 dB)."""


@dataclass(frozen=True)
class TrackFacts:
    """Measurements of a decoded track.

    Attributes:
        split: Name of the split.
        name: Name of the track.
        labels: Labels of the track.
        stems: Measurements of each stem and, last, of the recorded mixture, if any.
        residual: Energy of the mixture minus the stems relative to that of the mixture, dB; None without a
            mixture, or if the stems cannot be added up.
    """

    split: str
    name: str
    labels: tuple[str, ...]
    stems: tuple[StemFacts, ...]
    residual: float | None

    @property
    def file(self) -> str:
        """Path of one file of the track, for messages."""
        return self.stems[-1].file

    @property
    def seconds(self) -> float:
        """Duration of the longest readable stem."""
        return max((stem.samples / stem.sample_rate for stem in self.stems if stem.sample_rate), default=0.0)


def scan_track(track: StemTrack, split: str) -> TrackFacts:
    """Decode and measure a track block by block; the measurements include reasons of failures."""
    scans = [StemScan(name, stem) for name, stem in track.stems.items()]
    if track.mixture is not None:
        scans.append(StemScan(MIXTURE, track.mixture))
    residual = _Residual()
    for blocks in _side_by_side(scans):
        if track.mixture is not None:
            residual.add(blocks[-1], blocks[:-1])
    read = tuple(scan.facts() for scan in scans)
    comparable = track.mixture is not None and _agree(read)
    return TrackFacts(split, track.name, track.labels, read, residual.decibels() if comparable else None)


def judge_track(track: TrackFacts, residual_limit: float) -> Iterator[Finding]:
    """Find the problems of a single track.

    Args:
        track: Measurements of the track.
        residual_limit: Largest acceptable residual, dB.
    """
    problems = [_finding(track, stem, *problem) for stem in track.stems if (problem := _judge_stem(stem))]
    # A damaged file with several stems gives one finding.
    yield from dict.fromkeys(problems)
    readable = [stem for stem in track.stems if stem.failure is None]
    for stem in readable[:-1]:
        if difference := _difference(stem, readable[-1]):
            yield _finding(track, stem, "mismatch", difference)
    if track.residual is not None and track.residual > residual_limit:
        message = f"differs from the sum of the stems by {track.residual:.1f} dB of its energy"
        yield _finding(track, track.stems[-1], "residual", message)


def _side_by_side(scans: Sequence[StemScan]) -> Iterator[list[Audio | None]]:
    """Read parallel blocks of all stems up to the end of the longest; None for stems that have ended."""
    while True:
        blocks = [scan.next() for scan in scans]
        if all(block is None for block in blocks):
            return
        yield blocks


class _Residual:
    """Energies of a mixture and of the difference between the mixture and its stems."""

    def __init__(self) -> None:
        self._mixture = self._rest = 0.0

    def add(self, mixture: Audio | None, stems: Sequence[Audio | None]) -> None:
        """Add parallel blocks: ended stems count as silent, blocks with different channels are skipped."""
        signed = [(1, mixture), *((-1, stem) for stem in stems)]
        heard = [(sign, block) for sign, block in signed if block is not None]
        channels, lengths = zip(*(block.shape for _, block in heard), strict=True)
        if len(set(channels)) > 1:
            return
        rest = np.zeros((channels[0], max(lengths)))
        for sign, block in heard:
            rest[:, : block.shape[1]] += sign * block
        self._rest += _energy(rest)
        self._mixture += 0.0 if mixture is None else _energy(mixture)

    def decibels(self) -> float:
        """Residual in dB; minus infinity without a difference."""
        if self._rest == 0:
            return -math.inf
        return 10 * math.log10(self._rest / self._mixture) if self._mixture else math.inf


def _energy(audio: NDArray[np.floating[Any]]) -> float:
    return float(np.square(audio, dtype=np.float64).sum())


def _agree(stems: Sequence[StemFacts]) -> bool:
    """Tell whether all stems are readable and can be added up."""
    same = len({(stem.sample_rate, stem.channels) for stem in stems}) == 1
    return same and all(stem.failure is None for stem in stems)


def _judge_stem(stem: StemFacts) -> tuple[Kind, str] | None:
    if stem.failure is not None:
        return ("missing" if stem.missing else "corrupt"), stem.failure
    if stem.peak < SILENCE:
        return "silent", f"is silent: its peak is below {20 * math.log10(SILENCE):.0f} dB"
    if stem.first_clipped is not None:
        where = stem.first_clipped / stem.sample_rate
        return "clipped", f"is clipped: {stem.clipped} samples are stuck at full scale, from {where:.3f} s on"
    return None


def _difference(stem: StemFacts, other: StemFacts) -> str | None:
    """Describe the difference between a stem and another one of the track; None if they agree."""
    if stem.sample_rate != other.sample_rate:
        return f"has {stem.sample_rate} Hz, but {other.name} {other.sample_rate} Hz"
    if stem.channels != other.channels:
        return f"has {stem.channels} channel(s), but {other.name} {other.channels}"
    if stem.samples != other.samples:
        return f"has {stem.samples} samples, but {other.name} {other.samples}"
    return None


def _finding(track: TrackFacts, stem: StemFacts, kind: Kind, message: str) -> Finding:
    return Finding(kind, track.split, track.name, stem.file, message)
