"""Code outside Soloist: files and packages whose classes a configuration may name.

`--import FILE`, the key `imports` of a recipe, or a model folder name the files. The user states the first
two, which are imported. The copy in a model folder may be a stranger's: its import needs consent, which is
asked for once and holds for the contents of the files.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from soloist.errors import ConfigError, UsageError, one_line
from soloist.files import expand_home, home, json_text, scratch_folder, write_whole

IMPORTS = "SOLOIST_IMPORT"
"""Environment variable of the files and packages given by `--import`; processes inherit it."""

TRUST = "SOLOIST_TRUST"
"""Environment variable that is 1 with `--trust`; processes inherit it."""

Ask = Callable[[str], bool]
"""Function that asks the user a question; True for yes."""


@dataclass(frozen=True)
class ImportedCode:
    """File or package that was imported for its classes.

    Attributes:
        module: Name of the module, with which class paths begin.
        path: The file; None for an installed package.
        sha256: Hash of the file, in hexadecimal digits; None for an installed package.
        source: Contents of the file when it was imported; None for an installed package.
    """

    module: str
    path: Path | None = None
    sha256: str | None = None
    source: bytes | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return self.module if self.sha256 is None else f"{self.path} (sha256 {self.sha256[:12]})"

    def to_dict(self) -> dict[str, str]:
        """Entry of a model's configuration."""
        if self.path is None or self.sha256 is None:
            return {"module": self.module}
        return {"file": self.path.name, "sha256": self.sha256}


_imported: dict[str, ImportedCode] = {}
_ask: Ask | None = None


def ask_with(ask: Ask | None) -> None:
    """Set the function that asks for consent; None if nobody can be asked."""
    global _ask
    _ask = ask


def requested() -> list[str]:
    """Files and packages of `--import`."""
    return [name for name in os.environ.get(IMPORTS, "").split(os.pathsep) if name]


def request(names: Sequence[str], *, trust: bool = False) -> None:
    """Store the values of `--import` and `--trust`, for this process and those it starts.

    Raises:
        UsageError: There is no such file.
    """
    absolute = []
    for name in names:
        if _is_file(name) and not expand_home(name).is_file():
            raise UsageError(f"--import {name}: there is no such file")
        absolute.append(str(expand_home(name).absolute()) if _is_file(name) else name)
    if absolute:
        os.environ[IMPORTS] = os.pathsep.join([*requested(), *absolute])
    if trust:
        os.environ[TRUST] = "1"


def is_imported(module: str) -> bool:
    """Return True if a module, or a package around it, was imported for its classes."""
    _import_requested()
    return any(_is_inside(module, name) for name in _imported)


def import_code(name: str, folder: Path | None = None) -> ImportedCode:
    """Import a file or an installed package for its classes.

    Args:
        name: `mine.py`, or the name of a package or module.
        folder: First folder in which to look for a relative file.

    Raises:
        ConfigError: There is no such file or package, its import fails, or another module has its name.
    """
    if not _is_file(name):
        try:
            importlib.import_module(name)
        except ImportError as error:
            near = get_close_matches(name, _imported, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"cannot import {name}: {one_line(error)}{hint}") from error
        return _imported.setdefault(name, ImportedCode(name))
    path = expand_home(name)
    if folder is not None and (folder / path).is_file():
        path = folder / path
    known = _imported.get(path.stem)
    # As with any module, a change of the file is for the next program.
    return known if known and known.path == path.absolute() else _import_file(_read(path.absolute()))


def imported_classes() -> dict[str, str]:
    """Class paths of the classes that imported modules define, by the names of the classes."""
    modules = [module for name in _imported if (module := sys.modules.get(name)) is not None]
    return {
        name: f"{module.__name__}.{name}"
        for module in modules
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__
    }


def code_of(config: Any) -> list[ImportedCode]:
    """Imported code whose modules the class paths of a configuration begin with."""
    modules = {path.rpartition(".")[0] for path in class_paths_in(config)}
    return [code for name, code in _imported.items() if any(_is_inside(module, name) for module in modules)]


def class_paths_in(config: Any) -> Iterator[str]:
    """Class paths in all parts of a configuration."""
    if isinstance(config, Mapping):
        if isinstance(path := config.get("class_path"), str):
            yield path
        for part in config.values():
            yield from class_paths_in(part)
    elif isinstance(config, (list, tuple)):
        for part in config:
            yield from class_paths_in(part)


