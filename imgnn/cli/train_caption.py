"""`imgnn train caption`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from imgnn.cli import console
from imgnn.cli.early import check_run, check_there
from imgnn.cli.parsing import (
    COUNT,
    NETWORK,
    POSITIVE,
    SHARE,
    UNSAID,
    Json,
    Network,
    Precision,
    Workers,
    option,
    refuse_without,
)
from imgnn.cli.sentences import DATA, Form, Images, SkipMissing
from imgnn.cli.train_options import (
    RUN,
    TRAINING,
    Batch,
    Cell,
    Check,
    Clip,
    Depth,
    Dropout,
    Embedding,
    Epochs,
    Hidden,
    Layers,
    LearningRate,
    Mirror,
    Output,
    Resume,
    SaveEvery,
    Schedule,
    Seed,
    Size,
    Smoothing,
    Tied,
    ValShare,
    WeightDecay,
    check_together,
    given_in,
    options_in,
    run_name,
    typed,
)
from imgnn.cli.train_show import show_report, tell
from imgnn.errors import InputError
from imgnn.options import TrainCaptionOptions
from imgnn.runs import Reporter

if TYPE_CHECKING:
    from imgnn.data.captions import CaptionSet

WRITTEN = Literal["karpathy", "coco", "flickr", "neuraltalk2", "csv", "jsonl"]
READING = ("source", "form", "images", "val_share", "seed")
ALONE = {  # what needs few other options, and those that it takes
    "resume": ("json",),
    "check": (*READING, "json", "skip_missing", "minimum", "workers"),
    "write": (*READING, "write_form", "json"),
}


def caption(
    context: typer.Context,
    source: Annotated[
        Path | None,
        typer.Argument(metavar="DATA", help="Captions: a file, or a folder that has one.", show_default=False),
    ] = None,
    json: Json = False,
    output: Output = None,
    resume: Resume = None,
    check: Check = False,
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
        WRITTEN | None,
        option(
            RUN,
            "With --write: karpathy, coco, flickr, neuraltalk2, csv, jsonl. "
            "\\[default: by the suffix; of .json karpathy]",
            metavar="FORM",
            **UNSAID,
        ),
    ] = None,
    seed: Seed = TrainCaptionOptions.seed,
    patience: Annotated[
        int | None, option(RUN, "End after so many epochs without a better CIDEr-D; 0: never.", metavar="EPOCHS", min=0)
    ] = TrainCaptionOptions.patience,
    save_every: SaveEvery = None,
    form: Form = None,
    images: Images = TrainCaptionOptions.images,
    skip_missing: SkipMissing = TrainCaptionOptions.skip_missing,
    val_share: ValShare = TrainCaptionOptions.val_share,
    minimum: Annotated[
        int, option(DATA, "Times that a word is seen in training captions, else it is UNK.", **COUNT)
    ] = TrainCaptionOptions.minimum,
    longest: Annotated[
        int, option(DATA, "Words of a caption that are trained on.", **COUNT)
    ] = TrainCaptionOptions.longest,
    network: Network = TrainCaptionOptions.network,
    layers: Layers = None,
    size: Size = TrainCaptionOptions.size,
    features: Annotated[
        Path | None,
        option(NETWORK, "Features in place of a network: Karpathy's vgg_feats.mat.", metavar="FILE", **UNSAID),
    ] = TrainCaptionOptions.features,
    mirror: Mirror = TrainCaptionOptions.mirror,
    cell: Cell = TrainCaptionOptions.cell,
    depth: Depth = TrainCaptionOptions.depth,
    hidden: Hidden = TrainCaptionOptions.hidden,
    embedding: Embedding = TrainCaptionOptions.embedding,
    tied: Tied = TrainCaptionOptions.tied,
    epochs: Epochs = TrainCaptionOptions.epochs,
    batch: Batch = TrainCaptionOptions.batch,
    learning_rate: LearningRate = TrainCaptionOptions.learning_rate,
    schedule: Schedule = TrainCaptionOptions.schedule,
    dropout: Dropout = TrainCaptionOptions.dropout,
    clip: Clip = TrainCaptionOptions.clip,
    weight_decay: WeightDecay = TrainCaptionOptions.weight_decay,
    smoothing: Smoothing = TrainCaptionOptions.smoothing,
    scheduled_sampling: Annotated[
        float, option(TRAINING, "Share of words, at the end, that are the decoder's own.", **SHARE)
    ] = TrainCaptionOptions.scheduled_sampling,
    average: Annotated[
        int, option(TRAINING, "Epochs whose weights are averaged at the end, if that is better.", metavar="N", min=0)
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
        float, option(TRAINING, "With --finetune-after: the network's learning rate.", **POSITIVE)
    ] = TrainCaptionOptions.network_rate,
    precision: Precision = TrainCaptionOptions.precision,
    workers: Workers = TrainCaptionOptions.workers,
) -> None:
    """Train a decoder that writes captions: a picture's feature, then word by word.

    DATA is Karpathy's dataset.json, COCO's captions JSON, Flickr8k's token file,
    neuraltalk2's list, JSON lines, CSV, or a folder of photo.jpg and photo.txt.

    \b
    Example:
      imgnn train caption captions.jsonl --check
      imgnn train caption captions.jsonl --learning-rate 0.004 -o captions_run
      imgnn caption boat.jpg --model captions_run
    """
    given = given_in(context)
    check_together(given, ALONE, "source")
    if "write_form" in given and write is None:
        refuse_without("--write-form", "--write")
    reporter = console.reporter()
    if resume is not None:
        folder = resume
        check_run(folder, "caption")
        from imgnn.jobs.train_caption import resume_caption

        tell(console.ending(reporter, lambda: resume_caption(folder, reporter)), json=json)
        return
    if source is None:
        raise typer.BadParameter("DATA is expected: captions in a file or folder; or --resume RUN")
    check_there([source])
    options = options_in(context, TrainCaptionOptions)
    if check:
        check_data(source, options, reporter, json=json)
        return
    if write is not None:  # as DATA has it: a val is drawn only if one is asked for
        share = options.val_share if "val_share" in given else 0.0
        write_data(source, write, write_form, options, reporter, val_share=share, json=json)
        return
    data, folder = source, output or run_name(source)
    options.check()
    from imgnn.jobs.train_caption import train_caption  # TensorFlow wakes here, not at --help

    done = console.ending(reporter, lambda: train_caption(data, folder, options, reporter, command=typed()))
    tell(done, json=json)
    if not json and options.features is None:  # features in a file are of whatever network they say
        console.tell_finer(context, "googlenet")


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
    source: Path,
    path: Path,
    form: str | None,
    options: TrainCaptionOptions,
    reporter: Reporter,
    *,
    val_share: float,
    json: bool,
) -> None:
    """Write captions in another form; no Keras.

    Raises:
        InputError: they would take the place of those they are read from, or cannot be written in this form.
    """
    from imgnn.data.caption_files import write_captions

    if path.exists() and path.samefile(source):
        raise InputError(f"--write would replace {console.shown(source)}, which is read", hint="another name")
    write_captions(read_data(source, options, reporter, val_share=val_share), path, form)
    console.print_json({"files": [console.shown(path)]}) if json else console.show_path(path)


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
