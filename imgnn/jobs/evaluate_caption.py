"""`imgnn evaluate caption`: how good sentences for pictures are, beside what people say of them."""

import csv
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from keras import ops

from imgnn.data.caption_files import find_files, read_captions, read_results, result_keys, write_results
from imgnn.data.captions import Captioned, CaptionSet
from imgnn.data.features_mat import read_features_mat
from imgnn.errors import InputError
from imgnn.images.files import check_apart, check_writable, load_image, save_image
from imgnn.images.sheet import contact_sheet, fit
from imgnn.jobs.caption import decoding_of
from imgnn.jobs.caption_data import given_features, sentences_of
from imgnn.jobs.caption_model import CaptionModel, Speaker, describers_of, load_caption_models
from imgnn.jobs.features import padded
from imgnn.language.beam import BeamOptions
from imgnn.language.decoder import Decoder
from imgnn.language.meteor import meteor, missing
from imgnn.language.metrics import (
    FEW,
    DocumentFrequency,
    Tokens,
    bleu,
    check_references,
    cider_d,
    distinct,
    div_n,
    novel,
    rouge_l,
)
from imgnn.language.tokens import detokenize, tokenize
from imgnn.language.vocabulary import MARKS
from imgnn.options import CaptionOptions, EvaluateCaptionOptions, TrainCaptionOptions
from imgnn.runs import Reporter, Silent, check_folder, write_aside
from imgnn.training.likelihood import Likelihood, other_pictures

MODEL, RESULTS, RETRIEVAL, PEOPLE = "model", "results", "retrieval", "people"
# Words that no sentence ends with: it was broken off. Those of ImageCaptioning.pytorch, with "and", "is", "are".
BAD_ENDINGS = frozenset(
    ("a", "an", "the", "this", "that", "his", "her", "and", "with", "in", "on", "of", "at", "to", "for", "is", "are")
)
COLUMNS = ("picture", "caption", "cider_d", "bleu_4", "rouge_l", "log_prob", "references")
BETWEEN = " | "  # references in the table
SHEET = 20  # pictures on the contact sheet: the first ones
ACROSS = 4  # of them in a row
CELL = (240, 320)  # pixels, (height, width) of each
LINE = 38  # letters that fit below it
AT_ONCE = 4096  # training pictures that all pictures are compared with at once


@dataclass(frozen=True)
class Outputs:
    """Files to be written; None: not."""

    table: Path | None = None  # CSV, a row for each picture
    results: Path | None = None  # COCO's result file
    document_frequency: Path | None = None  # of the references of the pictures that are judged
    sheet: Path | None = None  # the first pictures with their captions


@dataclass(frozen=True)
class Fit:
    """How well a model foresees the references.

    Attributes:
        nats: per token.
        image_gain: nats per token that the right picture saves over another one; None of one picture.
        words: that the model knows.
    """

    nats: float
    image_gain: float | None
    words: int

    @property
    def perplexity(self) -> float:
        """As many words, all equally probable, would be as hard to foresee."""
        return math.exp(min(self.nats, 50.0))


@dataclass(frozen=True)
class Said:
    """A sentence for each picture.

    Attributes:
        name: whose they are: `MODEL` or `RESULTS`.
        images: those that could be read, or that the result file has.
        captions: as text.
        log_probs: of each sentence, by the model; () without one.
        fit: None without a model.
        nearest: of each picture, the first caption of the training picture most like it; None: none was looked for.
        skipped: pictures that could not be read, and why.
    """

    name: str
    images: tuple[Captioned, ...]
    tokens: tuple[Tokens, ...]
    captions: tuple[str, ...]
    log_probs: tuple[float, ...] = ()
    fit: Fit | None = None
    nearest: tuple[Tokens, ...] | None = None
    skipped: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Judged:
    """What a sentence for each picture got.

    Attributes:
        name: whose they are: `MODEL`, `RESULTS`, `RETRIEVAL` or `PEOPLE`.
        bleu: BLEU-1 to BLEU-4 of all together, 0..1.
        rouge_l, cider_d: the means, 0..1 and 0..10.
        meteor: 0..1; None: it was not asked for, or cannot run here.
        novel: the share that is not word for word in the training captions; None: there are none.
        each: `(pictures, 3)`: CIDEr-D, BLEU-4, ROUGE-L of each sentence.
        images: over which CIDEr-D's document frequencies were counted.
    """

    name: str
    tokens: tuple[Tokens, ...]
    bleu: tuple[float, ...]
    rouge_l: float
    cider_d: float
    meteor: float | None
    novel: float | None
    each: np.ndarray
    images: int

    @property
    def distinct(self) -> int:
        """How many different sentences there are."""
        return distinct(self.tokens)

    @property
    def words(self) -> int:
        """How many different words they use."""
        return len({word for tokens in self.tokens for word in tokens})

    @property
    def mean_length(self) -> float:
        """Words of a sentence."""
        return sum(map(len, self.tokens)) / len(self.tokens)

    def div(self, n: int) -> float:
        """Different n-grams of all sentences for each of their words."""
        return div_n(self.tokens, n)

    @property
    def ends_badly(self) -> float:
        """The share of sentences, 0..1, that end with one of `BAD_ENDINGS`."""
        return sum(bool(tokens) and tokens[-1] in BAD_ENDINGS for tokens in self.tokens) / len(self.tokens)


