"""Tables of figures: a line that is only a link to a CSV file becomes its table, with the link below."""

from __future__ import annotations

import csv
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]

LINK = re.compile(r"^\[[^\]]+\]\((?P<target>[^)]+\.csv)\)$", re.MULTILINE)


def with_tables(markdown: str, address: str) -> str:
    """Put the table above each line that is only a link to a CSV file.

    Args:
        markdown: Text of the page.
        address: Path of the page below the folder of the documentation.
    """

    def replace(match: re.Match[str]) -> str:
        return f"{table_of((DOCS / address).parent / match['target'])}\n\n{match[0]}{{ download }}"

    return LINK.sub(replace, markdown)


def table_of(path: Path) -> str:
    """Markdown table of a CSV file; columns that hold only figures are aligned right."""
    with path.open(encoding="utf-8", newline="") as file:
        headings, *rows = csv.reader(file)
    rules = ["---:" if _figures(column) else "---" for column in zip(*rows, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rules, *rows))


def _figures(cells: tuple[str, ...]) -> bool:
    return all(re.match(r"[-\u2212+]?\d|$", cell) or cell == "-" for cell in cells)
