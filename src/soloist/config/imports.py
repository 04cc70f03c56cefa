"""Code outside Soloist: files and packages whose classes a configuration may name.

`--import FILE`, the key `imports` of a recipe, or a model folder name the files. The user states the first
two, which are imported. The copy in a model folder may be a stranger's: its import needs consent, which is
asked for once and holds for the contents of the files.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from soloist.errors import ConfigError, UsageError, one_line
from soloist.files import home, sha256_of, write_whole

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
    """

    module: str
    path: Path | None = None
    sha256: str | None = None

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
        if _is_file(name) and not Path(name).expanduser().is_file():
            raise UsageError(f"--import {name}: there is no such file")
        absolute.append(str(Path(name).expanduser().absolute()) if _is_file(name) else name)
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
            raise ConfigError(f"cannot import {name}: {one_line(error)}") from error
        return _imported.setdefault(name, ImportedCode(name))
    path = Path(name).expanduser()
    if folder is not None and (folder / path).is_file():
        path = folder / path
    return _import_file(path.absolute())


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
    """Copy imported files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in code:
        if each.path is not None and each.path != folder / each.path.name:
            shutil.copyfile(each.path, folder / each.path.name)


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
    missing = [each for each in code if not _is_here(each)]
    if not missing:
        return
    digest = sha256(json.dumps([(each.module, each.sha256) for each in code]).encode()).hexdigest()
    if not (trust or os.environ.get(TRUST) == "1" or digest in _consents()):
        _get_consent(missing, folder, digest)
    for each in missing:
        import_code(each.module if each.path is None else str(each.path))


def _get_consent(code: Sequence[ImportedCode], folder: Path, digest: str) -> None:
    told = ", ".join(str(each) for each in code)
    if _ask is None:
        raise UsageError(f"the model {folder} runs code of its own: {told}; if you trust it, add --trust")
    if not _ask(f"The model {folder} runs code of its own: {told}. Run it?"):
        raise UsageError(f"the model {folder} was not loaded: its code was not trusted")
    consents = _consents() | {digest: told}
    home().mkdir(parents=True, exist_ok=True)
    write_whole(_consent_file(), json.dumps(consents, indent=1, ensure_ascii=False) + "\n")


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
    path = (folder / entry["file"]).absolute()
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {path}: {error.strerror}") from error
    if found != entry["sha256"]:
        raise ConfigError(f"{where}: {path} has changed since the training: its sha256 differs")
    return ImportedCode(path.stem, path, found)


def _is_here(code: ImportedCode) -> bool:
    """Return True if the same code is imported already, by the program or for its classes."""
    _import_requested()
    known = _imported.get(code.module)
    if known is not None:
        return known.sha256 == code.sha256
    module = sys.modules.get(code.module)
    file = getattr(module, "__file__", None)
    if module is None or code.sha256 is None:
        return module is not None
    if file is None or sha256_of(Path(file)) != code.sha256:
        return False
    _imported[code.module] = ImportedCode(code.module, Path(file), code.sha256)
    return True


def _import_requested() -> None:
    for name in requested():
        module = Path(name).stem if _is_file(name) else name
        if module not in _imported:
            import_code(name)


def _import_file(path: Path) -> ImportedCode:
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise ConfigError(f"cannot import {path}: {error.strerror}") from error
    name = path.stem
    if not name.isidentifier():
        raise ConfigError(f"cannot import {path}: {name} cannot name a module; rename the file")
    known = _imported.get(name)
    if known is not None and known.sha256 == digest:
        return known
    if known is not None or name in sys.modules or importlib.util.find_spec(name) is not None:
        raise ConfigError(f"cannot import {path}: there is another module {name}; rename the file")
    # New processes unpickle classes by the name of their module. At the end, to hide no other module.
    sys.path.append(str(path.parent))
    _execute(name, path)
    return _imported.setdefault(name, ImportedCode(name, path, digest))


def _execute(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    # A user's file may raise anything at its import.
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"cannot import {path}: {type(error).__name__}: {one_line(error)}") from error
    return module


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
