"""Guards of the service: who may ask, from which page, and what a browser may do with the answers."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soloist.server.problems import problem

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_COOKIE = "soloist_token"
_READING = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; media-src 'self' blob:; worker-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Refuse requests of other sites and, with a token, of strangers; add headers that bind the browser.

    Args:
        app: The application behind the guard.
        token: Secret that every request must know; empty for a service that only this machine reaches.
        hosts: Further names of this machine under which it may be asked without a token.

    Without a token only names of this machine are answered: a page elsewhere whose name leads to this machine
    (DNS rebinding) asks under its own.
    """

    def __init__(self, app: ASGIApp, token: str = "", hosts: frozenset[str] = frozenset()) -> None:
        self._app, self._token, self._hosts = app, token, _LOCAL | hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = self._refuse(scope) or self._app
        await answer(scope, receive, _with_headers(send))

    def _refuse(self, scope: Scope) -> ASGIApp | None:
        """Answer to a request that is not passed on; None for the others."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._token and _name(host) not in self._hosts:
            return problem(403, f"this service does not answer under the name {host!r}")
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != host
        site = headers.get("sec-fetch-site", "same-origin")
        navigates = headers.get("sec-fetch-mode") == "navigate" and scope["method"] in _READING
        if foreign or (site not in ("same-origin", "none") and not navigates):
            return problem(403, "requests of other pages are refused")
        return self._check_token(scope, headers) if self._token else None

    def _check_token(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and self._is_token(given):
            # The token leaves the address, which others may see.
            answer = RedirectResponse("/", 303)
            answer.set_cookie(_COOKIE, given, httponly=True, samesite="strict")
            return answer
        bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if self._is_token(bearer) or self._is_token(_cookie(headers.get("cookie", ""))):
            return None
        return problem(401, "a token is needed: open the address that soloist serve printed")

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


def _cookie(header: str) -> str:
    """Token in a cookie header; empty without one."""
    try:
        cookies: SimpleCookie = SimpleCookie(header)
    except CookieError:
        return ""
    return cookies[_COOKIE].value if _COOKIE in cookies else ""


def _name(host: str) -> str:
    """Name of a host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return add
