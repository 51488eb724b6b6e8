"""One self-describing file per network: a `.keras` archive that plain Keras opens, with the facts beside the weights.

    metadata.json, config.json, model.weights.h5   as Keras writes them (`import imgnn.networks.layers` first)
    imgnn.json                                     the facts: FORMAT below; see docs/file-formats.md
    mean.npy                                       the mean image of --mean, float32 (channels, height, width), optional

Keras itself would hold the weights of a network three times while it saves or loads (as variables,
as HDF5 in memory, as arrays): 2.7 GB for VGG-19. Here they go through the disk in slabs.
"""

import datetime
import io
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, TypeVar

import h5py
import keras
import numpy as np

from imgnn.errors import InputError, WeightsError, missing
from imgnn.images.preprocess import CHANNELS, constants
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks import layers  # noqa: F401  registers Caffe's layers, without which a file does not open
from imgnn.networks.names import guess_roles
from imgnn.networks.network import Network
from imgnn.networks.registry import LayerRoles
from imgnn.runs import Reporter, Silent, check_version, is_file, is_folder, write_aside

FORMAT = "imgnn network"
VERSION = 1
FACTS = "imgnn.json"
WEIGHTS = "model.weights.h5"
MEAN = "mean.npy"
AGAIN = "convert or download it once more"
SLAB = 16 << 20  # bytes written at a time

Put = Callable[[Any, np.ndarray], None]
Fill = Callable[[Put], object]
Result = TypeVar("Result")

OTHER_FORMATS = {
    ".h5": "a Keras 2 HDF5 file",
    ".hdf5": "a Keras 2 HDF5 file",
    ".pb": "a TensorFlow graph",
    ".pth": "a PyTorch file",
    ".pt": "a PyTorch file",
    ".safetensors": "a safetensors file",
    ".onnx": "an ONNX file",
    ".npz": "a NumPy archive",
    ".prototxt": "a Caffe definition without weights",
}


def save_network(network: Network, path: Path, *, fill: Fill | None = None) -> None:
    """Write a network to one file, whole or not at all.

    Args:
        fill: is given `put(variable, array)` and calls it for the model's variables, so that the weights of
            a model built by `unallocated` go from their source to the disk, one array at a time. Variables
            it leaves out, and all of them without it, are written with the values they have.

    Raises:
        InputError: the file cannot be written.
    """
    with write_aside(path) as aside:
        weights = aside.with_suffix(".weights.h5")
        try:
            write_weights(network.model, weights, fill or (lambda put: None))
            with zipfile.ZipFile(aside, "w") as archive:
                for name, value in (
                    ("metadata.json", metadata()),
                    ("config.json", keras.saving.serialize_keras_object(network.model)),
                    (FACTS, facts_of(network)),
                ):
                    archive.writestr(name, json.dumps(value, ensure_ascii=False))
                if network.mean_image is not None:
                    with archive.open(MEAN, "w") as file:
                        np.save(file, np.asarray(network.mean_image, "float32"))
                # Stored, not compressed: a network's numbers do not shrink. (archive.write copies in small pieces.)
                member = zipfile.ZipInfo.from_file(weights, WEIGHTS)
                with weights.open("rb") as source, archive.open(member, "w") as file:
                    shutil.copyfileobj(source, file, SLAB)
        finally:
            weights.unlink(missing_ok=True)


def unallocated(work: Callable[[], Result]) -> Result:
    """Run `work` where the variables of new models get no memory and no random numbers.

    A `StatelessScope` puts off their first values, and here they never come: the models of `work` are there to be
    looked at and written. In a thread, because Keras keeps the list of variables that still wait per thread.
    """

    def scoped() -> Result:
        with keras.StatelessScope(initialize_variables=False):
            return work()

    with ThreadPoolExecutor(1, thread_name_prefix="unallocated") as pool:
        return pool.submit(scoped).result()


def metadata() -> dict[str, str]:
    """What Keras keeps in metadata.json."""
    now = datetime.datetime.now(datetime.UTC)
    return {"keras_version": keras.__version__, "date_saved": now.strftime("%Y-%m-%d@%H:%M:%S")}


