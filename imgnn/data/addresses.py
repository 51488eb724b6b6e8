"""Addresses on the web: which are asked at all, and which host names lead into a private network."""

import asyncio
import contextlib
import ipaddress
import re
import socket
import urllib.request
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

DISGUISED = re.compile(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+))*\.?", re.IGNORECASE)  # a host of numbers
CANARY = "example.com"  # kept by IANA for this kind of use (RFC 2606)
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


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: not private, loopback, link-local (where clouds keep
    their metadata), multicast, reserved, nor an IPv4 one of these inside an IPv6 one."""
    found: Any = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if inner is None and found.version == 6 and found in ipaddress.ip_network("64:ff9b::/96"):
        inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)  # NAT64
    return bool(found.is_global and not found.is_multicast) and (inner is None or is_public(str(inner)))


class Resolver(AbstractResolver):
    """Host names -> addresses, asked once each, and refused where they lead into a private network.

    The connection is made to the very addresses that were looked at: a name server that answers otherwise the second
    time (DNS rebinding) is not asked a second time.

    Args:
        allow_private: nothing is refused.
        trusted: hosts that may be private: the proxies of the environment.
        timeout: seconds for one question.
    """

    def __init__(self, *, allow_private: bool = False, trusted: Iterable[str] = (), timeout: float = 10.0) -> None:
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
        return await asyncio.shield(answer)

    async def ask(self, host: str, port: int) -> list[ResolveResult]:
        """The question itself; the system's answer comes from a thread, and a thread cannot be stopped."""
        question = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.wait_for(question, self.timeout)
        except TimeoutError:
            raise OSError(None, f"no answer of the name server in {self.timeout:g} s") from None
        except UnicodeError as error:
            raise OSError(None, f"no host name: {error}") from error
        self.found = True
        allowed = [each for each in found if self.is_allowed(host, str(each[4][0]))]
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

    def is_allowed(self, host: str, address: str) -> bool:
        return self.allow_private or host in self.trusted or is_public(address)

    def check_literal(self, url: URL) -> None:
        """See to it that an address whose host is a number may be asked: those never come to `resolve`.

        Raises:
            BlockedAddress: it may not.
        """
        with contextlib.suppress(ValueError):
            host = url.host or ""
            ipaddress.ip_address(host)  # a name: ValueError
            self.found = True
            if not self.is_allowed(host, host):
                raise BlockedAddress(host)

    async def is_online(self) -> bool:
        """Whether any name leads anywhere: one is known that always does."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().getaddrinfo(CANARY, 80)
            self.found = True
        return self.found

    async def close(self) -> None:
        """Nothing is open."""


class Proxies:
    """The proxies that the environment names: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY."""

    def __init__(self) -> None:
        self.by_scheme = urllib.request.getproxies()

    def hosts(self) -> list[str]:
        """Their hosts."""
        hosts = (urlsplit(each).hostname for each in self.by_scheme.values() if "://" in each)
        return [host for host in hosts if host]

    def of(self, url: URL) -> str | None:
        """The proxy to ask for an address; None: the host itself."""
        proxy = self.by_scheme.get(url.scheme) or self.by_scheme.get("all")
        return None if not proxy or urllib.request.proxy_bypass(url.host or "") else proxy
