"""What `pip install imgnn` brings: megabytes on the disk, and what for. A part of `python -m benchmarks`.

`packaging`, which reads what a package asks for, comes with pytest (the extra `test`).
"""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.comparison import Row, Setting

REASONS = {
    "imgnn": "the program and its page",
    "imgnn/assets": "weights and words of `mini`, models of captions, pictures",
    "tensorflow": "computes; `KERAS_BACKEND` may name another",
    "keras": "layers, networks, files of them",
    "numpy": "arrays",
    "scipy": "groups of copies, smoothing, MATLAB's features",
    "h5py": "Keras writes weights with it",
    "pillow": "pictures in and out",
    "matplotlib": "curves of a run",
    "typer": "the command line",
    "rich": "progress, tables",
    "requests": "weights to download",
    "aiohttp": "`fetch`: many addresses at once",
    "yarl": "`fetch`: addresses",
    "certifi": "`fetch`: whom to trust",
    "protego": "`fetch`: robots.txt",
    "beautifulsoup4": "`fetch`: pages of boke",
    "regex": "boke: characters as one sees them, scripts",
    "platformdirs": "where files of a program belong",
}
ROOT = Path(__file__).parents[1]
SMALL = 10.0  # MB: packages below it that others bring are one row


def rows(setting: Setting) -> Iterator[Row]:
    """MB of each package that imgnn asks for, and of what these ask for in turn."""
    packages = needed("imgnn")
    brought = {name: size_of(name) for name in packages}
    brought["imgnn/assets"] = size_of("imgnn/assets")
    brought["imgnn"] -= brought["imgnn/assets"]
    for name, size in sorted(brought.items(), key=lambda each: -each[1]):
        if name in REASONS:
            yield Row(f"`{name}`: {REASONS[name]}", "MB", size)
        elif size >= SMALL:
            yield Row(f"`{name}`: others ask for it", "MB", size)
    rest = [size for name, size in brought.items() if name not in REASONS and size < SMALL]
    yield Row(f"{len(rest)} more that others ask for", "MB", sum(rest))
    yield Row(f"all {len(packages)} packages", "MB", sum(brought.values()))


def needed(name: str, found: dict[str, None] | None = None) -> list[str]:
    """A package and all that it asks for without extras, in turn."""
    found = {} if found is None else found
    if name not in found:
        found[name] = None
        for text in metadata.requires(name) or ():
            asked = Requirement(text)
            if asked.marker is None or asked.marker.evaluate({"extra": ""}):
                needed(re.sub(r"[-_.]+", "-", asked.name).lower(), found)
    return list(found)


def size_of(name: str) -> float:
    """MB of a package's files, or of a folder of imgnn's, without what Python compiled of them."""
    if name.startswith("imgnn"):  # it may be installed in place, where its files are not listed
        paths = list((ROOT / name).rglob("*"))
    else:
        paths = [Path(str(file.locate())) for file in metadata.distribution(name).files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc") / 1e6
