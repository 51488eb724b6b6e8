"""`imgnn caption`."""

import json as json_format
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.classify import listed, named
from imgnn.cli.parsing import UNSAID, Precision, parse_weight, was_given
from imgnn.cli.sentences import (
    CAPTIONS,
    FROM_PACKAGE,
    MODELS,
    SEARCH,
    Batch,
    Beam,
    LengthPenalty,
    MaxLength,
    MinLength,
    NetworkOrFile,
    NoRepeatNgram,
    Rows,
    Unk,
    Weights,
    chosen_format,
    option,
    row_of,
)
from imgnn.errors import InputError
from imgnn.options import CaptionOptions
from imgnn.runs import check_folder, is_file, write_aside
from imgnn.training.run_folder import packaged_model

if TYPE_CHECKING:
    from imgnn.jobs.caption import Caption, CaptionedImage

DRAWING, RESULT = "At random", "The result"
Format = Literal["table", "json", "csv", "coco", "sidecar"]
COLUMNS = ("file", "rank", "caption", "log_prob", "log_prob_per_token", "finished")


def caption(
    context: typer.Context,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Pictures, folders, patterns as 'photos/*.jpg', or - for a list on standard input.",
            show_default=False,
        ),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option(
            "--list", "-l", metavar="FILE", help="A file with the path of a picture on each line.", show_default=False
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        option(
            MODELS,
            f"A run of imgnn train caption. Several: the mean of their probabilities. {FROM_PACKAGE}",
            "--model",
            "-m",
            metavar="RUN",
            **UNSAID,
        ),
    ] = None,
    weights: Weights = None,
    network: NetworkOrFile = CaptionOptions.network,
    n: Annotated[
        int, typer.Option("-n", help="Captions of each picture.", min=1, rich_help_panel=CAPTIONS)
    ] = CaptionOptions.n,
    max_length: MaxLength = CaptionOptions.max_length,
    min_length: MinLength = CaptionOptions.min_length,
    no_repeat_ngram: NoRepeatNgram = CaptionOptions.no_repeat_ngram,
    unk: Unk = CaptionOptions.unk,
    beam: Beam = CaptionOptions.beam,
    length_penalty: LengthPenalty = CaptionOptions.length_penalty,
    groups: Annotated[
        int, typer.Option(help="Parts of the beam that avoid each other's words.", min=1, rich_help_panel=SEARCH)
    ] = CaptionOptions.groups,
    diversity: Annotated[
        float,
        typer.Option(parser=parse_weight, metavar="FLOAT", help="How much they do.", rich_help_panel=SEARCH),
    ] = CaptionOptions.diversity,
    temperature: Annotated[
        Any,
        typer.Option(
            parser=parse_weight,
            metavar="FLOAT",
            help="1: as probable as the model says; below: more of the probable; 0: no chance.",
            rich_help_panel=DRAWING,
            show_default=False,
        ),
    ] = CaptionOptions.temperature,
    top_k: Annotated[
        int, typer.Option(help="Only so many of the most probable words; 0: all.", min=0, rich_help_panel=DRAWING)
    ] = CaptionOptions.top_k,
    top_p: Annotated[
        float,
        typer.Option(
            help="Only the most probable words that reach this probability together.",
            min=0.0,
            max=1.0,
            rich_help_panel=DRAWING,
        ),
    ] = CaptionOptions.top_p,
    seed: Annotated[
        int, typer.Option(help="The same one draws the same captions.", min=0, rich_help_panel=DRAWING)
    ] = CaptionOptions.seed,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="coco: a result file; sidecar: photo.txt beside photo.jpg. \\[default: table]",
            rich_help_panel=RESULT,
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="--format json: an object for each picture, a line.", rich_help_panel=RESULT)
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write csv, json or coco here. \\[default: on standard output]",
            rich_help_panel=RESULT,
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let sidecars replace files that are there.", rich_help_panel=RESULT)
    ] = False,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Draw which places of a picture speak for which word, a sheet each.",
            rich_help_panel=RESULT,
            show_default=False,
        ),
    ] = None,
    precision: Precision = CaptionOptions.precision,
    batch: Batch = CaptionOptions.batch,
) -> None:
    """Say in a sentence what is in a picture.

    Captions are looked for by beam search, or drawn at random if --temperature,
    --top-k or --top-p is given.

    \b
    Example:
      imgnn caption photo.jpg
      imgnn caption holiday/ -n 5 --json > said.jsonl
      imgnn caption photo.jpg --explain why/
      imgnn caption 'photos/*/*.jpg' --model captions_run --format sidecar
      # with GoogLeNet, 54 MB to download
      imgnn caption photo.jpg --network googlenet
    """
    if not images and not lists:
        raise typer.BadParameter("which pictures: IMAGE... or --list FILE is expected")
    if temperature is None and (was_given(context, "top_k") or was_given(context, "top_p")):
        temperature = 1.0
    options = CaptionOptions(
        models=tuple(models or ()), weights=weights, network=network,
        n=n, max_length=max_length, min_length=min_length, no_repeat_ngram=no_repeat_ngram, unk=unk,
        beam=beam, length_penalty=length_penalty, groups=groups, diversity=diversity,
        temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
        precision=precision, batch=batch,
    )  # fmt: skip
    try:
        options.check()
    except InputError as error:
        raise typer.BadParameter(str(error)) from None
    form = chosen_format(form, json, output, ("csv", "json", "coco"))
    if form == "coco" and n > 1:
        raise typer.BadParameter("a result file of COCO has one caption for each picture: --format coco without -n")
    if output is not None:
        check_folder(output)
    paths = [*named(images or []), *(path for file in lists or [] for path in listed(read_bytes(file)))]

    if not models:
        options = replace(options, models=(str(packaged_model(network)),))

    from imgnn.jobs.caption import caption_images, find_pictures  # Keras wakes here, not at --help

    files = find_pictures(paths)
    if form == "coco":
        check_keys(files)
    if form == "sidecar" and not (files := without_text(files, overwrite=overwrite)):
        return
    reporter = console.reporter()
    try:
        results = caption_images(files, options, reporter, explain_in=explain)
        Writer(form, output, options.models).add_all(results, reporter)
    finally:
        reporter.end()
    if form == "table":
        console.tell_finer(context, "googlenet")


