"""What can become of an address: the outcomes that a journal knows. Imports nothing heavy."""

from dataclasses import dataclass

OK = "ok"
LOST = "lost"  # no outcome: what --only calls pictures that were kept and are not there any more


@dataclass(frozen=True)
class Outcome:
    """One way in which an address can end.

    Attributes:
        name: as the journal has it.
        meaning: in words.
        passes: whether it may be another one tomorrow: what `--retry-failed` asks again by itself.
        repeated: whether it is worth another try within the same run.
    """

    name: str
    meaning: str
    passes: bool = False
    repeated: bool = False


OUTCOMES = {
    each.name: each
    for each in (
        Outcome(OK, "a picture, decoded to its last pixel, and kept"),
        Outcome("gone", "the server knows no such page (404, 410)"),
        Outcome("forbidden", "the server refuses (401, 403, 451 and other 4xx)"),
        Outcome("timeout", "no connection, no next byte or no end within the deadline", passes=True, repeated=True),
        Outcome("dns", "the host's name leads to no address", passes=True),
        Outcome("tls", "the certificate or the handshake is not in order", passes=True),
        Outcome("connection", "refused, reset, or no HTTP", passes=True, repeated=True),
        Outcome("server_error", "the server failed (5xx)", passes=True, repeated=True),
        Outcome("rate_limited", "too many requests (429), and no room within the time that is waited", True, True),
        Outcome("redirects", "more than ten redirects, or round in a circle"),
        Outcome("not_image", "no picture: a web page, a film, an empty answer"),
        Outcome("truncated", "a picture whose end is missing", passes=True, repeated=True),
        Outcome("damaged", "a picture that cannot be decoded"),
        Outcome("placeholder", "a picture that stands for one that is gone"),
        Outcome("duplicate", "byte for byte a picture that is kept already"),
        Outcome("too_small", "fewer pixels than wanted"),
        Outcome("too_large", "more bytes or pixels than allowed"),
        Outcome("opted_out", "robots.txt or X-Robots-Tag asks not to"),
        Outcome("blocked_address", "an address within a private network, or of this machine"),
        Outcome("bad_url", "not an http or https address"),
    )
}

PASSING = tuple(name for name, outcome in OUTCOMES.items() if outcome.passes)
# What may be asked for again.
FAILURES = (*(name for name in OUTCOMES if name not in (OK, "duplicate", "bad_url")), LOST)
