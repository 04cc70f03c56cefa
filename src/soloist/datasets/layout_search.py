"""Search for layouts of corpora by name or by folder, among Soloist's and those of imported code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from soloist import datasets
from soloist.config import imports
from soloist.datasets.corpus import Corpus, FolderCorpus
from soloist.errors import AudioError, SoloistError, UsageError
from soloist.files import expand_home


def find_layouts() -> dict[str, type[Corpus]]:
    """List layouts by name, in alphabetical order: Soloist's, and those of imported code."""
    exported = [getattr(datasets, name) for name in dir(datasets)]
    own = [part for part in exported if inspect.isclass(part) and issubclass(part, Corpus)]
    others = [cls for cls in _subclasses(Corpus) if imports.is_imported(cls.__module__)]
    # Soloist's layouts keep their names; another of the same name is found by its class path.
    found = {cls.layout: cls for cls in (*others, *own) if not inspect.isabstract(cls)}
    return dict(sorted(found.items()))


def find_layout(name: str) -> type[Corpus]:
    """Find the class of a layout.

    Args:
        name: Name of the layout or of its class, or `module.Class` of code that this program has imported.

    Raises:
        UsageError: There is no such layout, or the class is no corpus.
        ConfigError: The module of the class is not imported, or has no such class.
    """
    layouts = find_layouts()
    if "." in name:
        return _find_class(name)
    named = {**{cls.__name__: cls for cls in layouts.values()}, **layouts}
    if name not in named:
        raise UsageError(f"there is no layout {name!r}; there are {', '.join(layouts)}")
    return named[name]


def guess_layout(root: str | Path) -> type[FolderCorpus]:
    """Find the only layout that fits a folder.

    Layouts of published corpora have precedence over generic ones; `FolderCorpus.matches` decides.

    Raises:
        UsageError: There is no such folder, or none or several layouts fit.
    """
    root = expand_home(root)
    if root.is_file():
        raise UsageError(f"{root} is a file: name the folder of the corpus")
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
        return cls(root).matches()
    except AudioError:  # The layout fits, but a file is damaged.
        return True
    except (SoloistError, OSError):
        return False


def _find_class(class_path: str) -> type[Corpus]:
    # Imported here because they import PyTorch, which the names of layouts do not need.
    from soloist.config import check, find_class

    check({"class_path": class_path}, "layout")
    cls = find_class(class_path, "layout")
    if not issubclass(cls, Corpus):
        raise UsageError(f"{class_path} is not a corpus, so it is no layout")
    return cls


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
