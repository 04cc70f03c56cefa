"""Failures as answers: problem details for HTTP (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from soloist.errors import one_line
from soloist.files import json_text

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Answer with a failure.

    Args:
        status: Code of HTTP.
        detail: Line that names the thing and the way out.
        headers: Further headers.
    """
    content = {"title": HTTPStatus(status).phrase, "status": status, "detail": one_line(detail)}
    return Response(json_text(content), status, headers, MEDIA_TYPE)
