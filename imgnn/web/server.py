"""The server of `imgnn serve`: a site, its guard, and the socket."""

import asyncio
import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Callable
from importlib.resources.abc import Traversable
from pathlib import Path

import platformdirs
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from imgnn.errors import InputError
from imgnn.home import home
from imgnn.options import ServeOptions
from imgnn.training.run_folder import packaged_model
from imgnn.web.guard import ANYWHERE, Gate, Guard, Hosts, is_loopback
from imgnn.web.routes import build_app
from imgnn.web.site import Site, held, open_site
from imgnn.web.voices import open_runs

CONNECTIONS = 256  # at once; more are answered with 503
HEADER_BYTES = 32 << 10  # of a request's line and headers
IDLE = 10  # seconds in which a connection has to bring a request, the first one or another
LAST_WORDS = 3  # seconds for answers that are under way at the end


def bind(host: str, port: int) -> socket.socket:
    """A socket on which nothing listens yet.

    Args:
        port: 0: any that is free.

    Raises:
        InputError: the port is taken or may not be used, or the host is none of this machine's.
    """
    try:
        family, *_, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with contextlib.ExitStack() as undo:
            bound = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(CONNECTIONS)  # a port that two servers were bound to is refused only now
            undo.pop_all()
            return bound
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} of {host} is taken", hint=f"imgnn serve --port {port + 1}") from None
        raise InputError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error


class PromptProtocol(H11Protocol):
    """HTTP as uvicorn has it, and a connection that brings no request is closed, of which uvicorn sees only those that
    are silent after a request: without it some hundred of silent ones, or a byte now and then, keep all others out."""

    answered: object = None  # the last request, if it was answered at the last look; self, if it was not
    looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.looking = self.loop.call_later(IDLE, self.look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.looking is not None:
            self.looking.cancel()
        super().connection_lost(exc)

    def look(self) -> None:
        """Close the connection if it waits for the same request as at the last look."""
        if self.cycle is self.answered:  # None: the first request's headers are not all there
            self.transport.close()
            return
        self.answered = self.cycle if self.cycle.response_complete else self
        self.looking = self.loop.call_later(IDLE, self.look)


def build_server(
    site: Site, bound: socket.socket, host: str, *, token: str | None, rate: int, page: Traversable | None = None
) -> uvicorn.Server:
    """A server for a site on a socket; `run(sockets=[bound])` runs it until Ctrl-C.

    Args:
        host: as it was asked for: one of the names by which it may be called.
        token, rate: of `Gate`.
        page: the folder of the page's files; None: imgnn's own.
    """
    gate = Gate(Hosts(host, bound.getsockname()[1]), token, rate)
    config = uvicorn.Config(
        Guard(build_app(site, gate, page), gate),
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # a client could name itself as it likes
        http=PromptProtocol,
        ws="none",
        h11_max_incomplete_event_size=HEADER_BYTES,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=LAST_WORDS,
    )
    return uvicorn.Server(config)


def address_of(bound: socket.socket, host: str, token: str | None) -> str:
    """What one types into a browser on this machine, or on another one where the server is for those."""
    port = bound.getsockname()[1]
    name = socket.gethostname() if host in ANYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def serve_page(options: ServeOptions, ready: Callable[[str], None]) -> None:
    """Run until Ctrl-C; what is being made in the studio is saved then.

    Args:
        ready: told the address once the port is ours.

    Raises:
        InputError: a run is none, the port is taken, or the folder cannot be used or another server has it.
    """
    runs = open_runs(options.models or [packaged_model()])
    token = None if is_loopback(options.host) else secrets.token_urlsafe(32)
    folder = options.folder or default_folder()
    with held(folder), bind(options.host, options.port) as bound:
        site = open_site(runs, folder, token=token is not None)
        server = build_server(site, bound, options.host, token=token, rate=options.requests_per_minute)
        ready(address_of(bound, options.host, token))
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[bound])


def default_folder() -> Path:
    """Where ratings and pictures are kept if nothing is said: with what else is imgnn's, but not in a cache."""
    if os.environ.get("IMGNN_HOME"):
        return home() / "page"
    return Path(platformdirs.user_data_dir("imgnn", appauthor=False)) / "page"
