"""The tracks of a system that have no scores, kept beside those that have, so that reports can say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from soloist.errors import AudioError

_FILE = "failures.json"


def write_failures(folder: Path, failures: Mapping[str, str]) -> None:
    """Write why tracks have no scores; nothing stays where there are none."""
    path = folder / _FILE
    if failures:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(failures), indent=1), encoding="utf-8")
    else:
        path.unlink(missing_ok=True)


def read_failures(folder: Path) -> dict[str, str]:
    """Why tracks have no scores, by name.

    Raises:
        AudioError: The file is damaged.
    """
    path = folder / _FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {str(track): str(reason) for track, reason in content.items()}
    except (ValueError, AttributeError) as error:
        raise AudioError(f"{path} is damaged; delete it") from error