def read_bytes(file: Path) -> bytes:
    """The content of a list.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the list {file}: {error.strerror or error}") from error


def check_keys(files: Sequence[Path]) -> None:
    """See to it, before the work, that each picture has an id of its own.

    Raises:
        InputError: two have the same.
    """
    from imgnn.data.captions import result_key

    seen: dict[int | str, Path] = {}
    for file in files:
        if (other := seen.setdefault(key := result_key(file.name), file)) is not file:
            raise InputError(f"{other} and {file} have the same id in a result file: {key}")


def text_path(picture: Path) -> Path:
    """The text beside a picture."""
    return picture.with_suffix(".txt")


def without_text(files: Sequence[Path], *, overwrite: bool) -> list[Path]:
    """The pictures for which a text is to be written; what is kept is told.

    Raises:
        InputError: a text cannot be written, or would be that of two pictures.
    """
    from imgnn.jobs.caption import check_distinct

    check_distinct({file: text_path(file) for file in files})
    wanted = [file for file in files if overwrite or not is_file(text_path(file))]
    if kept := len(files) - len(wanted):
        console.note(f"Kept: {kept:,} of {len(files):,} pictures have a text already; --overwrite replaces it")
    for file in {file.parent: file for file in wanted if is_file(file)}.values():
        check_folder(text_path(file))
    return wanted


class Writer(Rows):
    """Puts captions where they are wanted: on stdout, in a file, or beside the pictures."""

    def __init__(self, form: Format, output: Path | None, models: Sequence[str]) -> None:
        super().__init__(output, COLUMNS if form == "csv" else (), wait=form == "coco")
        self.form, self.models = form, models

    def add(self, result: "CaptionedImage") -> None:
        """One picture that could be read."""
        if any(not each.text for each in result.captions):
            told = "the model ends before the first word, as one does that was trained for too short a time"
            console.note(f"{console.shown(result.path)}: {told}; --min-length 1 makes it speak")
        if self.form == "table" and console.out.is_terminal:
            show(result)
        elif self.form == "table":
            for each in result.captions:
                self.put(f"{console.shown(result.path)}\t{each.text}")
        elif self.form == "sidecar":
            target = text_path(result.path)
            with write_aside(target) as aside:
                aside.write_text("".join(f"{each.text}\n" for each in result.captions), encoding="utf-8")
            console.show_path(target)
        elif self.form == "csv":
            for rank, each in enumerate(result.captions, 1):
                values = (rank, each.text, *rounded(each).values(), int(each.finished))
                self.put(row_of((console.shown(result.path), *values)))
        elif self.form == "json":
            self.put(json_format.dumps(as_json(result, self.models), ensure_ascii=False))
        else:
            from imgnn.data.captions import result_key

            said = result.captions[0].text if result.captions else ""
            known = {"image_id": result_key(result.path.name), "caption": said}
            self.put(json_format.dumps(known, ensure_ascii=False))

    def close(self) -> None:
        """Write what waited."""
        if self.form == "coco":
            self.rows = ["[" + ",\n ".join(self.rows) + "]"]
        super().close()


def rounded(caption: "Caption") -> dict[str, float]:
    """How probable a caption is, natural logarithms."""
    return {"log_prob": round(caption.log_prob, 4), "log_prob_per_token": round(caption.per_token, 4)}


def as_json(result: "CaptionedImage", models: Sequence[str]) -> dict[str, object]:
    """The fields of one line of `--format json`; docs/caption.md describes them."""
    return {
        "file": console.shown(result.path),
        "models": list(models),
        "captions": [
            {
                "caption": each.text,
                **rounded(each),
                "finished": each.finished,
                "tokens": list(each.tokens),
                "token_log_probs": [round(value, 4) for value in each.log_probs],
            }
            for each in result.captions
        ],
        **({"explained": console.shown(result.explained)} if result.explained else {}),
    }


def show(result: "CaptionedImage") -> None:
    """The path, then a line for each caption with its log_prob."""
    console.out.print(Text(console.shown(result.path), style="bold"), soft_wrap=True, highlight=False)
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for each in result.captions:
        table.add_row("", Text(f"{each.log_prob:6.2f}", "cyan"), Text(each.text + ("" if each.finished else " …")))
    console.out.print(table)
    if result.explained:
        line = Text(f"  explained in {console.shown(result.explained)}", style="dim")
        console.out.print(line, soft_wrap=True, highlight=False)
