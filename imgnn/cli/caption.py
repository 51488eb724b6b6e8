"""`imgnn caption`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.early import check_run
from imgnn.cli.parsing import (
    COUNT,
    NUMBER,
    RESULT,
    SHARE,
    UNSAID,
    JsonLines,
    Precision,
    option,
    options_of,
    refuse_together,
    refuse_without,
    was_given,
)
from imgnn.cli.rows import FORMS, Lists, Output, Pictures, Rows, chosen_format, find, row_of
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
    Unk,
    Weights,
)
from imgnn.errors import InputError
from imgnn.options import CaptionOptions
from imgnn.runs import check_folder, is_file, write_aside
from imgnn.training.run_folder import packaged_model

if TYPE_CHECKING:
    from imgnn.jobs.caption import Caption, CaptionedImage

DRAWING = "At random"
COLUMNS = ("file", "rank", "caption", "log_prob", "log_prob_per_token", "finished")


def caption(
    context: typer.Context,
    images: Pictures = None,
    lists: Lists = None,
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
    n: Annotated[int, option(CAPTIONS, "Captions of each picture.", "--number", "-n", **COUNT)] = CaptionOptions.n,
    max_length: MaxLength = CaptionOptions.max_length,
    min_length: MinLength = CaptionOptions.min_length,
    no_repeat_ngram: NoRepeatNgram = CaptionOptions.no_repeat_ngram,
    unk: Unk = CaptionOptions.unk,
    beam: Beam = CaptionOptions.beam,
    length_penalty: LengthPenalty = CaptionOptions.length_penalty,
    groups: Annotated[
        int, option(SEARCH, "Parts of the beam that avoid each other's words: diverse beam search.", **COUNT)
    ] = CaptionOptions.groups,
    diversity: Annotated[
        float, option(SEARCH, "With --groups: how strongly they avoid each other's words.", **NUMBER)
    ] = CaptionOptions.diversity,
    temperature: Annotated[
        Any,
        option(
            DRAWING,
            "1: as probable as the model says; below: more of the probable; 0: no chance.",
            **NUMBER,
            **UNSAID,
        ),
    ] = CaptionOptions.temperature,
    top_k: Annotated[
        int, option(DRAWING, "Only so many of the most probable words; 0: all.", metavar="N", min=0)
    ] = CaptionOptions.top_k,
    top_p: Annotated[
        float, option(DRAWING, "Only the most probable words that reach this probability together.", **SHARE)
    ] = CaptionOptions.top_p,
    seed: Annotated[
        int, option(DRAWING, "The same one draws the same captions.", metavar="N", min=0)
    ] = CaptionOptions.seed,
    form: Annotated[
        str | None,
        option(
            RESULT,
            "table, csv, jsonl (an object for each picture, a line), json (one list of them), coco (a result file), or "
            "sidecar (photo.txt beside photo.jpg). \\[default: by the suffix of --output, else table]",
            "--format",
            metavar="FORM",
            **UNSAID,
        ),
    ] = None,
    json: JsonLines = False,
    output: Output = None,
    overwrite: Annotated[bool, option(RESULT, "Let sidecars replace files that are there.", "--overwrite")] = False,
    explain: Annotated[
        Path | None,
        option(
            RESULT, "Draw which places of a picture speak for which word, a sheet each.", metavar="FOLDER", **UNSAID
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
    if temperature is None and (was_given(context, "top_k") or was_given(context, "top_p")):
        temperature = 1.0
    options = options_of(CaptionOptions, context, temperature=temperature)
    options.check()
    form = chosen_format(form, json, output, (*FORMS, "coco", "sidecar"))
    check_useless(context, options, form)
    files = find(images, lists)

    if not models:
        options = replace(options, models=(str(packaged_model(network)),))
    for folder in options.models:
        check_run(folder, "caption")

    from imgnn.jobs.caption import caption_images  # Keras wakes here, not at --help

    if form == "coco":
        check_keys(files)
    if form == "sidecar" and not (files := without_text(files, overwrite=overwrite)):
        return
    reporter = console.reporter()
    try:
        results = caption_images(files, options, reporter, explain_in=explain)
        Writer(form, output, options.models).add_all(results, len(files), reporter)
    finally:
        reporter.end()
    if form == "table":
        console.tell_finer(context, "googlenet")


def check_useless(context: typer.Context, options: CaptionOptions, form: str) -> None:
    """Refuse options that would change nothing."""
    if form == "coco" and options.n > 1:
        refuse_together("--format coco, which has one caption for each picture,", "--number")
    if form != "sidecar" and was_given(context, "overwrite"):
        refuse_without("--overwrite", "--format sidecar")
    if options.groups == 1 and was_given(context, "diversity"):
        refuse_without("--diversity", "--groups")
    if not options.drawn and was_given(context, "seed"):
        refuse_without("--seed", "--temperature, --top-k or --top-p")


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

    def __init__(self, form: str, output: Path | None, models: Sequence[str]) -> None:
        super().__init__(form, output, COLUMNS, is_list=form == "coco")
        self.models = models

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
        elif self.form in ("json", "jsonl"):
            self.put_json(as_json(result, self.models))
        else:
            from imgnn.data.captions import result_key

            said = result.captions[0].text if result.captions else ""
            self.put_json({"image_id": result_key(result.path.name), "caption": said})


def rounded(caption: "Caption") -> dict[str, float]:
    """How probable a caption is, natural logarithms."""
    return {"log_prob": round(caption.log_prob, 4), "log_prob_per_token": round(caption.per_token, 4)}


def as_json(result: "CaptionedImage", models: Sequence[str]) -> dict[str, object]:
    """The fields of one line of `--format jsonl`; docs/caption.md describes them."""
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
