"""Texts of any language to tokens, and back.

A model keeps the name of the tokenizer that it was trained with, and its version, as its vocabulary is made of those
tokens. `tokens.py`, which captions are measured with, is one of them: `ptb`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import metadata
from threading import Lock
from typing import Any, Protocol

from imgnn.errors import InputError, UnknownNameError
from imgnn.language import tokens as ptb

TOKENIZERS = ("chars", "words", "sudachi")  # that can be asked for; "ptb" and "given" come with the data

# Controls that are no white space, halves of a character, and marks of no width: soft hyphen, direction, byte order.
# Joiners stay, which emoji, Persian and Hindi are written with.
UNSEEN = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

# Scripts that are written without spaces between words, with their punctuation; for the library regex, whose version 1
# takes sets from each other.
SPACELESS = r"[\p{scx=Hani}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]"

# English punctuation as one writes it: no space before the first, none after the second.
CLOSING, OPENING = frozenset(".,:;!?%)]}»/"), frozenset("([{«¿¡$£€#@/")
QUOTES = frozenset("\"'")  # these open and close
SAME_QUOTES = str.maketrans(dict.fromkeys("‘’ʼ", "'") | dict.fromkeys("“”„", '"'))


class Tokenizer(Protocol):
    """What makes tokens of a text, and a text of tokens."""

    @property
    def name(self) -> str:
        """By which `load_tokenizer` knows it."""

    @property
    def version(self) -> str:
        """What its tokens depend on besides the name."""

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text; none of an empty one."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        """A text of tokens."""


def normalise(text: str) -> str:
    """A text in one spelling: Unicode's NFKC (ｗ is w, ｶﾞ is ガ), white space as one space, nothing that is not seen."""
    return " ".join(unicodedata.normalize("NFKC", UNSEEN.sub("", text)).split())


def caseless(text: str) -> str:
    """A normalised text whose capitals make no difference; longer, perhaps (ß is ss)."""
    return normalise(normalise(text).casefold())


class Chars:
    """Characters as one sees them: grapheme clusters (an emoji of several signs is one). A space is a token, too.

    What `detokenize` gives is the normalised text again.
    """

    name = "chars"

    @property
    def version(self) -> str:
        return package_version("regex")

    def tokenize(self, text: str) -> list[str]:
        return pattern(r"\X").findall(normalise(text))

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)


class Words:
    """Words, lower-case, for languages that part them by spaces; punctuation marks and emoji are tokens of their own.

    A word has its apostrophes and hyphens within ("don't", "well-known"), a number its points, commas and colons
    ("1,000.5", "10:30"); points and hyphens in a row are one token ("..."). In scripts without spaces each character
    is a token. `tokenize` of `detokenize` gives the same tokens again; capitals, and spaces that are not usual, are
    lost.
    """

    name = "words"
    token = rf"""
        [0-9]+(?:[.,:][0-9]+)+
      | [[\p{{L}}\p{{N}}]--{SPACELESS}][[\p{{L}}\p{{N}}\p{{M}}\u200c\u200d]--{SPACELESS}]*
        (?:['-][[\p{{L}}\p{{N}}]--{SPACELESS}][[\p{{L}}\p{{N}}\p{{M}}\u200c\u200d]--{SPACELESS}]*)*
      | \.+ | -+
      | \p{{GCB=Prepend}}+(?=\s)  # signs that stand before a number: to Unicode the space belongs to their cluster
      | (?=\S)\X
    """

    @property
    def version(self) -> str:
        return package_version("regex")

    def tokenize(self, text: str) -> list[str]:
        # Lower-case letters may be written in other ways (J with a caron, a combined sign, has one of its own).
        text = normalise(normalise(text.translate(SAME_QUOTES)).lower())
        return pattern(self.token).findall(text)

    def detokenize(self, tokens: Sequence[str]) -> str:
        return join(tokens)


