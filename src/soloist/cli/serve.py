"""`soloist serve`: the page on which songs become stems to mix."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from soloist.cli.console import loading, say
from soloist.cli.options import PrecisionOption, split_names
from soloist.resources import Processes

_LIMITS = "Limits"
_HERE = "127.0.0.1"


def serve(
    host: Annotated[
        str, typer.Option(help="Address; another one than this machine's needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = 8000,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    models: Annotated[
        str | None, typer.Option(help="Only these models, such as spleeter-2stems,hpss; default: all.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="Secret in the address; made where one is needed and none is given.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the jobs; default: in Soloist's own folder."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Jobs at once.", min=1)] = 1,
    precision: PrecisionOption = "auto",
    queue: Annotated[int, typer.Option(help="Most jobs that wait.", min=1, rich_help_panel=_LIMITS)] = 1000,
    keep: Annotated[
        float, typer.Option(help="Hours after which finished jobs are deleted.", rich_help_panel=_LIMITS)
    ] = 24.0,
    upload: Annotated[float, typer.Option(help="Largest upload, MB.", rich_help_panel=_LIMITS)] = 2000.0,
    disk: Annotated[
        float,
        typer.Option(help="Most GB of all jobs; the oldest finished ones go first.", rich_help_panel=_LIMITS),
    ] = 50.0,
) -> None:
    """Open a page on this machine where songs become stems to hear, mix and take away.

    `soloist serve --open`
    """
    with loading():
        open_socket, run, make_application = _server()
        from soloist.files import home
        from soloist.server.limits import Limits
        from soloist.server.service import Service
    if precision != "auto":
        _check_precision(precision)
    if not _is_local(host):
        token = token or secrets.token_urlsafe(18)
    limits = Limits(upload=round(upload * 1e6), waiting=queue, keep=keep, disk=round(disk * 1e9))
    names = split_names(models)
    listener = open_socket(host, port)
    with Service(output or home() / "jobs", limits, names, workers, precision) as service:
        application = make_application(service, token=token or "", hosts=frozenset({host}))
        _announce(host, listener.getsockname()[1], token, open_)
        run(application, listener)


def _check_precision(precision: str) -> None:
    """Refuse what the device does not have, in a process that ends: the page's own stays without PyTorch."""
    with Processes(1) as pool:
        pool.submit(_check_precision_here, precision).result()


def _check_precision_here(precision: str) -> None:
    from soloist.inference import find_device
    from soloist.inference.engines.precision import check_precision

    check_precision(precision, find_device("auto"))


def mix(
    folder: Annotated[
        Path, typer.Argument(help="Folder of stems, as soloist separate writes it.", show_default=False)
    ],
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = 0,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the mixer in the browser.")] = True,
) -> None:
    """Open stems that are there in the mixer of the page.

    `soloist mix separated/htdemucs/song`
    """
    with loading():
        open_socket, run, make_application = _server()
        from soloist.files import scratch_folder
        from soloist.server import Service, mixer_job
    with scratch_folder() as scratch, Service(scratch) as service:
        job = mixer_job(folder, service.jobs)
        listener = open_socket(_HERE, port)
        application = make_application(service)
        _announce(_HERE, listener.getsockname()[1], None, open_, f"#{job.id}")
        run(application, listener)


def _server() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Functions of the service, whose packages are an extra.

    Raises:
        UsageError: They are not installed.
    """
    from soloist.resources import import_extra

    for package in ("fastapi", "uvicorn"):
        import_extra(package, "web")
    from soloist.server import make_application, open_socket, run

    return open_socket, run, make_application


def _announce(host: str, port: int, token: str | None, open_: bool, place: str = "") -> None:
    """Say where the page is, and open it in the browser."""
    url = f"http://{_shown(host)}:{port}/{f'?token={token}' if token else ''}{place}"
    say(f"the page is at {url}; Ctrl-C ends it")
    if open_:
        typer.launch(url)


def _is_local(host: str) -> bool:
    """True for an address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
