"""`imgnn boke`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.early import check_run, check_there
from imgnn.cli.parsing import (
    COUNT,
    MACHINE,
    NUMBER,
    SHARE,
    UNSAID,
    JsonLines,
    Precision,
    option,
    options_of,
    refuse_without,
    was_given,
)
from imgnn.cli.rows import Form, Lists, Output, Pictures, Rows, chosen_format, find, row_of
from imgnn.cli.sentences import FROM_PACKAGE, MODELS, NetworkOrFile
from imgnn.options import BokeMode, BokeOptions, option_name
from imgnn.training.run_folder import packaged_model, read_config, usual_mode

if TYPE_CHECKING:
    from imgnn.jobs.boke import BokeImage, Joke

BOKE, DRAWN, LENT = "The boke", "In mode model", "In mode mismatch"
COLUMNS = (
    *("file", "rank", "boke", "mode", "log_prob", "log_prob_per_token", "novel"),
    *("nearest_text", "nearest_similarity", "nearest_picture", "nearest_stars"),
    *("donor_name", "donor_file", "donor_distance"),
)
ALIKE = 0.7  # similarity from which on the known sentence is shown beside a boke
OWN = {  # options that only one mode knows
    "model": ("candidates", "temperature", "top_k", "top_p", "copies"),
    "mismatch": ("distance", "donors", "blend"),
}


def boke(
    context: typer.Context,
    images: Pictures = None,
    lists: Lists = None,
    models: Annotated[
        list[str] | None,
        option(
            MODELS, f"A run of imgnn train boke or caption. {FROM_PACKAGE}", "--model", "-m", metavar="RUN", **UNSAID
        ),
    ] = None,
    network: NetworkOrFile = BokeOptions.network,
    mode: Annotated[
        BokeMode | None,
        option(
            BOKE,
            "model: what it thinks of the picture; mismatch: what it says of a completely different one; "
            "retrieve: what people said of the nearest. \\[default: model; of captions, mismatch]",
            metavar="MODE",
            **UNSAID,
        ),
    ] = BokeOptions.mode,
    n: Annotated[int, option(BOKE, "Boke of each picture.", "--number", "-n", **COUNT)] = BokeOptions.n,
    max_length: Annotated[
        int, option(BOKE, "Tokens of a boke at most, the end is one.", **COUNT)
    ] = BokeOptions.max_length,
    min_length: Annotated[int, option(BOKE, "Tokens of a boke at least.", metavar="N", min=0)] = BokeOptions.min_length,
    no_repeat_ngram: Annotated[
        int | None,
        option(
            BOKE,
            "So many tokens in a row do not come twice; 0: they may. \\[default: 3 words, 6 characters]",
            metavar="N",
            min=0,
            **UNSAID,
        ),
    ] = BokeOptions.no_repeat_ngram,
    ng: Annotated[
        Path | None,
        option(BOKE, "Words that are not to be shown, one a line.", "--ng", metavar="FILE", dir_okay=False, **UNSAID),
    ] = BokeOptions.ng,
    contrast: Annotated[
        float,
        option(
            BOKE,
            "Avoid what the mean picture makes probable, too (mismatch: the picture itself); 0: do not, 0.5: clearly.",
            **NUMBER,
        ),
    ] = BokeOptions.contrast,
    seed: Annotated[
        int, option(BOKE, "The same one draws the same sentences or donors.", metavar="N", min=0)
    ] = BokeOptions.seed,
    candidates: Annotated[
        int, option(DRAWN, "Sentences drawn of each picture; the best are shown.", **COUNT)
    ] = BokeOptions.candidates,
    temperature: Annotated[
        float,
        option(
            DRAWN,
            "1: as probable as the model says; below: more of the probable; 0: no chance.",
            **NUMBER,
        ),
    ] = BokeOptions.temperature,
    top_k: Annotated[
        int, option(DRAWN, "Only so many of the most probable tokens; 0: all.", metavar="N", min=0)
    ] = BokeOptions.top_k,
    top_p: Annotated[
        float, option(DRAWN, "Only the most probable tokens that reach this probability together.", **SHARE)
    ] = BokeOptions.top_p,
    copies: Annotated[bool, option(DRAWN, "Show what training texts say, too.", "--copies")] = BokeOptions.copies,
    distance: Annotated[
        Literal["far", "middle"], option(LENT, "How different the other picture is.")
    ] = BokeOptions.distance,
    donors: Annotated[
        list[Path] | None,
        option(
            LENT, "Pictures or a folder that lend. \\[default: those the model knows]", metavar="IMAGE|FOLDER", **UNSAID
        ),
    ] = None,
    blend: Annotated[
        float, option(LENT, "How much of the other picture; the rest is the picture itself.", **SHARE)
    ] = BokeOptions.blend,
    form: Form = None,
    json: JsonLines = False,
    output: Output = None,
    precision: Precision = BokeOptions.precision,
    batch: Annotated[int, option(MACHINE, "Pictures at once.", **COUNT)] = BokeOptions.batch,
) -> None:
    """Write funny one-liners (boke) for pictures.

    \b
    Example:
      imgnn boke photo.jpg
      imgnn boke photo.jpg --donors holiday/
      imgnn boke 'photos/boats/*.jpg' --model boke_run -n 3 --seed 7 --json
    """
    if models and len(models) > 1:
        raise typer.BadParameter(f"one model writes boke, not {len(models)}", param_hint="--model")
    if mode is not None:
        check_useless(context, mode)
    options = options_of(BokeOptions, context)
    options.check()
    form = chosen_format(form, json, output)
    files = find(images, lists)
    model = models[0] if models else str(packaged_model(network))
    options = replace(options, model=model)
    check_run(model, "boke", "caption")
    if mode is None:
        check_useless(context, usual_mode(read_config(model)["kind"], donors))
    check_there([ng] if ng else [], "file")

    from imgnn.jobs.boke import make_boke  # Keras wakes here, not at --help

    reporter = console.reporter()
    try:
        Writer(form, output, model).add_all(make_boke(files, options, reporter), len(files), reporter)
    finally:
        reporter.end()
    if form == "table":
        console.tell_finer(context, "googlenet")


def check_useless(context: typer.Context, mode: str) -> None:
    """Refuse options that would change nothing in a mode."""
    for own, names in OWN.items():
        given = [name for name in names if was_given(context, name)]
        if given and mode != own:
            refuse_without(option_name(given[0]), f"--mode {own}")


class Writer(Rows):
    """Puts boke where they are wanted: on stdout, or in a file."""

    def __init__(self, form: str, output: Path | None, model: str) -> None:
        super().__init__(form, output, COLUMNS)
        self.model = model

    def add(self, result: "BokeImage") -> None:
        """One picture that could be read."""
        path = console.shown(result.path)
        if result.note:
            console.note(f"{path}: {result.note}")
        if self.form == "table" and console.out.is_terminal:
            show(result)
        elif self.form == "table":
            for each in result.boke:
                self.put(f"{path}\t{each.text}")
        elif self.form == "csv":
            for rank, each in enumerate(result.boke, 1):
                fields = {"file": path, "rank": rank, **as_json(each)}
                fields["novel"] = each.novel if each.novel is None else int(each.novel)
                for group in ("nearest", "donor"):
                    fields |= {f"{group}_{name}": value for name, value in (fields.pop(group) or {}).items()}
                self.put(row_of([fields.get(name) for name in COLUMNS]))
        else:
            fields = {"file": path, "models": [self.model], "boke": [as_json(each) for each in result.boke]}
            self.put_json(fields | ({"note": result.note} if result.note else {}))


def as_json(joke: "Joke") -> dict[str, Any]:
    """The fields of one boke in `--json`; docs/boke.md describes them."""
    nearest, donor = joke.nearest, joke.donor
    return {
        "boke": joke.text,
        "mode": joke.mode,
        "log_prob": None if joke.log_prob is None else round(joke.log_prob, 4),
        "log_prob_per_token": None if joke.per_token is None else round(joke.per_token, 4),
        "novel": joke.novel,
        "tokens": list(joke.tokens),
        "nearest": nearest and {**nearest._asdict(), "similarity": round(nearest.similarity, 4)},
        "donor": donor
        and {
            "name": donor.name,
            "file": donor.file and console.shown(donor.file),
            "distance": round(donor.distance, 4),
        },
    }


def show(result: "BokeImage") -> None:
    """The path, then each boke, and below it where it comes from or what it is like."""
    console.out.print(Text(console.shown(result.path), style="bold"), soft_wrap=True, highlight=False)
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for rank, each in enumerate(result.boke, 1):
        table.add_row("", Text(f"{rank:2d}", "cyan"), Text(each.text))
        if told := origin(each):
            table.add_row("", "", Text(told, "dim"))
    if result.boke:
        console.out.print(table)


def origin(joke: "Joke") -> str:
    """What there is to say of a boke: the picture it comes from, and a known sentence that is like it."""
    nearest, told = joke.nearest, []
    stars = f" ★{nearest.stars}" if nearest and nearest.stars is not None else ""
    if joke.donor:
        verb = "said of" if joke.mode == "retrieve" else "meant for"
        told.append(f"{verb} {joke.donor.name}, distance {joke.donor.distance:.2f}")
    if joke.mode == "retrieve":
        told[-1] += stars
    elif nearest and joke.novel is False:
        told.append(f"known from {nearest.picture}{stars}")
    elif nearest and nearest.similarity >= ALIKE:
        told.append(f"{100 * nearest.similarity:.0f} % “{nearest.text}” of {nearest.picture}{stars}")
    return "; ".join(told)
