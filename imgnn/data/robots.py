"""What sites ask of programs that fetch: robots.txt (RFC 9309) and the header X-Robots-Tag."""

from collections.abc import Iterable

from protego import Protego

TOKEN = "imgnn"  # our name in robots.txt and X-Robots-Tag
LONGEST = 500 * 1024  # bytes of a robots.txt that are read; RFC 9309, section 2.5, asks for 500 KiB

# Directives of X-Robots-Tag that mean us: no index, none at all, no training of models.
REFUSALS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})


class Robots:
    """The rules of one site.

    RFC 9309, section 2.3.1: what is not there (4xx) forbids nothing; while it fails (5xx) or does not answer, nothing
    may be fetched.

    Args:
        status: of the answer to /robots.txt; None if there was none in time.
        text: what it said.

    Attributes:
        failure: the outcome of every address of the site, while nothing may be fetched; else None.
        words: why.
    """

    def __init__(self, status: int | None, text: str = "") -> None:
        self.failure: str | None = None
        self.words = ""
        if status is None:
            self.failure, self.words = "timeout", "robots.txt does not answer: nothing may be fetched then (RFC 9309)"
        elif status >= 500:
            self.failure = "server_error"
            self.words = f"robots.txt answers {status}: nothing may be fetched then (RFC 9309)"
        self.rules = Protego.parse(text) if status is not None and 200 <= status < 300 else None

    def allows(self, url: str) -> bool:
        """Whether an address may be fetched."""
        return self.failure is None and (self.rules is None or self.rules.can_fetch(url, TOKEN))

    @property
    def pause(self) -> float:
        """Seconds between two requests that the site asks for; 0 if it does not."""
        return float((self.rules and self.rules.crawl_delay(TOKEN)) or 0.0)


def refused_by_tag(headers: Iterable[str]) -> str | None:
    """Which directive of X-Robots-Tag headers refuses us; None if none does.

    A directive may be for one program only: `otherbot: noindex, nofollow`; ours is `imgnn`.
    """
    for header in headers:
        agent = ""
        for part in header.split(","):
            name, colon, rest = part.strip().partition(":")
            if colon and name.strip().lower() != "unavailable_after":
                agent, name = name.strip().lower(), rest
            if agent in ("", TOKEN) and name.strip().lower() in REFUSALS:
                return name.strip().lower()
    return None
