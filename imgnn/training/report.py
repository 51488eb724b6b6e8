"""A run on one page: report.html, which needs neither the internet nor the pictures beside it."""

import base64
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgnn.home import ASSETS
from imgnn.images.heat import overlay
from imgnn.images.resize import fit_long_side, resize
from imgnn.runs import duration, write_aside
from imgnn.training.curves import DARK, LIGHT, NARROW, WIDE, Rows, best_epoch, curves_figure, png_of
from imgnn.training.scores import Scores

SIDE = 240  # pixels, the long side of a thumbnail
QUALITY = 82  # of its JPEG
WHOLE = 24  # classes: so many fit into a table of the confusion matrix, of more the most confused are shown
OPEN = 30  # classes shown at once in the table of all classes, skipped files in the list of them
DOTS = 500  # pixels, the side of the picture of all of them
RIGHT, WRONG = (31, 122, 224), (214, 69, 65)  # on it: --right and --wrong of report.css
CONFUSED = 12  # pairs of classes
STYLE = ASSETS / "report.css"


@dataclass(frozen=True, eq=False)
class ReportPicture:
    """A picture on the page, and what was said of it.

    Attributes:
        thumbnail: uint8 `(height, width, 3)`: what the network saw, small.
        overlay: uint8 of the same size: the places that spoke for the predicted class; None: not known.
        file: its name.
        label, predicted: the true and the predicted class, by name.
        prob: of the true class, 0..1.
        predicted_prob: of the predicted class, 0..1.
    """

    thumbnail: np.ndarray
    overlay: np.ndarray | None
    file: str
    label: str
    predicted: str
    prob: float
    predicted_prob: float


def report_picture(scores: Scores, index: int, image: np.ndarray, heat: np.ndarray | None) -> ReportPicture:
    """One picture of `scores` for the page.

    Args:
        index: its place in `scores.files`.
        image: uint8 `(height, width, 3)`: what the network saw of it, not yet preprocessed.
        heat: float `(h, w)`, 0..1: `class_activation` for the predicted class; None: not known.
    """
    thumbnail = resize(image, fit_long_side((image.shape[0], image.shape[1]), SIDE))
    predicted = int(scores.predicted[index])
    return ReportPicture(
        thumbnail,
        None if heat is None else overlay(thumbnail, heat),
        scores.files[index],
        scores.classes[scores.labels[index]],
        scores.classes[predicted],
        float(scores.true_prob[index]),
        float(scores.prob[index, predicted]),
    )


def write_report(
    path: Path,
    config: Mapping[str, Any],
    rows: Rows,
    scores: Scores | None,
    pictures: Sequence[ReportPicture],
    *,
    skipped: Sequence[tuple[str, str]] = (),
) -> None:
    """Write a run as one HTML file: light or dark as the reader's browser is, on a telephone as well, without scripts.

    Args:
        config: config.json of the run; what it lacks is left out.
        rows: of log.jsonl.
        scores: of the val pictures, by the best network; None: there are none.
        pictures: those with the largest losses, the worst first.
        skipped: file and reason of the pictures that could not be read.

    Raises:
        InputError: the file cannot be written.
    """
    parts = [
        headline(config, rows, scores),
        section("Curves", curves(rows)) if rows else "",
        *(scored(scores) if scores is not None and scores.files else ()),
        section("Largest losses", gallery(pictures)) if pictures else "",
        section(f"Skipped pictures ({len(skipped)})", skipped_list(skipped)) if skipped else "",
        section("How it was made", made(config)),
    ]
    title = f"{config.get('network', 'a network')}, {len(config.get('classes', ()))} classes"
    page = PAGE.format(
        title=text(title), style=STYLE.read_text(encoding="utf-8"), body="\n".join(part for part in parts if part)
    )
    # A file's name may hold bytes that are no UTF-8.
    with write_aside(path) as aside:
        aside.write_bytes(page.encode("utf-8", "replace"))


# The parts of the page -----------------------------------------------------------------------------------------


