"""Corpora by the names of their layouts: whatever lies in `soloist.datasets.layouts` is found."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from soloist.datasets import layouts
from soloist.datasets.corpus import Corpus, FolderCorpus
from soloist.errors import AudioError, SoloistError, UsageError


@cache
def find_layouts() -> dict[str, type[Corpus]]:
    """All layouts by their names, in the order of these."""
    found = {}
    for module in pkgutil.iter_modules(layouts.__path__, f"{layouts.__name__}."):
        for cls in vars(import_module(module.name)).values():
            if isinstance(cls, type) and issubclass(cls, Corpus) and "layout" in vars(cls):
                found[cls.layout] = cls
    return dict(sorted(found.items()))


def find_layout(name: str) -> type[Corpus]:
    """The corpora of a layout.

    Raises:
        UsageError: There is no such layout.
    """
    if name not in find_layouts():
        raise UsageError(f"there is no layout {name!r}; there are {', '.join(find_layouts())}")
    return find_layouts()[name]


def guess_layout(root: str | Path) -> type[FolderCorpus]:
    """The layout of a folder, where there is no other that it could be.

    A layout fits if it finds recordings. One of a published corpus goes before those that any folder fits.

    Raises:
        UsageError: There is no such folder, or none or several layouts fit.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}")
    fitting = [cls for cls in find_layouts().values() if issubclass(cls, FolderCorpus) and _fits(cls, root)]
    fitting = [cls for cls in fitting if not cls.generic] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise UsageError(f"{root} fits no layout: say which it is with --layout, {', '.join(find_layouts())}")
    names = " or ".join(cls.layout for cls in fitting)
    raise UsageError(f"{root} may be {names}: say which it is with --layout")


def _fits(cls: type[FolderCorpus], root: Path) -> bool:
    parameters = list(inspect.signature(cls).parameters.values())
    if any(parameter.default is parameter.empty for parameter in parameters[1:]):
        return False
    try:
        corpus = cls(root)
        return any(corpus.find(split) for split in corpus.splits)
    except AudioError:  # it is the layout, of which something is damaged
        return True
    except (SoloistError, OSError):
        return False