class Sudachi:
    """Japanese words (short units, split mode A) by SudachiPy; case is kept, and a space is a token, too.

    What `detokenize` gives is the normalised text again. Of the dictionaries that are installed, the small one is
    taken, then core: both cut alike but for rare words.

    Raises:
        InputError: SudachiPy is not installed, or no dictionary.

    Source: Takaoka et al. 2018, Sudachi: a Japanese Tokenizer for Business.
    """

    name = "sudachi"

    def __init__(self) -> None:
        hint = "pip install 'imgnn[ja]'"
        try:
            from sudachipy import Dictionary, SplitMode
        except ImportError:
            raise InputError("Japanese words need SudachiPy, which is not installed", hint=hint) from None
        for size in ("small", "core"):
            try:
                self.tokenizer = Dictionary(dict=size).tokenizer(SplitMode.A)
                break
            except ModuleNotFoundError:
                continue
        else:
            raise InputError("SudachiPy finds no dictionary, neither sudachidict-small nor -core", hint=hint)
        self.dictionary = f"sudachidict-{size}"
        self.alone = Lock()  # SudachiPy refuses a tokenizer that is at work

    @property
    def version(self) -> str:
        return f"{package_version('sudachipy')}, {package_version(self.dictionary)}"

    def tokenize(self, text: str) -> list[str]:
        """The words of a text.

        Raises:
            InputError: SudachiPy does not take it: it is longer than 49,149 bytes.
        """
        text = normalise(text)
        from sudachipy.errors import SudachiError

        try:
            with self.alone:
                return [each.surface() for each in self.tokenizer.tokenize(text)]
        except SudachiError as error:
            raise InputError(f"SudachiPy does not take {text[:20]!r}...: {error}") from error

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)


class Ptb:
    """English words as coco-caption has them, by which captions are compared; see `imgnn.language.tokens`."""

    name = "ptb"
    version = "3.4.1"  # of CoreNLP

    def tokenize(self, text: str) -> list[str]:
        return ptb.tokenize(text)

    def detokenize(self, tokens: Sequence[str]) -> str:
        return ptb.detokenize(tokens)


class Given(Chars):
    """Tokens that came with the data, of an analyser that is not known here. New texts are cut into characters."""

    name = "given"

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens) if " " in tokens else join(tokens)


KNOWN = {each.name: each for each in (Chars, Words, Sudachi, Ptb, Given)}


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a name: one of TOKENIZERS, "ptb" or "given".

    Raises:
        UnknownNameError: there is none.
        InputError: it needs a package that is not installed.
    """
    if name not in KNOWN:
        raise UnknownNameError("tokenizer", name, KNOWN, hint=f"there are {', '.join(TOKENIZERS)}")
    return KNOWN[name]()


def choose_tokenizer(texts: Iterable[str]) -> str:
    """The tokenizer for texts: "words" if more than half of their letters are of scripts with spaces, else "chars"."""
    letters, spaceless = pattern(r"\p{L}"), pattern(rf"[\p{{L}}&&{SPACELESS}]")
    total = without = 0
    for text in texts:
        total += len(letters.findall(text))
        without += len(spaceless.findall(text))
    return "words" if total > 2 * without else "chars"


def join(tokens: Sequence[str]) -> str:
    """Tokens as one writes them: punctuation where it belongs, no spaces in scripts that have none.

    Of the quotes `"` and `'`, each second closes; one that is left over closes as well ("the dogs' bowl").
    """
    left_over = Counter(token for token in tokens if token in QUOTES)
    opened: set[str] = set()
    text, before = "", ""
    opens = True  # what stands before belongs to what comes next
    for token in tokens:
        closes, was_open = CLOSING.issuperset(token), opens
        opens = token in OPENING
        if token in QUOTES:
            closes = token in opened or left_over[token] == 1
            opens = not closes
            opened = opened - {token} if closes else opened | {token}
            left_over[token] -= 1
        parted = not (
            was_open or closes or pattern(rf"{SPACELESS}\Z").search(before) or pattern(SPACELESS).match(token)
        )
        if parted or becomes_one(before, token):
            text += " "
        text += token
        before = token
    return text.strip()


def becomes_one(before: str, token: str) -> bool:
    """Whether two tokens with no space between are another: points in a row, a mark that goes onto what it follows."""
    if before[-1:] == token[:1] == ".":
        return True
    return len(pattern(r"\X").findall(before[-1:] + token[:1])) < 2


@cache
def pattern(text: str) -> Any:
    """A pattern of the library regex, which knows clusters and scripts; it is imported only where one is used."""
    import regex

    return regex.compile(text, regex.VERSION1 | regex.VERBOSE)


@cache
def package_version(package: str) -> str:
    """A package and its version: "regex 2026.11.15"."""
    return f"{package} {metadata.version(package)}"
