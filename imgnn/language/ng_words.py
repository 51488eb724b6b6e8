"""Words that a text may not have: a list that the user keeps. None is shipped."""

from collections.abc import Iterable
from pathlib import Path

from imgnn.errors import InputError, missing
from imgnn.language.tokenizers import caseless


class NgWords:
    """A list of words, and which of them is in a text.

    Compared is what NFKC and casefold make of both: ＢＡＤ is bad. A word in ASCII is found only where no letter or
    digit of a Latin word goes on at either end ("ass" is not in "class"), any other one everywhere ("猫" is in "猫舌").

    Args:
        words: letters, signs, or several words with spaces; what is empty is left out.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.written = {caseless(word): word.strip() for word in words if caseless(word)}
        # By their first two characters, so that a long list takes no longer than a short one; the longest come first.
        self.by_start: dict[str, list[str]] = {}
        for word in sorted(self.written, key=len, reverse=True):
            self.by_start.setdefault(word[:2], []).append(word)

    @classmethod
    def load(cls, path: Path) -> "NgWords":
        """Read a list: UTF-8, a word a line; empty lines and those that begin with # are left out.

        Raises:
            InputError: no such file, it cannot be read, is not text, or has no word.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            raise missing(path) from None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} is no text in UTF-8: byte {error.start + 1:,} is {error.object[error.start]:#04x}",
                hint="a list of words is a text file with a word a line",
            ) from error
        words = cls(line for line in lines if not line.lstrip().startswith("#"))
        if not len(words):
            raise InputError(f"{path} has no word: one a line is wanted")
        return words

    def __len__(self) -> int:
        return len(self.written)

    def found(self, text: str) -> str | None:
        """The word of the list that comes first in a text, the longest if several begin there, as the list has it."""
        text = caseless(text)
        for start in range(len(text)):
            for size in (2, 1):
                for word in self.by_start.get(text[start : start + size], ()):
                    if text.startswith(word, start) and not goes_on(word, text, start):
                        return self.written[word]
        return None


def goes_on(word: str, text: str, start: int) -> bool:
    """Whether a word in ASCII, found at `start`, is but a part of a longer one."""
    end = start + len(word)
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    return word.isascii() and ((is_latin(before) and is_latin(word[0])) or (is_latin(after) and is_latin(word[-1])))


def is_latin(sign: str) -> bool:
    """Whether a character, or none, is a letter or digit of a Latin word: no kana stands within one."""
    return sign.isalnum() and sign < "\u0250"  # where the blocks of Latin letters end
