"""Sockets and the loop of the service."""

from __future__ import annotations

import socket
from typing import Any

from soloist.errors import SoloistError
from soloist.resources import import_extra


def open_socket(host: str, port: int) -> socket.socket:
    """Listen at an address.

    Args:
        host: Name or address of this machine.
        port: The port; 0 for any free one.

    Raises:
        SoloistError: The address is not this machine's, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            # Whoever reads the address may ask before the loop runs.
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise SoloistError(
            f"cannot listen at {host}, port {port}: {error.strerror}; take another --port or --host"
        ) from error
    return listener


def run(application: Any, listener: socket.socket) -> None:
    """Answer requests until a signal ends the service.

    Args:
        application: The ASGI application.
        listener: Socket of `open_socket`.
    """
    make_server(application).run(sockets=[listener])


def make_server(application: Any) -> Any:
    """Make the server of an application: a `uvicorn.Server`, whose `should_exit` ends it."""
    uvicorn = import_extra("uvicorn", "web")
    return uvicorn.Server(
        uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=2, timeout_keep_alive=30)
    )
