"""`imgnn train`: a group, with a command for each kind of sentences that are learnt."""

import itertools
import shlex
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imgnn.cli import console
from imgnn.cli.parsing import (
    MACHINE,
    SHARE,
    UNSAID,
    Precision,
    parse_part,
    parse_positive,
    parse_seconds,
    parse_weight,
    was_given,
)
from imgnn.cli.sentences import DATA, Form, Images, SkipMissing, option
from imgnn.cli.train_show import show_report, tell
from imgnn.errors import InputError
from imgnn.options import TrainCaptionOptions, option_name
from imgnn.runs import Reporter

if TYPE_CHECKING:
    from imgnn.data.captions import CaptionSet

RUN, FEATURE, DECODER, TRAINING = "The run", "The feature", "The decoder", "Training"
WRITTEN = Literal["karpathy", "coco", "flickr", "neuraltalk2", "csv", "jsonl"]
READING = ("source", "form", "images", "val_share", "seed")
ALONE = {  # what needs few other options, and those that it takes
    "resume": ("json",),
    "check": (*READING, "json", "skip_missing", "minimum", "workers"),
    "write": (*READING, "write_form"),
}

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def train() -> None:
    """Teach a decoder to write sentences for pictures.

    \b
    Example:
      imgnn train caption captions.jsonl -o captions_run
    """