@dataclass(frozen=True)
class EvaluatedCaptions:
    """What came out.

    Attributes:
        split: that was judged.
        images: the pictures that were, and `references` how many captions they have.
        said: the sentences of the model or the result file; None: only people were judged.
        rows: who was judged: `said` first, then the baselines.
    """

    split: str
    images: tuple[Captioned, ...]
    references: int
    said: Said | None
    rows: tuple[Judged, ...]


def evaluate_captions(
    source: Path,
    options: EvaluateCaptionOptions | None = None,
    caption: CaptionOptions | None = None,
    reporter: Reporter | None = None,
    *,
    outputs: Outputs | None = None,
) -> EvaluatedCaptions:
    """Judge a sentence for each picture of a data set by what people wrote of it.

    Args:
        source: captions, in any form of `data/caption_files.py`.
        caption: models, and how their sentences are looked for: of each picture the best of beam search is judged.
            None: the sentences are those of `options.results`, or, if that is None too, only people are judged.

    Raises:
        InputError: captions, pictures, options or results do not fit each other, nothing is left to be judged, or an
            output cannot be written.
        UnknownNameError, WeightsError, DownloadError: a model or its network cannot be had.
    """
    options, reporter, outputs = options or EvaluateCaptionOptions(), reporter or Silent(), outputs or Outputs()
    check_options(source, options, caption, outputs)
    frequency = DocumentFrequency.load(options.document_frequency) if options.document_frequency else None
    models = load_caption_models(caption) if caption else []
    captions = read_data(source, options, models, reporter)
    split, images = judged_images(captions, options, bool(models), reporter)
    words = {image.name: [found for text in image.captions if (found := tokenize(text))] for image in images}
    check_references([*words.values()])
    said = None
    if caption:
        said = said_by_models(captions, images, words, models, caption, options, reporter)
    elif options.results is not None:
        said = said_by_results(captions, images, options.results, options.partial, reporter)
    images = said.images if said else images
    references = [words[image.name] for image in images]
    if frequency is None and len(images) < FEW:
        reporter.note(
            f"Warning: CIDEr-D counts how rare words are over {len(images):,} pictures: of fewer than {FEW} it does "
            "not compare with other numbers. --cider-df FILE takes the counts of more"
        )
    if options.meteor and (why := missing()):
        reporter.note(why)
    training = [tokenize(text) for image in captions.part("train").images for text in image.captions]

    def judge(name: str, tokens: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Judged:
        of_all, bleu_of_each = bleu(tokens, references)
        rouge, rouge_of_each = rouge_l(tokens, references)
        cider, cider_of_each = cider_d(tokens, references, frequency)
        return Judged(
            name=name,
            tokens=tuple(tokens),
            bleu=of_all,
            rouge_l=rouge,
            cider_d=cider,
            meteor=meteor(tokens, references) if options.meteor else None,
            novel=novel(tokens, training) if training else None,
            each=np.stack([cider_of_each, bleu_of_each[:, 3], rouge_of_each], axis=1),
            images=frequency.images if frequency else len(references),
        )

    rows = [judge(said.name, said.tokens, references)] if said else []
    if said and said.nearest is not None:
        rows.append(judge(RETRIEVAL, said.nearest, references))
    if options.baselines:
        # As metrics.consistency has it.
        if several := [each for each in references if len(each) > 1]:
            rows.append(judge(PEOPLE, [each[0] for each in several], [each[1:] for each in several]))
        elif rows:
            reporter.note("Every picture has one caption: how people agree cannot be told")
        else:
            raise InputError(f"every picture of {source} has one caption: how people agree cannot be told")
    result = EvaluatedCaptions(split, images, sum(map(len, references)), said, tuple(rows))
    if outputs.document_frequency is not None:
        DocumentFrequency.of(references).save(outputs.document_frequency)
    if said is not None:
        write_sentences(result, said, captions, outputs, reporter)
    return result


# What is judged


def check_options(
    source: Path, options: EvaluateCaptionOptions, caption: CaptionOptions | None, outputs: Outputs
) -> None:
    """Refuse options that do not go together, before minutes of looking at pictures.

    Raises:
        InputError: which, or an output that cannot be written.
    """
    if caption and options.results is not None:
        raise InputError("the sentences to be judged are those of models or those of a result file, not of both")
    if caption:
        caption.check()
        if caption.drawn:
            raise InputError("sentences are judged as beam search finds them, not as they are drawn at random")
    elif options.results is None:
        if not options.baselines:
            raise InputError("nothing would be judged", hint="--model RUN, --results FILE, or people: --baselines")
        if outputs.table or outputs.results or outputs.sheet:
            raise InputError("there are no sentences to be written", hint="--model RUN or --results FILE")
    if options.limit is not None and options.limit < 1:
        raise InputError(f"at least 1 picture is judged, not {options.limit}")
    given = [options.results, options.document_frequency, options.features]
    read = [*find_files(source, options.form)[0], *(path for path in given if path)]
    for path in (outputs.table, outputs.results, outputs.document_frequency, outputs.sheet):
        if path is not None:
            check_folder(path)
            check_apart(path, read)
    if outputs.sheet is not None:
        check_writable(outputs.sheet)


def read_data(
    source: Path, options: EvaluateCaptionOptions, models: Sequence[CaptionModel], reporter: Reporter
) -> CaptionSet:
    """The captions. Where the data set tells no splits they are drawn as they were for the training of the first model:
    no picture is judged that it was trained on.

    Raises:
        InputError: as of `read_captions`.
    """
    stored = models[0].config.get("options", {}) if models else {}
    captions = read_captions(
        source,
        form=options.form,
        images=options.images,
        need_images=bool(models) and options.features is None,
        skip_missing=options.skip_missing,
        val_share=stored.get("val_share", TrainCaptionOptions.val_share),
        seed=stored.get("seed", TrainCaptionOptions.seed),
        reporter=reporter,
    )
    for model in models:
        if model.config.get("data", {}).get("sha256") != captions.digest:
            reporter.note(
                f"{model.folder} was trained on other captions, or on another split of them: "
                "pictures that it knows from there flatter it"
            )
    return captions


def judged_images(
    captions: CaptionSet, options: EvaluateCaptionOptions, trained: bool, reporter: Reporter
) -> tuple[str, tuple[Captioned, ...]]:
    """The split that is judged, and its pictures.

    Args:
        trained: whether a model writes the sentences.

    Raises:
        InputError: there is no picture of this split.
    """
    split: str = options.split or "test"
    images = captions.images if split == "all" else captions.part(split).images
    if not images and options.split is None:
        split, images = "val", captions.part("val").images
        chosen = ", by which a training chooses its best epoch" if trained else ""
        reporter.note(f"{captions.source} has no split test: val is judged{chosen}")
    if not images:
        raise InputError(f"{captions.source} has no pictures of the split {split}", hint="--split all judges every one")
    return split, images[: options.limit]


# Sentences of a result file


def said_by_results(
    captions: CaptionSet, images: Sequence[Captioned], path: Path, partial: bool, reporter: Reporter
) -> Said:
    """The sentences of a result file for these pictures.

    Args:
        partial: it may lack some.

    Raises:
        InputError: it is no result file, has a picture that is not in the data set, or lacks one.
    """
    found = read_results(path)
    keys = dict(zip((image.name for image in captions.images), result_keys(captions), strict=True))
    known = set(keys.values())
    if unknown := [key for key in found if key not in known]:
        raise InputError(
            f"{path}: {len(unknown):,} of {len(found):,} ids are no picture of {captions.source}, "
            f"the first {unknown[0]!r} (there they are such as {next(iter(keys.values()))!r})"
        )
    there = tuple(image for image in images if keys[image.name] in found)
    if len(there) < len(images):
        absent = next(keys[image.name] for image in images if keys[image.name] not in found)
        told = f"{len(images) - len(there):,} of {len(images):,} pictures have no sentence, the first {absent!r}"
        if not partial or not there:
            raise InputError(
                f"{path}: {told}",
                hint="--partial judges those that have one" if there else "--split names what is judged",
            )
        reporter.note(f"{told}: they are left out")
    if more := len(found) - len(there):
        reporter.note(f"{more:,} of {len(found):,} sentences of {path} are for pictures that are not judged")
    texts = tuple(found[keys[image.name]] for image in there)
    return Said(RESULTS, there, tuple(tuple(tokenize(text)) for text in texts), texts)


# Sentences of models


class Looker:
    """Gives the features that models look at, of a file or of their networks.

    Raises:
        InputError, WeightsError, DownloadError: a network cannot be had, or the file has not the features of a model.
    """

    def __init__(
        self,
        captions: CaptionSet,
        models: Sequence[CaptionModel],
        caption: CaptionOptions,
        path: Path | None,
        reporter: Reporter,
    ) -> None:
        self.captions, self.path, self.given = captions, path, None
        if path is None:
            self.describers = describers_of(models, caption, reporter)
            return
        self.given = read_features_mat(path)
        for model in models:
            if self.given.shape[1] != model.feature.numbers:
                raise InputError(
                    f"{path} has {self.given.shape[1]:,} numbers for a picture; "
                    f"{model.folder} was trained on {model.feature.numbers:,}"
                )

    def look(self, images: Sequence[Captioned], models: int, task: str) -> tuple[list[np.ndarray], dict[int, str]]:
        """Features float16 `(images, numbers)` for each of the first models, and which pictures cannot be read."""
        if self.given is not None:
            return [given_features(images, self.given, self.path)] * models, {}
        files = [self.captions.file(image) for image in images]
        seen = {id(each): each.look(files, task=task) for each in self.describers[:models]}
        bad = {number: why for each in seen.values() for number, why in each.bad.items()}
        return [seen[id(each)].values for each in self.describers[:models]], bad


def said_by_models(
    captions: CaptionSet,
    images: Sequence[Captioned],
    words: Mapping[str, Sequence[Tokens]],
    models: Sequence[CaptionModel],
    caption: CaptionOptions,
    options: EvaluateCaptionOptions,
    reporter: Reporter,
) -> Said:
    """What models say of pictures, how well they foresee the references, and what is said of pictures like these.

    Args:
        words: name of a picture -> the tokens of its captions.

    Raises:
        InputError: no picture can be read; a feature is missing.
        WeightsError, DownloadError: the network of a model cannot be had.
    """
    beam = decoding_of(replace(caption, n=1))
    assert isinstance(beam, BeamOptions)  # noqa: S101  check_options() saw to it
    decoders = [model.decoder for model in models]
    speaker = Speaker(decoders, caption.weights)
    looker = Looker(captions, models, caption, options.features, reporter)
    features, bad = looker.look(images, len(models), "features")
    kept = [number for number in range(len(images)) if number not in bad]
    if not kept:
        raise InputError(f"none of the {len(images):,} pictures can be read: {next(iter(bad.values()))}")
    skipped = tuple((captions.file(images[number]), why) for number, why in sorted(bad.items()))
    images, features = tuple(images[number] for number in kept), [each[kept] for each in features]

    vocabulary = models[0].vocabulary
    tokens, log_probs = [], []
    batch = min(caption.batch, len(images))
    reporter.begin("captions", len(images), "pictures")
    for start in range(0, len(images), batch):
        # Pictures that are missing in the last batch are of no interest; without them it would be traced anew.
        shown = [padded(each[start : start + batch], batch) for each in features]
        for hypotheses in speaker.search(shown, beam)[: len(images) - start]:
            tokens.append(tuple(vocabulary.decode(hypotheses[0].tokens)) if hypotheses else ())
            log_probs.append(hypotheses[0].log_prob if hypotheses else -math.inf)
        reporter.advance(len(tokens))
    reporter.end()

    longest = models[0].config.get("options", {}).get("longest", TrainCaptionOptions.longest)
    references = sentences_of([words[image.name] for image in images], vocabulary, longest)
    likelihood = Likelihood(decoders, caption.weights)
    nats = likelihood.nats_per_token(features, references)
    gain = None
    if len(images) > 1:
        gain = likelihood.nats_per_token(features, references, other_pictures(len(images))) - nats
    nearest = None
    if options.baselines:
        nearest = said_of_nearest(looker, images, features[0], decoders[0], reporter)
    return Said(
        MODEL, images, tuple(tokens), tuple(map(detokenize, tokens)), tuple(log_probs),
        Fit(nats, gain, len(vocabulary) - len(MARKS)), nearest, skipped,
    )  # fmt: skip


def said_of_nearest(
    looker: Looker, images: Sequence[Captioned], features: np.ndarray, decoder: Decoder, reporter: Reporter
) -> tuple[Tokens, ...] | None:
    """Of each picture, the first caption of the training picture that is most like it: what needs no decoder.

    Args:
        features: of the pictures, for the first model.
        decoder: of that model.

    Returns:
        None if there is no other training picture.
    """
    judged = {image.name for image in images}
    training = [image for image in looker.captions.part("train").images if image.name not in judged]
    if not training:
        reporter.note("There are no training pictures: none is looked for that is like those judged")
        return None
    (values,), bad = looker.look(training, 1, "features (train)")
    if bad:
        reporter.note(f"{len(bad):,} training pictures cannot be read, and are left out: {next(iter(bad.values()))}")
    kept = [number for number in range(len(training)) if number not in bad]
    if not kept:
        return None
    mean, scale = (ops.convert_to_numpy(each.value) for each in (decoder.standard.mean, decoder.standard.scale))
    places = nearest_rows(features, values[kept], mean, scale)
    return tuple(tuple(tokenize(training[kept[place]].captions[0])) for place in places)


def nearest_rows(features: np.ndarray, others: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Of each feature, the one among others whose angle to it is the smallest, both standardised.

    Args:
        features: `(n, numbers)`; others: `(m, numbers)`.
        mean, scale: `(numbers,)`, as `Decoder.standardise` sets them.

    Returns:
        int `(n,)`; of equals the first.
    """

    def directions(values: np.ndarray) -> np.ndarray:
        values = (values.astype("float32") - mean) * scale
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)

    own = directions(features)
    best, places = np.full(len(own), -np.inf), np.zeros(len(own), int)
    for start in range(0, len(others), AT_ONCE):
        cosines = own @ directions(others[start : start + AT_ONCE]).T
        nearest = cosines.argmax(axis=1)
        found = cosines[np.arange(len(own)), nearest]
        places[found > best] = start + nearest[found > best]
        best = np.maximum(best, found)
    return places


# What is written


def write_sentences(
    result: EvaluatedCaptions, said: Said, captions: CaptionSet, outputs: Outputs, reporter: Reporter
) -> None:
    """Write the sentences, as far as they are wanted.

    Raises:
        InputError: a file cannot be written.
    """
    if outputs.table is not None:
        write_table(outputs.table, result.rows[0], said)
    if outputs.results is not None:
        keys = dict(zip((image.name for image in captions.images), result_keys(captions), strict=True))
        write_results(
            outputs.results, [(keys[image.name], text) for image, text in zip(said.images, said.captions, strict=True)]
        )
    if outputs.sheet is not None:
        files = [captions.file(image) for image in said.images[:SHEET]]
        draw_sheet(outputs.sheet, files, said.captions[:SHEET], reporter)


def write_table(path: Path, judged: Judged, said: Said) -> None:
    """Write a row for each picture: its sentence, what it got, and the references.

    Raises:
        InputError: the file cannot be written.
    """
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for number, (image, text) in enumerate(zip(said.images, said.captions, strict=True)):
            log_prob = f"{said.log_probs[number]:.6g}" if said.log_probs else ""
            scores = (f"{each:.6g}" for each in judged.each[number])
            table.writerow((image.name, text, *scores, log_prob, BETWEEN.join(image.captions)))


def draw_sheet(path: Path, files: Sequence[Path], texts: Sequence[str], reporter: Reporter) -> None:
    """Draw pictures with their sentences beneath; those that cannot be read are left out.

    Raises:
        InputError: none can be read, or the file cannot be written.
    """
    cells = []
    for file, text in zip(files, texts, strict=True):
        try:
            cells.append((fit(load_image(file), CELL), "\n".join(textwrap.wrap(text, LINE))))
        except InputError as error:
            reporter.note(f"Not on the sheet: {error}")
    rows = [cells[start : start + ACROSS] for start in range(0, len(cells), ACROSS)]
    sheet = contact_sheet(
        [[image for image, _ in row] for row in rows], captions=[[text for _, text in row] for row in rows], cell=CELL
    )
    save_image(path, sheet)