def write_weights(model: keras.Model, path: Path, fill: Fill) -> None:
    """Write model.weights.h5 in Keras's layout, one array in memory at a time."""
    with without_variables(model):
        model.save_weights(path)  # the groups, each with its layer's name as an attribute
    places = {id(v): (layer.name, str(n)) for layer in model.layers for n, v in enumerate(layer.weights)}
    with h5py.File(path, "r+") as file:
        groups = groups_by_layer(file)

        def put(variable: Any, array: np.ndarray) -> None:
            layer, key = places.pop(id(variable))
            write_slabs(groups[layer], key, array)

        fill(put)
        for variable in model.weights:
            if id(variable) in places:
                put(variable, keras.ops.convert_to_numpy(variable.value))


@contextmanager
def without_variables(model: keras.Model) -> Iterator[None]:
    """In this block Keras saves the groups of a model's layers and none of their numbers."""
    for layer in model.layers:
        layer.save_own_variables = lambda store: None
    try:
        yield
    finally:
        for layer in model.layers:
            del layer.save_own_variables


def groups_by_layer(file: h5py.File) -> dict[str, h5py.Group]:
    """Keras numbers its groups by class ("conv2d_3"); the layer's own name is an attribute."""
    groups: dict[str, h5py.Group] = {}

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and "name" in item.attrs:
            groups[str(item.attrs["name"])] = item

    file["layers"].visititems(visit)  # beside it, the model's own group has its name, which may be a layer's, too
    return groups


