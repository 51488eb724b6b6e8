"""A file server on 127.0.0.1 that can also cut, stall, lie and lose its way."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Plays the next answer of the server's script; the last one is repeated."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.seen.append((self.path, dict(self.headers)))
        script = self.server.script
        answer = script.pop(0) if len(script) > 1 else script[0]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            answer(self, self.server.content)

    def log_message(self, *_: object) -> None: ...

    def range_start(self) -> int:
        """Where the client wants to go on; 0 if it did not ask, or asks for another version (If-Range)."""
        if self.headers.get("If-Range", self.server.etag) != self.server.etag:
            return 0
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])

    def start(self, status: int, **headers: object) -> None:
        self.send_response(status)
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.script: list[Answer] = [honest]
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.etag = '"one"'
        self.url = f"http://127.0.0.1:{self.server_port}"

    def ranges(self) -> list[str | None]:
        """The Range header of every request so far."""
        return [headers.get("Range") for _, headers in self.seen]


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[Server]:
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def honest(handler: Handler, content: bytes) -> None:
    """The whole file, or the rest that was asked for."""
    first = handler.range_start()
    if first >= len(content) > 0:
        handler.start(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
    elif first:
        span = f"bytes {first}-{len(content) - 1}/{len(content)}"
        handler.start(206, Content_Range=span, Content_Length=len(content) - first)
        handler.wfile.write(content[first:])
    else:
        handler.start(200, Content_Length=len(content))
        handler.wfile.write(content)


def cuts(after: int) -> Answer:
    """Promises the file and hangs up after so many bytes."""

    def answer(handler: Handler, content: bytes) -> None:
        first = handler.range_start()
        rest = content[first:]
        span = {"Content_Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if first else {}
        handler.start(206 if first else 200, Content_Length=len(rest), **span)
        handler.wfile.write(rest[:after])

    return answer


def ignores_range(handler: Handler, content: bytes) -> None:
    """The whole file, whatever was asked."""
    handler.start(200, Content_Length=len(content))
    handler.wfile.write(content)


def sends_other_range(handler: Handler, content: bytes) -> None:
    """Says 206 and begins ten bytes too early."""
    first = max(0, handler.range_start() - 10)
    handler.start(206, Content_Range=f"bytes {first}-{len(content) - 1}/{len(content)}", Content_Length=len(content))
    handler.wfile.write(content[first:])


def says_length(length: int) -> Answer:
    """Promises `length` bytes and sends the file, as far as that goes; then there is no more."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, Content_Length=length)
        handler.wfile.write(content[:length])

    return answer


def no_length(handler: Handler, content: bytes) -> None:
    """The file, and no word of how long it is."""
    handler.start(200)
    handler.wfile.write(content)


def chunked(handler: Handler, content: bytes) -> None:
    """The file in HTTP chunks."""
    handler.start(200, Transfer_Encoding="chunked")
    for piece in (content[:1000], content[1000:]):
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n")


def sends(other: bytes, status: int = 200, **headers: object) -> Answer:
    """Something else."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(status, Content_Length=len(other), **headers)
        handler.wfile.write(other)

    return answer


def stalls(after: int, seconds: float) -> Answer:
    """Sends some bytes, then none for a long time."""

    def answer(handler: Handler, content: bytes) -> None:
        first = handler.range_start()
        handler.start(200, Content_Length=len(content) - first)
        handler.wfile.write(content[first : first + after])
        handler.wfile.flush()
        time.sleep(seconds)

    return answer


def drips(pause: float) -> Answer:
    """One byte, a pause, one byte, a pause."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, Content_Length=len(content))
        for byte in content:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(pause)

    return answer


def endless(handler: Handler, content: bytes) -> None:
    """Never stops."""
    handler.start(200)
    while True:
        handler.wfile.write(content or b"x")


def redirects(to: str) -> Answer:
    """Sends the client elsewhere; with "" to itself, for ever."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(302, Location=to or handler.path, Content_Length=0)

    return answer


def busy(status: int = 503, **headers: object) -> Answer:
    """Not now."""
    return sends(b"", status, **headers)


def cut_at_once(handler: Handler, content: bytes) -> None:
    """Hangs up without a word."""
