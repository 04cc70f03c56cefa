"""Slakh2100: 2100 songs, synthesised from MIDI files with sampled instruments.

E. Manilow, G. Wichern, P. Seetharaman and J. Le Roux, "Cutting music source separation some Slakh: a dataset
to study the impact of training data quality and quantity", WASPAA 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from soloist.datasets.corpus import FolderCorpus
from soloist.datasets.track import Stem, StemFile, StemSum, StemTrack
from soloist.errors import AudioError

_FOLDERS = ("train", "validation", "test", "omitted")
_METADATA = "metadata.yaml"
# libyaml, if PyYAML was built with it, is ten times faster.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Slakh2100(FolderCorpus):
    """Slakh2100: `train/Track00001/{mix.flac, metadata.yaml, stems/S00.flac, ...}`.

    The stems of a track are the classes of its instruments in lower case (`bass`, `drums`, `guitar`, `piano`,
    `strings`, ...), each the sum of its instruments.

    Args:
        root: Folder that holds `train`, `validation` and `test`. The version without duplicates (`redux`) has
            also `omitted`, with further tracks of the same songs.
    """

    layout: ClassVar[str] = "slakh2100"

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the existing folders."""
        return tuple(name for name in _FOLDERS if (self.root / name).is_dir())

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the tracks of a split by number.

        Raises:
            AudioError: The description of a track is damaged.
        """
        return [_open_track(path.parent) for path in sorted((self.root / split).glob(f"*/{_METADATA}"))]


def _open_track(folder: Path) -> StemTrack:
    players: dict[str, list[StemFile]] = {}
    for number, instrument in _instruments(folder / _METADATA):
        players.setdefault(instrument, []).append(StemFile(folder / "stems" / f"{number}.flac"))
    stems: dict[str, Stem] = {
        name: files[0] if len(files) == 1 else StemSum(tuple(files)) for name, files in players.items()
    }
    return StemTrack(folder.name, stems, StemFile(folder / "mix.flac"))


def _instruments(path: Path) -> Iterator[tuple[str, str]]:
    """Number and class of each instrument with a file; a few silent ones have none."""
    try:
        described: dict[str, dict[str, Any]] = yaml.load(path.read_bytes(), _Loader)["stems"]
        for number, stem in sorted(described.items()):
            if stem.get("audio_rendered", True):
                yield number, _bare(stem["inst_class"])
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise AudioError(f"{path} is no description of stems ({reason}); copy it again") from error


def _bare(instrument: str) -> str:
    """Class of an instrument, without the suffix of General MIDI's "Strings (continued)"."""
    return instrument.lower().removesuffix("(continued)").strip()
