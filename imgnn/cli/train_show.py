"""What `imgnn train` shows: what is in a caption data set, and what came of a training."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.runs import duration, percent

if TYPE_CHECKING:
    from imgnn.data.caption_checks import CaptionFinding, CaptionReport
    from imgnn.jobs.boke_run import TrainedBoke
    from imgnn.jobs.caption_run import TrainedCaption

Row = tuple[str, str, str]  # a name, its value, and what is to be said of it
CURVE = 40  # characters
STYLES = {"error": "bold red", "warning": "bold yellow", "note": "dim"}
SENTENCES = 3  # that many pictures share, as examples


# A data set


def show_report(report: "CaptionReport") -> None:
    """The splits in a table, how long sentences are, and what was found."""
    facts = [("captions", f"{report.source}  ({report.form})")]
    if "train" in report.splits:
        words = f"{report.vocabulary:,} words seen {report.minimum} times or more in train, of {report.words:,}"
        facts.append(("vocabulary", words))
    show_facts(facts)
    show_splits("Captions", "Words", {name: (each.images, each.captions, each) for name, each in report.splits.items()})
    show_lengths("words", "captions", [each.lengths for each in report.splits.values()])
    show_common(report.common)
    show_findings(report.findings)


def show_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values, a line each."""
    for name, value in facts:
        console.out.print(Text.assemble((f" {name:<11}", "dim"), (value, "bold")), highlight=False, soft_wrap=True)


def show_splits(said: str, tokens: str, splits: Mapping[str, tuple[int, int, Any]]) -> None:
    """A table of splits: pictures, sentences, and facts with `quantiles` and `unknown`."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Split")
    for heading in ("Pictures", said, "Each", f"{tokens}: 5 %", "Half", "95 %", "Most", "UNK"):
        table.add_column(heading, justify="right")
    for name, (pictures, sentences, facts) in splits.items():
        low, middle, high, most = (facts.quantiles[place] for place in (1, 3, 5, 6))
        unknown = percent(facts.unknown)
        table.add_row(
            name,
            f"{pictures:,}",
            f"{sentences:,}",
            f"{sentences / max(1, pictures):.1f}",
            *(str(number) for number in (low, middle, high, most)),
            unknown,
        )
    console.print_table(table)


def show_lengths(tokens: str, said: str, histograms: Sequence[tuple[int, ...]]) -> None:
    """How many sentences have how many tokens, as a line of bars."""
    from imgnn.training.curves import BLOCKS  # imports no matplotlib

    lengths = [sum(counts) for counts in zip_longest_counts(histograms)]
    if not any(lengths):
        return
    last = next(i for i in range(len(lengths)) if sum(lengths[: i + 1]) >= 0.99 * sum(lengths))
    top = max(lengths)
    heights = [round(count / top * (len(BLOCKS) - 1)) if count else None for count in lengths[1 : last + 1]]
    bars = "".join(" " if height is None else BLOCKS[height] for height in heights)
    console.out.print(
        Text.assemble((" lengths    ", "dim"), bars, (f"  1 to {last} {tokens} (99 % of {said})", "dim")),
        highlight=False,
        soft_wrap=True,
    )


def show_common(common: Sequence[tuple[str, int]]) -> None:
    """Sentences that several pictures share."""
    for sentence, count in common[:SENTENCES]:
        if count > 2:
            told = Text.assemble((" said of    ", "dim"), f"{count:,} pictures: {sentence}")
            console.out.print(told, highlight=False, soft_wrap=True)


def show_findings(findings: Sequence["CaptionFinding"]) -> None:
    """What is wrong, or good to know."""
    for finding in findings:
        line = Text.assemble((f" {finding.severity.capitalize():<8} ", STYLES[finding.severity]), finding.message)
        console.out.print(line, highlight=False, soft_wrap=True)
    if not findings:
        console.out.print(Text(" Nothing is wrong with it", style="green"))


def zip_longest_counts(histograms: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The counts of several histograms side by side, the shorter ones with zeros at their ends."""
    longest = max((len(each) for each in histograms), default=0)
    padded = [each + (0,) * (longest - len(each)) for each in histograms]
    return list(zip(*padded, strict=True))


# A training


def tell(done: "TrainedCaption", *, json: bool) -> None:
    """The result: JSON, or words."""
    if json:
        console.print_json(console.as_json(done))
    else:
        show(done)


def show(done: "TrainedCaption") -> None:
    """How good it is, how it went, and what to type next."""
    from imgnn.training.curves import sparkline
    from imgnn.training.run_folder import LOG, read_config
    from imgnn.training.run_log import read_log

    folder = console.shown(done.folder)
    epochs = [row for row in read_log(done.folder / LOG) if row["kind"] == "epoch"]
    of = f"the mean of {done.averaged} epochs" if done.averaged else f"epoch {done.epoch} of {done.epochs}"
    rows = [
        ("CIDEr-D", f"{done.cider_d:.3f}", f"  BLEU-4 {done.bleu_4:.3f}  ({of}, {done.pictures:,} pictures of val)")
    ]
    if len(epochs) > 1:
        curve = [row["cider_d"] for row in epochs]
        rows.append(("by epoch", sparkline(curve, CURVE), f"  first {curve[0]:.3f}, last {curve[-1]:.3f}"))
    rows += [
        ("perplexity", f"{done.perplexity:.1f}", f"  ({math.log(done.perplexity):.3f} nats per token)"),
        ("image gain", f"{done.image_gain:.3f}", "  nats per token that the right picture saves over another"),
        ("captions", f"{done.distinct:,}", f"  different, for {done.pictures:,} pictures"),
    ]
    run, source = shlex.quote(folder), shlex.quote(read_config(done.folder, "caption")["source"])
    commands = (f"imgnn caption photo.jpg --model {run}", f"imgnn evaluate caption {source} --model {run}")
    show_done([*rows, *how(done)], done.warnings, done.folder, *commands)


def how(done: "TrainedCaption | TrainedBoke") -> list[Row]:
    """How a training went, in rows: its time, its curves, what was left out."""
    from imgnn.training.run_folder import CURVES, SKIPPED

    folder = console.shown(done.folder)
    rows = [
        ("trained", duration(done.seconds), f"  {done.tokens_per_second:,} tokens/s"),
        ("curves", f"{folder}/{CURVES}", ""),
    ]
    if done.skipped:
        rows.append(("skipped", f"{len(done.skipped):,}", f"  that could not be read: {folder}/{SKIPPED}"))
    return rows


def show_done(rows: Sequence[Row], warnings: Sequence[str], folder: Path, *commands: str) -> None:
    """What a training came to, what is wrong with it, its folder, and what to type next."""
    for name, value, more in rows:
        line = Text.assemble((f" {name:<11}", "dim"), (value, "bold"), (more, "dim"))
        console.out.print(line, highlight=False, soft_wrap=True)
    for warning in warnings:
        console.out.print(Text.assemble((" Warning ", "bold yellow"), warning), highlight=False, soft_wrap=True)
    console.show_path(folder)
    console.tell_next(*commands)
