"""Commands as they come, with the network and the model of captions that are in the package: seconds and memory.

The start of Python and of TensorFlow is in them. A part of `python -m benchmarks`.
"""

import sys
from collections.abc import Iterator

from benchmarks import peers
from benchmarks.comparison import Row, Setting


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds from prompt to result, and MB at most."""
    photo, painting = setting.example("photo"), setting.example("painting")
    size = 128 if setting.quick else 384
    commands: dict[str, tuple[object, ...]] = {
        f"imgnn style photo.jpg painting.jpg --size {size}": ("style", photo, painting, "--size", size),
        "imgnn dream sky.jpg": ("dream", setting.example("sky")),
        "imgnn caption photo.jpg": ("caption", photo),
        "imgnn boke cat.jpg": ("boke", setting.example("cat")),
    }
    for typed, words in commands.items():
        output = ("-o", setting.work / "out.png") if words[0] in ("style", "dream") else ()
        run = peers.timed([sys.executable, "-m", "imgnn", *words, *output])
        yield Row(f"`{typed}`", "s", run.seconds)
        yield Row(f"`imgnn {words[0]}`, memory", "MB", run.peak)
