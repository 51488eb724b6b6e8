"""`imgnn fetch --why` and `--export`: what the journal of a fetch tells. Light: nothing is asked of the web."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imgnn.data.addresses import parse_url
from imgnn.data.export import export
from imgnn.data.journal import NAME, Journal, find_journal
from imgnn.errors import InputError
from imgnn.runs import Reporter, Silent


def stories_of(folder: Path, what: str) -> list[dict[str, Any]]:
    """What became of an address, or of the one that a file came from; more than one if several lists have it.

    Args:
        folder: of the fetch; a file that lies in another fetch is looked up there.
        what: an address, a file, or a file's name in the journal.

    Raises:
        InputError: nothing was fetched into the folder, or its journal knows neither such an address nor such a file.
    """
    with opened(folder, what) as (journal, name):
        stories = list(journal.story(name) or journal.story(as_address(name)))
    if not stories:
        raise InputError(
            f"{journal.path} knows neither an address nor a file {what}", hint=f"imgnn fetch -o {folder} --status"
        )
    return stories


def export_journal(folder: Path, path: Path, reporter: Reporter | None = None) -> list[Path]:
    """The journal as a table, or its pictures as tar files: `data/export.py`. Gives the files written.

    Raises:
        InputError: nothing was fetched into the folder, or `path` cannot be written.
    """
    with Journal(find_journal(folder), read_only=True) as journal:
        return list(export(journal, path, reporter or Silent()))


def as_address(what: str) -> str:
    """An address as the journal has it, of one as a list has it."""
    try:
        return str(parse_url(what))
    except ValueError:
        return what


@contextmanager
def opened(folder: Path, what: str) -> Iterator[tuple[Journal, str]]:
    """The journal that knows of a file or an address, and what it calls it: a file's own, if there is one above it."""
    path = Path(what)
    for above in path.absolute().parents if "://" not in what else ():
        if (above / NAME).is_file():
            with Journal(above / NAME, read_only=True) as journal:
                yield journal, path.absolute().relative_to(above).as_posix()
            return
    with Journal(find_journal(folder), read_only=True) as journal:
        yield journal, what
