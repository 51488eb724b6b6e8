"""`imgnn evaluate caption`: how good sentences for pictures are, beside what people say of them.

Keras is imported only where a model writes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imgnn.data.caption_files import find_files, read_captions, read_results, result_keys
from imgnn.data.captions import Captioned, CaptionSet
from imgnn.errors import InputError, OptionError
from imgnn.images.files import check_apart, check_writable
from imgnn.jobs.evaluate_caption_files import Outputs, write_sentences
from imgnn.jobs.evaluate_caption_scores import PEOPLE, RESULTS, RETRIEVAL, Judged, Said, judge
from imgnn.language.meteor import missing
from imgnn.language.metrics import FEW, CiderD, DocumentFrequency, Tokens, check_references
from imgnn.language.tokens import tokenize
from imgnn.options import CaptionOptions, EvaluateCaptionOptions, TrainCaptionOptions
from imgnn.runs import Reporter, Silent, check_folder

if TYPE_CHECKING:
    from imgnn.jobs.sentence_model import SentenceModel


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
        options: where they do not say how `source` is read, and the first model was trained on it, it is read as then.
        caption: models, and how their sentences are looked for: of each picture the best of beam search is judged.
            None: the sentences are those of `options.results`, or, if that is None too, only people are judged.

    Raises:
        InputError: captions, pictures, options or results do not fit each other, nothing is left to be judged, or an
            output cannot be written.
        UnknownNameError, WeightsError, DownloadError: a model or its network cannot be had.
    """
    options, reporter, outputs = options or EvaluateCaptionOptions(), reporter or Silent(), outputs or Outputs()
    check_options(options, caption, outputs)
    frequency = DocumentFrequency.load(options.document_frequency) if options.document_frequency else None
    models: list[SentenceModel] = []
    if caption:
        from imgnn.jobs.evaluate_caption_models import said_by_models
        from imgnn.jobs.sentence_model import load_caption_models

        models = load_caption_models(caption)
        options = as_trained(source, options, caption, models)
    check_inputs(source, options, outputs)
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
    rows = judge_all(captions, said, references, frequency, options, reporter)
    if outputs.document_frequency is not None:
        DocumentFrequency.of(references).save(outputs.document_frequency)
    if said is not None:
        write_sentences(said, rows[0], captions, outputs, reporter)
    return EvaluatedCaptions(split, images, sum(map(len, references)), said, tuple(rows))


# What is judged


def check_options(options: EvaluateCaptionOptions, caption: CaptionOptions | None, outputs: Outputs) -> None:
    """Refuse options that do not go together, before minutes of looking at pictures.

    Raises:
        InputError: which, or an output that cannot be written.
    """
    if caption and options.results is not None:
        raise OptionError("the sentences to be judged are those of models or those of a result file, not of both")
    if caption:
        caption.check()
        if caption.drawn:
            raise OptionError("sentences are judged as beam search finds them, not as they are drawn at random")
    elif options.results is None:
        if not options.baselines:
            raise OptionError("nothing would be judged", hint="--model RUN, --results FILE, or people: --baselines")
        if outputs.table or outputs.results or outputs.sheet:
            raise OptionError("there are no sentences to be written", hint="--model RUN or --results FILE")
    if options.limit is not None and options.limit < 1:
        raise OptionError(f"at least 1 picture is judged, not {options.limit}")
    for path in outputs.paths:
        check_folder(path)
    if outputs.sheet is not None:
        check_writable(outputs.sheet)


def as_trained(
    source: Path, options: EvaluateCaptionOptions, caption: CaptionOptions, models: Sequence["SentenceModel"]
) -> EvaluateCaptionOptions:
    """The options; of what they do not say of the data set, what was said when the first model was trained on it.

    A file of features is taken only if all models were trained on it, and no network is named that looks at pictures.
    """
    config = models[0].config
    if config.get("source") != str(source.resolve()):
        return options

    def stored(model: "SentenceModel", name: str) -> Path | None:
        path = model.config.get("options", {}).get(name)
        return Path(path) if path else None

    files = {stored(model, "features") for model in models}
    features = files.pop() if len(files) == 1 and caption.network is None else None
    known = config.get("options", {})
    return replace(
        options,
        form=options.form or known.get("form"),
        images=options.images or stored(models[0], "images"),
        features=options.features or features,
        skip_missing=options.skip_missing or known.get("skip_missing", False),
    )


def check_inputs(source: Path, options: EvaluateCaptionOptions, outputs: Outputs) -> None:
    """See to it that no file is written over one that is read.

    Raises:
        InputError: one would be; or there are no captions.
    """
    given = [options.results, options.document_frequency, options.features]
    read = [*find_files(source, options.form)[0], *(path for path in given if path)]
    for path in outputs.paths:
        check_apart(path, read)


def read_data(
    source: Path, options: EvaluateCaptionOptions, models: Sequence["SentenceModel"], reporter: Reporter
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


# What it is worth


def judge_all(
    captions: CaptionSet,
    said: Said | None,
    references: Sequence[Sequence[Tokens]],
    frequency: DocumentFrequency | None,
    options: EvaluateCaptionOptions,
    reporter: Reporter,
) -> list[Judged]:
    """Judge the sentences, and then the baselines.

    Raises:
        InputError: there is nothing to judge.
    """
    training = {tuple(tokenize(text)) for image in captions.part("train").images for text in image.captions}

    def add(name: str, tokens: Sequence[Tokens], cider: CiderD) -> None:
        rows.append(judge(name, tokens, cider, training, with_meteor=options.meteor))

    rows: list[Judged] = []
    if said:
        cider = CiderD(references, frequency)
        add(said.name, said.tokens, cider)
        if said.nearest is not None:
            add(RETRIEVAL, said.nearest, cider)
    if options.baselines:
        # A picture with one caption tells nothing of how people agree.
        if several := [each for each in references if len(each) > 1]:
            add(PEOPLE, [each[0] for each in several], CiderD([each[1:] for each in several], frequency))
        elif rows:
            reporter.note("Every picture has one caption: how people agree cannot be told")
        else:
            raise InputError(f"every picture of {captions.source} has one caption: how people agree cannot be told")
    return rows


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
