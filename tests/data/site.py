"""A web site on 127.0.0.1 that behaves as badly as the web does: what a path answers is a function."""

import contextlib
import gzip
import io
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Answer = Callable[["Handler"], None]


def picture(seed: int = 0, size: tuple[int, int] = (24, 32), form: str = "JPEG") -> bytes:
    """The bytes of a small picture of noise; another seed, another picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype="uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Site"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.asked[self.path] += 1
            self.server.agents.add(self.headers.get("User-Agent", ""))
            self.server.active += 1
            self.server.most = max(self.server.most, self.server.active)
        try:
            answer = self.server.answers.get(path, self.server.fallback)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                answer(self)
        finally:
            with self.server.lock:
                self.server.active -= 1

    def log_message(self, *_: object) -> None: ...

    def start(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, body: bytes, status: int = 200, **headers: object) -> None:
        self.start(status, Content_Length=len(body), **headers)
        self.wfile.write(body)


class Site(ThreadingHTTPServer):
    """Attributes:
    answers: path -> what it answers; the others are not found.
    asked: path -> how often it was asked.
    most: requests at once, at most so far.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.answers: dict[str, Answer] = {}
        self.fallback: Answer = says(404)
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.active = self.most = 0
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is no news."""


@contextlib.contextmanager
def site(certificate: Path | None = None) -> Iterator[Site]:
    """A site that runs while the block does; with a certificate (and its key, in one file), over TLS."""
    with Site() as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            server.url = server.url.replace("http:", "https:")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def says(status: int, body: bytes = b"", **headers: object) -> Answer:
    """This, to everyone."""
    return lambda handler: handler.send(body, status, **headers)


def sends(body: bytes, **headers: object) -> Answer:
    return says(200, body, **headers)


def first(times: int, answer: Answer, then: Answer) -> Answer:
    """One answer to the first so many requests, another one to the others."""
    count = Counter[str]()

    def choose(handler: Handler) -> None:
        count["asked"] += 1
        (answer if count["asked"] <= times else then)(handler)

    return choose


def redirects(to: str, status: int = 302) -> Answer:
    return lambda handler: handler.send(b"", status, Location=to)


def sleeps(handler: Handler) -> None:
    """No answer at all."""
    handler.server.closing.wait(20)


def drips(handler: Handler) -> None:
    """One byte every fifth of a second: no silence is ever long."""
    body = picture()
    handler.start(200, Content_Length=len(body))
    for byte in body:
        handler.wfile.write(bytes([byte]))
        if handler.server.closing.wait(0.2):
            return


def drips_headers(handler: Handler) -> None:
    """The same, and it never comes to the picture."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100):
        handler.wfile.write(b"X-%d: x\r\n" % number)
        if handler.server.closing.wait(0.2):
            return


def endless(handler: Handler) -> None:
    """A picture that never stops."""
    handler.start(200)
    handler.wfile.write(picture())
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(1 << 16))
    handler.close_connection = True


def cut(handler: Handler) -> None:
    """Promises the whole picture, sends half of it and hangs up."""
    body = picture(3)
    handler.start(200, Content_Length=len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def hangs_up(handler: Handler) -> None:
    """Not a word."""
    handler.close_connection = True


def nonsense(handler: Handler) -> None:
    """No HTTP."""
    handler.wfile.write(b"\x15\x03\x01 hello\r\n\r\n")
    handler.close_connection = True


def zipped(body: bytes) -> Answer:
    return sends(gzip.compress(body), Content_Encoding="gzip")


@cache
def bomb() -> bytes:
    """A picture, and zeros that are a few kilobytes packed and 64 megabytes unpacked."""
    return gzip.compress(picture() + bytes(1 << 26), 1)


def gzip_bomb(handler: Handler) -> None:
    handler.send(bomb(), Content_Encoding="gzip")


def slow(seconds: float, answer: Answer) -> Answer:
    """The answer, after a while."""

    def wait(handler: Handler) -> None:
        time.sleep(seconds)
        answer(handler)

    return wait
