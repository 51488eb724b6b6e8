"""What every request must pass before a route sees it, and what every answer carries.

The page is for whoever sits at this machine, and a browser there also runs pages of others. They must not get in
by a name that was made to point here (DNS rebinding: the Host header), nor send orders on the user's behalf (CSRF:
Origin and Sec-Fetch-Site), nor show this page within theirs.
"""

import asyncio
import hmac
import ipaddress
import json
import math
import re
import socket
import time
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgnn.web.api import MAX_JSON, MAX_PICTURE, MAX_STYLES

UPLOADS = {"/api/playground": MAX_PICTURE, "/api/studio": (1 + MAX_STYLES) * MAX_PICTURE}  # bytes of their pictures
FORM = 64 << 10  # bytes of the rest of a form
BODY_TIME = 60.0  # seconds in which a body must have come
OPEN = ("/api/session",)  # what is under /api and needs no token
SAFE = ("GET", "HEAD", "OPTIONS")
ANYWHERE = ("0.0.0.0", "::", "")  # bound to every address of the machine
MOST_CLIENTS = 10_000  # whose requests are counted
FOLDERS = re.compile(r"(?<![\w.:/\\-])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:'\"]+[/\\])+")  # of an absolute path

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine itself can reach an address that a server is bound to."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Hosts:
    """The names by which the server may be called.

    Args:
        bound: the host that it is bound to; of one that means every address, each of them is a name: another site
            can bring a browser here by a name of its own, never by a bare address.
    """

    def __init__(self, bound: str, port: int) -> None:
        self.port, self.any_address = port, bound in ANYWHERE
        self.names = {"127.0.0.1", "localhost", "::1"}
        own = socket.gethostname().lower()
        self.names |= {own, f"{own}.local"} if self.any_address else {bound.lower()}

    def __contains__(self, header: str) -> bool:
        try:
            parts = urlsplit(f"http://{header}")
            name, port = parts.hostname, parts.port or 80
        except ValueError:
            return False
        if name is None or parts.netloc != header or "@" in header or port != self.port:
            return False
        if name in self.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address


class Buckets:
    """A token bucket for each client: so many requests a minute, as many at once after a pause.

    Args:
        rate: a minute; 0: any.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.left: dict[str, tuple[float, float]] = {}  # client -> requests that it has, and when that was

    def wait(self, client: str, now: float) -> float:
        """Take one; the seconds until there is one, 0 if it was there."""
        if not self.rate:
            return 0.0
        if len(self.left) > MOST_CLIENTS:  # those that have all of theirs again need no place
            self.left = {name: each for name, each in self.left.items() if self.filled(*each, now) < self.rate}
        left = self.filled(*self.left.get(client, (float(self.rate), now)), now)
        self.left[client] = (left - (left >= 1), now)
        return max(0.0, (1 - left) * 60 / self.rate)

    def filled(self, left: float, then: float, now: float) -> float:
        """What a bucket holds now."""
        return min(float(self.rate), left + (now - then) * self.rate / 60)


class Refused(Exception):
    """A request that no route is to see."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


