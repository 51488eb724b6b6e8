"""The words a decoder knows, by number."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from imgnn.errors import InputError
from imgnn.runs import check_version, write_aside

START, END, UNK = 0, 1, 2  # ids of what is no word
MARKS = ("<START>", "<END>", "<UNK>")
FORMAT, VERSION = "imgnn vocabulary", 1


@dataclass(frozen=True)
class Vocabulary:
    """Words and how often they were seen.

    Attributes:
        words: by id; the first three are START, END and UNK, the others the most frequent first.
        counts: of each in the training sentences: of END the sentences, of UNK all words that are too rare, of START 0.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word -> id."""
        return {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the words in their order, by which a decoder knows its own."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Ids of tokens; UNK for words that are not known. START and END are not added."""
        return [self.ids.get(token, UNK) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Tokens of ids."""
        return [self.words[number] for number in ids]

    def save(self, path: Path) -> None:
        """Write words and counts, whole or not at all.

        Raises:
            InputError: the file cannot be written.
        """
        known = {"format": FORMAT, "version": VERSION, "words": self.words, "counts": self.counts}
        with write_aside(path) as aside:
            aside.write_text(json.dumps(known, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            InputError: there is no such file, it is damaged, or of a later imgnn.
        """
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            if known["format"] != FORMAT:
                raise ValueError(f"its format is {known['format']!r}")
            check_version(known["version"], VERSION, f"{path} is a vocabulary")
            words, counts = tuple(known["words"]), tuple(known["counts"])
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no vocabulary, or damaged: {error}") from error
        if words[:3] != MARKS or len(words) != len(counts):
            raise InputError(f"{path} is damaged: its first words are {', '.join(map(str, words[:3]))}")
        return cls(words, counts)


def build_vocabulary(sentences: Iterable[Sequence[str]], minimum: int = 5) -> Vocabulary:
    """The words that are seen `minimum` times or more, the most frequent first; equally frequent ones by the alphabet.

    Args:
        sentences: tokens of the training sentences.
    """
    seen: Counter[str] = Counter()
    total = 0
    for tokens in sentences:
        seen.update(tokens)
        total += 1
    kept = sorted((word for word, count in seen.items() if count >= minimum), key=lambda word: (-seen[word], word))
    rare = sum(count for count in seen.values() if count < minimum)
    return Vocabulary((*MARKS, *kept), (0, total, rare, *(seen[word] for word in kept)))
