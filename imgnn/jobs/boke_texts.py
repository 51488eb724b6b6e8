"""Boke as tokens, chosen by what a training is told. Light: no Keras."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgnn.data.boke import BokeSet, Odai, read_boke
from imgnn.data.lists import contents_digest
from imgnn.errors import InputError
from imgnn.language.ng_words import NgWords
from imgnn.language.tokenizers import Tokenizer, choose_tokenizer, load_tokenizer
from imgnn.language.vocabulary import Vocabulary, build_vocabulary
from imgnn.options import TrainBokeOptions
from imgnn.runs import Reporter

GIVEN = "given"  # the tokenizer of a data set that brings its tokens
Tokens = tuple[tuple[str, ...], ...]  # of the boke of a picture


@dataclass(frozen=True)
class BokeTexts:
    """A data set whose boke are tokens.

    Attributes:
        boke: with those boke alone that are trained on or judged by.
        tokens: name of a picture -> the tokens of each of its boke.
    """

    boke: BokeSet
    tokenizer: Tokenizer
    tokens: dict[str, Tokens]

    @property
    def digest(self) -> str:
        """SHA-256 by which the same boke in the same tokens are known again."""
        said = {name: "\n".join("\0".join(tokens) for tokens in each) for name, each in self.tokens.items()}
        return contents_digest((name, text) for name, text in [("", self.boke.digest), *said.items()])


def read_texts(
    sources: Sequence[Path], options: TrainBokeOptions, reporter: Reporter, *, wanted: Sequence[str] = ("train", "val")
) -> BokeTexts:
    """The boke, as tokens, with pictures that are there.

    Args:
        wanted: splits that have to be among them.

    Raises:
        InputError: as of `read_boke` and `NgWords.load`; the tokenizer is not installed; or there is nothing to train
            on or to judge by.
    """
    ng = NgWords.load(options.ng) if options.ng is not None else None
    boke = read_boke(
        sources,
        form=options.form,
        images=options.images,
        skip_missing=options.skip_missing,
        val_share=options.val_share,
        seed=options.seed,
        reporter=reporter,
    )
    tokenizer = load_tokenizer(options.tokenizer or usual_tokenizer(boke, reporter))
    tokens: dict[str, Tokens] = {}
    kept, banned, outside = [], 0, 0
    for odai in boke.odai:
        pairs = []
        for each, given in zip(odai.boke, odai.tokens, strict=True):
            words = given if given is not None and tokenizer.name == GIVEN else tokenizer.tokenize(each.text)
            if ng is not None and ng.found(each.text) is not None:
                banned += 1
            elif not options.shortest <= len(words) <= options.longest:
                outside += 1
            else:
                pairs.append((each, given, tuple(map(sys.intern, words))))
        if pairs:
            lines, givens, said = zip(*pairs, strict=True)
            kept.append(Odai(odai.name, lines, odai.split, givens))
            tokens[odai.name] = said
    if banned:
        reporter.note(f"{banned:,} boke have a word of {options.ng}, and are left out")
    if outside:
        reporter.note(
            f"{outside:,} boke do not have {options.shortest} to {options.longest} tokens (--shortest, --longest), and "
            "are left out"
        )
    left = replace(boke, odai=tuple(kept))
    for split in wanted:
        if not len(left.part(split)):
            hint = "--val-share 0.1" if split == "val" else None
            raise InputError(f"{boke.source} has no boke of the split {split} to be used", hint=hint)
    return BokeTexts(left, tokenizer, tokens)


def usual_tokenizer(boke: BokeSet, reporter: Reporter) -> str:
    """The tokens that a data set brings, if it does for every boke, or what suits its texts."""
    brought = [given is not None for odai in boke.odai for given in odai.tokens]
    if all(brought):
        return GIVEN
    chosen = choose_tokenizer([each.text for odai in boke.odai for each in odai.boke])
    if any(brought):
        reporter.note(
            f"{brought.count(False):,} of {len(brought):,} boke come without tokens: all are made into {chosen} instead"
        )
    return chosen


def words_of(texts: BokeTexts, minimum: int) -> Vocabulary:
    """The vocabulary of the training boke.

    Raises:
        InputError: no token is seen often enough.
    """
    train = texts.boke.part("train")
    found = build_vocabulary((each for odai in train.odai for each in texts.tokens[odai.name]), minimum)
    if len(found) == 3:
        raise InputError(
            f"no token is seen {minimum} times in the training boke of {texts.boke.source}: the vocabulary is empty",
            hint="--minimum 1",
        )
    return found
