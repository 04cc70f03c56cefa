"""Scripts and styles of players: as files that a service sends, or inline in a page that stands alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_SCRIPTS = Path(__file__).parent / "scripts"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:class|function|const) )", re.MULTILINE)


def part_path(name: str) -> Path:
    """File of a script (a module) or of a style sheet."""
    return _SCRIPTS / name


def read_part(name: str) -> str:
    """Text of a script or of a style sheet."""
    return part_path(name).read_text(encoding="utf-8")


def inline_scripts(names: Sequence[str]) -> str:
    """Join modules and those that they import, each once, into one script without imports and exports.

    Args:
        names: Files of the modules.
    """
    texts: dict[str, str] = {}
    for name in names:
        _collect(name, texts)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts.values())


def _collect(name: str, texts: dict[str, str]) -> None:
    """Add a module behind those that it imports."""
    if name in texts:
        return
    text = read_part(name)
    for imported in _IMPORT.findall(text):
        _collect(imported, texts)
    texts[name] = text
