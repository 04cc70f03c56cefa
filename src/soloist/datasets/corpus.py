"""What every corpus promises, whatever its layout on disk."""

from __future__ import annotations

import csv
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from soloist.datasets.track import StemTrack
from soloist.errors import AudioError, ConfigError, UsageError

ALL = "all"
"""The only split of a corpus that has no splits."""


class Corpus(ABC):
    """Recordings with their true sources, in splits that do not share what must not be shared.

    A subclass is one layout: it knows where the sounds come from and what their names say. What is drawn from
    them and how it is mixed is the business of `soloist.mixing`. Corpora on disk are `FolderCorpus`.
    """

    layout: ClassVar[str]
    """Name of the layout, for `soloist data check --layout`; by default the name of the class."""

    disjoint_labels: ClassVar[bool] = False
    """Whether what is heard in one split (its speakers) may not be heard in another."""

    residual_limit: float = -40.0
    """How far the sum of the stems may be from the mixture where it is recorded, dB of the mixture's energy.

    The default leaves room for coarse quantisation and for good lossy coding; a layout whose stems are not
    meant to add up has `inf`."""

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
        """The tracks of one of `splits`, in the order of their names."""

    def tracks(self, split: str, most: int | None = None) -> Sequence[StemTrack]:
        """The tracks of a split, in the order of their names.

        Args:
            split: One of `splits`.
            most: How many to take at most, at even distances in the order of their names; None for all.

        Raises:
            UsageError: There is no such split, or nothing in it, or nothing is to be taken.
            AudioError: A file's header is damaged where the layout needs it.
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
    """A corpus that lies in a folder.

    Args:
        root: The folder of the corpus.

    Raises:
        UsageError: There is no such folder.
    """

    generic: ClassVar[bool] = False
    """Whether the layout is anybody's folder, not a published corpus: a folder that fits it says little."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise UsageError(f"there is no folder {self.root}: give the folder of the {self.layout} corpus")

    def __str__(self) -> str:
        return f"the corpus {self.layout} in {self.root}"


def compile_expression(expression: str) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises:
        ConfigError: It is not one.
    """
    try:
        return re.compile(expression)
    except re.error as error:
        raise ConfigError(f"{expression!r} is not a regular expression: {error}") from error


def read_table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a table, by the names of the columns.

    Args:
        path: The file, with a line of headings.
        columns: Those that every row must have.

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