def headline(config: Mapping[str, Any], rows: Rows, scores: Scores | None) -> str:
    """What was trained, on what, and what came out."""
    epochs = [row for row in rows if row.get("kind", "epoch") == "epoch"]
    train, val = (config.get(name) or {} for name in ("train", "val"))
    best = best_epoch(rows)
    facts = []
    if best is not None:
        facts.append(
            (percent(best["val_accuracy"]), "val accuracy", f"best, at epoch {best['epoch']} of {len(epochs)}")
        )
    elif epochs:
        facts.append((percent(epochs[-1].get("accuracy")), "train accuracy", f"epoch {len(epochs)}; nothing validated"))
    if scores is not None and scores.top5 is not None:
        facts.append((percent(scores.top5), "top-5 accuracy", "val, of the best network"))
    if best is not None and best.get("val_loss") is not None:
        facts.append((f"{best['val_loss']:.3f}", "val loss", f"at epoch {best['epoch']}"))
    facts.append((str(len(config.get("classes", ()))), "classes", ""))
    facts.append(
        (
            thousands(train.get("pictures")),
            "pictures",
            f"{thousands(val['pictures'])} more for validation" if val.get("pictures") else "",
        )
    )
    seconds = config.get("seconds") or sum(row.get("seconds") or 0 for row in epochs)
    facts.append((duration(seconds), "training", config.get("machine", "")))
    tiles = "".join(
        f"<li><b>{text(value)}</b><span>{text(name)}</span><small>{text(note)}</small></li>"
        for value, name, note in facts
    )
    recipe = f"recipe <em>{text(config['recipe'])}</em>" if config.get("recipe") else ""
    return (
        f"<header><p>imgnn finetune</p><h1>{text(config.get('network', 'a network'))}</h1><p>{recipe}</p></header>\n"
        f'<ul class="facts">{tiles}</ul>'
    )


def curves(rows: Rows) -> str:
    """The curves for light and dark, wide and narrow pages, of which a browser shows one."""
    drawn = {
        (theme, size): address(png_of(curves_figure(rows, theme, size)), "png")
        for theme in (LIGHT, DARK)
        for size in (WIDE, NARROW)
    }
    dark, narrow = "(prefers-color-scheme: dark)", "(max-width: 560px)"
    return (
        f'<picture><source srcset="{drawn[DARK, NARROW]}" media="{dark} and {narrow}">'
        f'<source srcset="{drawn[LIGHT, NARROW]}" media="{narrow}">'
        f'<source srcset="{drawn[DARK, WIDE]}" media="{dark}">'
        f'<img class="curves" src="{drawn[LIGHT, WIDE]}" alt="Loss, accuracy and learning rate over the epochs">'
        "</picture>"
    )


def scored(scores: Scores) -> list[str]:
    """The sections that need probabilities."""
    wrong = int((scores.predicted != scores.labels).sum())
    if wrong:
        lead = f"<p>{thousands(wrong)} of {thousands(len(scores.files))} val pictures were taken for another class.</p>"
    else:
        lead = f"<p>All {thousands(len(scores.files))} val pictures were found.</p>"
    return [
        section("Confusion", f'{lead}<div class="beside">{confusion(scores)}{confused(scores)}</div>'),
        section("Classes", "<p>The worst first.</p>" + classes(scores)),
    ]


def confusion(scores: Scores) -> str:
    """The confusion matrix; of many classes, as a picture, and the part where most mistakes are as a table."""
    count = len(scores.classes)
    if count <= WHOLE:
        return matrix(scores, range(count))
    wrong = scores.confusion - np.diag(scores.confusion.diagonal())
    mistakes = wrong.sum(axis=0) + wrong.sum(axis=1)
    shown = sorted(np.argsort(-mistakes, kind="stable")[:WHOLE].tolist())
    return (
        f'<figure><img class="matrix" src="{matrix_picture(scores)}" alt="The whole confusion matrix">'
        f"<figcaption>All {count} classes: a row is a true class, a column a predicted one. What lies off the diagonal "
        f"is wrong.</figcaption></figure><div><p>The {WHOLE} classes that most mistakes were made with:</p>"
        f"{matrix(scores, shown)}</div>"
    )


