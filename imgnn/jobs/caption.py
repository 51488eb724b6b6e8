"""`imgnn caption`: sentences for pictures, by one trained model or the mean of several."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imgnn.errors import InputError
from imgnn.images.files import check_any_readable, find_images, save_image
from imgnn.jobs.caption_explain import draw, explain
from imgnn.jobs.features import padded
from imgnn.jobs.picture_features import Extracted
from imgnn.jobs.sentence_model import Speaker, extractors_of, load_caption_models
from imgnn.language.beam import BeamOptions
from imgnn.language.rules import Beams, Hypothesis
from imgnn.language.sample import SampleOptions
from imgnn.language.tokens import detokenize
from imgnn.language.vocabulary import UNK
from imgnn.options import CaptionOptions
from imgnn.runs import Reporter, Silent, check_folder, is_file, is_folder


@dataclass(frozen=True)
class Caption:
    """A sentence for a picture, and how probable the model finds it.

    Attributes:
        text: as one reads it: lower-case, without a period.
        tokens: its words.
        log_probs: of each token, natural logarithm; of the end too, as the last, if it was reached.
        finished: whether it was; otherwise the sentence stops in the middle.
    """

    text: str
    tokens: tuple[str, ...]
    log_probs: tuple[float, ...]
    finished: bool

    @property
    def log_prob(self) -> float:
        """Of the whole sentence."""
        return sum(self.log_probs)

    @property
    def per_token(self) -> float:
        """The mean of `log_probs`: sentences of any length compare."""
        return self.log_prob / max(1, len(self.log_probs))


@dataclass(frozen=True)
class CaptionedImage:
    """One picture and what is said of it.

    Attributes:
        path: as it was given, or found in a folder.
        captions: the best first, drawn ones as they were drawn; empty if the picture could not be read.
        error: why it could not be read, else None.
        explained: the sheet that was drawn for the first caption.
    """

    path: Path
    captions: tuple[Caption, ...] = ()
    error: InputError | None = None
    explained: Path | None = None


def caption_images(
    paths: Iterable[str | Path],
    options: CaptionOptions,
    reporter: Reporter | None = None,
    *,
    explain_in: Path | None = None,
) -> Iterator[CaptionedImage]:
    """Write captions for pictures, in their order; each result comes as soon as its batch is through.

    Args:
        paths: as `find_images` takes them: files, folders, patterns.
        explain_in: a folder for sheets that show which places speak for which word, `<stem>.png` each; it is made.

    Returns:
        An iterator over one result for each picture. A picture that cannot be read is a result with its
        `error`, never the end; only if it was the one picture named does the error come itself.

    Raises:
        InputError: no picture was named, or none of them can be opened; options or models do not go together; there is
            no model.
        WeightsError: a model and its network do not fit each other.
        DownloadError: the network cannot be had.
    """
    reporter = reporter or Silent()
    options.check()
    files = find_images(paths)
    check_any_readable(files)  # a mistyped name should not wait for a network
    if explain_in is not None:
        check_explanations(files, explain_in)
    return Captioner(options, reporter).results(files, explain_in)


def check_explanations(files: Sequence[Path], folder: Path) -> None:
    """See that sheets can be written, and take no picture's place.

    Raises:
        InputError: they cannot, or would.
    """
    if is_file(folder):
        raise InputError(f"{folder} is a file; explanations want a folder")
    check_folder(sheet_path(folder, files[0]) if is_folder(folder) else folder)
    if any(file.parent.resolve() == folder.resolve() for file in files):
        raise InputError(f"{folder} holds the pictures; their explanations want a folder of their own")
    check_distinct({file: sheet_path(folder, file) for file in files})


def check_distinct(made: dict[Path, Path]) -> None:
    """See to it that no two pictures write the same file.

    Args:
        made: picture -> what is written for it.

    Raises:
        InputError: two do.
    """
    by: dict[Path, Path] = {}
    for picture, target in made.items():
        if (other := by.setdefault(target, picture)) != picture:
            raise InputError(f"{other} and {picture} would both write {target}")


def sheet_path(folder: Path, picture: Path) -> Path:
    """Where the explanation of a picture is written."""
    return folder / f"{picture.stem}.png"


class Captioner:
    """Models and what looks at pictures for them, loaded once.

    Attributes:
        extractors: for each model; models of the same feature share one.
    """

    def __init__(self, options: CaptionOptions, reporter: Reporter) -> None:
        self.options, self.reporter = options, reporter
        self.models = load_caption_models(options)
        self.vocabulary = self.models[0].vocabulary
        self.speaker = Speaker([model.decoder for model in self.models], options.weights)
        self.extractors = extractors_of(self.models, options, reporter)
        self.portion = Portion(reporter)
        for extractor in self.extractors:
            extractor.reporter = self.portion

    def results(
        self, files: Sequence[Path], explain_in: Path | None = None, options: CaptionOptions | None = None
    ) -> Iterator[CaptionedImage]:
        """The stream behind `caption_images`, after everything that can be checked was.

        Args:
            options: how these pictures' captions are looked for; None: as this was made.
        """
        decoding = decoding_of(options or self.options)
        # An explanation is far more work than a caption: the first one should not wait for the captions of others.
        batch = self.options.batch if explain_in is None else 1
        if len(files) > 1:
            self.reporter.begin("captioning", len(files), "pictures")
        for start in range(0, len(files), batch):
            group = files[start : start + batch]
            features, bad = self.look(group, start)
            self.reporter.advance(start + len(group))
            # Of one shape, so that the backend traces once.
            rows = len(group) if len(files) <= batch else batch
            beams = self.speak([padded(each, rows) for each in features], group, decoding)
            for number, (path, beam) in enumerate(zip(group, beams, strict=False)):
                error = InputError(bad[number]) if number in bad else None
                if error and len(files) == 1:
                    raise error
                found = CaptionedImage(path, () if error else tuple(map(self.caption, beam)), error)
                if explain_in is not None and found.captions:
                    found = replace(found, explained=self.explain(found, beam[0], sheet_path(explain_in, path)))
                yield found
        self.reporter.end()

    def look(self, files: Sequence[Path], before: int) -> tuple[list[np.ndarray], dict[int, str]]:
        """The features of pictures for each model, `(n, numbers)`, and which cannot be read.

        Args:
            before: pictures that are done, for the progress.
        """
        different = {id(each): each for each in self.extractors}
        seen: dict[int, Extracted] = {}
        bad: dict[int, str] = {}
        self.portion.share = 1 / len(different)
        for number, (name, extractor) in enumerate(different.items()):
            self.portion.before = before + len(files) * number / len(different)
            seen[name] = extractor.extract(files)
            bad |= seen[name].bad
        return [seen[id(each)].values for each in self.extractors], bad

    def speak(
        self, features: Sequence[np.ndarray], files: Sequence[Path], decoding: BeamOptions | SampleOptions
    ) -> Beams:
        """Sentences for features, whose first rows are those of `files`."""
        if isinstance(decoding, BeamOptions):
            return self.speaker.search(features, decoding)
        # By what is in the file: the same picture is told the same wherever it lies, and in whatever company.
        digests = self.extractors[0].cache.digests(files)
        keys = [int.from_bytes((digest or b"")[:8], "big") for digest in digests]
        return self.speaker.sample(features, decoding, keys + [0] * (len(features[0]) - len(keys)))

    def caption(self, said: Hypothesis) -> Caption:
        """A sentence in words."""
        words = tuple(self.vocabulary.decode(said.tokens))
        return Caption(detokenize(words), words, said.log_probs, said.finished)

    def explain(self, result: CaptionedImage, said: Hypothesis, path: Path) -> Path:
        """Draw which places speak for the words of a sentence."""
        evidence = explain(self.speaker, self.extractors, self.vocabulary, result.path, said.tokens)
        path.parent.mkdir(exist_ok=True)
        save_image(path, draw(evidence, result.captions[0].text))
        return path


class Portion:
    """A reporter for looks at some of the pictures, which are most of the work: it counts them as parts of the whole.

    Attributes:
        before: what of the whole is done.
        share: of the whole, for one picture that is looked at.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.reporter, self.note = reporter, reporter.note
        self.before, self.share = 0.0, 1.0

    def begin(self, task: str, total: float | None, unit: str = "") -> None: ...

    def end(self) -> None: ...

    def advance(self, done: float, **facts: float) -> None:
        self.reporter.advance(self.before + self.share * done, **facts)


def decoding_of(options: CaptionOptions) -> BeamOptions | SampleOptions:
    """How captions are looked for, or drawn.

    Raises:
        InputError: a number is out of its range.
    """
    ban = () if options.unk else (UNK,)
    if options.drawn:
        return SampleOptions(
            max_length=options.max_length,
            min_length=options.min_length,
            no_repeat_ngram=options.no_repeat_ngram,
            ban=ban,
            n=options.n,
            temperature=1.0 if options.temperature is None else options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=options.seed,
        )
    return BeamOptions(
        max_length=options.max_length,
        min_length=options.min_length,
        no_repeat_ngram=options.no_repeat_ngram,
        ban=ban,
        n=options.n,
        beam_width=options.width,
        length_penalty=options.length_penalty,
        groups=options.groups,
        diversity=options.diversity,
    )
