"""`imgnn label --show`: contact sheets of the classes of a list, or of what was found about pictures."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from imgnn.data.findings import FINDINGS_SUFFIXES, OF_CLASSES, read_findings
from imgnn.data.lists import read_list, records_beside
from imgnn.data.split import draw
from imgnn.data.spread import spread
from imgnn.errors import InputError, InterruptedRun
from imgnn.images.files import load_image, save_image
from imgnn.images.sheet import contact_sheet, fit
from imgnn.options import LabelOptions
from imgnn.runs import Reporter, Silent

MOST, COLUMNS = 48, 8  # pictures on a sheet, and in a row; a pair counts for two
CELL = 160  # pixels, the side of a picture's cell
SEAM, MARGIN = 4, 12  # pixels between the pictures of a pair, and on either side of it


@dataclass(frozen=True)
class Exhibit:
    """What one cell of a sheet shows.

    Attributes:
        files: one picture, or two side by side.
        caption: a line for each.
    """

    files: tuple[Path, ...]
    caption: str


@dataclass(frozen=True)
class Sheets:
    """The contact sheets that were written.

    Attributes:
        files: in the order of the classes, or of the kinds of finding.
        pictures: how many cells they have.
        skipped: the picture of each cell that is not shown, and why: it, or the one beside it, cannot be read.
    """

    files: tuple[Path, ...]
    pictures: int
    skipped: tuple[tuple[Path, str], ...]


def draw_sheets(
    path: Path, folder: Path | None = None, options: LabelOptions | None = None, reporter: Reporter | None = None
) -> Sheets:
    """Write a contact sheet for each class of a list; or for each kind of finding, of a quarantine list or of notes.

    A copy is shown beside the picture that it is a copy of. Of a class with more than 48 pictures, so many are drawn.

    Args:
        folder: where the sheets go; None: `flowers_sheets` beside `flowers.txt`.
        options: `root`, `seed`, `workers`.

    Raises:
        InputError: the list cannot be read, or no picture of it.
        InterruptedRun: Ctrl-C, between two sheets.
    """
    options, reporter = options or LabelOptions(), reporter or Silent()
    folder = folder or path.with_name(f"{path.stem}_sheets")
    sheets = of_findings(path, options) if path.name.endswith(FINDINGS_SUFFIXES) else of_classes(path, options)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    pictures, skipped = 0, []
    reporter.begin("drawing", len(sheets), "sheets")
    try:
        for number, (name, exhibits) in enumerate(sheets.items(), 1):
            cells = []
            for exhibit, image in spread(side_by_side, exhibits, workers=options.workers):
                if isinstance(image, InputError):
                    skipped.append((exhibit.files[0], str(image)))
                else:
                    cells.append((image, exhibit.caption))
            pictures += len(cells)
            if cells:
                file = folder / f"{name}.png"
                columns = COLUMNS // max(len(each.files) for each in exhibits)
                rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
                save_image(
                    file,
                    contact_sheet(
                        [[image for image, _ in row] for row in rows],
                        captions=[[caption for _, caption in row] for row in rows],
                        cell=(CELL, max(image.shape[1] for image, _ in cells)),
                    ),
                )
                written.append(file)
            reporter.advance(number)
    except KeyboardInterrupt:
        raise InterruptedRun(f"{len(written)} of {len(sheets)} sheets are in {folder}") from None
    finally:
        reporter.end()
    if not written:
        raise InputError(f"none of the pictures of {path} can be shown")
    return Sheets(tuple(written), pictures, tuple(skipped))


def of_classes(path: Path, options: LabelOptions) -> dict[str, list[Exhibit]]:
    """What the sheets of a list show: file name -> cells, by label."""
    listed = read_list(path, options.root)
    sheets: dict[str, list[Exhibit]] = {}
    paths: dict[int, list[str]] = {label: [] for label in listed.labels}
    for entry in listed.entries:
        paths[entry.label].append(entry.path)
    for label, found in paths.items():
        sheets[safe(f"{label}_{listed.name(label)}" if label in listed.words else str(label))] = [
            Exhibit((listed.root / each,), PurePosixPath(each).name) for each in some(found, MOST, options.seed)
        ]
    return sheets


def of_findings(path: Path, options: LabelOptions) -> dict[str, list[Exhibit]]:
    """What the sheets of findings show: kind -> cells.

    Raises:
        InputError: it is not known where the pictures are, or there is no finding.
    """
    record = next(records_beside(path), None)
    if options.root is None and record is None:
        raise InputError(
            f"where the pictures of {path} are is not known: no record lies beside it", hint="--root FOLDER"
        )
    root = options.root or path.parent / record["root"]  # type: ignore[index]
    pairs: dict[str, dict[str, str]] = {}  # kind -> picture -> the other
    for finding in read_findings(path):
        # Of two that are copies of each other, one pair is enough.
        if finding.kind not in OF_CLASSES and pairs.get(finding.kind, {}).get(finding.other) != finding.path:
            pairs.setdefault(finding.kind, {})[finding.path] = finding.other
    if not pairs:
        raise InputError(f"there is no picture in {path}")
    sheets: dict[str, list[Exhibit]] = {}
    for kind, found in pairs.items():
        chosen = some(list(found), MOST // 2 if any(found.values()) else MOST, options.seed)
        names = [(found[each], each) if found[each] else (each,) for each in chosen]
        sheets[kind] = [Exhibit(tuple(root / name for name in both), "\n".join(both)) for both in names]
    return sheets


def some(paths: Sequence[str], most: int, seed: int) -> list[str]:
    """At most so many of the paths, drawn by the seed, in their order."""
    drawn = set(sorted(paths, key=lambda path: draw(path, seed))[:most])
    return [path for path in dict.fromkeys(paths) if path in drawn]


def safe(name: str) -> str:
    """The name as one that a file may have everywhere."""
    return re.sub(r"[^\w .,+-]", "_", name)[:60].strip(" .")


def side_by_side(exhibit: Exhibit) -> np.ndarray | InputError:
    """The pictures of a cell, small; or why one cannot be read."""
    try:
        small = [fit(load_image(file), (CELL, CELL)) for file in exhibit.files]
    except InputError as error:
        return error
    if len(small) == 1:
        return small[0]
    # A pair has a margin, by which it is seen which two belong together.
    paper = np.full((max(image.shape[0] for image in small), 2 * (CELL + MARGIN) + SEAM, 3), 255, "uint8")
    for image, left in zip(small, (MARGIN, MARGIN + CELL + SEAM), strict=True):
        top, left = paper.shape[0] - image.shape[0], left + (CELL - image.shape[1]) // 2
        paper[top:, left : left + image.shape[1]] = image
    return paper
