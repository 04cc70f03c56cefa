"""Report of a check of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal[
    "missing", "corrupt", "leak", "empty", "mismatch", "residual", "silent", "clipped", "duplicate"
]

ERRORS = frozenset({"missing", "corrupt", "leak"})
"""Kinds of findings that make a corpus unusable; the others may be intended."""


@dataclass(frozen=True)
class Finding:
    """Problem of a corpus.

    Attributes:
        kind: Kind of the problem: a file that is `missing` or `corrupt`; a `leak` between splits; a split
            that is `empty`; stems with a `mismatch` of rates, channels or lengths; a `residual` between the
            mixture and the sum of the stems; a stem that is `silent`, `clipped`, or a `duplicate`.
        split: Name of the split.
        track: Name of the track; empty if the problem concerns the split.
        file: Path of the file; empty if the problem concerns the split.
        message: Description of the problem, a predicate of the file or the split.
    """

    kind: Kind
    split: str
    track: str
    file: str
    message: str

    @property
    def is_error(self) -> bool:
        """True if the problem makes the corpus unusable."""
        return self.kind in ERRORS

    def __str__(self) -> str:
        about = self.file or f"the split {self.split}"
        return f"{'error' if self.is_error else 'warning'}: {self.kind}: {about} {self.message}"


@dataclass(frozen=True)
class SplitSummary:
    """Readable contents of a split.

    Attributes:
        name: Name of the split.
        tracks: Number of tracks.
        seconds: Total duration of the tracks.
        sample_rates: Number of files for each sample rate in Hz.
        channels: Number of files for each number of channels.
        stems: Number of tracks for each stem, and for the recorded mixture.
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
    """Result of a check.

    Attributes:
        corpus: Description of the corpus.
        layout: Name of the layout.
        splits: Contents of the splits.
        findings: Problems, errors first.
    """

    corpus: str
    layout: str
    splits: Sequence[SplitSummary]
    findings: Sequence[Finding]

    @property
    def errors(self) -> int:
        """Number of findings that make the corpus unusable."""
        return sum(finding.is_error for finding in self.findings)

    @property
    def warnings(self) -> int:
        """Number of the other findings."""
        return len(self.findings) - self.errors

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to names, lists and numbers, for JSON."""
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