class Gate:
    """Who may come in.

    Args:
        hosts: the names by which the server may be called.
        token: without which nothing under /api is given; None: to anybody who reaches it.
        rate: requests a minute that each client may send of those that change or compute something; 0: any.
    """

    def __init__(self, hosts: Hosts, token: str | None = None, rate: int = 0) -> None:
        self.hosts, self.token, self.buckets = hosts, token, Buckets(rate)
        self.cookie = f"imgnn-{hosts.port}"  # browsers send a host's cookies to all of its ports

    def check(self, scope: Scope) -> None:
        """See whether a request may come in.

        Raises:
            Refused: it may not.
        """
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        host = headers.getlist("host")
        if len(host) != 1 or host[0] not in self.hosts:
            raise Refused(400, "this server is not called by that name")
        if method not in SAFE:
            self.check_origin(headers, host[0])
        if path.startswith("/api") and path not in OPEN and not self.knows_token(headers):
            raise Refused(401, "a token is needed: imgnn serve printed it", {"WWW-Authenticate": "Bearer"})
        if method in SAFE:
            return
        client = scope["client"][0] if scope.get("client") else ""
        if wait := self.buckets.wait(client, time.monotonic()):
            raise Refused(429, "too many requests", {"Retry-After": str(math.ceil(wait))})
        limit = most_bytes(path)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            raise Refused(413, too_large(limit))

    def check_origin(self, headers: Headers, host: str) -> None:
        """See that a request which changes something comes from our own page, or from no page (curl).

        A browser tells where it comes from in Sec-Fetch-Site, older ones in Origin; a page cannot change either.

        Raises:
            Refused: it comes from another one.
        """
        site = headers.get("sec-fetch-site", "none")
        for origin in headers.getlist("origin"):
            if origin not in (f"http://{host}", f"https://{host}"):
                site = "cross-site"
        if site not in ("same-origin", "none"):
            raise Refused(403, "another site may not ask for this")

    def knows_token(self, headers: Headers) -> bool:
        """Whether a request brings the token, as a cookie or in its own header."""
        if self.token is None:
            return True
        brought = [headers.get("authorization", "").removeprefix("Bearer ")]
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        if self.cookie in cookies:
            brought.append(cookies[self.cookie].value)
        return any(self.is_token(each) for each in brought)

    def is_token(self, text: str) -> bool:
        """Whether it is; how long that takes does not tell how much of it is right."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    def exchange(self, scope: Scope) -> dict[str, str] | None:
        """The address with the token in it, as it was printed, becomes a cookie and the address without."""
        if self.token is None or scope["method"] != "GET" or scope["path"] != "/":
            return None
        given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=None).get("token")
        if not given:
            return None
        if not self.is_token(given[0]):
            raise Refused(401, "that is not the token: imgnn serve printed it")
        return {"Location": "/", **self.set_cookie()}

    def set_cookie(self) -> dict[str, str]:
        """The header that leaves the token with a browser, where no script can read it and no other site use it."""
        return {"Set-Cookie": f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"}


class Guard:
    """An ASGI application around the one that has the routes."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there are no web sockets here; uvicorn closes it

        body = Body(scope, receive)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                if not body.over:
                    headers["Connection"] = "close"  # else uvicorn would read the rest, however long it is
            await send(message)

        try:
            self.gate.check(scope)
            location = self.gate.exchange(scope)
        except Refused as refused:
            await answer(send_guarded, refused.status, refused.detail, refused.headers)
            return
        if location is not None:
            await answer(send_guarded, 303, "", location)
            return
        await self.app(scope, body, send_guarded)


def most_bytes(path: str) -> int:
    """How large the body of a request to this path may be."""
    return UPLOADS[path] + FORM if path in UPLOADS else MAX_JSON


class Body:
    """What a request sends: at most so many bytes, whatever its headers say, within `BODY_TIME`.

    Attributes:
        over: whether it came to its end.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        self.receive, self.limit, self.size = receive, most_bytes(scope["path"]), 0
        self.over = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        self.deadline = time.monotonic() + BODY_TIME

    async def __call__(self) -> Message:
        if self.over:
            return await self.receive()  # which tells when the client has gone
        try:
            message = await asyncio.wait_for(self.receive(), self.deadline - time.monotonic())
        except TimeoutError:
            raise HTTPException(408, "the request did not come to its end in time") from None
        self.size += len(message.get("body", b""))
        if self.size > self.limit:
            raise HTTPException(413, too_large(self.limit))
        self.over = not message.get("more_body", False)
        return message


def too_large(limit: int) -> str:
    """What to say of a body that is."""
    amount = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
    return f"the request is larger than {amount}"


def without_paths(text: str, folders: Iterable[Path] = ()) -> str:
    """A sentence for a client, who has no business with where things are on this machine: files go by their names.

    Args:
        folders: that may be in it, and may have spaces in their names.
    """
    for folder in folders:
        if folder.name:  # "." has none
            text = text.replace(str(folder), folder.name)
    return FOLDERS.sub("", text)


async def answer(send: Send, status: int, detail: str, headers: dict[str, str]) -> None:
    """A `Problem` without the routes' help."""
    body = json.dumps({"detail": detail}).encode() if detail else b""
    own: Iterable[tuple[str, str]] = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in [*own, *headers.items()]]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
