"""`imgnn finetune`."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imgnn.cli import console
from imgnn.cli.early import check_run, check_there
from imgnn.cli.finetune_show import plan_json, show_layers, show_plan, tell, tell_rate
from imgnn.cli.parsing import (
    COUNT,
    MACHINE,
    NUMBER,
    PART,
    PICTURES,
    POSITIVE,
    RESULT,
    SECONDS,
    SHARE,
    UNSAID,
    Json,
    Network,
    Precision,
    Root,
    Workers,
    free_run,
    option,
    parse_weight,
    refuse_together,
    was_given,
)
from imgnn.cli.train_options import typed
from imgnn.options import FinetuneOptions, Recipe, option_name

RUN, HEAD = "The run", "The head"
TRAINING, AUGMENTATION = "Training", "Augmentation"
OWN = "own"  # of --layers: what the network's own classifier looked at
LR_FIND = "lr_find.png"


def parse_names(text: str) -> tuple[str, ...]:
    """`a,b` -> its names; `own` -> none. An empty name is a usage error."""
    names = () if text == OWN else tuple(word.strip() for word in text.split(","))
    if not all(names):
        raise typer.BadParameter(f"names with commas between them are expected, or {OWN}, not {text!r}")
    return names


def parse_devices(text: str) -> str:
    """`one`, `all`, or a number of them. Anything else is a usage error."""
    if text in ("one", "all") or re.fullmatch("[1-9][0-9]{0,3}", text):
        return text
    raise typer.BadParameter(f"one, all, or a number of devices is expected, not {text!r}")


def parse_rate(text: str) -> tuple[str, float]:
    """`inception_5*=2` -> a pattern and a factor. Anything else is a usage error."""
    pattern, _, factor = text.rpartition("=")
    if not pattern:
        told = f"PATTERN=FACTOR is expected, as 'inception_5*=2', not {text!r}"
        raise typer.BadParameter(told, param_hint="--layer-rate")
    return pattern, parse_weight(factor)


def finetune(
    context: typer.Context,
    source: Annotated[
        Path | None,
        typer.Argument(metavar="LIST", help="A list `path label`, or a folder of class folders.", show_default=False),
    ] = None,
    json: Json = False,
    output: Annotated[
        Path | None,
        option(
            RESULT,
            "The run's folder. \\[default: LIST_run, in this folder; of --lr-find lr_find.png]",
            "--output",
            "-o",
            metavar="RUN",
            **UNSAID,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        option(RUN, "Go on with a run that was stopped; it knows its pictures and options.", metavar="RUN", **UNSAID),
    ] = None,
    dry_run: Annotated[bool, option(RUN, "Only say what it would take: time, memory, disk.", "--dry-run")] = False,
    lr_find: Annotated[bool, option(RUN, "Only look for a good learning rate, and draw it.", "--lr-find")] = False,
    seed: Annotated[
        int, option(RUN, "The same one draws the same: weights, orders, crops.", metavar="N", min=0)
    ] = FinetuneOptions.seed,
    patience: Annotated[
        int | None,
        option(
            RUN,
            "End a stage after so many epochs without a better validation; 0: never. \\[default: never]",
            metavar="EPOCHS",
            min=0,
            **UNSAID,
        ),
    ] = FinetuneOptions.patience,
    save_every: Annotated[
        Any, option(RUN, "Time between two checkpoints within an epoch: 90s, 5m. \\[default: 60s]", **SECONDS, **UNSAID)
    ] = None,
    report: Annotated[
        bool, option(RUN, "Write report.html at the end.", "--report/--no-report")
    ] = FinetuneOptions.report,
    val: Annotated[
        Path | None,
        option(
            PICTURES,
            "Validation pictures, to judge by. \\[default: those beside LIST, else a part of it]",
            metavar="LIST",
            **UNSAID,
        ),
    ] = FinetuneOptions.val,
    val_share: Annotated[
        float, option(PICTURES, "The part of LIST that is kept for validation, where nothing else is; 0: none.", **PART)
    ] = FinetuneOptions.val_share,
    root: Root = FinetuneOptions.root,
    size: Annotated[
        int | None,
        option(
            PICTURES,
            "Both sides of the pictures. \\[default: the network's; on descriptors 10/7 of it]",
            metavar="PIXELS",
            min=16,
            **UNSAID,
        ),
    ] = FinetuneOptions.size,
    mean: Annotated[
        Path | None,
        option(
            PICTURES,
            "PREFIX.json that imgnn mean wrote of this list. \\[default: the network's own mean]",
            metavar="FILE",
            **UNSAID,
        ),
    ] = FinetuneOptions.mean,
    network: Network = FinetuneOptions.network,
    recipe: Annotated[
        Recipe,
        option(
            HEAD,
            "head: a new classifier alone; svm: the same, a linear support vector machine; one-cycle: head, then "
            "all layers; gradual: head, then layers from the top down; caffe: all layers, as Caffe's example.",
            metavar="RECIPE",
        ),
    ] = FinetuneOptions.recipe,
    layers: Annotated[
        Any,
        option(
            HEAD,
            "Layers whose descriptors the new classifier looks at; own: what the old one looked at. "
            "\\[default: those that suit the network; with caffe and from scratch own]",
            parser=parse_names,
            metavar=f"A,B,...|{OWN}",
            **UNSAID,
        ),
    ] = None,
    dropout: Annotated[
        Any,
        option(
            HEAD, "Share of values that are dropped. \\[default: the network's; on descriptors 0]", **PART, **UNSAID
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        option(HEAD, "The last layer that stays as it is. \\[default: as the recipe says]", metavar="LAYER", **UNSAID),
    ] = FinetuneOptions.freeze,
    from_scratch: Annotated[
        bool, option(HEAD, "Random weights instead of trained ones.", "--from-scratch")
    ] = FinetuneOptions.from_scratch,
    ungrouped: Annotated[
        bool, option(HEAD, "With --from-scratch: AlexNet without groups in its convolutions.", "--ungrouped")
    ] = FinetuneOptions.ungrouped,
    epochs: Annotated[
        int | None,
        option(
            TRAINING,
            "Epochs of the last stage. \\[default: head 40, one-cycle 8, gradual 4 a part, caffe 20, from scratch 30]",
            **COUNT,
            **UNSAID,
        ),
    ] = FinetuneOptions.epochs,
    head_epochs: Annotated[
        int, option(TRAINING, "Epochs of the head alone, where that is the first stage.", metavar="N", min=0)
    ] = FinetuneOptions.head_epochs,
    batch: Annotated[int, option(TRAINING, "Pictures in one step.", **COUNT)] = FinetuneOptions.batch,
    optimizer: Annotated[
        Literal["sgd", "adam"] | None,
        option(TRAINING, "What moves the weights. \\[default: adam of the head alone, else sgd]", **UNSAID),
    ] = FinetuneOptions.optimizer,
    learning_rate: Annotated[
        Any,
        option(
            TRAINING,
            "The largest learning rate. \\[default: head 0.03, without descriptors 0.001; one-cycle, gradual "
            "0.02; caffe 0.001; from scratch 0.01]",
            **POSITIVE,
            **UNSAID,
        ),
    ] = None,
    schedule: Annotated[
        Literal["constant", "step", "cosine", "one-cycle"] | None,
        option(
            TRAINING,
            "Learning-rate schedule: constant, step, cosine, one-cycle. "
            "\\[default: head cosine; one-cycle, gradual one-cycle; caffe, from scratch step]",
            metavar="SCHEDULE",
            **UNSAID,
        ),
    ] = FinetuneOptions.schedule,
    layer_rate: Annotated[
        list[str] | None,
        option(
            TRAINING,
            "Factor of the learning rate of layers, as 'inception_5*=2'; several times.",
            metavar="PATTERN=FACTOR",
            **UNSAID,
        ),
    ] = None,
    weight_decay: Annotated[
        Any,
        option(
            TRAINING,
            "Weight decay: how much weights shrink. \\[default: 1e-4; caffe, from scratch 5e-4]",
            **NUMBER,
            **UNSAID,
        ),
    ] = None,
    smoothing: Annotated[
        float, option(TRAINING, "Label smoothing: share of the target that goes to all classes alike.", **PART)
    ] = FinetuneOptions.smoothing,
    balance: Annotated[
        bool, option(TRAINING, "Classes weigh the same, however many pictures.", "--balance")
    ] = FinetuneOptions.balance,
    crop: Annotated[
        Literal["none", "caffe", "random"] | None,
        option(
            AUGMENTATION,
            "How training pictures are cut. \\[default: of features none, caffe caffe, else random]",
            **UNSAID,
        ),
    ] = FinetuneOptions.crop,
    mirror: Annotated[
        bool, option(AUGMENTATION, "Train on mirrored pictures, too.", "--mirror/--no-mirror")
    ] = FinetuneOptions.mirror,
    colour: Annotated[
        float, option(AUGMENTATION, "How far brightness, contrast, saturation change.", **SHARE)
    ] = FinetuneOptions.colour,
    mixup: Annotated[
        float, option(AUGMENTATION, "Mixup, two pictures in one: alpha of its Beta distribution; 0: none.", **NUMBER)
    ] = FinetuneOptions.mixup,
    cutmix: Annotated[
        float,
        option(
            AUGMENTATION, "CutMix, a rectangle of another picture: alpha of its Beta distribution; 0: none.", **NUMBER
        ),
    ] = FinetuneOptions.cutmix,
    precision: Precision = FinetuneOptions.precision,
    devices: Annotated[
        str, option(MACHINE, "GPUs that share each batch.", parser=parse_devices, metavar="one|all|N")
    ] = FinetuneOptions.devices,
    deterministic: Annotated[
        bool, option(MACHINE, "The same numbers each time, on a GPU too.", "--deterministic")
    ] = FinetuneOptions.deterministic,
    workers: Workers = FinetuneOptions.workers,
    memory: Annotated[
        float, option(MACHINE, "Share of the memory for pictures and features that are kept.", **SHARE)
    ] = FinetuneOptions.memory,
) -> None:
    """Train a network on your own classes: few pictures, and what it knows already.

    The run's folder gets the network, its log and curves, and a report.
    Ctrl-C saves where it stands, and --resume goes on from there.

    \b
    Example:
      imgnn finetune photos_train.txt
      imgnn finetune photos/ --size 160 --dry-run
      imgnn finetune photos/ --size 160 --recipe one-cycle -o one_cycle
      imgnn finetune --resume photos_run
    """
    given = [name for name in context.params if was_given(context, name)]
    check_together(given)
    reporter = console.reporter()
    if resume is not None:
        check_run(resume, "classifier")
        from imgnn.jobs.finetune import resume as go_on

        done = console.ending(reporter, lambda: go_on(resume, reporter, show_layers=show_layers))
        tell(done, json=json)
        return
    if source is None:
        raise typer.BadParameter("LIST is expected: a list file, or a folder of class folders; or --resume RUN")
    check_there([source])
    names = {field.name for field in fields(FinetuneOptions)}
    said = {name: context.params[name] for name in given if name in names}
    if said.get("patience") == 0:
        said["patience"] = None
    options = FinetuneOptions(**said, rates=tuple(parse_rate(each) for each in layer_rate or ()))
    options.check()
    if lr_find:
        path = output or Path(LR_FIND)
        if path.suffix.lower() != ".png":
            raise typer.BadParameter("the drawing is a picture, .png", param_hint="--output")
        from imgnn.jobs.finetune_rate import find_learning_rate

        test = console.ending(reporter, lambda: find_learning_rate(source, path, options, reporter))
        tell_rate(test, path, json=json)
        return
    folder = output or run_name(source)
    if dry_run:
        from imgnn.jobs.finetune_probe import dry_run as probe

        plan = probe(source, folder, options, reporter, show_layers=show_layers)
        console.print_json(plan_json(plan)) if json else show_plan(plan)
        return
    from imgnn.jobs.finetune import finetune as train  # TensorFlow wakes here, not at --help

    done = console.ending(
        reporter, lambda: train(source, folder, options, reporter, command=typed(), show_layers=show_layers)
    )
    tell(done, json=json)
    if not json:
        console.tell_finer(context, "googlenet")


def check_together(given: list[str]) -> None:
    """Refuse options of which one says what the others are for.

    A run that is resumed keeps the options it was begun with.
    """
    if "resume" in given:
        others = [name for name in given if name not in ("resume", "json")]
        if others == ["source"]:
            refuse_together("--resume", "LIST")
    elif "dry_run" in given:
        others = [name for name in given if name == "lr_find"]
    else:
        return
    if others := [name for name in others if name != "source"]:
        alone = "--resume" if "resume" in given else "--dry-run"
        refuse_together(alone, shown_name(others[0]))


def shown_name(parameter: str) -> str:
    """An option as it is typed."""
    return "LIST" if parameter == "source" else option_name(parameter)


def run_name(source: Path) -> Path:
    """`flowers_run` for flowers, flowers.txt and flowers_train.txt, in this folder; `flowers_run_2` if there is one."""
    stem = source.stem if source.suffix in (".txt", ".lst", ".csv") else source.resolve().name
    return free_run(stem.removesuffix("_train") or "imgnn")
