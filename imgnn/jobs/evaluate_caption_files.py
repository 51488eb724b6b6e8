"""What `imgnn evaluate caption` writes: a table, a result file, a sheet of pictures."""

import csv
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgnn.data.caption_files import result_keys, write_results
from imgnn.data.captions import CaptionSet
from imgnn.errors import InputError
from imgnn.images.files import load_image, save_image
from imgnn.images.sheet import contact_sheet, fit
from imgnn.jobs.evaluate_caption_scores import Judged, Said
from imgnn.runs import Reporter, write_aside

COLUMNS = ("picture", "caption", "cider_d", "bleu_4", "rouge_l", "log_prob", "references")
BETWEEN = " | "  # references in the table
SHEET = 20  # pictures on the contact sheet: the first ones
ACROSS = 4  # of them in a row
CELL = (240, 320)  # pixels, (height, width) of each
LINE = 38  # letters that fit below it


@dataclass(frozen=True)
class Outputs:
    """Files to be written; None: not."""

    table: Path | None = None  # CSV, a row for each picture
    results: Path | None = None  # COCO's result file
    document_frequency: Path | None = None  # of the references of the pictures that are judged
    sheet: Path | None = None  # the first pictures with their captions

    @property
    def paths(self) -> list[Path]:
        """Those that are to be written."""
        found = (self.table, self.results, self.document_frequency, self.sheet)
        return [path for path in found if path is not None]


def write_sentences(said: Said, judged: Judged, captions: CaptionSet, outputs: Outputs, reporter: Reporter) -> None:
    """Write the sentences, as far as they are wanted.

    Raises:
        InputError: a file cannot be written.
    """
    if outputs.table is not None:
        write_table(outputs.table, judged, said)
    if outputs.results is not None:
        keys = dict(zip((image.name for image in captions.images), result_keys(captions), strict=True))
        write_results(
            outputs.results, [(keys[image.name], text) for image, text in zip(said.images, said.captions, strict=True)]
        )
    if outputs.sheet is not None:
        files = [captions.file(image) for image in said.images[:SHEET]]
        draw_sheet(outputs.sheet, files, said.captions[:SHEET], reporter)


def write_table(path: Path, judged: Judged, said: Said) -> None:
    """Write a row for each picture: its sentence, what it got, and the references.

    Raises:
        InputError: the file cannot be written.
    """
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for number, (image, text) in enumerate(zip(said.images, said.captions, strict=True)):
            log_prob = f"{said.log_probs[number]:.6g}" if said.log_probs else ""
            scores = (f"{each:.6g}" for each in judged.each[number])
            table.writerow((image.name, text, *scores, log_prob, BETWEEN.join(image.captions)))


def draw_sheet(path: Path, files: Sequence[Path], texts: Sequence[str], reporter: Reporter) -> None:
    """Draw pictures with their sentences beneath; those that cannot be read are left out.

    Raises:
        InputError: none can be read, or the file cannot be written.
    """
    cells = []
    for file, text in zip(files, texts, strict=True):
        try:
            cells.append((fit(load_image(file), CELL), "\n".join(textwrap.wrap(text, LINE))))
        except InputError as error:
            reporter.note(f"Not on the sheet: {error}")
    rows = [cells[start : start + ACROSS] for start in range(0, len(cells), ACROSS)]
    sheet = contact_sheet(
        [[image for image, _ in row] for row in rows], captions=[[text for _, text in row] for row in rows], cell=CELL
    )
    save_image(path, sheet)
