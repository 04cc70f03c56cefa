"""`soloist doctor`: facts about the installation and a self-test, for bug reports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

import typer

from soloist.cli.console import loading, printable
from soloist.cli.options import QuietOption

if TYPE_CHECKING:
    from soloist.inference.self_test import Check

_GIGA = 1e9


def doctor(quiet: QuietOption = False) -> None:
    """Look at the installation and test it: versions, engines, GPU, formats, folders, 3 s of music.

    Paste what it prints into a bug report. It reads and sends nothing of yours; the folder of your home is
    printed as `~`. The exit code is 1 if a test fails.

    `soloist doctor`
    """
    with loading(quiet=quiet):
        from soloist.inference.self_test import check_formats, check_separation
    for key, value in _facts():
        typer.echo(f"{key}: {printable(value)}")
    formats, separation = check_formats(), check_separation()
    typer.echo(f"formats: {_told(formats)}")
    typer.echo(f"separation: {_told([separation])}")
    if not all(check.passed for check in (*formats, separation)):
        raise typer.Exit(1)


def _told(checks: list[Check]) -> str:
    return ", ".join(f"{check.name} {'ok' if check.passed else 'FAILED'} ({check.told})" for check in checks)


def _facts() -> Iterator[tuple[str, str]]:
    """Facts about the machine, the packages and the folders."""
    from soloist.inference import ENGINES
    from soloist.inference.engines import find_device, installed_engines
    from soloist.resources import available_memory, describe_machine

    device = find_device()
    machine = describe_machine(device, None)
    yield from machine.items()
    yield "device", device
    yield "free memory", f"{available_memory() / 1000:.1f} GB"
    installed = {*installed_engines(), *installed_engines(device)}
    # CUDA graphs are part of PyTorch, and for GPUs only.
    known = [name for name in ENGINES if name in installed or name != "cudagraph"]
    yield "engines", ", ".join(name if name in installed else f"{name} (not installed)" for name in known)
    yield "packages", ", ".join(f"{name} {found}" for name, found in _packages() if found)
    yield "not installed", ", ".join(name for name, found in _packages() if not found) or "nothing"
    yield from _folders()
    settings = sorted(name for name in os.environ if name.startswith("SOLOIST_"))
    yield "settings", ", ".join(f"{name}={_short(os.environ[name])}" for name in settings) or "none"


def _packages() -> Iterator[tuple[str, str]]:
    """Packages that Soloist needs or can use, with their versions; empty for those that are not installed."""
    stated = [line for line in requires("soloist") or [] if not re.search(r"extra == .dev\b", line)]
    for name in sorted({re.split(r"[^\w.-]", line)[0] for line in stated} - {"soloist"}):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, ""


def _folders() -> Iterator[tuple[str, str]]:
    """Folder of models and caches, and the one of temporary files, with what is free on their disks."""
    from soloist.audio import free_space
    from soloist.files import home
    from soloist.zoo.cards import megabytes

    sizes = [f"{megabytes(_size(folder))} of {folder.name}" for folder in sorted(home().glob("*/"))]
    for key, folder, held in (("caches", home(), sizes), ("temporary files", Path(gettempdir()), [])):
        free = free_space(folder / "a file")
        room = "free space unknown" if free is None else f"{free / _GIGA:.1f} GB free"
        yield key, ", ".join([_short(str(folder)), *held, room])


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _short(path: str) -> str:
    """Path without the user's name, if it begins with the folder of the user."""
    own = str(Path.home())
    return "~" + path.removeprefix(own) if path.startswith(own) else path
