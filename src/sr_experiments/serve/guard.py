"""What stands before every request: who may come in, and to what."""

import asyncio
import base64
import binascii
import hmac
import re
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "sr_visitor"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
#: What is served: the page's own addresses, and of Gradio's what its front needs. Its uploads, its
#: files, its queue and its documentation are not used here, and closed.
_OPEN = re.compile(
    r"/|/(api|files|page|words)/.+"
    r"|/(en|ko)/?"
    r"|/(en|ko)/(config|theme\.css|robots\.txt|manifest\.json|favicon\.ico)"
    r"|/(en|ko)/(assets|static|svelte)/[\w./@+-]+"
    r"|/favicon\.ico"
)
#: The browser itself refuses what would leave the machine. Gradio's front evaluates the functions
#: by which its settings are told to the page's script.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Middleware: host, password, origin, open addresses, the visitor's cookie, headers.

    Args:
        app: what is guarded.
        password: which the browser asks for, with any user name; None for no question.
        any_host: the server is meant to be reached by other names than the machine's own. If not,
            another name in a request is a page elsewhere that points its name at this machine.
    """

    def __init__(
        self, app: ASGIApp, *, password: str | None = None, any_host: bool = False
    ) -> None:
        self.app, self.any_host = app, any_host
        self._password = None if password is None else password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websocket is served
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        visitor, new = _visitor(headers)
        scope["visitor"] = visitor

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    out[name] = value
                if new:
                    out.append("Set-Cookie", f"{COOKIE}={visitor}; Path=/; HttpOnly; SameSite=Lax")
            await send(message)

        refused = await self._refused(scope, headers)
        await (refused or self.app)(scope, receive, answer)

    async def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self.any_host and re.sub(r":\d*$", "", host).lower() not in LOOPBACK:
            return PlainTextResponse("This server answers to this machine alone.", 403)
        if self._password is not None and not _knows(headers, self._password):
            await asyncio.sleep(0.5)  # guessing takes time
            asks = {"WWW-Authenticate": 'Basic realm="sr_experiments", charset="UTF-8"'}
            return PlainTextResponse("A password is needed.", 401, headers=asks)
        if scope["method"] not in ("GET", "HEAD") and not _from_here(headers, host):
            return PlainTextResponse("Asked by a page of another site.", 403)
        if not _OPEN.fullmatch(scope["path"]) or ".." in scope["path"]:
            return PlainTextResponse("Nothing here.", 404)
        return None


def _visitor(headers: Headers) -> tuple[str, bool]:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        found = None
    if found is not None and re.fullmatch(r"[0-9a-f]{32}", found.value):
        return found.value, False
    return secrets.token_hex(16), True


def _knows(headers: Headers, password: bytes) -> bool:
    kind, _, given = headers.get("authorization", "").partition(" ")
    try:
        _, _, word = base64.b64decode(given, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return kind.lower() == "basic" and hmac.compare_digest(word, password)


def _from_here(headers: Headers, host: str) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == host