@app.command()
def caption(
    context: typer.Context,
    source: Annotated[
        Path | None,
        typer.Argument(metavar="DATA", help="Captions: a file, or a folder that has one.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON object on stdout.")] = False,
    output: Annotated[
        Path | None,
        option(
            RUN, "The run's folder. \\[default: DATA_run, in this folder]", "--output", "-o", metavar="RUN", **UNSAID
        ),
    ] = None,
    resume: Annotated[
        Path | None, option(RUN, "Go on with a run that was stopped; alone.", metavar="RUN", **UNSAID)
    ] = None,
    check: Annotated[bool, option(RUN, "Only tell what is in DATA, and what is wrong with it.", "--check")] = False,
    write: Annotated[
        Path | None,
        option(
            RUN,
            "Only write DATA in another form: .json, .jsonl, .csv, .tsv, .token.txt.",
            metavar="FILE",
            **UNSAID,
        ),
    ] = None,
    write_form: Annotated[
        WRITTEN | None, option(RUN, "With --write: which form. \\[default: by the suffix; of .json karpathy]", **UNSAID)
    ] = None,
    seed: Annotated[int, option(RUN, "Of everything that is drawn at random.", min=0)] = TrainCaptionOptions.seed,
    patience: Annotated[
        int | None,
        option(RUN, "End after so many epochs without a better CIDEr-D; 0: never.", metavar="EPOCHS", min=0),
    ] = TrainCaptionOptions.patience,
    save_every: Annotated[
        Any,
        option(
            RUN,
            "Between two checkpoints within an epoch: 90s, 5m. \\[default: 60s]",
            parser=parse_seconds,
            metavar="TIME",
            **UNSAID,
        ),
    ] = None,
    form: Form = None,
    images: Images = TrainCaptionOptions.images,
    skip_missing: SkipMissing = TrainCaptionOptions.skip_missing,
    val_share: Annotated[
        float,
        option(DATA, "The part that is kept to judge by, where DATA has no split.", parser=parse_part, metavar="0..1"),
    ] = TrainCaptionOptions.val_share,
    minimum: Annotated[
        int, option(DATA, "Times that a word is seen in training captions, else it is UNK.", min=1)
    ] = TrainCaptionOptions.minimum,
    longest: Annotated[
        int, option(DATA, "Words of a caption that are trained on.", min=1)
    ] = TrainCaptionOptions.longest,
    network: Annotated[
        str, option(FEATURE, "A name of imgnn networks, a run, a .keras or .caffemodel file.", "--network", "-n")
    ] = TrainCaptionOptions.network,
    layers: Annotated[
        str | None,
        option(
            FEATURE,
            "Layers whose values, side by side, tell of a picture: fc7. \\[default: what suits the network]",
            metavar="A,B,...",
            **UNSAID,
        ),
    ] = None,
    size: Annotated[
        int | None, option(FEATURE, "Pixels, both sides. \\[default: the network's own]", min=16, **UNSAID)
    ] = TrainCaptionOptions.size,
    features: Annotated[
        Path | None,
        option(FEATURE, "Features that are there already: Karpathy's vgg_feats.mat.", metavar="FILE.mat", **UNSAID),
    ] = TrainCaptionOptions.features,
    mirror: Annotated[
        bool, option(FEATURE, "Train on mirrored pictures, too.", "--mirror/--no-mirror")
    ] = TrainCaptionOptions.mirror,
    cell: Annotated[Literal["lstm", "gru"], option(DECODER, "The recurrent layer.")] = TrainCaptionOptions.cell,
    depth: Annotated[int, option(DECODER, "Recurrent layers.", min=1)] = TrainCaptionOptions.depth,
    hidden: Annotated[int, option(DECODER, "Units of each.", min=1)] = TrainCaptionOptions.hidden,
    embedding: Annotated[
        int, option(DECODER, "Numbers for a word, and for the picture.", min=1)
    ] = TrainCaptionOptions.embedding,
    tied: Annotated[
        bool, option(DECODER, "The words' embedding is the output's kernel, too.", "--tied")
    ] = TrainCaptionOptions.tied,
    epochs: Annotated[int, option(TRAINING, "Times through the captions.", min=1)] = TrainCaptionOptions.epochs,
    batch: Annotated[int, option(TRAINING, "Captions in one step.", min=1)] = TrainCaptionOptions.batch,
    learning_rate: Annotated[
        float, option(TRAINING, "The largest, of Adam.", parser=parse_positive, metavar="FLOAT")
    ] = TrainCaptionOptions.learning_rate,
    schedule: Annotated[
        Literal["constant", "cosine", "one-cycle"], option(TRAINING, "How it goes on.")
    ] = TrainCaptionOptions.schedule,
    dropout: Annotated[
        float, option(TRAINING, "Share of values that are dropped.", parser=parse_part, metavar="0..1")
    ] = TrainCaptionOptions.dropout,
    clip: Annotated[
        float,
        option(TRAINING, "The largest norm of all gradients together; 0: any.", parser=parse_weight, metavar="FLOAT"),
    ] = TrainCaptionOptions.clip,
    weight_decay: Annotated[
        float, option(TRAINING, "How much weights shrink.", parser=parse_weight, metavar="FLOAT")
    ] = TrainCaptionOptions.weight_decay,
    smoothing: Annotated[
        float,
        option(TRAINING, "Share of the target that goes to all words alike.", parser=parse_part, metavar="0..1"),
    ] = TrainCaptionOptions.smoothing,
    scheduled_sampling: Annotated[
        float, option(TRAINING, "Share of words, at the end, that are the decoder's own.", **SHARE)
    ] = TrainCaptionOptions.scheduled_sampling,
    average: Annotated[
        int, option(TRAINING, "Epochs whose weights are averaged at the end, if that is better.", min=0)
    ] = TrainCaptionOptions.average,
    finetune_after: Annotated[
        int | None,
        option(
            TRAINING,
            "Epochs after which the network is trained along. \\[default: never]",
            metavar="EPOCHS",
            min=0,
            **UNSAID,
        ),
    ] = TrainCaptionOptions.finetune_after,
    network_rate: Annotated[
        float, option(TRAINING, "The network's learning rate, then.", parser=parse_positive, metavar="FLOAT")
    ] = TrainCaptionOptions.network_rate,
    precision: Precision = TrainCaptionOptions.precision,
    workers: Annotated[
        int | None, option(MACHINE, "Pictures read at once. \\[default: one for each core]", min=1, **UNSAID)
    ] = TrainCaptionOptions.workers,
) -> None:
    """Train a decoder that writes captions: a picture's feature, then word by word.

    DATA is Karpathy's dataset.json, COCO's captions JSON, Flickr8k's token file,
    neuraltalk2's list, JSON lines, CSV, or a folder of photo.jpg and photo.txt.

    \b
    Example:
      imgnn train caption flickr8k/ --check
      imgnn train caption flickr8k/ -o flickr8k_run
      imgnn caption photo.jpg --model flickr8k_run
    """
    given = [name for name in context.params if was_given(context, name)]
    check_together(given)
    reporter = console.reporter()
    if resume is not None:
        from imgnn.training.run_folder import read_config

        read_config(resume, "caption")  # a mistyped name should not wait for Keras
        from imgnn.jobs.train_caption import resume_caption

        try:
            done = resume_caption(resume, reporter)
        finally:
            reporter.end()
        tell(done, json=json)
        return
    if source is None:
        raise typer.BadParameter("DATA is expected: captions in a file or folder; or --resume RUN")
    if not source.exists():
        raise InputError(f"no such file or folder: {console.shown(source)}")  # before Keras wakes
    names = {field.name for field in fields(TrainCaptionOptions)}
    said = {name: context.params[name] for name in given if name in names}
    if layers is not None:
        said["layers"] = tuple(word.strip() for word in layers.split(","))
        if not all(said["layers"]):
            raise typer.BadParameter(f"names with commas between them are expected, not {layers!r}")
    if patience == 0:
        said["patience"] = None
    options = TrainCaptionOptions(**said)
    if check:
        check_data(source, options, reporter, json=json)
        return
    if write is not None:  # as DATA has it: a val is drawn only if one is asked for
        share = options.val_share if "val_share" in given else 0.0
        write_data(source, write, write_form, options, reporter, val_share=share)
        return
    folder = output or run_name(source)
    from imgnn.jobs.train_caption import train_caption  # TensorFlow wakes here, not at --help

    command = shlex.join(["imgnn", *sys.argv[1:]])
    try:
        done = train_caption(source, folder, options, reporter, command=command)
    finally:
        reporter.end()
    tell(done, json=json)


