"""`imgnn evaluate caption`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from imgnn.cli import console
from imgnn.cli.early import check_run, check_there
from imgnn.cli.parsing import (
    NETWORK,
    RESULT,
    UNSAID,
    Json,
    Precision,
    option,
    options_of,
    refuse_together,
    refuse_without,
    was_given,
)
from imgnn.cli.sentences import (
    MODELS,
    Batch,
    Beam,
    Form,
    Images,
    LengthPenalty,
    Limit,
    MaxLength,
    MinLength,
    Models,
    NoRepeatNgram,
    SkipMissing,
    Split,
    Unk,
    Weights,
)
from imgnn.options import CaptionOptions, EvaluateCaptionOptions, option_name
from imgnn.runs import percent
from imgnn.training.run_folder import packaged_model

if TYPE_CHECKING:
    from imgnn.jobs.evaluate_caption import EvaluatedCaptions
    from imgnn.jobs.evaluate_caption_scores import Judged

SCORES = "The scores"
TOKENIZER = "imgnn's, of the Penn Treebank"
BASELINES = {
    "retrieval": "the first caption of the training picture that looks most like it",
    "people": "the first caption of each picture, judged by its others",
}
# Options that tell how models write.
WRITING = (
    *("weights", "features", "beam", "length_penalty", "min_length", "max_length", "no_repeat_ngram"),
    *("unk", "precision", "batch"),
)


def caption(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="DATA", help="Captions: a file, or a folder that has one.", show_default=False)
    ],
    json: Json = False,
    models: Models = None,
    weights: Weights = None,
    network: Annotated[
        str | None,
        option(
            NETWORK,
            "mini or googlenet: the model in the package on this network. With --model, where its network is now.",
            metavar="NAME|FILE",
            **UNSAID,
        ),
    ] = CaptionOptions.network,
    features: Annotated[
        Path | None,
        option(MODELS, "Features in place of a network: Karpathy's vgg_feats.mat.", metavar="FILE", **UNSAID),
    ] = EvaluateCaptionOptions.features,
    beam: Beam = CaptionOptions.beam,
    length_penalty: LengthPenalty = CaptionOptions.length_penalty,
    max_length: MaxLength = CaptionOptions.max_length,
    min_length: MinLength = CaptionOptions.min_length,
    no_repeat_ngram: NoRepeatNgram = CaptionOptions.no_repeat_ngram,
    unk: Unk = CaptionOptions.unk,
    results: Annotated[
        Path | None, option(MODELS, "Instead of a model: COCO's result file of any program.", metavar="FILE", **UNSAID)
    ] = EvaluateCaptionOptions.results,
    partial: Annotated[
        bool, option(MODELS, "Of --results that lack pictures, judge those that are there.", "--partial")
    ] = EvaluateCaptionOptions.partial,
    split: Split = EvaluateCaptionOptions.split,
    limit: Limit = EvaluateCaptionOptions.limit,
    form: Form = None,
    images: Images = EvaluateCaptionOptions.images,
    skip_missing: SkipMissing = EvaluateCaptionOptions.skip_missing,
    baselines: Annotated[
        bool,
        option(
            SCORES,
            "Judge beside them captions of similar training pictures, and those of people.",
            "--baselines/--no-baselines",
        ),
    ] = EvaluateCaptionOptions.baselines,
    cider_df: Annotated[
        Path | None,
        option(
            SCORES,
            "Document frequencies for CIDEr-D. \\[default: counted over the pictures judged]",
            metavar="FILE",
            **UNSAID,
        ),
    ] = EvaluateCaptionOptions.document_frequency,
    meteor: Annotated[
        bool, option(SCORES, "METEOR too; it needs Java and pycocoevalcap.", "--meteor")
    ] = EvaluateCaptionOptions.meteor,
    output: Annotated[
        Path | None,
        option(RESULT, "A table with a row for each picture: .csv.", "--output", "-o", metavar="FILE", **UNSAID),
    ] = None,
    write_results: Annotated[
        Path | None, option(RESULT, "The sentences as COCO's result file: .json.", metavar="FILE", **UNSAID)
    ] = None,
    write_cider_df: Annotated[
        Path | None,
        option(
            RESULT,
            "Document frequencies of the pictures judged, for --cider-df: .json, .json.gz.",
            metavar="FILE",
            **UNSAID,
        ),
    ] = None,
    sheet: Annotated[
        Path | None, option(RESULT, "The first 20 pictures with their captions: .png, .jpg.", metavar="IMAGE", **UNSAID)
    ] = None,
    precision: Precision = CaptionOptions.precision,
    batch: Batch = CaptionOptions.batch,
) -> None:
    """Tell how good captions are: those of models, or of a result file.

    They are judged by what people wrote of the same pictures: BLEU, ROUGE-L,
    CIDEr-D. Beside them stand captions copied from similar training pictures,
    and the captions of people. Without --model, --network and --results people
    alone are judged, and no picture is looked at.

    \b
    Example:
      imgnn evaluate caption captions.jsonl --model captions_run
      imgnn evaluate caption captions.jsonl --network mini --sheet first.png
      imgnn evaluate caption captions.jsonl --json
      # with the result file of another program
      imgnn evaluate caption captions_val2017.json --results others.json
    """
    if results is not None and (models or network):
        refuse_together("--results", "--model" if models else "--network")
    if not (models or network) and (given := [name for name in WRITING if was_given(context, name)]):
        refuse_without(option_name(given[0]), "--model or --network")
    if partial and results is None:
        refuse_without("--partial", "--results")
    options = options_of(EvaluateCaptionOptions, context, document_frequency=cider_df)
    writing = None
    if models or network:
        writing = options_of(CaptionOptions, context, models=tuple(models or [str(packaged_model(network))]))
        writing.check()
    check_there([source])
    for folder in writing.models if writing else ():
        check_run(folder, "caption")

    from imgnn.jobs.evaluate_caption import Outputs, evaluate_captions  # NumPy wakes here, not at --help

    reporter = console.reporter()
    outputs = Outputs(table=output, results=write_results, document_frequency=write_cider_df, sheet=sheet)
    result = console.ending(reporter, lambda: evaluate_captions(source, options, writing, reporter, outputs=outputs))
    skipped = result.said.skipped if result.said else ()
    console.note_skipped(skipped)
    if json:
        files = [console.shown(path) for path in outputs.paths]
        console.print_json({"data": console.shown(source), **as_json(result, options, writing), "files": files})
    else:
        show(result, cider_df)
        for path in outputs.paths:
            console.show_path(path)
    console.refuse_skipped(skipped, len(result.images))


def as_json(
    result: "EvaluatedCaptions", options: EvaluateCaptionOptions, writing: CaptionOptions | None
) -> dict[str, object]:
    """The fields of `--json`; docs/evaluate.md describes them."""
    said, judged = result.said, result.rows[0]
    facts: dict[str, object] = {
        "split": result.split,
        "pictures": len(result.images),
        "references": result.references,
        "models": list(writing.models) if writing else [],
        "results": console.shown(options.results) if options.results else None,
        "tokenizer": TOKENIZER,
        "document_frequency": {
            "file": console.shown(options.document_frequency) if options.document_frequency else None,
            "images": judged.images,
        },
        "scores": {row.name: row_json(row) for row in result.rows},
    }
    if said is not None:
        facts |= {
            "words_used": judged.words,
            "mean_length": judged.mean_length,
            "div_1": judged.div(1),
            "div_2": judged.div(2),
            "ends_badly": judged.ends_badly,
        }
        if said.fit is not None:
            facts |= {
                "words_known": said.fit.words,
                "nats_per_token": said.fit.nats,
                "perplexity": said.fit.perplexity,
                "image_gain": said.fit.image_gain,
            }
        facts["skipped"] = console.skipped_json(said.skipped)
    return facts


def row_json(row: "Judged") -> dict[str, object]:
    """The scores of one row."""
    return {
        "pictures": len(row.tokens),
        **{f"bleu_{n}": value for n, value in enumerate(row.bleu, 1)},
        "rouge_l": row.rouge_l,
        "cider_d": row.cider_d,
        "meteor": row.meteor,
        "distinct": row.distinct,
        "novel": row.novel,
    }


def show(result: "EvaluatedCaptions", cider_df: Path | None) -> None:
    """The scores side by side, then what else is known of the sentences, and how it was counted."""
    console.print_table(scores_table(result))
    facts = facts_of(result)
    console.print_facts(facts, 10)
    corpus = f" of {console.shown(cider_df)}" if cider_df else ""
    lines = [
        *(f"{row.name}: {BASELINES[row.name]}" for row in result.rows if row.name in BASELINES),
        f"{len(result.images):,} pictures ({result.split}), {result.references:,} references",
        f"Tokenizer: {TOKENIZER}",
        f"CIDEr-D: document frequencies over {result.rows[0].images:,} pictures{corpus}",
    ]
    if facts:
        console.out.print()
    console.print_dim(lines)


def scores_table(result: "EvaluatedCaptions") -> Table:
    """A row for the sentences and each baseline."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("")
    for heading in ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D", "distinct", "novel"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in result.rows:
        table.add_row(
            row.name,
            *(f"{score:.3f}" for score in (*row.bleu, row.rouge_l, row.cider_d)),
            f"{row.distinct:,}",
            percent(row.novel),
            style="bold" if result.said and row is result.rows[0] else "",
        )
    return table


def facts_of(result: "EvaluatedCaptions") -> list[tuple[str, str, str]]:
    """Name, value and meaning of what is not in the table."""
    judged, *others = result.rows
    facts = []
    if judged.meteor is not None:
        facts.append(("METEOR", f"{judged.meteor:.3f}", ", ".join(f"{row.name} {row.meteor:.3f}" for row in others)))
    if result.said is None:
        return facts
    fit = result.said.fit
    if fit is not None:
        facts.append(("perplexity", f"{fit.perplexity:.2f}", f"of the references: {fit.nats:.3f} nats per token"))
        if fit.image_gain is not None:
            facts.append(("image gain", f"{fit.image_gain:.3f}", "nats per token, of the right picture over another"))
    known = f" of the {fit.words:,} that the model knows" if fit else ""
    return [
        *facts,
        ("words", f"{judged.words:,}", f"different ones{known}"),
        ("length", f"{judged.mean_length:.1f}", "words of a caption"),
        ("Div-1", f"{judged.div(1):.3f}", "different words for each word"),
        ("Div-2", f"{judged.div(2):.3f}", "different pairs for each word"),
        ("ends badly", percent(judged.ends_badly), "end with a word that no sentence ends with: a, of, and"),
    ]
