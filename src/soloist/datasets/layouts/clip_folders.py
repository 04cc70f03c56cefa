"""A folder of single sounds, one a file: talkers, events, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from soloist.audio import AUDIO_SUFFIXES
from soloist.datasets.corpus import ALL, FolderCorpus, compile_expression
from soloist.datasets.track import StemFile, StemTrack
from soloist.errors import ConfigError


class ClipCorpus(FolderCorpus):
    """A corpus of single sounds, one a file, to be mixed when they are drawn.

    The name of a track is the path of its file below the root, without suffix; it has one stem and one label.
    """

    companions: ClassVar[tuple[str, ...]] = ()
    """Files below the root that say something of the clips, and belong to them."""


class ClipFolder(ClipCorpus):
    r"""Files that each hold one talker or one sound; their paths say whose.

    Each is a track with a single stem, called like the group of the pattern that says who it is.

    Args:
        root: The folder; files are found at any depth.
        pattern: A regular expression for the path below the root, with `/` between folders, that has a named
            group for what the path says: `(?P<digit>\d)_(?P<speaker_name>[a-z]+)_(?P<take>\d+)\.wav`. Files
            that do not match it are not part of the corpus.
        label: The group that says who or what is heard.
        splits: For each split what its files' groups must be, as regular expressions that match all of it:
            `{train: {speaker_name: "anna|ben", take: "[5-9]"}}`. None for one split, `all`.

    Raises:
        ConfigError: An expression is not valid, or names a group that the pattern does not have.
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
        """Names of the splits, as given."""
        return tuple(self._splits)

    def find(self, split: str) -> Sequence[StemTrack]:
        """The clips of a split; the name of a track is its path below the root, without suffix."""
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
