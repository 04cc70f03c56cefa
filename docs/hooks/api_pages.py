"""Pages of the API: docs/api/PACKAGE.md introduces a package; the names of its face are added here."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
SOURCE = DOCS.parent / "src" / "soloist"


def packages() -> list[str]:
    """Names of the pages: `soloist`, then its packages with a face, by name."""
    return ["soloist", *sorted(stub.parent.name for stub in SOURCE.glob("*/__init__.pyi"))]


def navigation() -> list[str | dict[str, str]]:
    """Entries of the navigation: an overview, and a page for each package."""
    return ["api/index.md", *({_path(name): f"api/{name}.md"} for name in packages())]


def public_names(package: str) -> list[str]:
    """Public names of a package, as its stub lists them; packages inside it have pages of their own."""
    stub = SOURCE / ("" if package == "soloist" else package) / "__init__.pyi"
    lines = re.findall(r"^from (\S+) import \w+ as (\w+)", stub.read_text(encoding="utf-8"), re.MULTILINE)
    return sorted((name for module, name in lines if module != "."), key=str.lower)


def with_names(markdown: str, address: str) -> str:
    """Add the documentation of all public names to the page of a package."""
    place = Path(address)
    if place.parent.name != "api" or place.stem not in packages():
        return markdown
    path = _path(place.stem)
    entries = "\n\n".join(f"::: {path}.{name}" for name in public_names(place.stem))
    return f"{markdown.rstrip()}\n\n## Names\n\n{entries}\n"


def _path(package: str) -> str:
    return package if package == "soloist" else f"soloist.{package}"
