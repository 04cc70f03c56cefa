"""Interface of corpora, and the reading of tables and expressions for their layouts."""

from __future__ import annotations

import csv
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from soloist.datasets.track import StemTrack
from soloist.errors import AudioError, ConfigError, UsageError
from soloist.files import expand_home

ALL = "all"
"""Name of the only split of a corpus without splits."""


class Corpus(ABC):
    """Recordings with their references, in splits.

    A subclass is one layout: it finds the files and reads their names. Drawing and mixing of examples is part
    of `soloist.mixing`. Corpora on disk are subclasses of `FolderCorpus`.
    """

    layout: ClassVar[str]
    """Name of the layout, for `soloist data check --layout`; by default the name of the class."""

    disjoint_labels: ClassVar[bool] = False
    """True if splits must not share labels (speakers)."""

    residual_limit: float = -40.0
    """Largest residual between a recorded mixture and the sum of the stems, dB relative to the mixture.

    The default allows for coarse quantisation and good lossy coding; layouts with stems that do not add up to
    the mixture have `inf`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "layout" not in vars(cls):
            cls.layout = cls.__name__

    @property
    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""

    @abstractmethod
    def find(self, split: str) -> Sequence[StemTrack]:
        """List the tracks of one of `splits`, in the order of their names."""

    def tracks(self, split: str, most: int | None = None) -> Sequence[StemTrack]:
        """List the tracks of a split, in the order of their names.

        Args:
            split: One of `splits`.
            most: Largest number of tracks, evenly spaced in the order of their names; None for all.

        Raises:
            UsageError: There is no such split, the split is empty, or `most` is not positive.
            AudioError: A header that the layout reads is damaged.
        """
        if split not in self.splits:
            raise UsageError(f"{self.layout} has no split {split!r}; it has {', '.join(self.splits)}")
        if not (tracks := self.find(split)):
            raise UsageError(f"no recordings of the split {split!r} of {self}")
        if most is None or most >= len(tracks):
            return tracks
        if most < 1:
            raise UsageError(f"of the split {split!r} of {self} at least 1 track must be taken, not {most}")
        return [tracks[place * len(tracks) // most] for place in range(most)]

    def __str__(self) -> str:
        return f"the corpus {self.layout}"


class FolderCorpus(Corpus):
    """Corpus in a folder.

    Args:
        root: Folder of the corpus.

    Raises:
        UsageError: There is no such folder.
    """

    generic: ClassVar[bool] = False
    """True if the layout fits folders of any origin, not only a published corpus."""

    def __init__(self, root: str | Path) -> None:
        self.root = expand_home(root)
        if not self.root.is_dir():
            raise UsageError(f"there is no folder {self.root}: give the folder of the {self.layout} corpus")

    def matches(self) -> bool:
        """Tell whether the folder has this layout; by default, if it finds recordings.

        Raises:
            AudioError: The folder has this layout, but a file is damaged.
        """
        return any(self.find(split) for split in self.splits)

    def __str__(self) -> str:
        return f"the corpus {self.layout} in {self.root}"


def compile_expression(expression: str) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises:
        ConfigError: The expression is not valid.
    """
    try:
        return re.compile(expression)
    except re.error as error:
        raise ConfigError(f"{expression!r} is not a regular expression: {error}") from error


def read_table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Read the rows of a table of comma-separated values, by the names of the columns.

    Args:
        path: The file, with a line of headings.
        columns: Columns that every row must have.

    Raises:
        AudioError: The file cannot be read, a column is missing, or a row is shorter than the headings.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudioError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    for column in columns:
        if column not in (reader.fieldnames or ()):
            raise AudioError(f"{path} has no column {column}; copy or generate it again")
        if short := next((line for line, row in enumerate(rows, 2) if row[column] is None), None):
            raise AudioError(f"{path} ends in the middle of line {short}; copy or generate it again")
    return rows
