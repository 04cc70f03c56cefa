"""Anybody's folders of stems, one folder a song."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from soloist.datasets.corpus import ALL, FolderCorpus, compile_expression
from soloist.datasets.stem_tracks import TrackPath, find_stem_tracks
from soloist.datasets.track import StemTrack

_FOLDERS = ("train", "valid", "test")


class StemFolders(FolderCorpus):
    """Folders of stems, `song/vocals.wav`, with or without a mixture, and files `*.stem.mp4`, at any depth.

    Args:
        root: The folder.
        splits: For each split the regular expression that the names of its tracks match as a whole:
            `{train: "hydrogen|sodium", test: lithium}`. The name of a track is its path below the root.
            None for the folders `train`, `valid` and `test`, below which names are counted then; where there
            are none of these, for one split, `all`.

    Raises:
        UsageError: There is no such folder.
        ConfigError: An expression is not valid.
    """

    layout: ClassVar[str] = "stems"
    generic: ClassVar[bool] = True

    def __init__(self, root: str | Path, splits: Mapping[str, str] | None = None) -> None:
        super().__init__(root)
        self._rules = {name: compile_expression(rule) for name, rule in (splits or {}).items()}
        self._folders = [name for name in _FOLDERS if (self.root / name).is_dir()]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits: as given, or of the folders that there are."""
        return tuple(self._rules or self._folders or [ALL])

    def find(self, split: str) -> Sequence[StemTrack]:
        """The tracks of a split.

        Raises:
            UsageError: There is no track at all where it looks.
            AudioError: A track has a mixture only, or two files for the same stem.
        """
        return [track.open() for track in self.find_paths(split)]

    def find_paths(self, split: str) -> list[TrackPath]:
        """Where the tracks of a split lie, damaged or not.

        Raises:
            UsageError: There is no track at all where it looks.
        """
        if not self._rules:
            return find_stem_tracks(self.root / split if self._folders else self.root)
        rule: re.Pattern[str] = self._rules[split]
        return [track for track in find_stem_tracks(self.root) if rule.fullmatch(track.name)]
