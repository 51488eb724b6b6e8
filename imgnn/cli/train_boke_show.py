"""What `imgnn train boke` shows: what came of a training, and of the experiment."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.train_show import (
    CURVE,
    how,
    show_common,
    show_done,
    show_facts,
    show_findings,
    show_lengths,
    show_splits,
)
from imgnn.training.run_folder import read_config

if TYPE_CHECKING:
    from imgnn.data.boke_checks import BokeReport
    from imgnn.jobs.boke_experiment import Arm
    from imgnn.jobs.boke_run import TrainedBoke


def show_report(report: "BokeReport") -> None:
    """The splits in a table, how long boke are, their stars, and what was found."""
    texts = report.statistics
    facts = [("boke", f"{report.source}  ({report.form})"), ("tokens", report.tokenizer)]
    if "train" in texts.splits:
        seen = f"{texts.vocabulary:,} tokens seen {report.minimum} times or more in train, of {texts.words:,}"
        facts.append(("vocabulary", seen))
    show_facts(facts)
    show_splits("Boke", "Tokens", {name: (each.images, each.boke, each) for name, each in texts.splits.items()})
    show_lengths("tokens", "boke", [each.lengths for each in texts.splits.values()])
    stars: Counter[str] = Counter()
    for each in texts.splits.values():
        stars.update(each.stars)
    if stars:
        show_facts([("stars", "   ".join(f"{name}: {count:,}" for name, count in stars.items()))])
    show_common(texts.common)
    show_findings(report.findings)


def tell(done: "TrainedBoke", *, json: bool) -> None:
    """The result: JSON, or words."""
    if json:
        console.print_json(console.as_json(done))
    else:
        show(done)


def show(done: "TrainedBoke") -> None:
    """How good it is, how it went, and what to type next."""
    from imgnn.training.curves import sparkline
    from imgnn.training.run_folder import AVERAGE_LOSS, LOG
    from imgnn.training.run_log import read_log

    folder = console.shown(done.folder)
    epochs = [row for row in read_log(done.folder / LOG) if row["kind"] == "epoch"]
    least = f"; at least {done.floor:.3f}: pictures have several boke" if done.floor else ""
    rows = [("loss", f"{done.loss:.3f}", f"  nats per token{least}")]
    if len(epochs) > 1:
        curve = [row["loss"] for row in epochs]
        rows.append(("by epoch", sparkline(curve, CURVE), f"  first {curve[0]:.3f}, last {curve[-1]:.3f}"))
    rows += [
        ("average", f"{done.average_loss:.3f}", f"  as butsugiri/bokete has it: {folder}/{AVERAGE_LOSS}"),
        ("val", f"{done.val_loss:.3f}", f"  perplexity {done.perplexity:.1f}  (epoch {done.epoch} of {done.epochs})"),
        ("image gain", f"{done.image_gain:.3f}", "  nats per token that the right picture saves over another"),
        ("drawn", f"{done.distinct:,}", f"  different, for {done.pictures:,} pictures; {100 * done.novel:.0f} % new"),
    ]
    run, data = shlex.quote(folder), shlex.join(read_config(done.folder, "boke")["sources"])
    commands = ("boke photo.jpg", f"evaluate boke {data}", "serve")
    show_done([*rows, *how(done)], done.warnings, done.folder, *(f"imgnn {each} --model {run}" for each in commands))


def show_experiment(arms: Sequence["Arm"], folder: Path, *, json: bool) -> None:
    """The arms of the experiment side by side."""
    from imgnn.jobs.boke_experiment import FIGURE

    if json:
        told = [{**asdict(arm), "result": console.as_json(arm.result)} for arm in arms]
        console.print_json({"path": console.shown(folder / FIGURE), "arms": told})
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("")
    for heading in ("Boke", "Pictures", "Average loss", "floor", "Nats/token", "floor", "Val"):
        table.add_column(heading, justify="right")
    for arm in arms:
        done = arm.result
        table.add_row(
            arm.name,
            f"{arm.boke:,}",
            f"{arm.pictures:,}",
            f"{arm.first:.2f} … {done.average_loss:.3f}",
            *(f"{each:.3f}" for each in (done.average_loss_floor, done.loss, done.floor, done.val_loss)),
        )
    console.print_table(table)
    console.out.print(
        Text(" The floor is what it costs to choose between the boke of a picture", style="dim"), highlight=False
    )
    console.show_path(folder / FIGURE)
