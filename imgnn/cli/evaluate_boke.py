"""`imgnn evaluate boke`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from imgnn.cli import console
from imgnn.cli.early import check_run, check_there
from imgnn.cli.parsing import NETWORK, UNSAID, Json, Precision, option, options_of
from imgnn.cli.sentences import MODELS, Images, Limit, SkipMissing, Split
from imgnn.cli.train_boke import Form
from imgnn.options import EvaluateBokeOptions
from imgnn.runs import percent

if TYPE_CHECKING:
    from imgnn.jobs.evaluate_boke import Cost, EvaluatedBoke
    from imgnn.language.metrics import Share

WRITTEN = "What it writes"
BESIDE = {
    "shuffled": "the model, shown another picture of the same set",
    "unigram": "every token as often as in the boke of the training",
}


def boke(
    context: typer.Context,
    *,
    sources: Annotated[
        list[Path], typer.Argument(metavar="DATA", help="Boke: files, or folders that have one.", show_default=False)
    ],
    json: Json = False,
    model: Annotated[str, option(MODELS, "A run of imgnn train boke.", "--model", "-m", metavar="RUN")],
    network: Annotated[
        str | None,
        option(NETWORK, "Where the model's network is now. \\[default: where it was]", metavar="NAME|FILE", **UNSAID),
    ] = EvaluateBokeOptions.network,
    split: Split = EvaluateBokeOptions.split,
    limit: Limit = EvaluateBokeOptions.limit,
    form: Form = None,
    images: Images = EvaluateBokeOptions.images,
    skip_missing: SkipMissing = EvaluateBokeOptions.skip_missing,
    sentences: Annotated[
        int, option(WRITTEN, "Pictures that it writes a boke for, the first ones; 0: none.", metavar="N", min=0)
    ] = EvaluateBokeOptions.sentences,
    ng: Annotated[
        Path | None,
        option(
            WRITTEN,
            "Words that are looked for there, one a line. \\[default: those of the training, if any]",
            metavar="FILE",
            **UNSAID,
        ),
    ] = EvaluateBokeOptions.ng,
    precision: Precision = EvaluateBokeOptions.precision,
) -> None:
    """Tell how good a model of boke is.

    How probable it finds the boke that people wrote, beside their own pictures
    and beside others; and of those that it writes itself, how many are
    different, and how many are copied. Whether they are funny it cannot tell.

    \b
    Example:
      imgnn evaluate boke boke.jsonl --model boke_run
      imgnn evaluate boke boke.jsonl --model boke_run --split all --json
    """
    options = options_of(EvaluateBokeOptions, context)
    check_there(sources)
    check_run(model, "boke")

    from imgnn.jobs.evaluate_boke import evaluate_boke  # NumPy wakes here, not at --help

    reporter = console.reporter()
    result = console.ending(reporter, lambda: evaluate_boke(sources, options, reporter))
    console.note_skipped(result.skipped)
    if json:
        console.print_json({"data": [console.shown(each) for each in sources], **as_json(result, options)})
    else:
        show(result)
    console.refuse_skipped(result.skipped, result.pictures)


def as_json(result: "EvaluatedBoke", options: EvaluateBokeOptions) -> dict[str, object]:
    """The fields of `--json`; docs/evaluate.md describes them."""
    model = result.costs["model"]
    return {
        "split": result.split,
        "pictures": result.pictures,
        "boke": result.boke,
        "tokens": result.tokens,
        "models": [options.model],
        "tokenizer": result.tokenizer,
        **cost_json(model),
        "baselines": {name: cost_json(cost) for name, cost in result.costs.items() if cost is not model},
        "image_gain": result.image_gain,
        "own_picture": share_json(result.own_picture),
        "more_stars": share_json(result.more_stars),
        "distinct": result.distinct,
        "copied": result.copied,
        "banned": result.banned,
        "written": [
            {"file": console.shown(each.picture), "boke": each.text, "copied": each.copied, "banned": each.banned}
            for each in result.written
        ],
        "skipped": console.skipped_json(result.skipped),
    }


def cost_json(cost: "Cost") -> dict[str, float]:
    """What boke cost."""
    return {"nats_per_token": cost.nats, "perplexity": cost.perplexity}


def share_json(share: "Share | None") -> dict[str, float] | None:
    """On how many pictures something is so."""
    return None if share is None else {"share": share.value, "pictures": share.pictures}


def show(result: "EvaluatedBoke") -> None:
    """What boke cost side by side, then what else is known, and how it was counted."""
    console.print_table(costs_table(result.costs))
    console.print_facts(facts_of(result), 11)
    lines = [
        *(f"{name}: {BESIDE[name]}" for name in result.costs if name in BESIDE),
        f"{result.pictures:,} pictures ({result.split}), {result.boke:,} boke, {result.tokens:,} tokens",
        f"Tokens: {result.tokenizer}",
    ]
    console.out.print()
    console.print_dim(lines)


def costs_table(costs: "Mapping[str, Cost]") -> Table:
    """A row for the model and each baseline."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("")
    for heading in ("nats/token", "perplexity"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, cost in costs.items():
        style = "bold" if name == "model" else ""
        table.add_row(name, f"{cost.nats:.3f}", f"{cost.perplexity:,.2f}", style=style)
    return table


def facts_of(result: "EvaluatedBoke") -> list[tuple[str, str, str]]:
    """Name, value and meaning of what is not in the table."""
    facts = []
    if result.image_gain is not None:
        facts.append(("image gain", f"{result.image_gain:.3f}", "nats per token, of the right picture over another"))
    if (own := result.own_picture) is not None:
        facts.append(("own picture", percent(own.value), f"suit their boke better than another ({chance(own)})"))
    if (stars := result.more_stars) is not None:
        facts.append(("more stars", percent(stars.value), f"the better of two is more probable ({chance(stars)})"))
    if not result.written:
        return facts
    facts.append(("different", f"{result.distinct:,}", f"of {len(result.written):,} boke that it wrote, one a picture"))
    if result.copied is not None:
        facts.append(("copied", f"{result.copied:,}", "of them it knows from its training"))
    if result.ng is not None:
        facts.append(("banned", f"{result.banned:,}", f"of them have a word of {console.shown(result.ng)}"))
    return facts


def chance(share: "Share") -> str:
    """What a share would be by chance."""
    return f"chance 50 ± {100 * share.chance:.0f} %"
