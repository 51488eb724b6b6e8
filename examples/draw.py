"""Draws the pictures that are in the package again: contents and styles.

    python examples/draw.py                        # all of them
    python examples/draw.py photo ink              # these alone
    python examples/draw.py glass --folder .       # somewhere else

Each is a module of drawing/, seeded: the same pixels each time. Needs NumPy, SciPy and Pillow alone.
"""

import argparse
import importlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "imgnn" / "assets" / "examples"
CONTENTS = ("photo", "still_life", "sky", "flowers", "cat")
STYLES = ("painting", "mosaic", "glass", "ink")


def main() -> None:
    words = argparse.ArgumentParser(description="Draw the example pictures again.")
    known = (*CONTENTS, *STYLES)
    words.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known)}; all, when none is named")
    words.add_argument("--folder", type=Path, default=PACKAGE, help="where they are written, not in the package")
    given = words.parse_args()
    if unknown := sorted(set(given.names) - set(known)):
        words.error(f"no such picture: {', '.join(unknown)}; there are {', '.join(known)}")
    for name in given.names or known:
        file = given.folder / f"{name}.jpg"
        importlib.import_module(f"drawing.{name}").draw().save(file, quality=92, optimize=True)
        print(file, flush=True)


if __name__ == "__main__":
    main()
