"""What a stopped style run had come to, in a file beside its output, so that it can go on."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgnn.errors import InputError
from imgnn.images.files import read_settings
from imgnn.networks import weights
from imgnn.options import NETWORK_FILES, STARTS, LayerChoice, StyleOptions, option_name
from imgnn.runs import Reporter, is_file, write_aside
from imgnn.training.checkpoint import DAMAGED

VERSION = 1
# What may differ between the run that was stopped and the one that goes on.
FREE = {"preview", "keep_every", "max_time", "tile_size"}

Arrays = dict[str, dict[str, np.ndarray]]


class State:
    """The files of a run, and what its last stop left.

    Attributes:
        output: the picture.
        facts: what it is made of: the pictures' paths and hashes.
        index, done, seconds: the stage, the evaluations before it, the time that it all took.
        arrays: run, optimiser and factors, by name; None where a run begins.
    """

    def __init__(self, output: Path, content: Path, styles: Sequence[Path], options: StyleOptions) -> None:
        self.output, self.options = output, options
        self.path = output.with_name(f"{output.stem}.resume.npz")
        self.preview = output.with_name(f"{output.stem}.preview{output.suffix}")
        self.facts: dict[str, Any] = {
            "content": str(content.absolute()),
            "styles": [str(path.absolute()) for path in styles],
            "sha256": [hash_of(path) for path in (content, *styles, *options.files)],
        }
        self.index = self.done = 0
        self.seconds = 0.0
        self.arrays: Arrays | None = None

    def numbered(self, step: int) -> Path:
        """The name of a picture that is kept: neural-style's, `out_0100.png`."""
        return self.output.with_name(f"{self.output.stem}_{step:04d}{self.output.suffix}")

    def check_apart(self, files: Sequence[Path]) -> None:
        """Refuse pictures to be read that a preview, or one that is kept on the way, would replace.

        Raises:
            InputError: one has such a name.
        """
        for path in files if self.options.preview or self.options.keep_every else ():
            same_folder = path.absolute().parent == self.output.absolute().parent
            kept = (
                re.fullmatch(re.escape(self.output.stem) + r"_\d{4,}", path.stem) and path.suffix == self.output.suffix
            )
            if same_folder and (kept or path.name == self.preview.name):
                raise InputError(f"{path} would be replaced by what is made of it", hint="another name with -o")

    def settings(self) -> dict[str, Any]:
        """What a run that goes on must have in common with the one that was stopped."""
        own = {name: value for name, value in asdict(at_home(self.options)).items() if name not in FREE}
        settings: dict[str, Any] = json.loads(json.dumps({**own, "sha256": self.facts["sha256"]}, default=str))
        return settings

    def load(self) -> None:
        """Read what the last stop left.

        Raises:
            InputError: there is nothing, it is damaged, or it was made with other pictures or options.
        """
        if not is_file(self.path):
            raise InputError(
                f"there is nothing to resume: no file {self.path}", hint="the same command without --resume"
            )
        try:
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                head = json.loads(str(file["head"]))
                arrays: Arrays = {"run": {}, "optimizer": {}, "factors": {}}
                for key in file.files:
                    kind, _, name = key.partition("/")
                    if name:
                        arrays[kind][name] = file[key]
        except DAMAGED as error:
            raise InputError(f"{self.path} is damaged: {error}", hint="the same command without --resume") from error
        if head.get("version") != VERSION:
            raise InputError(f"{self.path} is of another version of imgnn", hint="the same command without --resume")
        then, now = head["settings"], self.settings()
        other = [name for name in now if then.get(name) != now[name]]
        if other:
            name = other[0]
            told = "another picture or network file"
            if name != "sha256":
                told = f"{option_name(name)} {shown(then.get(name))}, not {shown(now[name])}"
            raise InputError(
                f"{self.path} was made with {told}", hint="the same options, or the command without --resume"
            )
        self.index, self.done, self.seconds = head["index"], head["done"], head["seconds"]
        self.arrays = arrays

    def save(self, index: int, done: int, seconds: float, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Write where a run is.

        Args:
            index: of the stage, from 0; `done`: evaluations before it.
            arrays: of any shapes, by kind ("run", "optimizer", "factors") and name.

        Raises:
            InputError: the disk is full.
        """
        head = {"version": VERSION, "settings": self.settings(), "index": index, "done": done, "seconds": seconds}
        flat = {f"{kind}/{name}": value for kind, each in arrays.items() for name, value in each.items()}
        with write_aside(self.path) as aside:
            np.savez(aside, head=np.array(json.dumps(head)), **flat)  # type: ignore[arg-type]

    def remove(self) -> None:
        """The run is done: its picture is all that is left."""
        self.path.unlink(missing_ok=True)
        if self.options.preview:
            self.preview.unlink(missing_ok=True)


def at_home(options: StyleOptions) -> StyleOptions:
    """The options with the files that they name as one finds them from any folder."""
    masks, init, network = (path.absolute() for path in options.masks), options.init, options.network
    if init not in STARTS:
        init = str(Path(init).expanduser().absolute())
    if Path(network).suffix in NETWORK_FILES:
        network = str(Path(network).expanduser().absolute())
    return replace(options, masks=tuple(masks), init=init, network=network)


def shown(value: Any) -> str:
    """A value of the settings as one would type it."""
    if not isinstance(value, list):
        return str(value)
    return ",".join(str(LayerChoice(**each)) if isinstance(each, dict) else str(each) for each in value)


def hash_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal; nothing of one that cannot be read, which is told where it is decoded."""
    try:
        return weights.digest(path)
    except OSError:
        return ""


def read_run(
    picture: Path, content: Path | None, styles: Sequence[Path] | None, reporter: Reporter
) -> tuple[Path, list[Path], StyleOptions]:
    """What a picture was made of, and how: content, styles, options, from the settings that it keeps.

    Args:
        content, styles: instead of those that it was made of.
        reporter: told when a picture is no longer what it was.

    Raises:
        InputError: it is no picture, or `imgnn style` did not make it.
    """
    settings = read_settings(picture)
    if settings.get("command") != "style":
        raise InputError(f"{picture} does not say how it was made: it is not a picture of imgnn style")
    paths = [Path(path) for path in (settings["content"], *settings["styles"])]
    known = fields(StyleOptions)
    own = {field.name: restored(field.name, settings[field.name]) for field in known if field.name in settings}
    options = StyleOptions(**own)
    if content is None:
        for path, hash in zip((*paths, *options.files), settings.get("sha256", ()), strict=False):
            if hash != hash_of(path):
                reporter.note(f"{path} is not the file that it was when {picture} was made")
    return content or paths[0], list(styles or paths[1:]), options


def restored(name: str, value: Any) -> Any:
    """A field of the options, from what JSON made of it."""
    if not isinstance(value, list):
        return value
    if name in ("content_layers", "style_layers", "dream"):
        return tuple(LayerChoice(**each) for each in value)
    return tuple(map(Path, value)) if name == "masks" else tuple(value)
