"""What a check of a corpus tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal[
    "missing", "corrupt", "leak", "empty", "mismatch", "residual", "silent", "clipped", "duplicate"
]

ERRORS = frozenset({"missing", "corrupt", "leak"})
"""Kinds of findings with which a corpus cannot be trusted; the others may be as they should be."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: What sort of thing: a file that is `missing` or `corrupt`; a `leak` between splits; a split that
            is `empty`; stems whose rates, channels or lengths are a `mismatch`; a `residual` between the
            mixture and the sum of the stems; a stem that is `silent`, `clipped`, or a `duplicate`.
        split: Name of the split.
        track: Name of the track; empty where it is about the split.
        file: The file that it is about; empty where it is about the split.
        message: What is wrong with it.
    """

    kind: Kind
    split: str
    track: str
    file: str
    message: str

    @property
    def is_error(self) -> bool:
        """Whether the corpus cannot be trusted."""
        return self.kind in ERRORS

    def __str__(self) -> str:
        about = self.file or f"the split {self.split}"
        return f"{'error' if self.is_error else 'warning'}: {self.kind}: {about} {self.message}"


@dataclass(frozen=True)
class SplitSummary:
    """What a split holds, as far as it can be read.

    Attributes:
        name: Name of the split.
        tracks: Number of its tracks.
        seconds: Length of them all.
        sample_rates: Number of files of each rate in Hz.
        channels: Number of files of each number of channels.
        stems: Number of tracks that have each stem, or a recorded mixture.
        labels: Number of different labels, such as speakers.
    """

    name: str
    tracks: int
    seconds: float
    sample_rates: dict[int, int]
    channels: dict[int, int]
    stems: dict[str, int]
    labels: int


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        corpus: What was checked.
        layout: Name of its layout.
        splits: What the splits hold.
        findings: What is wrong, errors first.
    """

    corpus: str
    layout: str
    splits: Sequence[SplitSummary]
    findings: Sequence[Finding]

    @property
    def errors(self) -> int:
        """Number of findings with which the corpus cannot be trusted."""
        return sum(finding.is_error for finding in self.findings)

    @property
    def warnings(self) -> int:
        """Number of the other findings."""
        return len(self.findings) - self.errors

    def to_dict(self) -> dict[str, Any]:
        """The report in plain names, lists and numbers, for JSON."""
        findings = [
            {"severity": "error" if finding.is_error else "warning", **asdict(finding)}
            for finding in self.findings
        ]
        return {
            "corpus": self.corpus,
            "layout": self.layout,
            "splits": [{**asdict(split), "hours": split.seconds / 3600} for split in self.splits],
            "errors": self.errors,
            "warnings": self.warnings,
            "findings": findings,
        }