def write_slabs(group: h5py.Group, key: str, value: np.ndarray) -> None:
    """Write an array, which may be a transposed view of a mapped file, without a second copy of it."""
    data = group.create_dataset(key, shape=value.shape, dtype="float32")
    if value.ndim == 0:
        data[()] = value
        return
    rows = max(1, SLAB // max(1, 4 * value[:1].size))
    for first in range(0, len(value), rows):
        data[first : first + rows] = value[first : first + rows]


def facts_of(network: Network) -> dict[str, Any]:
    """The content of imgnn.json."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": network.name,
        "preprocessing": asdict(network.preprocessing) if network.preprocessing else None,
        "words": network.words,
        "layers": dict(network.layers),
        "blobs": dict(network.blobs),
        "roles": asdict(network.roles),
        "source": dict(network.source),
    }


def read_facts(path: Path) -> dict[str, Any]:
    """The facts in a file, without waking Keras' model; {} for a `.keras` file that others wrote.

    Raises:
        InputError: there is no such file, or it is another kind of file.
        WeightsError: it is damaged, or of a newer version.
    """
    with opened(path) as archive:
        if FACTS not in archive.namelist():
            return {}
        facts = json.loads(archive.read(FACTS))
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or not isinstance(facts.get("version"), int):
        raise WeightsError(f"{path} holds an {FACTS} that is not ours")
    check_version(facts["version"], VERSION, f"{path} is", WeightsError)
    return facts


def read_mean_image(path: Path) -> np.ndarray | None:
    """The mean image in a file, float32 `(channels, height, width)`; None if there is none."""
    with opened(path) as archive:
        if MEAN not in archive.namelist():
            return None
        try:
            with archive.open(MEAN) as file:
                return np.load(file, allow_pickle=False)
        except ValueError as error:
            raise WeightsError(f"{path}: its {MEAN} is no array of numbers: {error}", hint=AGAIN) from error


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive of a `.keras` file; whatever is wrong with it is said in words."""
    if is_folder(path):
        raise InputError(f"{path} is a folder, not a .keras file")
    if not is_file(path):
        raise missing(path)
    if path.suffix.lower() in OTHER_FORMATS and not zipfile.is_zipfile(path):
        raise InputError(
            f"{path} is {OTHER_FORMATS[path.suffix.lower()]}; imgnn reads .keras and .caffemodel",
            hint="open it in its own framework and save it with model.save('x.keras')",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            for member in ("config.json", WEIGHTS):
                if member not in archive.namelist():
                    raise WeightsError(f"{path} is an archive, but not of a Keras model: {member} is missing")
            yield archive
    except (zipfile.BadZipFile, EOFError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is damaged, or not a .keras file: {error}", hint=AGAIN) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def load_network_file(path: Path | str, *, reporter: Reporter | None = None) -> Network:
    """Read a network from a file that `save_network` wrote, or from any other `.keras` file.

    For the others the facts are guessed and told: the size is the model's input, a picture is
    taken as RGB, 0..255, with no mean.

    Raises:
        InputError: no such file, another kind of file, a model that takes no picture or is not flat.
        WeightsError: damaged, of a newer version, or with layers that Keras does not know.
    """
    path = Path(path)
    facts = read_facts(path)
    if not facts:
        return guess_network(path, reporter or Silent())
    with opened(path) as archive:
        model = rebuild(archive, path)
    return network_from_facts(facts, model, path, read_mean_image(path))


def network_from_facts(
    facts: Mapping[str, Any], model: keras.Model, path: Path, mean_image: np.ndarray | None = None
) -> Network:
    """The network of a model and the content of its imgnn.json.

    Raises:
        WeightsError: a fact is missing, or is not what the format says.
    """
    try:
        preprocessing = facts["preprocessing"]
        network = Network(
            name=str(facts["name"]),
            model=model,
            preprocessing=Preprocessing(**tuples(preprocessing)) if preprocessing else None,
            layers=dict(facts["layers"]),
            blobs={blob: (layer, int(index)) for blob, (layer, index) in facts["blobs"].items()},
            words=tuple(map(str, facts["words"])) if facts["words"] else None,
            roles=LayerRoles(**tuples(facts["roles"])),
            source=dict(facts["source"]),
            mean_image=mean_image,
        )
        if network.preprocessing:
            check_preprocessing(network.preprocessing)
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"the facts in {path} are damaged: {FACTS}: {what}", hint=AGAIN) from error
    return network


def check_preprocessing(preprocessing: Preprocessing) -> None:
    """See to it that the numbers and words make sense.

    Raises:
        InputError, ValueError, TypeError: they do not.
    """
    if preprocessing.channel_order not in CHANNELS:
        raise ValueError(f"channel_order is one of {', '.join(CHANNELS)}, not {preprocessing.channel_order!r}")
    if preprocessing.crop not in ("square", "caffe"):
        raise ValueError(f"crop is square or caffe, not {preprocessing.crop!r}")
    height, width = preprocessing.size
    if not all(isinstance(side, int) and side > 0 for side in (height, width, preprocessing.resize)):
        raise ValueError(f"sizes are pixels, not {height!r}, {width!r}, {preprocessing.resize!r}")
    if not np.isfinite(constants(preprocessing)).all():
        raise ValueError(f"mean {preprocessing.mean} and scale {preprocessing.scale} are to be numbers")


def usual_resize(size: tuple[int, int]) -> int:
    """The side that a picture is scaled to before crops of `size` are cut: 256 around 224 and 227, as Caffe has it."""
    side = max(size)
    return 256 if side in (224, 227) else round(side * 8 / 7)


def tuples(facts: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows only lists; our dataclasses hold tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}


def rebuild(archive: zipfile.ZipFile, path: Path) -> keras.Model:
    """The model with its weights read straight into its variables.

    The variables are created in a `StatelessScope`, which puts their first values off until its end, and
    each is given "read it from the file" for an initializer. So no random numbers are drawn for
    them, and no second copy is made. Should a Keras not ask those initializers, Keras loads the file itself.
    """
    info = archive.getinfo(WEIGHTS)
    if info.compress_type != zipfile.ZIP_STORED:
        return load_with_keras(path)  # somebody packed it again
    config = json.loads(archive.read("config.json"))
    pending: set[str] = set()
    try:
        with path.open("rb") as whole, h5py.File(checked(Window(whole, info), info), "r") as file:
            groups = groups_by_layer(file)
            with keras.StatelessScope():
                model = keras.saving.deserialize_keras_object(config)
                if not isinstance(model, keras.Model):
                    raise TypeError(f"config.json holds a {type(model).__name__}, not a model")
                for layer in model.layers:
                    for number, variable in enumerate(layer.weights):
                        key = f"{layer.name}/{number}"
                        pending.add(key)
                        variable._initializer = reading(groups[layer.name][str(number)], key, pending)
    except (KeyError, OSError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} cannot be rebuilt: {error}", hint="convert it once more") from error
    return load_with_keras(path) if pending else model


def checked(window: "Window", info: zipfile.ZipInfo) -> "Window":
    """The window, after its bytes were found to be those that were written."""
    crc = 0
    buffer = bytearray(1 << 20)
    while count := window.readinto(buffer):
        crc = zlib.crc32(memoryview(buffer)[:count], crc)
    if crc != info.CRC:
        raise zipfile.BadZipFile(f"bytes of {info.filename} have changed")
    window.seek(0)
    return window


def reading(data: h5py.Dataset, key: str, pending: set[str]) -> Callable[..., Any]:
    """An initializer that reads a variable's value from the file, and strikes it off the list."""

    def initializer(shape: Sequence[int], dtype: Any = None) -> Any:
        if tuple(shape) != data.shape:
            raise ValueError(f"{key} wants {tuple(shape)}, the file holds {data.shape}")
        pending.discard(key)
        return keras.ops.convert_to_tensor(data[()], dtype)

    return initializer


class Window(io.RawIOBase):
    """The bytes of an uncompressed member of a zip archive, as a file of their own that HDF5 can jump about in."""

    def __init__(self, file: IO[bytes], info: zipfile.ZipInfo) -> None:
        super().__init__()
        file.seek(info.header_offset)
        header = file.read(30)  # PKZIP's local file header: the lengths of name and extra field are its last four bytes
        self.file, self.size, self.place = file, info.file_size, 0
        self.start = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.size - self.place)]
        self.file.seek(self.start + self.place)
        count = self.file.readinto(view)  # type: ignore[attr-defined]
        self.place += count
        return count


