"""`imgnn evaluate boke`: how well a model foresees the boke that people wrote, and what it writes itself.

Keras is imported only after data and options were looked at: a mistake in them should not wait for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgnn.data.boke import BokeSet, Odai
from imgnn.data.known_pictures import load_sentences
from imgnn.errors import InputError, WeightsError
from imgnn.jobs.boke_texts import BokeTexts, read_texts
from imgnn.language.metrics import Share, perplexity, share_of_own, share_of_stars, unigram_nats
from imgnn.language.ng_words import NgWords
from imgnn.language.novelty import Novelty, count_different
from imgnn.language.vocabulary import Vocabulary
from imgnn.options import BokeOptions, EvaluateBokeOptions, TrainBokeOptions
from imgnn.runs import Reporter, Silent, is_file
from imgnn.training.run_folder import options_from, read_config
from imgnn.training.sentences import Sentences

if TYPE_CHECKING:
    from imgnn.jobs.boke import BokeMaker
    from imgnn.training.likelihood import Likelihood

MODEL, SHUFFLED, UNIGRAM = "model", "shuffled", "unigram"
AT_ONCE = 128  # boke that are judged together
# Of a training's options, what is read in the same way whoever's the data are.
READING = ("val_share", "seed", "shortest", "longest")
PLACES = ("form", "images", "skip_missing")  # and what is read so if they are the training's own


@dataclass(frozen=True)
class Cost:
    """What boke cost.

    Attributes:
        nats: per token.
    """

    nats: float

    @property
    def perplexity(self) -> float:
        """As many tokens, all equally probable, would be as hard to foresee."""
        return perplexity(self.nats)


@dataclass(frozen=True)
class WrittenBoke:
    """A boke that the model wrote.

    Attributes:
        copied: whether one of its training says the same, but for spaces, case and punctuation; None: they are not
            known.
        banned: the word in it that is not to be said; None: there is none, or none was named.
    """

    picture: Path
    text: str
    copied: bool | None
    banned: str | None


@dataclass(frozen=True)
class EvaluatedBoke:
    """What a model is worth.

    Attributes:
        split: that was judged; so many `pictures` of it, `boke`, and `tokens` with their ends.
        tokenizer: what the tokens were made by.
        costs: of `MODEL`, where boke are beside their own pictures; of `SHUFFLED`, beside others, where there is more
            than one; of `UNIGRAM`, if every token came as often as in the boke of the training, whatever is before it.
        own_picture: on which pictures their boke are more probable than they would be on another; None of one picture.
        more_stars: where boke have different numbers of stars, the share of pairs of them, on the mean of the
            pictures, of which the one with more is the more probable, by its tokens; None: there are none.
        written: one for each of the first pictures.
        ng: the file of words that were looked for there.
        skipped: pictures that could not be read, and why.
    """

    split: str
    pictures: int
    boke: int
    tokens: int
    tokenizer: str
    costs: dict[str, Cost]
    own_picture: Share | None
    more_stars: Share | None
    written: tuple[WrittenBoke, ...]
    ng: Path | None
    skipped: tuple[tuple[Path, str], ...]

    @property
    def image_gain(self) -> float | None:
        """Nats per token that the right picture saves over another one."""
        return self.costs[SHUFFLED].nats - self.costs[MODEL].nats if SHUFFLED in self.costs else None

    @property
    def distinct(self) -> int | None:
        """How many different boke were written, but for spaces, case and punctuation; None: there are none."""
        return count_different(each.text for each in self.written) if self.written else None

    @property
    def copied(self) -> int | None:
        """How many of those written its training has; None: that is not known, or there are none."""
        told = [each.copied for each in self.written if each.copied is not None]
        return sum(told) if told else None

    @property
    def banned(self) -> int | None:
        """How many of those written have a word that is not to be said; None: none was named, or there are none."""
        return sum(each.banned is not None for each in self.written) if self.ng and self.written else None


def evaluate_boke(
    sources: Sequence[Path], options: EvaluateBokeOptions, reporter: Reporter | None = None
) -> EvaluatedBoke:
    """Judge a model of boke by those that people wrote, and look through what it writes.

    Boke are read as for its training: those that it leaves out, as too long or with an NG word, are not judged either.

    Args:
        sources: boke, in any form of `data/boke.py`; several are taken together.
        options: where they do not say how the sources are read, and the model was trained on these, they are read as
            then.

    Raises:
        InputError: boke, pictures, model or options do not fit each other, or nothing is left to be judged.
        UnknownNameError, WeightsError, DownloadError: the model or its network cannot be had.
    """
    reporter = reporter or Silent()
    options.check()
    folder = Path(options.model)
    config = read_config(folder, "boke")
    reading = as_trained(sources, options, config, reporter)
    ng = options.ng or reading.ng
    words = NgWords.load(ng) if ng is not None else None
    texts = read_texts(sources, reading, reporter, wanted=())
    if texts.digest != config.get("data", {}).get("sha256"):
        reporter.note(
            f"{folder} was trained on other boke, or on another split of them: pictures that it knows from there "
            "flatter it"
        )
    split, odai = judged_odai(texts.boke, options, reporter)

    from imgnn.jobs.boke import BokeMaker

    maker = BokeMaker(
        # What `imgnn boke` writes by itself; but copies are to be counted, not left out.
        BokeOptions(
            model=options.model, network=options.network, mode="model", n=1, copies=True, precision=options.precision
        ),
        reporter,
    )
    files = [texts.boke.file(each) for each in odai]
    seen = maker.extractor.extract(files)
    kept = [number for number in range(len(files)) if number not in seen.bad]
    if not kept:
        raise InputError(f"none of the {len(files):,} pictures can be read: {seen.bad[0]}")
    odai = tuple(odai[number] for number in kept)
    sentences = sentences_of(odai, texts, maker.model.vocabulary, reading.longest)
    own, other = nats_of(maker, seen.values[kept], sentences, reporter)
    costs = {MODEL: own.sum(), **({} if other is None else {SHUFFLED: other.sum()})}
    costs[UNIGRAM] = unigram_nats(sentences.targets, maker.model.vocabulary.counts)
    written = write([files[number] for number in kept[: options.sentences]], maker, folder, words, reporter)
    stars = [each.star for picture in odai for each in picture.boke]
    return EvaluatedBoke(
        split=split,
        pictures=len(odai),
        boke=len(sentences),
        tokens=sentences.tokens,
        tokenizer=texts.tokenizer.name,
        costs={name: Cost(float(nats) / sentences.tokens) for name, nats in costs.items()},
        own_picture=None if other is None else share_of_own(sentences.rows, other - own),
        more_stars=share_of_stars(sentences.rows, own / sentences.sizes, stars),
        written=written,
        ng=ng,
        skipped=tuple((files[number], why) for number, why in sorted(seen.bad.items())),
    )


# What is judged


def as_trained(
    sources: Sequence[Path], options: EvaluateBokeOptions, config: Mapping[str, Any], reporter: Reporter
) -> TrainBokeOptions:
    """How the sources are read: into the tokens of the model, with its lengths and its draw of a split; and, if it was
    trained on these very sources, in all that the options do not say."""
    known = config.get("options", {})
    same = config.get("sources") == [str(source.resolve()) for source in sources]
    names = (*READING, "ng", *(PLACES if same else ()))
    trained = options_from({name: known[name] for name in names if name in known}, TrainBokeOptions)
    ng = trained.ng
    if ng is not None and not is_file(ng):
        reporter.note(f"The words that {options.model} was trained without are no longer there: {ng}")
        ng = None
    return replace(
        trained,
        form=options.form or trained.form,
        images=options.images or trained.images,
        skip_missing=options.skip_missing or trained.skip_missing,
        tokenizer=config["tokenizer"]["name"],
        ng=ng,
    )


def judged_odai(boke: BokeSet, options: EvaluateBokeOptions, reporter: Reporter) -> tuple[str, tuple[Odai, ...]]:
    """The split that is judged, and its pictures.

    Raises:
        InputError: there is no picture of this split.
    """
    split: str = options.split or "test"
    odai = boke.odai if split == "all" else boke.part(split).odai
    if not odai and options.split is None:
        split, odai = "val", boke.part("val").odai
        reporter.note(f"{boke.source} has no split test: val is judged, by which a training chooses its best epoch")
    if not odai:
        raise InputError(f"{boke.source} has no boke of the split {split}", hint="--split all judges every one")
    return split, odai[: options.limit]


def sentences_of(odai: Sequence[Odai], texts: BokeTexts, vocabulary: Vocabulary, longest: int) -> Sentences:
    """The boke of pictures as ids, in their order."""
    pairs = [(row, tokens) for row, each in enumerate(odai) for tokens in texts.tokens[each.name]]
    return Sentences([row for row, _ in pairs], [vocabulary.encode(tokens) for _, tokens in pairs], longest=longest)


# What it costs


def nats_of(
    maker: "BokeMaker", features: np.ndarray, sentences: Sentences, reporter: Reporter
) -> tuple[np.ndarray, np.ndarray | None]:
    """What each boke costs the model, in nats, beside its own picture and beside another one.

    Args:
        features: float16 `(pictures, numbers)`, where the rows of the sentences point to.

    Returns:
        float64 `(boke,)` twice; None in the place of the second for a single picture.

    Raises:
        WeightsError: the model answers with nan.
    """
    from imgnn.training.likelihood import Likelihood, other_pictures

    likelihood = Likelihood([maker.model.decoder])
    several = len(features) > 1
    reporter.begin("judging boke", len(sentences) * (1 + several), "boke")
    with np.errstate(invalid="ignore"):
        own = follow(likelihood, features, sentences, reporter)
    if not np.isfinite(own).all():
        raise WeightsError(f"{maker.model.folder} has no number for how probable a boke is: its weights hold nan")
    other = None
    if several:
        other = follow(likelihood, features[other_pictures(len(features))], sentences, reporter, len(sentences))
    reporter.end()
    return own, other


def follow(
    likelihood: "Likelihood", features: np.ndarray, sentences: Sentences, reporter: Reporter, before: int = 0
) -> np.ndarray:
    """What each boke costs, float64 `(boke,)`: -log p of its tokens and its END.

    Args:
        features: `(pictures, numbers)`: what is shown for the sentences of each row.
        before: boke that were judged already, for the progress.
    """
    found = np.zeros(len(sentences))
    order = np.argsort(sentences.padded, kind="stable")  # of one length together: little is padded
    for start in range(0, len(order), AT_ONCE):
        chosen = order[start : start + AT_ONCE]
        batch = sentences.gather(chosen, AT_ONCE)
        log_probs = likelihood.log_probs([features[batch.rows]], batch) * batch.weights
        found[chosen] = -log_probs.sum(axis=1)[: len(chosen)]
        reporter.advance(before + start + len(chosen))
    return found


# What it writes


def write(
    files: Sequence[Path], maker: "BokeMaker", folder: Path, words: NgWords | None, reporter: Reporter
) -> tuple[WrittenBoke, ...]:
    """A boke for each picture, as `imgnn boke` writes it; of some there may be none that comes to an end."""
    if not files:
        return ()
    try:
        known = [text for each in load_sentences(folder) if each.split == "train" for text in each.sentences]
    except InputError as error:
        reporter.note(f"What is copied cannot be told: {error}")
        known = []
    novelty = Novelty(known) if known else None
    return tuple(
        WrittenBoke(
            picture=result.path,
            text=joke.text,
            copied=novelty.copied(joke.text) if novelty else None,
            banned=words.found(joke.text) if words else None,
        )
        for result in maker.make(files)
        for joke in result.boke
    )
