"""Files outside docs/ to which pages link: pages and downloads, under their paths in the repository."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from mkdocs.structure.files import Files

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent

LINK = re.compile(r"(?<=\]\()(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")
"""Pages of the repository that are in the navigation."""


def linked_files(files: Files) -> dict[str, Path]:
    """Files outside docs/ that belong to the site, by their path there: those of `PAGES`, and linked ones."""
    found = {page: ROOT / page for page in PAGES}
    texts = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    texts += [(f"../{page}", path.read_text(encoding="utf-8")) for page, path in found.items()]
    for address, text in texts:
        for target in _targets(text):
            place = posixpath.normpath(posixpath.join("docs", posixpath.dirname(address), target))
            if not place.startswith("docs/") and (ROOT / place).is_file():
                found[place] = ROOT / place
    return found


def with_links(markdown: str, address: str) -> str:
    """Replace links by those of the site, in which docs/ and the repository around it are one folder."""
    home = posixpath.dirname(address if address in PAGES else f"docs/{address}")

    def replace(match: re.Match[str]) -> str:
        target = match["target"]
        place = posixpath.normpath(posixpath.join(home, target))
        if ":" in target or not (ROOT / place).is_file():
            return match[0]
        here = posixpath.dirname(address) or "."
        return posixpath.relpath(place.removeprefix("docs/"), here) + (match["anchor"] or "")

    return LINK.sub(replace, markdown)


def _targets(text: str) -> Iterable[str]:
    return (match["target"] for match in LINK.finditer(text) if ":" not in match["target"])
