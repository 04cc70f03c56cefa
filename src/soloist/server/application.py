"""The application of the service: the page, its parts, and failures as answers."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from soloist import __version__
from soloist.errors import SoloistError, explain
from soloist.players import part_path
from soloist.server import job_routes, sound_routes
from soloist.server.guards import Guard
from soloist.server.problems import problem
from soloist.server.service import BusyError, Service

_PAGE = Path(__file__).parent / "page"
_OWN = ("page.js", "page.css", "api.html", "api.js")
_PARTS = ("mixer.js", "transport.js", "waveform.js", "pitch_worklet.js", "players.css")


def make_application(service: Service, *, token: str = "", hosts: frozenset[str] = frozenset()) -> Guard:
    """Make the ASGI application of a service.

    Args:
        service: Jobs, queue and workers.
        token: Secret that every request must know; empty for a service that only this machine reaches.
        hosts: Further names under which it may be asked without a token.
    """
    app = FastAPI(
        title="Soloist", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    app.state.service = service
    app.add_exception_handler(SoloistError, _answer_soloist_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(OSError, _answer_disk)
    app.include_router(job_routes.router, prefix="/api", tags=["jobs"])
    app.include_router(sound_routes.router, prefix="/api", tags=["sounds"])
    app.add_api_route("/", _index, include_in_schema=False)
    app.add_api_route("/parts/{name}", _part, include_in_schema=False)
    return Guard(app, token, hosts)


def _index() -> Response:
    return FileResponse(_PAGE / "index.html")


def _part(name: str) -> Response:
    """A script, a style sheet or a page; nothing else can be asked for."""
    if name in _OWN:
        return FileResponse(_PAGE / name)
    if name in _PARTS:
        return FileResponse(part_path(name))
    raise HTTPException(404, f"there is no part {name!r} of the page")


def _answer_soloist_error(request: Request, error: Exception) -> Response:
    if isinstance(error, BusyError):
        return problem(503, explain(error), {"Retry-After": "60"})
    return problem(400 if getattr(error, "exit_code", 1) == 2 else 422, explain(error))


def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail, dict(error.headers or {}))


def _answer_disk(request: Request, error: Exception) -> Response:
    return problem(507, f"the disk of the service fails: {getattr(error, 'strerror', None) or error}")


def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return problem(400, f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}")