def keep_code(code: Sequence[ImportedCode], folder: Path) -> None:
    """Write imported files, as they were when imported, into a folder, beside what was made with them."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in code:
        if each.path is not None and each.source is not None:
            write_whole(folder / each.path.name, each.source)


def import_kept(entries: Sequence[Mapping[str, str]], folder: Path, *, trust: bool = False) -> None:
    """Import the code that a model folder needs, with the user's consent.

    Args:
        entries: Entries of `ImportedCode.to_dict`.
        folder: The model folder.
        trust: Consent of the caller.

    Raises:
        ConfigError: An entry is not valid, a file is missing or was changed, or an import fails.
        UsageError: There is no consent.
    """
    code = [_kept(entry, folder) for entry in entries]
    _import_requested()
    missing = [each for each in code if not _is_here(each)]
    if not missing:
        return
    digest = sha256(json.dumps([(each.module, each.sha256) for each in code]).encode()).hexdigest()
    if not (trust or os.environ.get(TRUST) == "1" or digest in _consents()):
        _get_consent(missing, folder, digest)
    for each in missing:
        import_code(each.module) if each.path is None else _import_file(each)


def _get_consent(code: Sequence[ImportedCode], folder: Path, digest: str) -> None:
    told = ", ".join(str(each) for each in code)
    if _ask is None:
        raise UsageError(f"the model {folder} runs code of its own: {told}; if you trust it, add --trust")
    if not _ask(f"The model {folder} runs code of its own: {told}. Run it?"):
        raise UsageError(f"the model {folder} was not loaded: its code was not trusted")
    consents = _consents() | {digest: told}
    home().mkdir(parents=True, exist_ok=True)
    write_whole(_consent_file(), json_text(consents, indent=1, ensure_ascii=False) + "\n")


def _kept(entry: Mapping[str, str], folder: Path) -> ImportedCode:
    """Check an entry of a model folder against its file."""
    where = f"imports of {folder}"
    if set(entry) == {"module"}:
        return ImportedCode(str(entry["module"]))
    if (
        set(entry) != {"file", "sha256"}
        or Path(entry["file"]).name != entry["file"]
        or not _is_file(entry["file"])
    ):
        raise ConfigError(f"{where}: an entry is a module, or a file and its sha256, not {dict(entry)}")
    code = _read((folder / entry["file"]).absolute(), where)
    if code.sha256 != entry["sha256"]:
        raise ConfigError(f"{where}: {code.path} is not what the model was trained with: its sha256 differs")
    return code


def _read(path: Path, where: str = "imports") -> ImportedCode:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {path}: {error.strerror}") from error
    return ImportedCode(path.stem, path, sha256(source).hexdigest(), source)


def _is_here(code: ImportedCode) -> bool:
    """Tell whether the same code has been imported already, by the program or for its classes."""
    known = _imported.get(code.module)
    if known is not None:
        return known.sha256 == code.sha256
    module = sys.modules.get(code.module)
    if module is None or code.sha256 is None:
        return module is not None
    file = getattr(module, "__file__", None)
    if file is None or not _holds(Path(file), code):
        return False
    _imported[code.module] = code
    return True


def _holds(path: Path, code: ImportedCode) -> bool:
    return path.is_file() and path.read_bytes() == code.source


def _import_requested() -> None:
    for name in requested():
        module = Path(name).stem if _is_file(name) else name
        if module not in _imported:
            import_code(name)


def _import_file(code: ImportedCode) -> ImportedCode:
    name = code.module
    if not name.isidentifier():
        raise ConfigError(f"cannot import {code.path}: {name} cannot name a module; rename the file")
    if _is_here(code):
        return _imported[name]
    if name in _imported:
        raise ConfigError(
            f"cannot import {code.path}: {_imported[name].path or name} was imported under the same name and "
            "differs; rename the file"
        )
    if name in sys.modules or not _is_free(code):
        raise ConfigError(f"cannot import {code.path}: there is another module {name}; rename the file")
    _execute(code)
    _show_to_processes(code)
    return _imported.setdefault(name, code)


def _is_free(code: ImportedCode) -> bool:
    """Tell whether no other module could be imported by the name of a file."""
    spec = importlib.util.find_spec(code.module)
    return spec is None or (spec.origin is not None and _holds(Path(spec.origin), code))


def _execute(code: ImportedCode) -> None:
    """Run what was read, and hashed, whatever the file holds by now; nothing is written beside the file."""
    assert code.source is not None
    module = ModuleType(code.module)
    module.__file__ = str(code.path)
    module.__spec__ = ModuleSpec(code.module, None, origin=str(code.path))
    sys.modules[code.module] = module
    try:
        exec(compile(code.source, str(code.path), "exec", dont_inherit=True), module.__dict__)
    # Whatever somebody's file may raise, also at its import.
    except Exception as error:
        del sys.modules[code.module]
        raise ConfigError(f"cannot import {code.path}: {type(error).__name__}: {one_line(error)}") from error


def _show_to_processes(code: ImportedCode) -> None:
    """Let processes that are started find a file by the name of its module, by which they unpickle classes.

    They find a copy, in a folder that holds imported files only: beside the file there may be others, which
    nobody has agreed to import.
    """
    assert code.path is not None
    folder = _copies()
    keep_code([code], folder)
    # At the end, to hide no other module.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@cache
def _copies() -> Path:
    scratch, process = scratch_folder(), os.getpid()
    folder = scratch.__enter__()

    def remove() -> None:
        if os.getpid() == process:
            scratch.__exit__(None, None, None)

    atexit.register(remove)
    return folder


def _is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _is_file(name: str) -> bool:
    return name.endswith(".py")


def _consent_file() -> Path:
    return home() / "trusted-code.json"


def _consents() -> dict[str, str]:
    try:
        stored: dict[str, str] = json.loads(_consent_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}