def check_data(source: Path, options: TrainCaptionOptions, reporter: Reporter, *, json: bool) -> None:
    """Tell what is in captions, and what is wrong with them; no Keras.

    Raises:
        InputError: there is something that cannot be worked with.
    """
    from imgnn.data.caption_checks import check_captions
    from imgnn.language.tokens import tokenize

    try:
        report = check_captions(
            read_data(source, options, reporter, val_share=options.val_share),
            tokenize,
            reporter,
            minimum=options.minimum,
            workers=options.workers,
            skip_missing=options.skip_missing,
        )
    finally:
        reporter.end()
    console.print_json(asdict(report)) if json else show_report(report)
    errors = [finding for finding in report.findings if finding.severity == "error"]
    if errors:
        raise InputError(f"{console.shown(source)} cannot be trained on as it is: {errors[0].message}")


def write_data(
    source: Path, path: Path, form: str | None, options: TrainCaptionOptions, reporter: Reporter, *, val_share: float
) -> None:
    """Write captions in another form; no Keras.

    Raises:
        InputError: they would take the place of those they are read from, or cannot be written in this form.
    """
    from imgnn.data.caption_files import write_captions

    if path.exists() and path.samefile(source):
        raise InputError(f"--write would replace {console.shown(source)}, which is read", hint="another name")
    write_captions(read_data(source, options, reporter, val_share=val_share), path, form)
    console.show_path(path)


def read_data(source: Path, options: TrainCaptionOptions, reporter: Reporter, *, val_share: float) -> "CaptionSet":
    """The captions; their pictures need not be there."""
    from imgnn.data.caption_files import read_captions

    return read_captions(
        source,
        form=options.form,
        images=options.images,
        need_images=False,
        val_share=val_share,
        seed=options.seed,
        reporter=reporter,
    )


def check_together(given: list[str]) -> None:
    """Refuse options of which one says what the others are for."""
    first = next((name for name in ALONE if name in given), None)
    if first is None:
        if "write_form" in given:
            raise typer.BadParameter("goes with --write only", param_hint="--write-form")
        return
    if others := [name for name in given if name not in (first, *ALONE[first])]:
        if others == ["source"]:
            raise typer.BadParameter("the run knows its captions: no DATA goes with it", param_hint="--resume")
        other = next(name for name in others if name != "source")
        raise typer.BadParameter(f"does not go with {option_name(other)}", param_hint=option_name(first))


def run_name(source: Path) -> Path:
    """`flickr8k_run` for flickr8k/ and flickr8k.json, in this folder; `flickr8k_run_2` if there is one."""
    stem = source.resolve().name if source.is_dir() else source.name.partition(".")[0]
    names = itertools.chain([f"{stem}_run"], (f"{stem}_run_{number}" for number in itertools.count(2)))
    return next(Path(name) for name in names if not Path(name).exists())
