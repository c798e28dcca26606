"""Who may use the server: password, visitor, requests of other sites, security headers."""

import asyncio
import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    SimpleUser,
)
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "sr_visitor"
#: The browser itself blocks whatever is not a file of this server.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class VisitorBackend(AuthenticationBackend):
    """Identifies a browser by a random cookie, after checking the password if there is one.

    Starlette has no Basic authentication. Its ``SessionMiddleware`` signs contents that a client
    could change; an unguessable identifier needs no signature, nor the package that makes it.

    Args:
        password: the browser asks for it, with any user name; None to let everybody in.
    """

    def __init__(self, password: str | None) -> None:
        self._password = None if password is None else password.encode()

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        """The visitor of a request; a new one without a valid cookie.

        Raises:
            AuthenticationError: the password is missing or wrong.
        """
        if self._password is not None and not _knows(conn.headers, self._password):
            await asyncio.sleep(0.5)  # slows down guessing
            raise AuthenticationError("A password is needed.")
        visitor = conn.cookies.get(COOKIE, "")
        if not re.fullmatch(r"[0-9a-f]{32}", visitor):
            visitor = secrets.token_hex(16)
        return AuthCredentials(), SimpleUser(visitor)


def ask_for_password(conn: HTTPConnection, error: AuthenticationError) -> Response:
    """The answer to a request without the password."""
    scheme = {"WWW-Authenticate": 'Basic realm="sr_experiments", charset="UTF-8"'}
    return PlainTextResponse(str(error), 401, headers=scheme)


def _knows(headers: Headers, password: bytes) -> bool:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    try:
        _, _, given = base64.b64decode(credentials, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given, password)


class BehindProxy:
    """Undoes what a proxy in front of the server does to addresses.

    uvicorn's own ``ProxyHeadersMiddleware`` takes over the client and the scheme, not the host, and
    its ``root_path`` wants a proxy that removes the path.

    Args:
        app: what is behind.
        root: the path under which the page is reached, such as ``/sr``, with which requests may
            begin or not; empty for none.
        proxies: addresses whose ``X-Forwarded-Host`` and ``X-Forwarded-Proto`` are believed.
    """

    def __init__(self, app: ASGIApp, root: str = "", proxies: Collection[str] = ()) -> None:
        self.app, self._root, self._proxies = app, root, frozenset(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            scope = dict(scope)
            path = scope["path"]
            if self._root and (path + "/").startswith(self._root + "/"):
                scope["path"] = path.removeprefix(self._root) or "/"
                scope["raw_path"] = scope["path"].encode()
            client = scope.get("client")
            headers = Headers(scope=scope)
            if client is not None and client[0] in self._proxies:
                proto = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip()
                if proto in ("http", "https"):
                    scope["scheme"] = proto
                host = headers.get("x-forwarded-host", "").rpartition(",")[2].strip()
                if host:
                    others = [(k, v) for k, v in scope["headers"] if k != b"host"]
                    scope["headers"] = [*others, (b"host", host.encode("latin-1"))]
                    scope["state"] = {**scope.get("state", {}), "proxied": True}
        await self.app(scope, receive, send)


class KnownHost:
    """Refuses host names that are not the server's own.

    Another name is a page elsewhere that resolves its name to this machine, or a proxy that the
    server was not told about; Starlette's ``TrustedHostMiddleware`` cannot say the second.

    Args:
        app: what is behind.
        names: that are the server's; None for any.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] | None) -> None:
        self.app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 400."""
        if scope["type"] == "http" and self._names is not None:
            host = urlsplit("//" + Headers(scope=scope).get("host", ""))
            try:
                name = host.hostname or ""
            except ValueError:
                name = ""
            if name not in self._names and not scope.get("state", {}).get("proxied"):
                answer = PlainTextResponse(
                    f"Invalid host header: this server is not {name!r}. Behind a proxy, start it "
                    "with --trusted-proxy and let the proxy send X-Forwarded-Host.",
                    400,
                )
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


class SecurityHeaders:
    """Adds the headers by which a browser protects the page; Starlette has no such middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                # Revalidate, so that a new version's script is never mixed with an old page.
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self.app(scope, receive, send_with_headers)


class SameOrigin:
    """Refuses requests that change something and come from a page of another site.

    Starlette's ``CORSMiddleware`` only tells browsers who may read an answer; it refuses nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        changes = scope["type"] == "http" and scope["method"] not in ("GET", "HEAD")
        if changes and not _same_origin(Headers(scope=scope)):
            answer = PlainTextResponse(
                "Sent by a page of another site. Behind a proxy, start the server with "
                "--trusted-proxy and let the proxy send X-Forwarded-Host.",
                403,
            )
            await answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _same_origin(headers: Headers) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")
