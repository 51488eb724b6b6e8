"""What is in a boke data set, and what is wrong with it, before a network learns from it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgnn.data.boke import REASONS, BokeSet, Odai
from imgnn.data.caption_checks import (
    QUANTILES,
    SHARED,
    SHOWN,
    UNKNOWN,
    CaptionFinding,
    Looks,
    absences,
    by_index,
    check_looks,
    leaks,
    quantile,
    worst_first,
)
from imgnn.data.split import PARTS
from imgnn.runs import Reporter, percent

if TYPE_CHECKING:
    from imgnn.language.ng_words import NgWords
    from imgnn.language.tokenizers import Tokenizer
    from imgnn.language.vocabulary import Vocabulary


@dataclass(frozen=True)
class BokeFacts:
    """What a split is made of.

    Attributes:
        images, boke, tokens: how many there are.
        per_image: at index i, how many pictures have i boke.
        lengths: at index i, how many boke have i tokens.
        quantiles: tokens of a boke at `QUANTILES`; of each the smallest length that so many boke do not exceed.
        mean_length: tokens of a boke.
        stars: "0", "1-9", "10-99", ... -> how many boke have so many stars, up to the most that any has.
        unrated: boke whose stars nobody knows.
        unknown: 0..1, the share of tokens that are not in the vocabulary; None if there is no vocabulary.
        unseen: tokens that do not occur in train at all; None if there is no train split.
    """

    images: int
    boke: int
    tokens: int
    per_image: tuple[int, ...]
    lengths: tuple[int, ...]
    quantiles: tuple[int, ...]
    mean_length: float
    stars: Mapping[str, int]
    unrated: int
    unknown: float | None
    unseen: int | None


@dataclass(frozen=True)
class Statistics:
    """What boke come to, without a look at the pictures.

    Attributes:
        vocabulary: tokens that are known, with those that stand for no word; without a vocabulary, those that occur
            often enough in train.
        words: distinct tokens in train.
        splits: those that have pictures, in the order of `PARTS`.
        common: texts that most pictures share: (text, pictures).
    """

    vocabulary: int
    words: int
    splits: Mapping[str, BokeFacts]
    common: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class BokeReport:
    """What `check_boke` found; `dataclasses.asdict` makes JSON of it.

    Attributes:
        source, form, digest: of the data set.
        tokenizer: by which its tokens were made; those that come with a boke are taken as they are.
        minimum: occurrences in train that a token of the vocabulary has.
        statistics: of the texts.
        left_out: reason -> boke that the reader left out.
        ng: boke that have a word of the list; None without a list.
        ng_words: the words that most of them have: (word, boke).
        looked: whether pictures were looked at; if none is there, what follows of them is empty.
        missing: names of pictures that are not there.
        broken: (name, kind, detail) of those that are no pictures to work with.
        same: (name, name) of pictures with the same bytes in two splits.
        near: (name, name, bits) of other pictures in two splits that look nearly alike.
        findings: all of this in words, the worst first.
    """

    source: str
    form: str
    digest: str
    tokenizer: str
    minimum: int
    statistics: Statistics
    left_out: Mapping[str, int]
    ng: int | None
    ng_words: tuple[tuple[str, int], ...]
    looked: bool
    missing: tuple[str, ...]
    broken: tuple[tuple[str, str, str], ...]
    same: tuple[tuple[str, str], ...]
    near: tuple[tuple[str, str, int], ...]
    findings: tuple[CaptionFinding, ...]


def check_boke(
    boke: BokeSet,
    tokenizer: "Tokenizer",
    reporter: Reporter,
    *,
    minimum: int = 2,
    longest: int = 40,
    ng: "NgWords | None" = None,
    skip_missing: bool = False,
    workers: int | None = None,
) -> BokeReport:
    """Look at every boke and every picture of a data set.

    Args:
        boke: some of its pictures, or all, may not be there.
        reporter: told the progress.
        minimum: occurrences in train that a token of the vocabulary has.
        longest: tokens of a boke that is trained on.
        ng: words that no boke should have.
        skip_missing: pictures that are not there are to be left out: no error, as long as there are others.
        workers: threads that look at pictures; None: as many as there are cores.

    Raises:
        InterruptedRun: Ctrl-C; the pictures that were looked at need not be the next time.
    """
    reporter.begin("reading boke", None)
    found = statistics(boke.odai, tokenizer.tokenize, minimum=minimum)
    banned: Counter[str] = Counter()
    if ng is not None:
        words = (ng.found(each.text) for odai in boke.odai for each in odai.boke)
        banned.update(word for word in words if word is not None)
    reporter.end()
    looks = check_looks(boke.odai, boke.file, reporter, workers)
    report = BokeReport(
        source=str(boke.source),
        form=boke.form,
        digest=boke.digest,
        tokenizer=tokenizer.name,
        minimum=minimum,
        statistics=found,
        left_out=boke.left_out,
        ng=None if ng is None else banned.total(),
        ng_words=tuple(banned.most_common(SHOWN)),
        looked=looks.looked,
        missing=looks.missing,
        broken=looks.broken,
        same=looks.same,
        near=looks.near,
        findings=(),
    )
    return replace(report, findings=worst_first(findings_of(report, looks, longest, skip_missing)))


def statistics(
    odai: Sequence[Odai],
    tokenize: Callable[[str], list[str]],
    vocabulary: "Vocabulary | None" = None,
    *,
    minimum: int = 1,
) -> Statistics:
    """Count boke, tokens and stars; pictures are not looked at.

    Args:
        tokenize: a text to its tokens; boke that come with theirs are not asked.
        vocabulary: of a model; None: made of train.
        minimum: occurrences in train that a token of a vocabulary has that is made.
    """
    words: dict[str, Counter[str]] = defaultdict(Counter)
    lengths: dict[str, Counter[int]] = defaultdict(Counter)
    per_image: dict[str, Counter[int]] = defaultdict(Counter)
    stars: dict[str, Counter[int | None]] = defaultdict(Counter)
    shared: Counter[str] = Counter()
    for each in odai:
        per_image[each.split][len(each.boke)] += 1
        for boke, given in zip(each.boke, each.tokens, strict=True):
            tokens = tokenize(boke.text) if given is None else given
            words[each.split].update(tokens)
            lengths[each.split][len(tokens)] += 1
            stars[each.split][boke.star] += 1
        shared.update({boke.text for boke in each.boke})
    train = words.get("train")
    known = {word for word, count in (train or {}).items() if count >= minimum}
    size = len(known) if vocabulary is None else len(vocabulary)
    known = known if vocabulary is None else set(vocabulary.ids)
    splits = {}
    for part in PARTS:
        if part not in per_image:
            continue
        numbers, total = by_index(lengths[part] or {0: 0}), words[part].total()
        missed = sum(count for word, count in words[part].items() if word not in known)
        splits[part] = BokeFacts(
            images=per_image[part].total(),
            boke=sum(numbers),
            tokens=total,
            per_image=by_index(per_image[part]),
            lengths=numbers,
            quantiles=tuple(quantile(numbers, share) for share in QUANTILES),
            mean_length=total / max(1, sum(numbers)),
            stars=star_bins(stars[part]),
            unrated=stars[part][None],
            unknown=missed / max(1, total) if size else None,
            unseen=None if train is None else len(words[part].keys() - train.keys()),
        )
    common = tuple(each for each in shared.most_common(SHOWN) if each[1] > 1)
    return Statistics(size, len(train or ()), splits, common)


def star_bins(stars: Mapping[int | None, int]) -> dict[str, int]:
    """How many boke have 0 stars, 1 to 9, 10 to 99, ... up to the most that any has; {} if nobody knows of any."""
    known = {star: count for star, count in stars.items() if star is not None}
    if not known:
        return {}
    counts = [0] * (digits(max(known)) + 1)
    for star, count in known.items():
        counts[digits(star)] += count
    labels = ["0", *(f"{10 ** (place - 1)}-{10**place - 1}" for place in range(1, len(counts)))]
    return dict(zip(labels, counts, strict=True))


def digits(star: int) -> int:
    """Of a number of stars; none of 0."""
    return len(str(star)) if star > 0 else 0


def findings_of(report: BokeReport, looks: Looks, longest: int, skip_missing: bool) -> Iterator[tuple[str, str, str]]:
    """What is to be said: severity, kind and message. An error is what a training would refuse."""
    found, splits = report.statistics, report.statistics.splits
    images = sum(facts.images for facts in splits.values())
    boke = sum(facts.boke for facts in splits.values())
    yield from absences(looks, images, skip_missing, "pictures")
    if "train" not in splits:
        yield "note", "train", "there is no train split: nothing can be said of a vocabulary"
    elif not found.vocabulary:
        yield "error", "vocabulary", f"no token occurs {report.minimum} times in train"
    if "train" in splits and "val" not in splits:
        yield "warning", "val", "there is no val split: nothing tells when to stop"
    yield from leaks(looks)
    for part, facts in splits.items():
        if facts.unknown is not None and facts.unknown > UNKNOWN:
            yield "warning", "unknown", f"{percent(facts.unknown)} of the tokens of {part} are not in the vocabulary"
    if found.common and found.common[0][1] > max(2, SHARED * images):
        text, shared = found.common[0]
        yield "warning", "common", f"{shared:,} of {images:,} pictures have the same boke: {text!r:.80}"
    if report.ng:
        word, most = report.ng_words[0]
        yield "warning", "ng", f"boke with a word of the list: {report.ng:,}, most often {word!r}: {most:,}"
    if "train" in splits and splits["train"].boke > splits["train"].images:
        facts = splits["train"]
        yield (
            "note",
            "per_image",
            f"pictures of train have {facts.boke / facts.images:.1f} boke on average, at most "
            f"{len(facts.per_image) - 1:,}: as one picture has several answers, the loss cannot fall to 0",
        )
    for reason, count in report.left_out.items():
        yield "note", reason, f"boke {REASONS[reason]}, which are left out: {count:,}"
    if unrated := sum(facts.unrated for facts in splits.values()):
        yield "note", "unrated", f"boke whose stars are not known: {unrated:,} of {boke:,}"
    if long := sum(sum(facts.lengths[longest + 1 :]) for facts in splits.values()):
        yield "note", "long", f"boke of more than {longest} tokens, which training leaves out (--longest): {long:,}"
    for part, facts in splits.items():
        if facts.unseen:
            yield "note", "unseen", f"tokens of {part} that never occur in train: {facts.unseen:,}"
