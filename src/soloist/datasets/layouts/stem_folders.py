"""Folders of stems of any origin, one folder per song."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from soloist.datasets.corpus import ALL, FolderCorpus, compile_expression
from soloist.datasets.layouts.stem_evidence import holds_stems
from soloist.datasets.stem_tracks import TrackPath, find_stem_tracks
from soloist.datasets.track import StemTrack, with_rest

_FOLDERS = ("train", "valid", "validation", "val", "dev", "test", "eval")


class StemFolders(FolderCorpus):
    """Folders of stems, `song/vocals.wav`, with or without a mixture, and files `*.stem.mp4`, at any depth.

    Args:
        root: Folder of the tracks.
        splits: Regular expression of each split that matches the whole name of its tracks, the path below the
            root: `{train: "hydrogen|sodium", test: lithium}`. If None, the splits are the existing folders of
            `train`, `valid` (`validation`, `val`, `dev`) and `test` (`eval`), with names of tracks relative
            to them, or else one split, `all`.
        rest: Name of a further stem of tracks with a mixture file: the mixture less all stems. None for none.

    Raises:
        UsageError: There is no such folder.
        ConfigError: An expression is not valid.
    """

    layout: ClassVar[str] = "stems"
    generic: ClassVar[bool] = True

    def __init__(
        self, root: str | Path, splits: Mapping[str, str] | None = None, rest: str | None = None
    ) -> None:
        super().__init__(root)
        self.rest = rest
        self._rules = {name: compile_expression(rule) for name, rule in (splits or {}).items()}
        self._folders = [name for name in _FOLDERS if (self.root / name).is_dir()]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the given splits, or of the existing folders."""
        return tuple(self._rules or self._folders or [ALL])

    def matches(self) -> bool:
        """Tell whether the folder has tracks whose files are stems, not single sounds."""
        return holds_stems(self.root) is not False and super().matches()

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the tracks of a split.

        Raises:
            UsageError: There is no track in the folder.
            AudioError: A track has only a mixture, or two files for the same stem.
        """
        tracks = [track.open() for track in self.find_paths(split)]
        return tracks if self.rest is None else [with_rest(track, self.rest) for track in tracks]

    def find_paths(self, split: str) -> list[TrackPath]:
        """List the paths of the tracks of a split, damaged or not.

        Raises:
            UsageError: There is no track in the folder.
        """
        if not self._rules:
            return find_stem_tracks(self.root / split if self._folders else self.root)
        rule: re.Pattern[str] = self._rules[split]
        return [track for track in find_stem_tracks(self.root) if rule.fullmatch(track.name)]
