"""`imgnn boke`: funny lines for pictures, by a trained model of boke or of captions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from imgnn import backend
from imgnn.data.known_pictures import KnownPictures
from imgnn.errors import InputError
from imgnn.images.files import check_any_readable, find_images
from imgnn.jobs.boke_donors import Donor, Lenders, directions_of
from imgnn.jobs.boke_writer import BokeWriter
from imgnn.jobs.caption import Portion
from imgnn.jobs.features import padded
from imgnn.jobs.picture_features import extractor_of
from imgnn.jobs.sentence_model import load_sentence_model
from imgnn.language.beam import BeamOptions
from imgnn.language.ng_words import NgWords
from imgnn.language.novelty import Novelty, fold
from imgnn.language.rules import Hypothesis
from imgnn.language.sample import SampleOptions
from imgnn.language.vocabulary import UNK
from imgnn.options import BokeMode, BokeOptions
from imgnn.runs import Reporter, Silent
from imgnn.training.run_folder import MAKERS, packaged_model, usual_mode

NO_REPEAT_WORDS = 3  # tokens in a row that do not come twice
NO_REPEAT_CHARACTERS = 6  # of 24,961 boke that people wrote in Japanese, 3.6 % have six twice, and 15 % three
GAIN = 0.5  # how much a boke's gain counts beside its probability; see `BokeMaker.draw`
BEAM, LENGTH_PENALTY = 3, 0.7  # as of `imgnn caption`
TOGETHER = 8  # sentences of donors that are looked for at once
MOST_DONORS = 64  # of a picture that are asked, where many say the same


class Nearest(NamedTuple):
    """What was said before and is most like a boke.

    Attributes:
        similarity: of character pairs, 0..1; see `language.novelty.Novelty`.
        picture: of which it was said.
        stars: how many people liked it; None where nobody was asked.
    """

    text: str
    similarity: float
    picture: str
    stars: int | None


@dataclass(frozen=True)
class Joke:
    """A boke, where it comes from, and whether it is new.

    Attributes:
        log_prob: how probable the model finds it with its end, natural logarithm: for the picture, or, in mode
            mismatch, for the mixture of the donor's feature and the picture's. None of one that a person wrote.
        novel: whether no sentence that the model knows is the same but for spaces, case and punctuation; None: it does
            not know which it learnt.
        nearest: in mode retrieve, the sentence itself.
        donor: in the modes mismatch and retrieve.
    """

    text: str
    tokens: tuple[str, ...]
    mode: BokeMode
    log_prob: float | None = None
    novel: bool | None = None
    nearest: Nearest | None = None
    donor: Donor | None = None

    @property
    def per_token(self) -> float | None:
        """`log_prob` by the number of tokens, the end among them: sentences of any length compare."""
        return None if self.log_prob is None else self.log_prob / (len(self.tokens) + 1)


@dataclass(frozen=True)
class BokeImage:
    """One picture and its boke.

    Attributes:
        path: as it was given, or found in a folder.
        boke: the best first, those of donors as these were drawn; empty if the picture could not be read.
        error: why it could not be read, else None.
        note: why there are fewer than were asked for, else None.
    """

    path: Path
    boke: tuple[Joke, ...] = ()
    error: InputError | None = None
    note: str | None = None


def make_boke(
    paths: Iterable[str | Path], options: BokeOptions, reporter: Reporter | None = None
) -> Iterator[BokeImage]:
    """Write boke for pictures, in their order; each result comes as soon as its batch is through.

    Args:
        paths: as `find_images` takes them: files, folders, patterns.

    Returns:
        An iterator over one result for each picture. A picture that cannot be read is a result with its
        `error`, never the end; only if it was the one picture named does the error come itself.

    Raises:
        InputError: no picture was named, or none of them can be opened; options or model do not go together; there is
            no model, or it does not know the pictures that would lend.
        WeightsError: the model and its network do not fit each other.
        DownloadError: the network cannot be had.
    """
    options.check()
    files = find_images(paths)
    check_any_readable(files)  # a mistyped name should not wait for a network
    return BokeMaker(options, reporter).make(files)


class BokeMaker:
    """A model, what looks at pictures for it, and what was said before, loaded once; for one thread.

    Args:
        options: whose model, network and precision stay; the others are for calls that bring none.
    """

    def __init__(self, options: BokeOptions, reporter: Reporter | None = None) -> None:
        self.options, self.reporter = options, reporter or Silent()
        self.model = load_sentence_model(
            options.model or packaged_model(options.network), precision=backend.precision_of(options.precision)
        )
        self.extractor = extractor_of(
            self.model.feature, network=options.network, precision=options.precision, reporter=self.reporter
        )
        self.portion = Portion(self.reporter)
        self.writer = BokeWriter(self.model.decoder)
        self.lent: dict[tuple[Path, ...], Lenders] = {}  # by the donors that were named
        self.ng: dict[Path, NgWords] = {}

    # What is loaded when it is needed

    @cached_property
    def known(self) -> KnownPictures:
        """The pictures of the run.

        Raises:
            InputError: it does not know them.
        """
        return KnownPictures.load(self.model.folder)

    @cached_property
    def mean(self) -> np.ndarray:
        """The feature of the mean picture: `(numbers,)`."""
        return ops.convert_to_numpy(self.model.decoder.standard.mean.value)

    @cached_property
    def told(self) -> list[tuple[int, int]]:
        """Every known sentence: the number of its picture, and its own there."""
        pictures = self.known.pictures
        return [(number, place) for number, each in enumerate(pictures) for place in range(len(each.sentences))]

    @cached_property
    def novelty(self) -> Novelty | None:
        """What tells whether a boke is new; None if the run does not know its sentences.

        A model that came with imgnn has none of them: they are other people's.
        """
        try:
            if not self.told:
                return None
            return Novelty([self.known.pictures[number].sentences[place] for number, place in self.told])
        except InputError as error:
            self.reporter.note(f"What is copied cannot be told: {error}")
            return None

    def lenders(self, donors: tuple[Path, ...]) -> Lenders:
        """The pictures that lend: those of the run, or of these files and folders.

        Raises:
            InputError: there are none.
        """
        if donors not in self.lent:
            self.lent[donors] = self.named(donors) if donors else self.of_run()
        return self.lent[donors]

    def of_run(self) -> Lenders:
        """The pictures of the run whose features it keeps."""
        features = self.known.features
        pictures = self.known.pictures[: len(features)]
        files = [Path(each.file) for each in pictures]
        return Lenders([each.name for each in pictures], files, features, directions_of(features, self.model.decoder))

    def named(self, donors: tuple[Path, ...]) -> Lenders:
        """The pictures that the user names; those that cannot be read are told."""
        files = find_images(donors)
        self.extractor.reporter = self.reporter
        seen = self.extractor.extract(files, task="looking at donors")
        for why in seen.bad.values():
            self.reporter.note(f"No donor: {why}")
        good = [number for number in range(len(files)) if number not in seen.bad]
        if not good:
            raise InputError("none of the donors can be read")
        files, features = [files[number] for number in good], seen.values[good]
        return Lenders([str(file) for file in files], files, features, directions_of(features, self.model.decoder))

    def ng_words(self, path: Path | None) -> NgWords | None:
        """The words that are not to be shown."""
        if path is not None and path not in self.ng:
            self.ng[path] = NgWords.load(path)
        return None if path is None else self.ng[path]

    # What is asked for

    def make(self, files: Sequence[Path], options: BokeOptions | None = None) -> Iterator[BokeImage]:
        """Boke for pictures, in their order; as `make_boke`.

        What is drawn depends on the seed and the picture's content alone, not on where it lies, nor on its company.

        Args:
            options: for this call; None: those that the maker was made with.

        Raises:
            InputError: options do not go together; the run does not know the pictures that would lend.
        """
        options = self.settled(options or self.options)
        self.ng_words(options.ng)
        if options.mode != "model":
            self.check_lenders(options)
        return self.results(files, options)

    def settled(self, options: BokeOptions) -> BokeOptions:
        """The options without a None that the model answers.

        Raises:
            InputError: they do not go together.
        """
        options.check()
        repeat = NO_REPEAT_CHARACTERS if self.model.tokenizer.name == "chars" else NO_REPEAT_WORDS
        return replace(
            options,
            mode=options.mode or usual_mode(self.model.kind, options.donors),
            no_repeat_ngram=repeat if options.no_repeat_ngram is None else options.no_repeat_ngram,
        )

    def check_lenders(self, options: BokeOptions) -> None:
        """See to it that there are pictures that lend.

        Raises:
            InputError: there are none; the hint says where from.
        """
        try:
            self.lenders(options.donors)
        except InputError as error:
            if options.donors:
                raise
            hint = f"{MAKERS[self.model.kind]} makes a run that does"
            if options.mode == "mismatch":
                hint = "--donors FOLDER: pictures that lend in place of the run's own"
            raise InputError(str(error), hint=hint) from error
        if options.mode == "retrieve" and not self.told:
            raise InputError(
                f"{self.model.folder} does not have what people said of its pictures, so that none can be retrieved",
                hint="--model RUN; imgnn train caption or boke makes one",
            )

    def results(self, files: Sequence[Path], options: BokeOptions) -> Iterator[BokeImage]:
        """The stream behind `make`, after everything that can be checked was."""
        self.extractor.reporter = self.portion
        if len(files) > 1:
            self.reporter.begin("writing boke", len(files), "pictures")
        make = {"model": self.draw, "mismatch": self.mismatch, "retrieve": self.retrieve}[options.mode or "model"]
        for start in range(0, len(files), options.batch):
            group = files[start : start + options.batch]
            self.portion.before = start
            seen = self.extractor.extract(group)
            self.reporter.advance(start + len(group))
            # A few shapes only, each of which the backend traces once.
            features = padded(seen.values, min(options.batch, 1 << (len(group) - 1).bit_length()))
            digests = [digest or b"" for digest in self.extractor.cache.digests(group)]
            keys = [int.from_bytes(digest[:8], "big") for digest in digests] + [0] * (len(features) - len(group))
            sieves = [Sieve(options, self.ng_words(options.ng)) for _ in group]
            make(features, keys, sieves, options)
            for number, (path, sieve) in enumerate(zip(group, sieves, strict=True)):
                if number not in seen.bad:
                    yield BokeImage(path, tuple(map(self.with_nearest, sieve.kept)), note=sieve.note())
                    continue
                error = InputError(seen.bad[number])
                if len(files) == 1:
                    raise error
                yield BokeImage(path, error=error)
        self.reporter.end()

    # The modes: features `(n, numbers)` and keys of pictures, and a sieve for each; n may be more than there are sieves

    def draw(self, features: np.ndarray, keys: Sequence[int], sieves: Sequence["Sieve"], options: BokeOptions) -> None:
        """Draw candidates for each picture, and keep the best of those that end and are new.

        The best have the largest `log p(boke | picture) + GAIN * (log p(boke | picture) - log p(boke | mean picture))`,
        each by the number of tokens. The first term alone is that of what is said of any picture; the second, the
        gain, is how much this picture has to do with it (pointwise mutual information), and alone prefers what is
        hardly a sentence. Of a model of captions and 200 pictures the first ones have, with GAIN 0, 0.5, 1 and 2, a
        CIDEr-D of .66, .63, .57 and .49, and there are 171, 186, 195 and 199 different ones.

        Source: A Diversity-Promoting Objective Function for Neural Conversation Models, arXiv:1510.03055.
        """
        mean = np.broadcast_to(self.mean, features.shape)
        rules = SampleOptions(
            **self.rules(options),
            n=options.candidates,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=options.seed,
        )
        drawn = list(chain.from_iterable(self.writer.draw(features, mean, options.contrast, rules, keys)))
        own = np.array([each.log_prob for each in drawn])
        if options.contrast:
            own = self.writer.log_probs(features.repeat(options.candidates, axis=0), drawn)
        anyway = self.writer.log_probs(mean.repeat(options.candidates, axis=0), drawn)
        scores = (own + GAIN * (own - anyway)) / [len(each.tokens) + 1 for each in drawn]
        for number, sieve in enumerate(sieves):
            candidates = range(number * options.candidates, (number + 1) * options.candidates)
            for place in sorted(candidates, key=lambda each: -scores[each]):
                if sieve.full:
                    break
                if drawn[place].finished:
                    sieve.add(self.joke(drawn[place], "model", own[place]))
                else:
                    sieve.dropped["not finished"] += 1

    def mismatch(
        self, features: np.ndarray, keys: Sequence[int], sieves: Sequence["Sieve"], options: BokeOptions
    ) -> None:
        """What the model says of pictures that are completely different, or of a mixture with them."""
        lenders = self.lenders(options.donors)
        rules = BeamOptions(**self.rules(options), beam_width=BEAM, length_penalty=LENGTH_PENALTY, n=1)
        directions = directions_of(features, self.model.decoder)
        right = self.writer.search(features, features, 0.0, rules)
        for number, sieve in enumerate(sieves):
            sieve.said.add(fold(self.text(right[number][0])))  # what is right is not funny
            donors = lenders.donors(directions[number], options.distance, options.n, (options.seed, keys[number]))
            for start in range(0, min(len(donors), MOST_DONORS), TOGETHER):
                if sieve.full:
                    break
                part = donors[start : start + TOGETHER]
                lent = lenders.features[[donor for donor, _ in part]]
                mixed = padded(
                    options.blend * lent.astype("float32") + (1 - options.blend) * features[number], TOGETHER
                )
                others = np.broadcast_to(features[number], mixed.shape)
                said = [each for [each] in self.writer.search(mixed, others, options.contrast, rules)]
                own = np.array([each.log_prob for each in said])
                if options.contrast:
                    own = self.writer.log_probs(mixed, said)
                for (donor, distance), each, log_prob in zip(part, said, own, strict=False):
                    if each.finished:
                        joke = self.joke(each, "mismatch", log_prob)
                        sieve.add(replace(joke, donor=lenders.donor(donor, distance)))
                    else:
                        sieve.dropped["not finished"] += 1

    def retrieve(
        self, features: np.ndarray, keys: Sequence[int], sieves: Sequence["Sieve"], options: BokeOptions
    ) -> None:
        """What people liked best of the pictures that are nearest: how much a model is worth shows beside it."""
        lenders = self.lenders(())
        for sieve, direction in zip(sieves, directions_of(features, self.model.decoder), strict=False):
            for number, distance in zip(*lenders.nearest(direction), strict=True):
                picture = self.known.pictures[number]
                if not picture.sentences:
                    continue
                best = max(range(len(picture.sentences)), key=lambda each: picture.stars[each] or 0)
                text = picture.sentences[best]
                tokens = tuple(self.model.tokenizer.tokenize(text))
                nearest = Nearest(text, 1.0, picture.name, picture.stars[best])
                donor = lenders.donor(number, distance)
                sieve.add(Joke(text, tokens, "retrieve", novel=False, nearest=nearest, donor=donor))
                if sieve.full:
                    break

    # What they share

    def rules(self, options: BokeOptions) -> dict[str, Any]:
        """What every sentence keeps to."""
        return {
            "max_length": options.max_length,
            "min_length": options.min_length,
            "no_repeat_ngram": options.no_repeat_ngram,
            "ban": (UNK,),
        }

    def text(self, said: Hypothesis) -> str:
        """A sentence as one reads it."""
        return self.model.tokenizer.detokenize(self.model.vocabulary.decode(said.tokens))

    def joke(self, said: Hypothesis, mode: BokeMode, log_prob: float) -> Joke:
        """A sentence as a boke, and whether it is new."""
        text = self.text(said)
        novel = None if self.novelty is None else not self.novelty.copied(text)
        return Joke(text, tuple(self.model.vocabulary.decode(said.tokens)), mode, float(log_prob), novel)

    def with_nearest(self, joke: Joke) -> Joke:
        """The boke with the known sentence that is most like it."""
        if joke.nearest or self.novelty is None or (found := self.novelty.nearest(joke.text)) is None:
            return joke
        index, similarity = found
        number, place = self.told[index]
        picture = self.known.pictures[number]
        return replace(joke, nearest=Nearest(picture.sentences[place], similarity, picture.name, picture.stars[place]))


class Sieve:
    """Keeps the first `n` boke of a picture that may be shown, and counts why others may not.

    Attributes:
        kept: so far.
        said: the letters (`fold`) of what was said before.
    """

    def __init__(self, options: BokeOptions, ng: NgWords | None) -> None:
        self.options, self.ng = options, ng
        self.kept: list[Joke] = []
        self.said: set[str] = set()
        self.dropped: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether there are enough."""
        return len(self.kept) >= self.options.n

    def add(self, joke: Joke) -> None:
        """Keep a boke, or see why not."""
        letters = fold(joke.text)
        if self.full:
            pass
        elif not letters:
            self.dropped["without a letter"] += 1
        elif letters in self.said:
            self.dropped["said before"] += 1
        elif joke.novel is False and joke.mode == "model" and not self.options.copies:
            self.dropped["copied"] += 1
        elif self.ng and self.ng.found(joke.text):
            self.dropped["with an NG word"] += 1
        else:
            self.kept.append(joke)
        self.said.add(letters)

    def note(self) -> str | None:
        """Why there are fewer than were asked for; None if there are not."""
        if self.full:
            return None
        dropped = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())
        why = f"left out: {dropped}" if dropped else "no other picture lends one"
        return f"{len(self.kept)} of {self.options.n} boke; {why}"
