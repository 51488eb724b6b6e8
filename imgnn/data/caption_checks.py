"""What is in a caption data set, and what is wrong with it, before a network learns from it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from imgnn.data.captions import CaptionSet, Each
from imgnn.data.checks import FLAT
from imgnn.data.duplicates import near_pairs
from imgnn.data.inspected import inspect_files
from imgnn.data.placeholders import placeholder_of
from imgnn.data.split import PARTS
from imgnn.runs import Reporter, is_file, percent

SHORT, LONG = 3, 30  # tokens; captions with fewer or more are told
SHOWN = 5  # sentences of a kind that are shown
SHARED = 0.01  # of the pictures that may have the same sentence before it is told
UNKNOWN = 0.05  # of a split's tokens that may be outside the vocabulary before it is told
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
EVERY = 1_000  # pictures between two reports of progress

# How bad a finding is: it cannot be worked with, the scores may not mean what they seem to, or good to know.
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class CaptionFinding:
    """One thing that was found.

    Attributes:
        severity: one of `SEVERITIES`.
        kind: a word for programs: "missing", "leak", "unknown".
        message: in words, with numbers.
    """

    severity: str
    kind: str
    message: str


@dataclass(frozen=True)
class SplitFacts:
    """What a split is made of.

    Attributes:
        images, captions, tokens: how many there are.
        per_image: at index i, how many pictures have i captions.
        lengths: at index i, how many captions have i tokens.
        quantiles: tokens of a caption at `QUANTILES`; of each the smallest length that so many captions do not exceed.
        mean_length: tokens of a caption.
        unknown: 0..1, the share of tokens that are not in the vocabulary; None if there is no train split.
        unseen: words that do not occur in train at all; None as above.
    """

    images: int
    captions: int
    tokens: int
    per_image: tuple[int, ...]
    lengths: tuple[int, ...]
    quantiles: tuple[int, ...]
    mean_length: float
    unknown: float | None
    unseen: int | None


@dataclass(frozen=True)
class CaptionReport:
    """What `check_captions` found; `dataclasses.asdict` makes JSON of it.

    Attributes:
        source, form, digest: of the data set.
        splits: those that have pictures, in the order of `PARTS`.
        minimum: occurrences in train that a word of the vocabulary has.
        words: distinct ones in train.
        vocabulary: those of them that occur often enough.
        empty: captions without a word, left out by the reader.
        short, long: captions with fewer than `SHORT` tokens, and with more than `LONG`.
        shortest, longest: a few of these: (name of the picture, caption).
        common: sentences that most pictures share: (tokens joined by spaces, pictures).
        looked: whether pictures were looked at; if none is there, what follows of them is empty.
        missing: names of pictures that are not there.
        broken: (name, kind, detail) of those that are no pictures to work with.
        same: (name, name) of pictures with the same bytes in two splits.
        near: (name, name, bits) of other pictures in two splits that look nearly alike.
        same_keys: pictures that a result file cannot tell from others.
        findings: all of this in words, the worst first.
    """

    source: str
    form: str
    digest: str
    splits: Mapping[str, SplitFacts]
    minimum: int
    words: int
    vocabulary: int
    empty: int
    short: int
    long: int
    shortest: tuple[tuple[str, str], ...]
    longest: tuple[tuple[str, str], ...]
    common: tuple[tuple[str, int], ...]
    looked: bool
    missing: tuple[str, ...]
    broken: tuple[tuple[str, str, str], ...]
    same: tuple[tuple[str, str], ...]
    near: tuple[tuple[str, str, int], ...]
    same_keys: int
    findings: tuple[CaptionFinding, ...]


@dataclass
class Texts:
    """What the sentences come to.

    Attributes:
        words: split -> word -> occurrences.
        per_image: split -> captions -> pictures that have so many.
        lengths: split -> tokens -> captions that have so many.
        short, long: (tokens, name, caption) of those that are told.
        shared: sentence -> pictures that have it.
    """

    words: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    per_image: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    lengths: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    short: list[tuple[int, str, str]] = field(default_factory=list)
    long: list[tuple[int, str, str]] = field(default_factory=list)
    shared: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Looks:
    """What the pictures come to; the fields are those of `CaptionReport`."""

    looked: bool
    missing: tuple[str, ...] = ()
    broken: tuple[tuple[str, str, str], ...] = ()
    same: tuple[tuple[str, str], ...] = ()
    near: tuple[tuple[str, str, int], ...] = ()


def check_captions(
    captions: CaptionSet,
    tokenize: Callable[[str], list[str]],
    reporter: Reporter,
    *,
    minimum: int = 5,
    skip_missing: bool = False,
    workers: int | None = None,
) -> CaptionReport:
    """Look at every caption and every picture of a data set.

    Args:
        captions: some of its pictures, or all, may not be there.
        tokenize: a sentence to its tokens.
        reporter: told the progress, first of the sentences, then of the pictures.
        minimum: occurrences in train that a word of the vocabulary has.
        skip_missing: pictures that are not there are to be left out: no error, as long as there are others.
        workers: threads that look at pictures; None: as many as there are cores.

    Raises:
        InterruptedRun: Ctrl-C; the pictures that were looked at need not be the next time.
    """
    texts = check_texts(captions, tokenize, reporter)
    looks = check_looks(captions.images, captions.file, reporter, workers)
    train = texts.words.get("train")
    vocabulary = {word for word, count in (train or {}).items() if count >= minimum}
    report = CaptionReport(
        source=str(captions.source),
        form=captions.form,
        digest=captions.digest,
        splits={part: facts_of(part, texts, vocabulary) for part in PARTS if part in texts.words},
        minimum=minimum,
        words=len(train or ()),
        vocabulary=len(vocabulary),
        empty=captions.empty,
        short=len(texts.short),
        long=len(texts.long),
        shortest=tuple((name, caption) for _, name, caption in sorted(texts.short)[:SHOWN]),
        longest=tuple((name, caption) for _, name, caption in sorted(texts.long, reverse=True)[:SHOWN]),
        common=tuple(each for each in texts.shared.most_common(SHOWN) if each[1] > 1),
        looked=looks.looked,
        missing=looks.missing,
        broken=looks.broken,
        same=looks.same,
        near=looks.near,
        same_keys=sum(count for count in Counter(image.key for image in captions.images).values() if count > 1),
        findings=(),
    )
    return replace(report, findings=worst_first(findings_of(report, looks, skip_missing)))


def worst_first(found: Iterable[tuple[str, str, str]]) -> tuple[CaptionFinding, ...]:
    """Findings, given as severity, kind and message, in the order in which they are shown."""
    return tuple(sorted((CaptionFinding(*each) for each in found), key=lambda each: SEVERITIES.index(each.severity)))


def check_texts(captions: CaptionSet, tokenize: Callable[[str], list[str]], reporter: Reporter) -> Texts:
    """Count words, lengths and sentences."""
    texts = Texts()
    reporter.begin("reading captions", len(captions), "pictures")
    for number, image in enumerate(captions.images, 1):
        words, lengths = texts.words[image.split], texts.lengths[image.split]
        sentences = {}  # in their order, each once
        texts.per_image[image.split][len(image.captions)] += 1
        for caption in image.captions:
            tokens = tokenize(caption)
            count = len(tokens)
            words.update(tokens)
            lengths[count] += 1
            sentences[" ".join(tokens)] = 1
            if count < SHORT:
                texts.short.append((count, image.name, caption))
            elif count > LONG:
                texts.long.append((count, image.name, caption))
        texts.shared.update(sentences.keys())
        if number % EVERY == 0:
            reporter.advance(number)
    reporter.advance(len(captions))
    reporter.end()
    return texts


def facts_of(part: str, texts: Texts, vocabulary: Set[str]) -> SplitFacts:
    """What a split is made of."""
    words, train = texts.words[part], texts.words.get("train")
    per_image, lengths = by_index(texts.per_image[part]), by_index(texts.lengths[part])
    tokens, captions = words.total(), sum(lengths)
    missed = sum(count for word, count in words.items() if word not in vocabulary)
    return SplitFacts(
        images=sum(per_image),
        captions=captions,
        tokens=tokens,
        per_image=per_image,
        lengths=lengths,
        quantiles=tuple(quantile(lengths, share) for share in QUANTILES),
        mean_length=tokens / captions,
        unknown=None if train is None else missed / max(1, tokens),
        unseen=None if train is None else len(words.keys() - train.keys()),
    )


def by_index(counts: Mapping[int, int]) -> tuple[int, ...]:
    """Counts of 0, of 1, of 2, ... up to the largest that occurs."""
    return tuple(counts.get(index, 0) for index in range(max(counts) + 1))


def quantile(counts: Sequence[int], share: float) -> int:
    """The smallest number that a share of all does not exceed; `counts[i]` of them are i."""
    return int(np.searchsorted(np.cumsum(counts), max(1.0, share * sum(counts))))


def check_looks(
    pictures: Sequence[Each], file_of: Callable[[Each], Path], reporter: Reporter, workers: int | None
) -> Looks:
    """Find pictures that are missing or broken, and those of two splits that are the same or nearly so."""
    files = [file_of(image) for image in pictures]
    there = [(image, file) for image, file in zip(pictures, files, strict=True) if is_file(file)]
    present = {image.name for image, _ in there}
    if not there:
        return Looks(False)
    missing = tuple(image.name for image in pictures if image.name not in present)
    inspections = inspect_files([file for _, file in there], workers=workers, reporter=reporter)
    broken, sound = [], []
    for (image, _), inspection in zip(there, inspections, strict=True):
        if inspection.problem:
            broken.append((image.name, inspection.problem, inspection.detail))
        elif what := placeholder_of(inspection.sha256, inspection.sha1):
            broken.append((image.name, "placeholder", what))
        else:
            sound.append((image, inspection))
    # Those of train come first, so that a pair names the picture of train and then that of val or test.
    sound.sort(key=lambda pair: PARTS.index(pair[0].split))
    copies: dict[str, list[Each]] = defaultdict(list)
    for image, inspection in sound:
        copies[inspection.sha256].append(image)
    same = [
        (first.name, other.name) for first, *rest in copies.values() for other in rest if other.split != first.split
    ]
    seen = [pair for pair in sound if pair[1].look is not None and pair[1].deviation >= FLAT]
    near = []
    for one, other, bits in zip(*near_pairs(np.array([known.look for _, known in seen], "uint64")), strict=True):
        (first, known), (second, as_well) = seen[one], seen[other]
        if first.split != second.split and known.sha256 != as_well.sha256:
            near.append((first.name, second.name, int(bits)))
    return Looks(True, missing, tuple(broken), tuple(same), tuple(near))


def findings_of(report: CaptionReport, looks: Looks, skip_missing: bool) -> Iterator[tuple[str, str, str]]:
    """What is to be said: severity, kind and message. An error is what a training would refuse."""
    images = sum(facts.images for facts in report.splits.values())
    yield from absences(looks, images, skip_missing, "pictures or --features")
    if "train" not in report.splits:
        yield "note", "train", "there is no train split: nothing can be said of a vocabulary"
    elif not report.vocabulary:
        yield "error", "vocabulary", f"no word occurs {report.minimum} times in train"
    if "train" in report.splits and "val" not in report.splits:
        yield "warning", "val", "there is no val split: nothing tells when to stop"
    yield from leaks(looks)
    for part, facts in report.splits.items():
        if report.vocabulary and facts.unknown is not None and facts.unknown > UNKNOWN:
            yield "warning", "unknown", f"{percent(facts.unknown)} of the words of {part} are not in the vocabulary"
    if report.common and report.common[0][1] > max(2, SHARED * images):
        sentence, shared = report.common[0]
        yield "warning", "common", f"{shared:,} of {images:,} pictures have the same sentence: {sentence!r}"
    if report.same_keys:
        yield "warning", "ids", f"pictures with the id of another, which result files mix up: {report.same_keys:,}"
    numbers = [number for facts in report.splits.values() for number, many in enumerate(facts.per_image) if many]
    if len(set(numbers)) > 1:
        yield "note", "captions", f"pictures have {min(numbers)} to {max(numbers)} captions"
    if report.empty:
        yield "note", "empty", f"captions without a word, which are left out: {report.empty:,}"
    if report.short:
        name, caption = report.shortest[0]
        yield "note", "short", f"captions of fewer than {SHORT} tokens: {report.short:,}, as {caption!r} of {name}"
    if report.long:
        name, _ = report.longest[0]
        yield "note", "long", f"captions of more than {LONG} tokens: {report.long:,}, the longest is of {name}"
    for part, facts in report.splits.items():
        if facts.unseen:
            yield "note", "unseen", f"words of {part} that never occur in train: {facts.unseen:,}"


def absences(looks: Looks, images: int, skip_missing: bool, wanted: str) -> Iterator[tuple[str, str, str]]:
    """Pictures that are not there, or none to work with.

    Args:
        images: how many there are in the data set.
        wanted: what training needs.
    """
    if not looks.looked:
        yield "warning", "missing", f"no picture is there: only the sentences were looked at; training needs {wanted}"
    elif looks.missing:
        told = f"{len(looks.missing):,} of {images:,} pictures are not there: the first is {looks.missing[0]}"
        yield "warning" if skip_missing else "error", "missing", told
    if looks.broken:
        name, kind, _ = looks.broken[0]
        told = f"files that are no pictures to work with: {len(looks.broken):,}, as {name} ({kind})"
        none_left = len(looks.broken) + len(looks.missing) == images
        yield "error" if none_left else "warning", "broken", told


def leaks(looks: Looks) -> Iterator[tuple[str, str, str]]:
    """Pictures that are in two splits."""
    for kind, pairs, how in (("leak", looks.same, "with the same bytes as"), ("near_leak", looks.near, "nearly like")):
        if pairs:
            other, name = pairs[0][:2]
            count = len({pair[1] for pair in pairs})
            yield "warning", kind, f"pictures {how} one of another split: {count:,}, as {name} ({other})"
