"""Who may ask, and how much: the checks made before a request reaches any route."""

import asyncio
import secrets
from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_UPLOAD = 20 * 2**20
"""Bytes of a request's body."""
MAX_WAITING = 64
"""Requests with a body that may be in progress at a time."""
UPLOAD_SECONDS = 30.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Refused(HTTPException):
    """An answer other than success, with the way on."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(status, error)
        self.hint = hint


def error_response(status: int, error: str, hint: str = "") -> JSONResponse:
    """The form of every error."""
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"error": error, "hint": hint}, status, headers)


class Guard:
    """Lets through what comes from this server's own page, or from a program.

    `hosts` are the names under which it may be asked, None: any. Another name in the Host header
    means that a foreign name was pointed at this machine (DNS rebinding). A request that a browser
    sends for another page carries that page's origin, and is refused. With `token`, every request
    must carry it: as a bearer token, or as the cookie set by the page's first address. Browsers
    send a cookie to every port of a host, so that its name is this port's.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, token: str | None) -> None:
        self.app, self.hosts, self.token = app, hosts, token
        self.waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":
            return  # there are no web sockets here

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._first_answer(scope)
        if answer is not None:
            await answer(scope, receive, send_guarded)
        elif scope["method"] != "POST":
            await self.app(scope, receive, send_guarded)
        elif self.waiting >= MAX_WAITING:
            busy = error_response(503, f"{MAX_WAITING} requests are waiting", "try again later")
            await busy(scope, receive, send_guarded)
        else:
            self.waiting += 1
            try:
                await self.app(scope, bounded(receive), send_guarded)
            finally:
                self.waiting -= 1

    def _first_answer(self, scope: Scope) -> Response | None:
        """The refusal of a request, or the redirection that sets the cookie; None: neither."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts is not None and host_name(host) not in self.hosts:
            return error_response(403, "this name is not the server's", "use the printed address")
        if not self._from_here(scope, headers, host):
            return error_response(403, "requests of pages elsewhere are refused")
        cookie = f"mnistctl-token-{(scope.get('server') or ('', 0))[1]}"
        if self.token is not None and not self._has_token(headers, cookie, self.token):
            if self._token_in_address(scope, self.token):
                answer = RedirectResponse("/", 303)
                answer.set_cookie(cookie, self.token, httponly=True, samesite="lax")
                return answer
            return error_response(
                401, "the token is missing or wrong", "use the printed address, ending in ?token="
            )
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "multipart/form-data":
            return error_response(
                415, "the body is not multipart/form-data", "curl: -F image=@FILE for each image"
            )
        return None

    @staticmethod
    def _from_here(scope: Scope, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return False
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return True
        # A link to the page may stand anywhere.
        return scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"

    @staticmethod
    def _has_token(headers: Headers, cookie_name: str, token: str) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), token):
            return True
        # http.cookies reads none where another program's cookie breaks its rules.
        cookie = cookie_parser(headers.get("cookie", "")).get(cookie_name)
        return cookie is not None and _same(cookie, token)

    @staticmethod
    def _token_in_address(scope: Scope, token: str) -> bool:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        return scope["path"] == "/" and _same(query.get("token", [""])[0], token)


def host_name(host: str) -> str | None:
    """The name in a Host header, without the port; None where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())


def bounded(receive: Receive) -> Receive:
    """`receive` with the body counted and timed as it arrives.

    Raises Refused: 413 beyond `MAX_UPLOAD` bytes, 408 after `UPLOAD_SECONDS`. Some of what is too
    much is read and dropped first, as many clients read no answer before they have sent all.
    """
    received, complete = 0, False
    deadline = asyncio.get_running_loop().time() + UPLOAD_SECONDS

    async def counted() -> Message:
        nonlocal received, complete
        if complete:
            return await receive()  # of the end of the connection
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
                received += len(message.get("body", b""))
                while MAX_UPLOAD < received < 4 * MAX_UPLOAD and message.get("more_body", False):
                    message = await receive()
                    received += len(message.get("body", b""))
        except TimeoutError:
            raise Refused(408, f"no complete request after {UPLOAD_SECONDS:.0f} s") from None
        if received > MAX_UPLOAD:
            limit = MAX_UPLOAD >> 20
            raise Refused(413, f"more than {limit} MiB", "send fewer images, or smaller ones")
        complete = not message.get("more_body", False)
        return message

    return counted
