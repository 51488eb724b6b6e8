"""Every failure that a user can meet.

    ImgnnError            exit 1, one line on stderr, no traceback (--debug shows it)
    +- InputError         a file or option is not what it should be
    |  +- OptionError     an option out of its range, or one that does not go with another: exit 2
    |  +- PictureError    no picture, or one that is damaged or too large
    |  +- MissingError    no such file or folder; the near names beside it are offered
    +- UnknownNameError   no such network, layer, synset; the near ones are offered
    +- WeightsError       missing, damaged (hash), or shaped for another network
    +- ConversionError    a layer or blob of a .caffemodel that has no place here
    +- DownloadError      nothing could be fetched
    +- DivergedError      the loss is no longer finite; names the step
    +- InterruptedRun     Ctrl-C, after the work so far was saved: exit 130

The message says what was expected, what was received, and where; the hint names the command that helps.
"""

import difflib
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

# What a message quotes of a file, a name or a key, may hold line breaks, or codes that a terminal obeys.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class ImgnnError(Exception):
    """A failure that the user can act on.

    Args:
        message: one sentence: what was expected, what was received, where.
        hint: the command or the change that helps; shown on a line of its own.
    """

    exit_code = 1
    label = "Error"  # what the line begins with

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(CONTROLS.sub(" ", message))
        self.hint = hint

    def told(self) -> str:
        """The message as the user is shown it."""
        return str(self)


class InputError(ImgnnError):
    """A file or an option is not what it should be."""


class OptionError(InputError):
    """An option is out of its range, or does not go with another one: the command line alone is to be changed."""

    exit_code = 2


class PictureError(InputError):
    """A file that is no picture, or a damaged one.

    Args:
        kind: "not_image", "truncated" (its end is missing), "damaged" or "too_large" (in pixels).
    """

    def __init__(self, message: str, *, kind: str = "damaged", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class MissingError(InputError):
    """There is no such file or folder: `missing` makes one."""

    path: Path | None = None
    FEW = 10_000  # names in a folder that are looked at

    def told(self) -> str:
        """The message, with near names of the folder: only here, for a list may miss thousands of pictures."""
        if self.path is None:
            return str(self)
        try:
            names = [each.name for each in itertools.islice(self.path.parent.iterdir(), self.FEW)]
        except OSError:
            names = []
        return str(self) + offer(self.path.name, names)


def missing(path: str | Path, what: str = "file", *, hint: str | None = None) -> MissingError:
    """What to raise of a path where nothing is.

    Args:
        what: "file", "folder", or "file or folder".
    """
    error = MissingError(f"no such {what}: {path}", hint=hint)
    error.path = Path(path)
    return error


def offer(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'vgg16' or 'vgg19'?`, of the names that are near to one; empty if none is."""
    known = sorted(known)
    folded = {each.casefold(): each for each in known}
    near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]
    near = near or [each for each in known if name and name.casefold() in each.casefold()][:3]
    return f"; did you mean {' or '.join(repr(each) for each in near)}?" if near else ""


class UnknownNameError(ImgnnError):
    """No network, layer or synset has this name.

    Args:
        kind: what was looked for: "network", "layer".
        name: the name received.
        known: the names that exist; the near ones are offered.
        hint: the command that lists them all.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str | None = None) -> None:
        super().__init__(f"no {kind} is called {name!r}{offer(name, known)}", hint=hint)


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
