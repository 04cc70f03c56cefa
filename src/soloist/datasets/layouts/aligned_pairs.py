"""Aligned pairs: a folder of mixtures or degraded recordings, and one of the clean ones or of a stem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from soloist.audio import AUDIO_SUFFIXES
from soloist.datasets.corpus import ALL, FolderCorpus, compile_expression
from soloist.datasets.track import StemFile, StemTrack, with_rest
from soloist.errors import UsageError

_MIXTURES = (
    *("mixture", "mixtures", "mix", "degraded", "noisy", "wet", "reverb", "reverberant", "distorted"),
    *("corrupted", "input", "inputs"),
)
"""Names of folders of mixtures."""


class AlignedPairs(FolderCorpus):
    """Two folders of files with equal names, `noisy/a.wav` and `clean/a.wav`: a mixture and one of its parts.

    The rest, which is the mixture less the part, is a stem as well: noise, reverberation, an accompaniment.

    Args:
        root: Folder that holds the two folders, and no other with sounds.
        source: Name of the folder of the part, and of its stem. If None, the folder beside the mixtures'.
        mixture: Name of the folder of the mixtures. If None, a usual name, such as mixture, noisy or wet.
        rest: Name of the stem of the rest.
        splits: Regular expression of each split that matches the whole name of its files, without suffix;
            None for one split, `all`.

    Raises:
        UsageError: There is no such pair of folders.
        ConfigError: An expression is not valid.
    """

    layout: ClassVar[str] = "pairs"

    def __init__(
        self,
        root: str | Path,
        *,
        source: str | None = None,
        mixture: str | None = None,
        rest: str = "rest",
        splits: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root)
        folders = sorted(path.name for path in self.root.iterdir() if _sounds(path))
        self.mixture = mixture or next((name for name in folders if name.lower() in _MIXTURES), "")
        others = [name for name in folders if name != self.mixture]
        self.source = source or (others[0] if len(others) == 1 else "")
        if missing := [name for name in (self.mixture, self.source) if not name or name not in folders]:
            wanted = (
                repr(missing[0]) if missing[0] else "one of mixtures (mixture, noisy, wet) and one beside it"
            )
            raise UsageError(
                f"{self.root} holds no pairs: no folder {wanted}; there are {', '.join(folders)}"
            )
        self.rest = rest
        self._rules = {name: compile_expression(rule) for name, rule in (splits or {ALL: ".*"}).items()}

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the given splits."""
        return tuple(self._rules)

    def matches(self) -> bool:
        """Tell whether most mixtures have a file of the same name beside them."""
        mixtures, parts = (_sounds(self.root / name) for name in (self.mixture, self.source))
        return 2 * len(mixtures.keys() & parts.keys()) > max(len(mixtures), len(parts))

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the pairs of a split; files without a partner are left out."""
        mixtures, parts = (_sounds(self.root / name) for name in (self.mixture, self.source))
        return [
            with_rest(
                StemTrack(name, {self.source: StemFile(parts[name])}, StemFile(mixtures[name])), self.rest
            )
            for name in sorted(mixtures.keys() & parts.keys())
            if self._rules[split].fullmatch(name)
        ]


def _sounds(folder: Path) -> dict[str, Path]:
    """Audio files of a folder by name, without suffix."""
    if not folder.is_dir() or folder.name.startswith("."):
        return {}
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".") and path.is_file()
    }
