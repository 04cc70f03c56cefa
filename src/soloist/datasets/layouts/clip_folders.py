"""Folders of single sounds, one per file, such as talkers, events or notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from soloist.audio import AUDIO_SUFFIXES
from soloist.datasets.corpus import ALL, FolderCorpus, compile_expression
from soloist.datasets.layouts.stem_evidence import holds_stems
from soloist.datasets.track import StemFile, StemTrack
from soloist.errors import ConfigError


class ClipCorpus(FolderCorpus):
    """Corpus of single sounds, one per file, which mixers mix.

    The name of a track is the path of its file below the root, without suffix. Each has one stem and label.
    """

    companions: ClassVar[tuple[str, ...]] = ()
    """Files below the root that describe the clips."""


class ClipFolder(ClipCorpus):
    r"""Files of one talker or sound each, with labels in their paths.

    Each file is a track with a single stem, named like the group of the pattern that is the label.

    Args:
        root: Folder of the files, at any depth.
        pattern: Regular expression for the path below the root, with `/` between folders and named groups:
            `(?P<digit>\d)_(?P<speaker_name>[a-z]+)_(?P<take>\d+)\.wav`. The corpus ignores other files.
        label: Name of the group that is the label.
        splits: Conditions of each split: regular expressions that match the whole of a group,
            `{train: {speaker_name: "anna|ben", take: "[5-9]"}}`. None for one split, `all`.

    Raises:
        ConfigError: An expression is not valid, or the pattern lacks a group.
    """

    layout: ClassVar[str] = "clips"
    generic: ClassVar[bool] = True

    def __init__(
        self,
        root: str | Path,
        pattern: str = r"(?:.*/)?(?P<speaker_name>[^/]+)/[^/]+",
        label: str = "speaker_name",
        splits: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__(root)
        self._pattern = compile_expression(pattern)
        self._label = label
        self._splits = {
            name: {group: compile_expression(expression) for group, expression in conditions.items()}
            for name, conditions in (splits or {ALL: {}}).items()
        }
        groups = {label}.union(*self._splits.values())
        if unknown := sorted(groups - self._pattern.groupindex.keys()):
            raise ConfigError(
                f"the pattern {pattern!r} has no group {unknown[0]!r}: write (?P<{unknown[0]}>...)"
            )

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the given splits."""
        return tuple(self._splits)

    def matches(self) -> bool:
        """Tell whether the folder has clips that are not stems of songs."""
        return super().matches() and holds_stems(self.root) is not True

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the clips of a split by their paths below the root, without suffix."""
        conditions = self._splits[split]
        tracks = []
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            found = self._pattern.fullmatch(name) if path.suffix.lower() in AUDIO_SUFFIXES else None
            if found and all(rule.fullmatch(found[group] or "") for group, rule in conditions.items()):
                label = found[self._label]
                stems = {self._label: StemFile(path)}
                tracks.append(StemTrack(name.removesuffix(path.suffix), stems, labels=(label,)))
        return tracks
