"""The pictures that a sentence model was trained and judged with, kept in its run's folder: what they look like to the
network, and what was said of them. They lend sentences to other pictures, and tell what is new."""

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from imgnn.errors import InputError
from imgnn.runs import write_aside

SENTENCES = "pictures.jsonl"
FEATURES = "pictures.npz"
MOST = 10_000  # pictures whose features are kept: 20 MB of GoogLeNet's


@dataclass(frozen=True)
class KnownPicture:
    """One picture.

    Attributes:
        name: as the data set has it.
        file: where it was when the model was trained; it may have gone since.
        split: "train" or "val".
        sentences: what was said of it; of a boke set each boke, the best first.
        stars: of each sentence, how many people liked it; None where nobody was asked.
        tokens: of each sentence, where they came with the data; None: the run's tokenizer makes them.
    """

    name: str
    file: str
    split: str
    sentences: tuple[str, ...]
    stars: tuple[int | None, ...]
    tokens: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True)
class KnownPictures:
    """All pictures of a run.

    Attributes:
        pictures: in a random order.
        features: float16 `(m, numbers)`, of the first m pictures; m is all of them, or `MOST`.
    """

    pictures: tuple[KnownPicture, ...]
    features: np.ndarray

    @classmethod
    def shuffled(cls, pictures: Sequence[KnownPicture], look: Callable[[np.ndarray], np.ndarray]) -> "KnownPictures":
        """Pictures in whatever order; `look` gives the features of some of them, by their numbers."""
        order = np.random.default_rng(0).permutation(len(pictures))
        return cls(tuple(pictures[number] for number in order), look(order[:MOST]))

    def save(self, folder: Path) -> None:
        """Write both files, each whole or not at all.

        Raises:
            InputError: a file cannot be written.
        """
        with write_aside(folder / FEATURES) as aside:
            np.savez(aside, features=self.features)
        with write_aside(folder / SENTENCES) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in self.pictures)

    @classmethod
    def load(cls, folder: Path) -> "KnownPictures":
        """Read what `save` wrote.

        Raises:
            InputError: a file is missing or damaged.
        """
        pictures = tuple(load_sentences(folder))
        path = folder / FEATURES
        try:
            with path.open("rb") as file, np.load(file) as arrays:  # NumPy leaves a damaged file open
                features = arrays["features"]
        except FileNotFoundError:
            raise InputError(f"{folder} does not know its pictures: there is no {FEATURES} in it") from None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is damaged: {error}") from error
        if features.ndim != 2 or len(features) > len(pictures):
            raise InputError(f"{path} is damaged: {features.shape} numbers for {len(pictures):,} pictures")
        return cls(pictures, features)


def load_sentences(folder: Path) -> list[KnownPicture]:
    """The pictures and their sentences alone.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = folder / SENTENCES
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{folder} does not know its pictures: there is no {SENTENCES} in it") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    found = []
    # Not splitlines(): a sentence may hold U+2028, which is a line break to it.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        try:
            known = json.loads(line)
            given = known.get("tokens")
            tokens = None if given is None else tuple(tuple(each) for each in given)
            lists = {name: tuple(known[name]) for name in ("sentences", "stars")}
            found.append(KnownPicture(**{**known, **lists, "tokens": tokens}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, line {number}, is damaged: {error}") from error
    return found
