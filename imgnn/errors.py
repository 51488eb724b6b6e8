"""Every failure that a user can meet.

    ImgnnError            exit 1, one line on stderr, no traceback (--debug shows it)
    +- InputError         a file or option is not what it should be
    |  +- PictureError    no picture, or one that is damaged or too large
    +- UnknownNameError   no such network, layer, synset; the near ones are offered
    +- WeightsError       missing, damaged (hash), or shaped for another network
    +- ConversionError    a layer or blob of a .caffemodel that has no place here
    +- DownloadError      nothing could be fetched
    +- DivergedError      the loss is no longer finite; names the step
    +- InterruptedRun     Ctrl-C, after the work so far was saved: exit 130

The message says what was expected, what was received, and where; the hint names the command that helps.
"""

import difflib
from collections.abc import Iterable


class ImgnnError(Exception):
    """A failure that the user can act on.

    Args:
        message: one sentence: what was expected, what was received, where.
        hint: the command or the change that helps; shown on a line of its own.
    """

    exit_code = 1
    label = "Error"  # what the line begins with

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InputError(ImgnnError):
    """A file or an option is not what it should be."""


class PictureError(InputError):
    """A file that is no picture, or a damaged one.

    Args:
        kind: "not_image", "truncated" (its end is missing), "damaged" or "too_large" (in pixels).
    """

    def __init__(self, message: str, *, kind: str = "damaged", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class UnknownNameError(ImgnnError):
    """No network, layer or synset has this name.

    Args:
        kind: what was looked for: "network", "layer".
        name: the name received.
        known: the names that exist; the near ones are offered.
        hint: the command that lists them all.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str | None = None) -> None:
        known = sorted(known)
        folded = {each.casefold(): each for each in known}
        near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]
        near = near or [each for each in known if name and name.casefold() in each.casefold()][:3]
        offer = f"; did you mean {' or '.join(repr(each) for each in near)}?" if near else ""
        super().__init__(f"no {kind} is called {name!r}{offer}", hint=hint)


class WeightsError(ImgnnError):
    """Weights are missing, damaged, or shaped for another network."""


class ConversionError(ImgnnError):
    """A layer or blob of a Caffe file has no place here."""


class DownloadError(ImgnnError):
    """A file could not be fetched."""


class DivergedError(ImgnnError):
    """The loss is no longer finite."""


class InterruptedRun(ImgnnError):
    """Ctrl-C, after the work so far was saved."""

    exit_code = 130
    label = "Interrupted"
