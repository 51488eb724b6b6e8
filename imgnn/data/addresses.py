"""Addresses on the web: which are asked at all, and which host names lead into a private network."""

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
import urllib.request
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

DISGUISED = re.compile(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+))*\.?", re.IGNORECASE)  # a host of numbers
CANARY = "example.com"  # kept by IANA for this kind of use (RFC 2606)
HOSTS = 10_000  # answers that are kept
KEPT = 300.0  # seconds that an answer of the name server is kept, also that there is none


class BlockedAddress(Exception):
    """A host in a private network, on this machine, or one that answers for a cloud's secrets."""


class BadUrl(ValueError):
    """Not an address that can be asked."""


def parse_url(text: str) -> URL:
    """An http or https address, without its fragment; what is quoted in it stays as it is.

    Raises:
        BadUrl: it is none; the message says why.
    """
    text = text.strip()
    try:
        scheme = urlsplit(text).scheme.lower()
        if scheme not in ("http", "https"):
            raise BadUrl(f"http or https is expected, not {scheme or 'an address without a scheme'}")
        # A signed address is only good as it was written; with spaces or letters of other scripts it must be quoted.
        url = URL(text, encoded=text.isascii() and " " not in text).with_fragment(None)
        if not url.host or not url.port:
            raise BadUrl("there is no host in it")
        if DISGUISED.fullmatch(url.host):
            ipaddress.IPv4Address(url.host)  # ValueError, if it is another way to write one
    except BadUrl:
        raise
    except (ValueError, UnicodeError) as error:
        raise BadUrl(str(error)) from error
    return url


# Ways to write an IPv4 address as an IPv6 one that `ipaddress` does not know as such; nobody needs them to be found.
MIXED = [ipaddress.ip_network(each) for each in ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48")]
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: not private, loopback, link-local (where clouds keep
    their metadata), multicast, reserved, nor an IPv4 one of these inside an IPv6 one."""
    found: Any = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if inner is None and found.version == 6:
        if any(found in network for network in MIXED):
            return False
        if found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return bool(found.is_global and not found.is_multicast) and (inner is None or is_public(str(inner)))


class Resolver(AbstractResolver):
    """Host names -> addresses, asked once each, and refused where they lead into a private network.

    The connection is made to the very addresses that were looked at: a name server that answers otherwise the second
    time (DNS rebinding) is not asked a second time.

    Args:
        allow_private: nothing is refused.
        trusted: (host, port) that may be private: the proxies of the environment.
        timeout: seconds for one question.
    """

    def __init__(
        self, *, allow_private: bool = False, trusted: Iterable[tuple[str, int]] = (), timeout: float = 10.0
    ) -> None:
        self.allow_private, self.trusted, self.timeout = allow_private, frozenset(trusted), timeout
        self.found = False  # whether any host was: else this machine may be offline
        self.known: dict[tuple[str, int], tuple[float, asyncio.Future[list[ResolveResult]]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As aiohttp asks for it.

        Raises:
            BlockedAddress: every address of the host is private.
            OSError: the name leads nowhere.
        """
        loop = asyncio.get_running_loop()
        asked, answer = self.known.get((host, port), (0.0, None))
        if answer is None or loop.time() - asked > KEPT:
            answer = loop.create_task(self.ask(host, port))  # shared: who stops waiting does not stop the others
            answer.add_done_callback(lambda task: task.cancelled() or task.exception())
            self.known[host, port] = (loop.time(), answer)
            if len(self.known) > HOSTS:
                del self.known[next(iter(self.known))]
        return await asyncio.shield(answer)

    async def ask(self, host: str, port: int) -> list[ResolveResult]:
        """The question itself."""
        try:
            found = await asyncio.wait_for(look_up(host, port), self.timeout)
        except TimeoutError:
            raise OSError(None, f"no answer of the name server in {self.timeout:g} s") from None
        except UnicodeError as error:
            raise OSError(None, f"no host name: {error}") from error
        self.found = True
        allowed = [each for each in found if self.is_allowed(str(each[4][0]), (host, port))]
        if not allowed:
            raise BlockedAddress(f"{host} is at {found[0][4][0]}")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in allowed
        ]

    def is_allowed(self, address: str, asked: tuple[str, int] | None = None) -> bool:
        return self.allow_private or asked in self.trusted or is_public(address)

    def check_literal(self, url: URL) -> None:
        """See to it that an address whose host is a number may be asked: those never come to `resolve`.

        Raises:
            BlockedAddress: it may not.
        """
        with contextlib.suppress(ValueError):
            host = url.host or ""
            ipaddress.ip_address(host)  # a name: ValueError
            self.found = True
            if not self.is_allowed(host):
                raise BlockedAddress(host)

    async def is_online(self) -> bool:
        """Whether any name leads anywhere: one is known that always does."""
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(look_up(CANARY, 80), self.timeout)
            self.found = True
        return self.found

    async def close(self) -> None:
        """Nothing is open."""


async def look_up(host: str, port: int) -> list[Any]:
    """The system's answer, as `socket.getaddrinfo` gives it.

    A thread for each question, and none that waits for another: the system may take half a minute for a name that is
    dead, and cannot be stopped. asyncio's own few threads would all be taken by such names.

    Raises:
        OSError: there is none.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Any]] = loop.create_future()

    def tell(found: list[Any] | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found or [])

    def ask() -> None:
        found, failed = None, None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, found, failed)

    threading.Thread(target=ask, daemon=True).start()
    return await answer


class Proxies:
    """The proxies that the environment names: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY."""

    def __init__(self) -> None:
        self.by_scheme = urllib.request.getproxies()

    def hosts(self) -> list[tuple[str, int]]:
        """Where they are: (host, port)."""
        found = (URL(each) for each in self.by_scheme.values() if "://" in each)
        return [(url.host, url.port) for url in found if url.host and url.port]

    def of(self, url: URL) -> str | None:
        """The proxy to ask for an address; None: the host itself."""
        proxy = self.by_scheme.get(url.scheme) or self.by_scheme.get("all")
        return None if not proxy or urllib.request.proxy_bypass(url.host or "") else proxy
