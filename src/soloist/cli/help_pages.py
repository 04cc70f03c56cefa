"""Commands with help pages for terminals of any width, and answers to unknown commands and places."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from soloist.cli.console import wrapped
from soloist.errors import UsageError
from soloist.urls import refuse_url

_NARROW = 60
"""Width below which the help of an option stands on the lines below it."""

MOVED = {
    "plot": "soloist visualize FILE",
    "test": "soloist evaluate RUN, or soloist evaluate MODEL --recipe RECIPE",
    "run": "soloist train RECIPE --stages all",
    "search": "soloist evaluate CORPUS --search slicq",
    "sweep": "soloist train RECIPE --sweep",
}
"""Former commands, and their new forms."""


class Command(TyperCommand):
    """A command with a help page for narrow terminals, which writes to this machine alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            UsageError: The output is a URL.
        """
        rest = super().parse_args(ctx, args)
        if isinstance(output := ctx.params.get("output"), Path):
            refuse_url(output, "--output")
        return rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        if not _write_narrow(self, ctx, formatter):
            super().format_help(ctx, formatter)


class Commands(TyperGroup):
    """A group of commands with a help page for narrow terminals and an answer to unknown commands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        if not _write_narrow(self, ctx, formatter):
            super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command.

        Raises:
            UsageError: There is no such command; the message has its new form or the nearest name.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from soloist.config import nearest

            if ctx.parent is None and name in MOVED:
                raise UsageError(f"soloist {name} is now: {MOVED[name]}")
            given = name if ctx.parent is None else f"{ctx.info_name} {name}"
            raise UsageError(f"there is no command {given}; {nearest(name, self.commands)}")
        return super().resolve_command(ctx, args)


def _write_narrow(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> bool:
    """Write a help page in one column if the terminal is narrow; return True if it is."""
    width = shutil.get_terminal_size().columns
    if width >= _NARROW:
        return False
    lines = [*wrapped(" ".join(command.get_usage(ctx).split()), width, "", "  "), ""]
    for paragraph in (command.help or "").split("\n\n"):
        lines += [*wrapped(" ".join(paragraph.replace("`", "").split()), width), ""]
    for panel, records in _panels(command, ctx).items():
        lines.append(typer.style(panel, bold=True))
        for term, text in records:
            lines += [*wrapped(term, width, "  ", "    "), *wrapped(text, width, "    ", "    ")]
        lines.append("")
    formatter.write("\n".join(lines).rstrip() + "\n")
    return True


def _panels(command: TyperCommand | TyperGroup, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Options or commands and their help, by panel."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, record in (*_parameters(command, ctx), *_commands(command)):
        panels.setdefault(panel, []).append(record)
    return panels


def _parameters(command: TyperCommand | TyperGroup, ctx: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            argument = parameter.param_type_name == "argument"
            yield (
                getattr(parameter, "rich_help_panel", None) or ("Arguments" if argument else "Options"),
                record,
            )


def _commands(command: TyperCommand | TyperGroup) -> Sequence[tuple[str, tuple[str, str]]]:
    if not isinstance(command, TyperGroup):
        return []
    return [
        (getattr(each, "rich_help_panel", None) or "Commands", (name, (each.help or "").split("\n\n")[0]))
        for name, each in command.commands.items()
    ]