def matrix(scores: Scores, shown: Sequence[int]) -> str:
    """A table of some classes: rows are true, columns predicted; coloured by the share of the row."""
    totals = np.maximum(scores.confusion.sum(axis=1), 1)
    heads = "".join(f'<th scope="col"><span>{text(scores.classes[column])}</span></th>' for column in shown)
    lines = []
    for row in shown:
        cells = []
        for column in shown:
            number = int(scores.confusion[row, column])
            share = number / totals[row]
            kind = ("right" if row == column else "wrong") + (" strong" if share > 0.55 else "")
            title = f"{scores.classes[row]} taken for {scores.classes[column]}: {number} ({percent(share)})"
            if number:
                # The least of mistakes is to be seen.
                style = f"--share:{15 + 85 * share:.0f}%"
                cells.append(f'<td class="{kind}" style="{style}" title="{text(title)}">{number}</td>')
            else:
                cells.append("<td></td>")
        lines.append(f'<tr><th scope="row">{text(scores.classes[row])}</th>{"".join(cells)}</tr>')
    return (
        '<div class="wide"><table class="confusion"><thead><tr><td class="corner">true \\ predicted</td>'
        f"{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def matrix_picture(scores: Scores) -> str:
    """The whole matrix, a dot for each pair of classes, transparent where there is nothing: for light and dark.

    Of more classes than fit, neighbours share a dot, which shows the strongest of them.
    """
    share = scores.confusion / np.maximum(scores.confusion.sum(axis=1, keepdims=True), 1)
    group = -(-len(share) // DOTS)
    spare = -len(share) % group
    side = (len(share) + spare) // group
    share = np.pad(share, (0, spare)).reshape(side, group, side, group).max(axis=(1, 3))
    pixels = np.empty((side, side, 4), "uint8")
    pixels[..., :3] = np.where(np.eye(side, dtype=bool)[..., None], RIGHT, WRONG)
    pixels[..., 3] = np.rint(255 * np.sqrt(share))  # a root, that single mistakes are seen
    dot = max(1, DOTS // side)
    file = io.BytesIO()
    Image.fromarray(pixels.repeat(dot, axis=0).repeat(dot, axis=1)).save(file, "PNG", optimize=True)
    return address(file.getvalue(), "png")


def confused(scores: Scores) -> str:
    """The pairs that were confused most often."""
    pairs = scores.most_confused(CONFUSED)
    if not pairs:
        return ""
    totals, most = scores.confusion.sum(axis=1), pairs[0][2]
    lines = "".join(
        f"<tr><td>{text(scores.classes[true])} <i>taken for</i> {text(scores.classes[predicted])}</td>"
        f"<td>{bar(count / most, 'wrong', f'{count} of {totals[true]}')}</td></tr>"
        for true, predicted, count in pairs
    )
    return f'<div class="pairs"><h3>Most confused</h3><table class="bars"><tbody>{lines}</tbody></table></div>'


def classes(scores: Scores) -> str:
    """Recall and precision of every class, the worst first; of many, the others behind a click."""
    recall, precision, pictures = scores.recall, scores.precision, scores.confusion.sum(axis=1)
    taken = scores.confusion.sum(axis=0)
    # Classes without pictures come last.
    order = sorted(range(len(scores.classes)), key=lambda each: (math.isnan(recall[each]), recall[each]))
    lines = [
        f"<tr><td>{text(scores.classes[each])}</td>"
        f"<td>{bar(recall[each], 'right', f'{percent(recall[each])} of {pictures[each]}')}</td>"
        f"<td>{bar(precision[each], 'other', f'{percent(precision[each])} of {taken[each]}')}</td></tr>"
        for each in order
    ]
    head = (
        "<thead><tr><th>class</th><th>recall: its pictures that were found</th>"
        "<th>precision: pictures taken for it that are</th></tr></thead>"
    )
    table = '<table class="bars">{head}<tbody>{lines}</tbody></table>'
    first = table.format(head=head, lines="".join(lines[:OPEN]))
    if len(lines) <= OPEN:
        return first
    rest = table.format(head=head, lines="".join(lines[OPEN:]))
    return f"{first}<details><summary>The other {len(lines) - OPEN} classes</summary>{rest}</details>"


def gallery(pictures: Sequence[ReportPicture]) -> str:
    """Pictures with what was said of them; beside each, where the predicted class was seen."""
    cards = []
    for each in pictures:
        images = f'<img src="{jpeg(each.thumbnail)}" alt="{text(each.file)}">'
        if each.overlay is not None:
            images += f'<img src="{jpeg(each.overlay)}" alt="where {text(each.predicted)} was seen">'
        is_right = each.label == each.predicted
        verdict = (
            f'<b class="good">{text(each.label)}</b> {percent(each.prob)}'
            if is_right
            else f'<b class="good">{text(each.label)}</b> {percent(each.prob)}, taken for '
            f'<b class="bad">{text(each.predicted)}</b> {percent(each.predicted_prob)}'
        )
        cards.append(
            f'<figure class="card"><div>{images}</div><figcaption>{verdict}'
            f"<small>{text('/'.join(Path(each.file).parts[-2:]))}</small></figcaption></figure>"
        )
    lead = ""
    if any(each.overlay is not None for each in pictures):
        lead = "<p>Bright beside each picture: the places that spoke for the class it was taken for (Grad-CAM).</p>"
    return f'{lead}<div class="gallery">{"".join(cards)}</div>'


def skipped_list(skipped: Sequence[tuple[str, str]]) -> str:
    """Files and reasons; of many, the others behind a click."""
    lines = [f"<tr><td>{text(name)}</td><td>{text(reason)}</td></tr>" for name, reason in skipped]
    table = '<table class="plain"><tbody>{}</tbody></table>'
    first = table.format("".join(lines[:OPEN]))
    if len(lines) <= OPEN:
        return first
    rest = table.format("".join(lines[OPEN:]))
    return f"{first}<details><summary>The other {len(lines) - OPEN}</summary>{rest}</details>"


FACTS = ("imgnn", "network", "size", "features", "recipe", "precision", "machine", "train", "val")


def made(config: Mapping[str, Any]) -> str:
    """The command, and every setting."""
    command = f"<pre>{text(config['command'])}</pre>" if config.get("command") else ""
    facts = {name: config.get(name) for name in FACTS}
    lines = "".join(
        f"<tr><td>{text(name)}</td><td>{text(shown(value))}</td></tr>"
        for name, value in facts.items()
        if value is not None
    )
    options = "".join(
        f"<tr><td>{text(name)}</td><td>{text(shown(value))}</td></tr>"
        for name, value in (config.get("options") or {}).items()
        if value is not None
    )
    settings = {stage["name"]: {**stage, "name": None} for stage in config.get("stages", ())}
    stages = "".join(
        f"<tr><td>{text(name)}</td><td>{text(shown({k: v for k, v in each.items() if v is not None}))}</td></tr>"
        for name, each in settings.items()
    )
    names = ", ".join(text(name) for name in config.get("classes", ()))
    table = '<table class="plain"><tbody>{}</tbody></table>'
    return (
        command
        + table.format(lines + stages)
        + (f"<details open><summary>Options</summary>{table.format(options)}</details>" if options else "")
        + (f"<details><summary>Classes</summary><p>{names}</p></details>" if names else "")
    )


# Small things --------------------------------------------------------------------------------------------------


def section(title: str, content: str) -> str:
    """A part of the page with its title."""
    return f"<section><h2>{text(title)}</h2>{content}</section>"


def text(value: Any) -> str:
    """As HTML shows it: a class or a file may be called <b>."""
    return html.escape(str(value))


def bar(share: float, kind: str, words: str) -> str:
    """A bar of a share of its width, with words beside it."""
    if math.isnan(share):
        return '<span class="none">no pictures</span>'
    return (
        f'<span class="bar {kind}" style="--share:{100 * share:.1f}%"></span><span class="words">{text(words)}</span>'
    )


def percent(share: float | None) -> str:
    """0.934 -> "93.4 %"."""
    return "unknown" if share is None or not math.isfinite(share) else f"{100 * share:.1f}\u00a0%"  # not to be parted


def thousands(number: int | None) -> str:
    """12345 -> "12,345"; nothing -> "no"."""
    return f"{number:,}" if number else "no"


def shown(value: Any) -> str:
    """A setting: words as they are, several as "pictures: 300, ...", the rest as JSON has it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def jpeg(image: np.ndarray) -> str:
    """A picture inside the page."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
    return address(file.getvalue(), "jpeg")


def address(data: bytes, kind: str) -> str:
    """A picture's bytes as an address."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


# A policy that forbids everything but what is inside, should a name ever find its way around `text`.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
