"""What `imgnn finetune` shows: what is going to be trained, what came of it, the plan and the learning rate."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from imgnn import backend
from imgnn.cli import console
from imgnn.errors import InputError
from imgnn.runs import amount, duration, percent

if TYPE_CHECKING:
    from imgnn.jobs.finetune_data import Setup
    from imgnn.jobs.finetune_layers import Range
    from imgnn.jobs.finetune_probe import Plan
    from imgnn.jobs.finetune_run import Finetuned
    from imgnn.training.lr_find import RateTest
    from imgnn.training.recipes import Stage

CLASSES = 20  # rows of the dry run's table
CURVE = 40  # characters


# What is going to be trained


def show_layers(setup: "Setup") -> None:
    """The layers in blocks, which of them are new and which are trained, and what each stage does; on stderr."""
    from imgnn.jobs.finetune_layers import blocks_of, titles

    blocks = blocks_of(setup)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Layers")
    table.add_column("Weights", justify="right")
    table.add_column("")
    several = len(setup.stages) > 1
    for number, stage in enumerate(setup.stages, 1):
        table.add_column(f"Stage {number}" if several else stage.name, justify="right", no_wrap=True)
    for title, block in zip(titles(blocks), blocks, strict=True):
        origin = Text("loaded") if block.loaded else Text("new", style="bold green")
        cells = [rate_cell(rate) for rate in block.rates]
        table.add_row(console.Name(title), f"{block.parameters:,}", origin, *cells)
    console.err.print(table)
    for number, stage in enumerate(setup.stages, 1):
        console.note(f" {f'Stage {number}, ' if several else ''}{stage.name}: {words_of(stage)}")


def rate_cell(rate: "Range | None") -> Text:
    """`frozen`, `trained`, or the factors of the learning rate."""
    if rate is None:
        return Text("frozen", style="dim")
    low, high = (f"{each:.2g}" for each in rate)
    told = f"× {low}" if low == high else f"× {low}-{high}"
    return Text("trained" if low == high == "1" else told, style="cyan")


def words_of(stage: "Stage") -> str:
    """What a stage does, in a line."""
    if not stage.epochs:
        return "a support vector machine, solved in one go" if stage.name == "svm" else "left out"
    epochs = "1 epoch" if stage.epochs == 1 else f"{stage.epochs} epochs"
    on = "features computed once" if stage.cached else CROPS[stage.crop]
    return f"{epochs} of {stage.optimizer}, rate {stage.learning_rate:g}, {stage.schedule}; on {on}"


CROPS = {"none": "whole pictures", "caffe": "Caffe's crops", "random": "random crops"}


# What came of it


def tell(done: "Finetuned", *, json: bool) -> None:
    """The result: JSON, or words and a table."""
    from imgnn.training.run_folder import read_config

    config = read_config(done.folder)
    if json:
        console.print_json(as_json(done, config))
    else:
        show(done)


def as_json(done: "Finetuned", config: dict[str, Any]) -> dict[str, object]:
    """The fields of `--json`; docs/finetune.md describes them."""
    from imgnn.cli.evaluate import number

    scores = done.scores
    recall = [None] * len(done.classes) if scores is None else [number(each) for each in scores.recall]
    classes = zip(done.classes, recall, strict=True)
    return {
        "path": console.shown(done.folder),
        "network": config["network"],
        "recipe": config["recipe"],
        "classes": [
            {"class_index": index, "words": words, "recall": each} for index, (words, each) in enumerate(classes)
        ],
        "accuracy": None if scores is None else scores.accuracy,
        "epoch": done.epoch,
        "epochs": done.epochs,
        "seconds": round(done.seconds, 1),
        "pictures": done.pictures,
        "skipped": console.skipped_json(done.skipped.items()),
        "warnings": list(done.warnings),
    }


def show(done: "Finetuned") -> None:
    """How right it is, class by class; what was skipped; where the report is, and what to type next."""
    from imgnn.cli.evaluate import show_classes
    from imgnn.jobs.evaluate import Evaluated
    from imgnn.training.curves import sparkline
    from imgnn.training.run_folder import LOG, REPORT, SKIPPED, read_config
    from imgnn.training.run_log import read_log

    scores, folder = done.scores, console.shown(done.folder)
    curve = [row.get("val_accuracy") for row in read_log(done.folder / LOG) if row["kind"] == "epoch"]
    rows = []
    if scores is not None:
        of = f"  (epoch {done.epoch} of {done.epochs}, {len(scores.files):,} pictures)"
        rows.append(("accuracy", percent(scores.accuracy), of))
        known = [each for each in curve if each is not None]
        if len(known) > 1:
            rows.append(
                ("by epoch", sparkline(known, CURVE), f"  first {percent(known[0])}, last {percent(known[-1])}")
            )
    else:
        rows.append(("accuracy", "-", "  (there are no pictures to judge by)"))
    rows.append(("trained", duration(done.seconds), f"  on {done.pictures:,} pictures"))
    if done.skipped:
        rows.append(("skipped", f"{len(done.skipped):,}", f"  that could not be read: {folder}/{SKIPPED}"))
    if (done.folder / REPORT).is_file():
        rows.append(("report", f"{folder}/{REPORT}", ""))
    for name, value, more in rows:
        line = Text.assemble((f" {name:<10}", "dim"), (value, "bold"), (more, "dim"))
        console.out.print(line, highlight=False, soft_wrap=True)
    if scores is not None:
        show_classes(Evaluated(str(done.folder), scores, top=5))
    for warning in done.warnings:
        console.out.print(Text.assemble((" Warning ", "bold yellow"), warning), highlight=False, soft_wrap=True)
    console.show_path(done.folder)
    run = shlex.quote(folder)
    config = read_config(done.folder)
    own = config["val"] is not None and config["val"]["list"] != config["train"]["list"]  # not a part held out
    judged = shlex.quote(near(Path(config["val"]["list"]))) if own else "LIST"
    console.tell_next(f"imgnn classify --run {run} PHOTO", f"imgnn evaluate classify {judged} --run {run}")


def near(path: Path) -> str:
    """A path as one would type it here: without the folder that one is in."""
    here = Path.cwd()
    return console.shown(path.relative_to(here) if path.is_relative_to(here) else path)


# The learning-rate test, and the dry run


def tell_rate(test: "RateTest", path: Path, *, json: bool) -> None:
    """The learning rate that was found, and where the drawing is.

    Raises:
        InputError: none was.
    """
    if json:
        told = {"learning_rate": test.chosen, "rates": test.rates, "losses": test.losses}
        console.print_json({"path": console.shown(path), **told})
    else:
        from imgnn.training.curves import sparkline

        # Where it diverges the loss goes up without end; what is worth seeing is the way down.
        top = 2 * test.losses[0] - min(test.losses) if test.losses else 0.0
        curve = sparkline([min(loss, top) for loss in test.losses], CURVE)
        if test.chosen is not None:
            line = Text.assemble((" learning rate  ", "dim"), (f"{test.chosen:.2g}", "bold"))
            console.out.print(line, highlight=False)
        if test.rates:
            ends = f"{test.rates[0]:.0e} to {test.rates[-1]:.2g}"
            console.out.print(
                Text.assemble((" loss           ", "dim"), curve, (f"  at rates from {ends}", "dim")), soft_wrap=True
            )
        if test.chosen is not None:
            place = sum(rate < test.chosen for rate in test.rates) * len(curve) // len(test.rates)
            console.out.print(Text(" " * (16 + place) + "^", style="bold"))
        console.show_path(path)
    if test.chosen is None:
        raise InputError(
            "no learning rate lowers the loss, from the smallest to the largest",
            hint=f"{console.shown(path)} shows it; are the labels right?",
        )


def plan_json(plan: "Plan") -> dict[str, object]:
    """The fields of `--dry-run --json`; docs/finetune.md describes them."""
    classes = [
        {"class_index": index, "words": each.name, "train": each.train, "val": each.val}
        for index, each in enumerate(plan.classes)
    ]
    return console.as_json(plan, classes=classes)


def show_plan(plan: "Plan") -> None:
    """What a run would take."""
    height, width = plan.size
    place = backend.place(plan.precision, plan.device, plan.devices)
    head = ", ".join(plan.head) if plan.head else "the network's own, made anew"
    rest = max(0.0, plan.seconds - sum(stage.seconds for stage in plan.stages))
    memory = plan.memory
    disk = f"{amount(plan.disk)} of {amount(plan.disk_free)} that are free"
    if plan.disk_features:
        disk += f"; {amount(plan.disk_features)} more until it is done"
    rows = [
        ("network", f"{plan.network}, {plan.parameters:,} weights; {height} x {width} pixels"),
        ("head", head),
        ("recipe", f"{plan.recipe}, {place}"),
        ("pictures", f"{plan.train:,} to train on, {plan.val:,} to judge by; {len(plan.classes)} classes"),
        ("time", f"about {duration(plan.seconds)}; {duration(rest)} of it for loading, the last judgement, the report"),
        (
            "memory",
            f"{amount(memory.peak)}: weights {amount(memory.weights)}, optimiser {amount(memory.optimizer)}, "
            f"kept {amount(memory.kept)}",
        ),
        ("disk", disk),
    ]
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    for name, value in rows:
        facts.add_row(f" {name}", Text(value))
    console.print_table(facts)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Stage")
    for heading in ("Epochs", "Steps", "Weights trained", "On", "Time"):
        table.add_column(heading, justify="left" if heading == "On" else "right")
    for stage in plan.stages:
        steps = f"{stage.epochs * stage.steps:,}" if stage.epochs else "-"
        on = "features" if stage.cached else "pictures"
        epochs = f"{stage.epochs}" if stage.epochs else "-"
        table.add_row(stage.name, epochs, steps, f"{stage.parameters:,}", on, duration(stage.seconds))
    console.print_table(table)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Class")
    for heading in ("Train", "Val"):
        table.add_column(heading, justify="right")
    fewest = sorted(plan.classes, key=lambda each: each.train)[:CLASSES]
    for each in plan.classes if len(plan.classes) <= CLASSES else fewest:
        table.add_row(console.Name(each.name), f"{each.train:,}", f"{each.val:,}")
    console.print_table(table)
    if len(plan.classes) > CLASSES:
        told = f" The {CLASSES} of {len(plan.classes):,} classes with the fewest pictures; --json has all"
        console.out.print(Text(told, style="dim"), soft_wrap=True)
