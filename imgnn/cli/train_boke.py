"""`imgnn train boke`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from imgnn.cli import console
from imgnn.cli.early import check_run, check_there
from imgnn.cli.parsing import COUNT, UNSAID, Json, Network, Precision, Workers, option
from imgnn.cli.sentences import DATA, Images, SkipMissing
from imgnn.cli.train_boke_show import show_experiment, show_report, tell
from imgnn.cli.train_options import (
    RUN,
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
from imgnn.errors import InputError
from imgnn.options import Pairing, TrainBokeOptions
from imgnn.runs import Reporter

FORMS = Literal[
    "butsugiri", "can", "hairhair", "yryo1005", "boketedb", "teratsyk", "nishika", "page", "jsonl", "csv",
    "karpathy", "coco", "flickr", "neuraltalk2", "folder",
]  # fmt: skip
Form = Annotated[
    FORMS | None,
    option(
        DATA,
        f"How DATA is written: {', '.join(get_args(FORMS))}. \\[default: by what is in it]",
        metavar="FORM",
        **UNSAID,
    ),
]
READING = ("sources", "form", "images", "val_share", "seed")
ALONE = {  # what needs few other options, and those that it takes
    "resume": ("json",),
    "check": (*READING, "json", "skip_missing", "tokenizer", "ng", "minimum", "longest", "workers"),
}


def boke(
    context: typer.Context,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DATA", help="Boke: files, or folders that have one.", show_default=False),
    ] = None,
    json: Json = False,
    output: Output = None,
    resume: Resume = None,
    check: Check = False,
    experiment: Annotated[
        bool, option(RUN, "30,000 boke of few pictures against 300 of 300, as one table and figure.", "--experiment")
    ] = False,
    seed: Seed = TrainBokeOptions.seed,
    patience: Annotated[
        int | None,
        option(RUN, "End after so many epochs without a better loss of val; 0: never.", metavar="EPOCHS", min=0),
    ] = TrainBokeOptions.patience,
    keep: Annotated[
        Literal["best", "last"],
        option(RUN, "The decoder of the epoch with the smallest loss of val; or of the last, for few boke."),
    ] = TrainBokeOptions.keep,
    save_every: SaveEvery = None,
    form: Form = None,
    images: Images = TrainBokeOptions.images,
    skip_missing: SkipMissing = TrainBokeOptions.skip_missing,
    val_share: ValShare = TrainBokeOptions.val_share,
    tokenizer: Annotated[
        Literal["chars", "words", "sudachi"] | None,
        option(DATA, "What tokens are. \\[default: those of DATA, or what suits its texts]", **UNSAID),
    ] = None,
    ng: Annotated[
        Path | None, option(DATA, "Words, one a line: boke with one of them are left out.", metavar="FILE", **UNSAID)
    ] = None,
    minimum: Annotated[
        int, option(DATA, "Times that a token is seen in training boke, else it is UNK.", **COUNT)
    ] = TrainBokeOptions.minimum,
    shortest: Annotated[
        int, option(DATA, "Tokens of a boke, at least; others are left out.", **COUNT)
    ] = TrainBokeOptions.shortest,
    longest: Annotated[
        int, option(DATA, "Tokens of a boke, at most; others are left out.", **COUNT)
    ] = TrainBokeOptions.longest,
    pairing: Annotated[
        Pairing,
        option(
            DATA,
            "Boke of a picture: many (all), one (at random), best (the one with the most stars), "
            "sampled (one anew each epoch), stars (all, by stars).",
            metavar="PAIRING",
        ),
    ] = TrainBokeOptions.pairing,
    network: Network = TrainBokeOptions.network,
    layers: Layers = None,
    size: Size = TrainBokeOptions.size,
    mirror: Mirror = TrainBokeOptions.mirror,
    cell: Cell = TrainBokeOptions.cell,
    depth: Depth = TrainBokeOptions.depth,
    hidden: Hidden = TrainBokeOptions.hidden,
    embedding: Embedding = TrainBokeOptions.embedding,
    tied: Tied = TrainBokeOptions.tied,
    epochs: Epochs = TrainBokeOptions.epochs,
    batch: Batch = TrainBokeOptions.batch,
    learning_rate: LearningRate = TrainBokeOptions.learning_rate,
    schedule: Schedule = TrainBokeOptions.schedule,
    dropout: Dropout = TrainBokeOptions.dropout,
    clip: Clip = TrainBokeOptions.clip,
    weight_decay: WeightDecay = TrainBokeOptions.weight_decay,
    smoothing: Smoothing = TrainBokeOptions.smoothing,
    precision: Precision = TrainBokeOptions.precision,
    workers: Workers = TrainBokeOptions.workers,
) -> None:
    """Train a decoder that writes boke: funny lines for pictures.

    DATA is JSON lines as butsugiri/bokete and imgnn fetch write them, a can of
    boke (ボケ缶), saved pages, CSV with pictures and texts, or what --form lists.

    \b
    Example:
      imgnn train boke boke.jsonl --check
      imgnn train boke boke.jsonl -o boke_run
      imgnn boke boat.jpg --model boke_run
      imgnn train boke boke.jsonl --experiment --epochs 40 -o experiment
    """
    given = given_in(context)
    check_together(given, ALONE, "sources")
    reporter = console.reporter()
    if resume is not None:
        folder = resume
        check_run(folder, "boke")
        from imgnn.jobs.train_boke import resume_boke

        tell(console.ending(reporter, lambda: resume_boke(folder, reporter)), json=json)
        return
    if not sources:
        raise typer.BadParameter("DATA is expected: boke in a file or folder; or --resume RUN")
    check_there(sources)
    if check:
        check_data(sources, options_in(context, TrainBokeOptions), reporter, json=json)
        return
    if experiment:
        compare(context, sources, output, reporter, json=json)
        return
    data, folder, options = sources, output or run_name(sources[0]), options_in(context, TrainBokeOptions)
    options.check()
    from imgnn.jobs.train_boke import train_boke  # TensorFlow wakes here, not at --help

    tell(console.ending(reporter, lambda: train_boke(data, folder, options, reporter, command=typed())), json=json)
    if not json:
        console.tell_finer(context, "googlenet")


def compare(
    context: typer.Context, sources: list[Path], output: Path | None, reporter: Reporter, *, json: bool
) -> None:
    """Do the experiment."""
    from imgnn.jobs.boke_experiment import DEFAULTS, run_experiment

    folder = output or Path("experiment")
    options = options_in(context, TrainBokeOptions, DEFAULTS)
    arms = console.ending(reporter, lambda: run_experiment(sources, folder, options, reporter, command=typed()))
    show_experiment(arms, folder, json=json)


def check_data(sources: list[Path], options: TrainBokeOptions, reporter: Reporter, *, json: bool) -> None:
    """Tell what is in boke, and what is wrong with them; no Keras.

    Raises:
        InputError: there is something that cannot be worked with.
    """
    from imgnn.data.boke import read_boke
    from imgnn.data.boke_checks import check_boke
    from imgnn.jobs.boke_texts import usual_tokenizer
    from imgnn.language.ng_words import NgWords
    from imgnn.language.tokenizers import load_tokenizer

    try:
        found = read_boke(
            sources,
            form=options.form,
            images=options.images,
            need_images=False,
            val_share=options.val_share,
            seed=options.seed,
            reporter=reporter,
        )
        report = check_boke(
            found,
            load_tokenizer(options.tokenizer or usual_tokenizer(found, reporter)),
            reporter,
            minimum=options.minimum,
            longest=options.longest,
            ng=NgWords.load(options.ng) if options.ng is not None else None,
            skip_missing=options.skip_missing,
            workers=options.workers,
        )
    finally:
        reporter.end()
    console.print_json(asdict(report)) if json else show_report(report)
    errors = [finding for finding in report.findings if finding.severity == "error"]
    if errors:
        raise InputError(f"{report.source} cannot be trained on as it is: {errors[0].message}")
