"""Corpora as the commands name them: a folder, a layout, and what the layout wants to know."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soloist.cli.overrides import Override

if TYPE_CHECKING:
    from soloist.datasets import Corpus

CONTEXT = {"ignore_unknown_options": True}
"""Settings of a command that takes arguments of a layout."""

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ROOT [--KEY VALUE]",
        help="The folder of the corpus (a synthetic one has none), and arguments of its layout.",
        show_default=False,
    ),
]
Layout = Annotated[
    str | None,
    typer.Option("--layout", "-l", help="How the corpus lies there; default: what the folder looks like."),
]


def open_corpus(folders: Sequence[str], overrides: Sequence[Override], layout: str | None) -> Corpus:
    """The corpus that a command names.

    Args:
        folders: Its folder, unless it has none.
        overrides: Arguments of its layout, as in a recipe.
        layout: Name of its layout; None to guess it.

    Raises:
        UsageError: There is no such folder or layout, or the layout cannot be guessed.
        ConfigError: The layout has no such argument.
    """
    from soloist.config import construct
    from soloist.datasets import find_layout, guess_layout
    from soloist.errors import UsageError

    if len(folders) > 1:
        raise UsageError(f"one corpus at a time, not {' and '.join(folders)}")
    if layout is None and not folders:
        raise UsageError("which corpus? Give its folder, or name a synthetic one with --layout")
    cls = guess_layout(folders[0]) if layout is None else find_layout(layout)
    wants_root = "root" in inspect.signature(cls).parameters
    if folders and not wants_root:
        raise UsageError(f"the corpus {cls.layout} lies in no folder: leave out {folders[0]}")
    if wants_root and not folders:
        raise UsageError(f"where is the corpus {cls.layout}? Give its folder")
    values: dict[str, Any] = {"root": folders[0]} if folders else {}
    if overrides:
        # It knows recipes, and so PyTorch, which takes a moment to import.
        from soloist.config import override

        for key, text in overrides:
            override(values, key, text)
    return construct(cls, values, f"layout {cls.layout}")
