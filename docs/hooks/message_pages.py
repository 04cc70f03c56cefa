"""Page of all error messages, read from the code: what Soloist may say, and which error a program catches."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "soloist"

ERRORS = {
    "UsageError": "wrong argument",
    "BadParameter": "wrong argument of a command",
    "ConfigError": "wrong recipe or configuration",
    "AudioError": "a file that cannot be read or written",
    "ModelError": "a model that cannot be had or used",
    "TrainingError": "a training that cannot go on",
    "ExportError": "an export that failed",
    "OutOfMemoryError": "too little memory",
}
"""Errors with messages for users, and what they are about."""

INTRODUCTION = """# All messages

Each error of Soloist is one line that names the thing and the way out. This page lists them, so that a search
for a part of a message finds it; `…` stands for a name or a number. They are read from the code.
[Troubleshooting](troubleshooting.md) explains those that are met most.
"""


@dataclass(frozen=True)
class Message:
    """One message: package that raises it, class of the error, and text with `…` for what varies."""

    package: str
    error: str
    text: str


def messages() -> Iterator[Message]:
    """Yield the messages of all errors that the package raises, in the order of its files."""
    for file in sorted(SOURCE.rglob("*.py")):
        package = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                error = ast.unparse(node.exc.func).rpartition(".")[2]
                text = " ".join(_pattern(node.exc.args[0]).split())
                if error in ERRORS and re.search(r"[a-z]{3}", text):
                    yield Message(package, error, text)


def message_page() -> str:
    """Markdown page of all messages, by package and error."""
    found: dict[str, dict[str, list[str]]] = {}
    for message in messages():
        found.setdefault(message.package, {}).setdefault(message.error, []).append(message.text)
    parts = [INTRODUCTION]
    for package in sorted(found):
        parts.append(f"## {package}")
        for error in (each for each in ERRORS if each in found[package]):
            lines = "\n".join(f"- {_code(text)}" for text in sorted(set(found[package][error])))
            parts.append(f"**{error}** ({ERRORS[error]})\n\n{lines}")
    return "\n\n".join(parts) + "\n"


def _pattern(node: ast.expr) -> str:
    """Text of a string in the code; `…` for each value that is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_pattern(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _pattern(left) + _pattern(right)
        case _:
            return "…"


def _code(text: str) -> str:
    """Text as code in Markdown, whatever marks it holds."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{' ' if fence == '``' else ''}{text}{' ' if fence == '``' else ''}{fence}"
