"""Pages of a boke site (picture, line, stars), and ボケ缶, boke in a can.

The layouts that were met, oldest first; a page is read by the first that finds something in it.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from imgnn.data.items import Boke, Listed
from imgnn.errors import InputError

if TYPE_CHECKING:
    from bs4 import Tag

SITE = "https://bokete.jp/"  # what a saved page's relative addresses start from
DEEPEST = 200  # elements in one another; pages that were met have 12; each is asked for those above it
CAN = ("odai_photo_url", "text", "rate_sum")  # columns by which a can's boke.csv is known


@dataclass(frozen=True)
class Layout:
    """Where things are in a page, as CSS selectors.

    Attributes:
        boke: one of them each, or one for each line under the only picture.
        picture, text: within it; where `shared`, the picture is the page's.
        star: whose first number is the sum of stars; None if the page does not tell.
        number: whose `href` or `value` ends with the site's number.
    """

    boke: str
    picture: str
    text: str
    number: str
    star: str | None = None
    category: str | None = None
    shared: bool = False


LAYOUTS = (
    Layout(  # 2013: /boke/hot, popular, legend
        "div.boke-entry",
        "div.photo img",
        "p.boke_read",
        "input.boke-id",
        ".accordion-header em",
        "p.boke-entry-info a[href*='/boke/category/']",
    ),
    Layout(  # 2013: a user's boke
        "div.boke-list",
        "div.boke-list-odai img",
        "h3",
        "input.boke-id",
        None,
        ".boke-list-boke-meta-boke a[href*='/boke/category/']",
    ),
    Layout(  # 2020: /odai/NUMBER
        "#content > div.boke", "div.photo-content img", "a.boke-text", "a.boke-text", "div.boke-stars a", shared=True
    ),
    Layout(  # 2018: /boke/legend, popular, select, pickup
        ".content-boke > .boke",
        ".boke-photo-content img",
        "a.boke-text",
        "a.boke-text",
        "div.boke-stars a",
    ),
)


def read_page(html: str, name: str, base: str | None = None) -> Iterator[Listed]:
    """What a page holds, as lines of a source.

    Args:
        base: the page's own address, for what is relative in it; None: a saved page of bokete.jp.

    Raises:
        InputError: no known layout finds a boke in it, or its markup is broken.
    """
    from bs4 import BeautifulSoup  # most lists are no pages
    from bs4.builder import ParserRejectedMarkup

    try:
        page = BeautifulSoup(html, "html.parser")
        if (levels := depth_of(page)) > DEEPEST:
            raise InputError(f"{name} is no page that can be read: {levels:,} elements lie in one another")
        for layout in LAYOUTS:
            shared = page.select_one(layout.picture) if layout.shared else None
            entries = enumerate(outermost(page.select(layout.boke)), 1)
            read = (read_entry(entry, shared, layout, base or SITE, index) for index, entry in entries)
            if found := [listed for listed in read if listed]:
                yield from found
                return
    except (ParserRejectedMarkup, ValueError, RecursionError) as error:  # <![, an address with half a bracket
        raise InputError(f"{name} is no page that can be read: {str(error).splitlines()[-1]}") from error
    raise InputError(f"{name} is a web page without a boke, or of a layout that is not known here")


def depth_of(page: "Tag") -> int:
    """How many elements lie in one another."""
    levels = {id(page): 0}
    for tag in page.find_all(True):
        levels[id(tag)] = levels[id(tag.parent)] + 1
    return max(levels.values())


def outermost(entries: Iterable["Tag"]) -> Iterator["Tag"]:
    """Entries, in the page's order, without those that lie in another: each is searched whole."""
    inside: set[int] = set()
    for entry in entries:
        if id(entry) not in inside:
            inside.update(map(id, entry.find_all(True)))
            yield entry


def read_entry(entry: "Tag", shared: "Tag | None", layout: Layout, base: str, index: int) -> Listed | None:
    """One boke of a page, of its own picture or the shared one; None if its picture or its text is missing."""
    picture, text = shared or entry.select_one(layout.picture), entry.select_one(layout.text)
    if picture is None or text is None or not picture.get("src") or not text.get_text(strip=True):
        return None
    number = entry.select_one(layout.number)
    digits = re.findall(r"[0-9]+", str((number and (number.get("value") or number.get("href"))) or ""))
    star = entry.select_one(layout.star) if layout.star else None
    stars = re.search(r"[0-9][0-9,]*", star.get_text()) if star else None
    category = entry.select_one(layout.category) if layout.category else None
    boke = Boke(
        text=text.get_text(strip=True),
        number=digits[-1] if digits else "",
        star=int(stars[0].replace(",", "")) if stars else None,
        category=category.get_text(strip=True) if category else None,
    )
    return Listed(urljoin(base, str(picture["src"]).strip()), index, boke=boke)


def read_can(rows: Iterable[dict[str, str]], folder: Path) -> Iterator[Listed]:
    """The lines of a can's `boke.csv`, whose pictures lie beside it.

    Args:
        rows: the CSV, `odai_photo_url` relative to the can.
        folder: the can.
    """
    for index, row in enumerate(rows, 2):
        address = row["odai_photo_url"].replace("\0", " ").strip()  # no file's name has a zero
        picture = next(
            (path for path in (folder / address.lstrip("/"), folder / "images" / Path(address).name) if path.is_file()),
            folder / address.lstrip("/"),
        )
        inside = picture.resolve().is_relative_to(folder.resolve())
        try:
            star = int(row["rate_sum"])
        except ValueError:
            star = None
        boke = Boke(
            row["text"], row.get("id") or "", star, row.get("category") or None, row.get("odai_photo_by") or None
        )
        refusal = None if address and inside else f"odai_photo_url {address!r} names no file of the can"
        yield Listed(picture.resolve().as_uri(), index, refusal=refusal, boke=boke)


csv.field_size_limit(2**27)  # a page of text in one field is no reason to stop