def load_with_keras(path: Path) -> keras.Model:
    """`keras.saving.load_model`, its errors in words."""
    try:
        return keras.saving.load_model(path, compile=False)
    except (TypeError, ValueError, KeyError, OSError, ImportError, AttributeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"Keras cannot rebuild {path}: {first}",
            hint="a model with layers of its own needs their code; save it with stock Keras layers",
        ) from error


def guess_network(path: Path, reporter: Reporter) -> Network:
    """A network from a `.keras` file that says nothing of pictures."""
    with opened(path):  # a missing member is told in our words
        pass
    model = load_with_keras(path)
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not getattr(model, "inputs", None) or not hasattr(model, "get_layer"):
        raise InputError(
            f"{path} holds a {type(model).__name__} with a `call` of its own; a functional model is wanted"
        )
    if nested := [layer.name for layer in model.layers if isinstance(layer, keras.Model)]:
        raise InputError(
            f"{path} holds a model inside a model ({nested[0]}); imgnn wants a flat one, to find layers by name",
            hint=f"save the inner one: model.get_layer({nested[0]!r}).save('inner.keras')",
        )
    shapes = [tuple(each.shape) for each in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] not in (1, 3):
        raise InputError(f"{path} takes {shapes}, not one picture (batch, height, width, 1 or 3 channels)")
    _, height, width, channels = shapes[0]
    size = (height or 224, width or 224)
    preprocessing = Preprocessing(
        size,
        mean=(0.0,) * channels,
        channel_order="RGB" if channels == 3 else "GREY",
        scale=(1.0,) * channels,
        resize=usual_resize(size),
    )
    reporter.note(
        f"{path.name} does not say how a picture is prepared: taken as "
        f"{preprocessing.channel_order}, 0..255, no mean, {size[0]}x{size[1]}"
    )
    names = {layer.name: layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)}
    return Network(
        name=path.stem,
        model=model,
        preprocessing=preprocessing,
        layers=names,
        blobs={name: (name, 0) for name in names},
        roles=guess_roles(model),
        source={"file": path.name},
    )
