"""What several commands about sentences for pictures have: options, and where the results go."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imgnn.cli import console
from imgnn.cli.parsing import MACHINE, UNSAID, parse_numbers, parse_weight
from imgnn.errors import InputError
from imgnn.runs import Reporter, write_aside


def option(panel: str, help: str, *names: str, **more: Any) -> Any:
    """A `typer.Option` in a panel."""
    return typer.Option(*names, help=help, rich_help_panel=panel, **more)


# A data set
DATA = "The data"
FORMS = Literal["karpathy", "coco", "flickr", "neuraltalk2", "csv", "jsonl", "folder"]
Form = Annotated[FORMS | None, option(DATA, "Of DATA. \\[default: by what is in it]", **UNSAID)]
Images = Annotated[
    Path | None,
    option(
        DATA,
        "The folder that pictures' names start from. \\[default: found beside DATA]",
        exists=True,
        file_okay=False,
        **UNSAID,
    ),
]
SkipMissing = Annotated[bool, option(DATA, "Leave out pictures that are not there.", "--skip-missing")]

# How sentences are written
MODELS, CAPTIONS, SEARCH = "The models", "The captions", "By beam search"
Models = Annotated[
    list[str] | None,
    option(
        MODELS,
        "A run of imgnn train caption. Several: the mean of their probabilities.",
        "--model",
        "-m",
        metavar="RUN",
        **UNSAID,
    ),
]
Weights = Annotated[
    Any,
    option(
        MODELS, "How much each model counts. \\[default: the same]", parser=parse_numbers, metavar="2,1,...", **UNSAID
    ),
]
NetworkFile = Annotated[
    str | None,
    option(
        MODELS, "Where the network that a model looks with is now. \\[default: where it was]", metavar="FILE", **UNSAID
    ),
]
# Of commands that take a model in the package where none is named
FROM_PACKAGE = "\\[default: the one of captions in the package]"
NetworkOrFile = Annotated[
    str | None,
    option(
        MODELS,
        "mini or googlenet: the model in the package on this network. With --model, where its network is now. "
        "\\[default: mini; where it was]",
        metavar="NAME|FILE",
        **UNSAID,
    ),
]
MaxLength = Annotated[int, option(CAPTIONS, "Tokens at most, the end is one.", min=1)]
MinLength = Annotated[int, option(CAPTIONS, "Words at least.", min=0)]
NoRepeatNgram = Annotated[int, option(CAPTIONS, "So many words in a row do not come twice; 0: they may.", min=0)]
Unk = Annotated[bool, option(CAPTIONS, "Let <UNK> be said, for a word that is not known.", "--unk")]
Beam = Annotated[
    int | None,
    option(SEARCH, "Sentences that are followed. \\[default: 3; 20 for several captions]", min=1, **UNSAID),
]
LengthPenalty = Annotated[
    float,
    option(
        SEARCH,
        "The order is that of log_prob / length ** this; 0: short ones win.",
        parser=parse_weight,
        metavar="FLOAT",
    ),
]
Batch = Annotated[int, option(MACHINE, "Pictures that are captioned at once.", min=1)]


# Where the results go


FORMATS = {".csv": "csv", ".jsonl": "json", ".json": "json"}  # by the suffix of --output


def chosen_format(form: str | None, json: bool, output: Path | None, filed: Sequence[str]) -> Any:
    """The form of the result. Options that do not go together are a usage error.

    Args:
        filed: the forms that go into a file; the others stand in the terminal, or beside the pictures.
    """
    if json and form not in (None, "json"):
        raise typer.BadParameter(f"--json is --format json; --format {form} another one")
    if form is None:
        form = "json" if json else FORMATS.get(output.suffix.lower(), "table") if output else "table"
    if output is not None and form not in filed:
        known = f"{', '.join(filed[:-1])} or {filed[-1]}"
        raise typer.BadParameter(f"--output takes --format {known}, not {form}")
    return form


class Rows:
    """Results as rows: on stdout as they come, or at the end in a file.

    Args:
        output: the file; None: stdout.
        header: the row above them, if there is one.
        wait: nothing is written before the end, on stdout neither.
    """

    def __init__(self, output: Path | None, header: Sequence[str] = (), *, wait: bool = False) -> None:
        self.output, self.wait = output, wait or output is not None
        self.header = [row_of(header)] if header else []  # that nobody saw yet
        self.rows: list[str] = []  # that wait for the end

    def add(self, result: Any) -> None:
        """One picture that could be read: `put` its rows."""
        raise NotImplementedError

    def add_all(self, results: Iterable[Any], reporter: Reporter) -> None:
        """Every picture as its result comes; those that were added are kept, also after Ctrl-C.

        Raises:
            InputError: some could not be read; all others were added.
        """
        failed = total = 0
        try:
            for result in results:
                if console.out.is_terminal and self.output is None:
                    reporter.end()  # the results, on the same screen, show how far it is
                total += 1
                if result.error:
                    failed += 1
                    reporter.note(f"Skipped: {result.error}")
                else:
                    self.add(result)
        finally:
            reporter.end()
            if total:
                self.close()
        if failed:
            raise InputError(f"{failed} of {total} pictures could not be read")

    def put(self, row: str) -> None:
        """A row that ends here."""
        if self.wait:
            self.rows.append(row)
        else:
            print(*self.header, row, sep="\n", file=console.out.file, flush=True)
            self.header = []

    def close(self) -> None:
        """Write what waited."""
        text = "".join(f"{row}\n" for row in [*self.header, *self.rows])
        if self.output is None:
            print(text, end="", file=console.out.file, flush=True)
        else:
            with write_aside(self.output) as aside:
                aside.write_text(text, encoding="utf-8", newline="")
            console.show_path(self.output)


def row_of(values: Sequence[object]) -> str:
    """A line of CSV, without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()
