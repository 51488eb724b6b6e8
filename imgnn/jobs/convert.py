"""`imgnn convert`: a .caffemodel becomes one self-describing .keras file."""

import mmap
import shlex
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgnn import __version__
from imgnn.caffe.layout import Loaded, assign_blobs
from imgnn.caffe.net import read_net
from imgnn.caffe.verify import Verification, verify
from imgnn.errors import ConversionError, ImgnnError, InputError, OptionError, WeightsError, missing
from imgnn.images.files import load_image
from imgnn.images.preprocess import classifier_crops, preprocess
from imgnn.jobs.convert_facts import with_preprocessing, with_words
from imgnn.jobs.convert_plan import Blobs, Plan, does_not_fit, make_plan
from imgnn.networks import weights
from imgnn.networks.files import Put, load_network_file, read_facts, save_network, unallocated
from imgnn.networks.registry import NetworkSpec
from imgnn.options import ConvertOptions
from imgnn.runs import Held, Reporter, Silent, check_folder, is_file, is_folder

LARGE = 1 << 24  # bytes of an array after which the pages of the source are given back


@dataclass(frozen=True)
class Conversion:
    """What became of a .caffemodel.

    Attributes:
        path: the file that was written.
        network: its name.
        spec: the network of the registry that it was recognised as; None for a network of its own.
        is_kept: whether it is in IMGNN_HOME, where every command finds it by name.
        rows: every layer with weights, and what became of its blobs.
        parameters: learned numbers, with BatchNorm's statistics.
        sha256: of the .caffemodel.
        verification: the comparison with the second opinion, if it was asked for.
    """

    path: Path
    network: str
    spec: NetworkSpec | None
    is_kept: bool
    rows: tuple[Loaded, ...]
    parameters: int
    sha256: str
    verification: Verification | None = None

    def count(self, status: str) -> int:
        """How many layers have this status."""
        return sum(row.status == status for row in self.rows)


def convert_caffemodel(
    caffemodel: str | Path,
    prototxt: str | Path | None = None,
    output: str | Path | None = None,
    options: ConvertOptions | None = None,
    reporter: Reporter | None = None,
) -> Conversion:
    """Convert a .caffemodel to one .keras file that holds graph, weights, preprocessing, names and source.

    The graph is the registry's if the file is recognised as one of its networks (by its layers' names and sizes, and
    what its definition says they do, or by `options.network`), else the prototxt's, else the caffemodel's own.

    Args:
        output: default: IMGNN_HOME for a network of the registry that takes no other's place there, else
            STEM.keras in the current folder.

    Raises:
        ConversionError: a layer has no place in a Keras model, or the input size is not known.
        WeightsError: the file is damaged, or does not fit the network.
        InputError: a file is missing or is another kind of file, or `output` cannot be written; told before the work.
    """
    options, held = options or ConvertOptions(), Held(reporter or Silent())
    caffemodel, prototxt, output = Path(caffemodel), optional_path(prototxt), optional_path(output)
    if is_folder(caffemodel):
        raise InputError(f"{caffemodel} is a folder, not a .caffemodel file")
    if not is_file(caffemodel):
        raise missing(caffemodel)
    if output is not None:
        output = output_file(output, caffemodel)
    picture = None if options.verify is None else load_image(options.verify)
    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(weights.digest, caffemodel)
        plan, rows, target = unallocated(lambda: write(caffemodel, prototxt, output, options, held, hashed))
    held.release()
    conversion = Conversion(
        path=target,
        network=plan.network.name,
        spec=plan.spec,
        is_kept=target == weights.converted_path(plan.network.name),
        rows=tuple(rows),
        parameters=plan.network.model.count_params(),
        sha256=hashed.result(),
    )
    if picture is None:
        return conversion
    held.begin("verifying", None)
    try:
        return replace(conversion, verification=check(plan, target, caffemodel, picture))
    finally:
        held.end()


def optional_path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def output_file(output: Path, caffemodel: Path) -> Path:
    """The file that `--output` means: in a folder, STEM.keras.

    Raises:
        InputError: it has another suffix, or cannot be written there.
    """
    if is_folder(output):
        output = output / f"{caffemodel.stem}.keras"
    elif output.suffix != ".keras":
        hint = f"-o {shlex.quote(str(output.with_suffix('.keras')))}"
        raise OptionError(f"the converted file is a .keras file; {output} was given", hint=hint)
    check_folder(output)
    return output


def write(
    caffemodel: Path,
    prototxt: Path | None,
    output: Path | None,
    options: ConvertOptions,
    reporter: Reporter,
    sha256: Future[str],
) -> tuple[Plan, list[Loaded], Path]:
    """Read, build and write; the new model's variables hold nothing here (`unallocated`)."""
    plan = make_plan(caffemodel, prototxt, options, reporter)
    plan.network = with_words(with_preprocessing(plan, options, reporter), options)
    target = choose_target(plan, caffemodel, output, sha256, reporter)
    check_folder(target)
    if plan.spec is not None and (not plan.is_published or (output is None and not is_kept(plan.spec, target))):
        # A variant is not what its registry's name promises, wherever it goes, nor under that licence.
        facts = {key: value for key, value in plan.network.source.items() if key != "licence"}
        plan.network = replace(plan.network, name=caffemodel.stem, source=facts)
    source = {
        **plan.network.source,
        "file": caffemodel.name,
        "bytes": caffemodel.stat().st_size,
        "sha256": "",  # known when the weights are written: hashing needs no Python and goes on beside
        **({"prototxt": plan.prototxt.name} if plan.prototxt else {}),
        "converted_by": f"imgnn {__version__}",
    }
    plan.network = replace(plan.network, source=source)
    rows: list[Loaded] = []

    def fill(put: Put) -> None:
        def put_and_release(variable: Any, array: np.ndarray) -> None:
            put(variable, array)
            if array.nbytes >= LARGE:
                release(plan.blobs)

        rows.extend(assign_blobs(plan.network.model, plan.network.layers, plan.blobs, assign=put_and_release))
        source["sha256"] = sha256.result()

    reporter.begin(f"converting {caffemodel.name}", None)
    try:
        save_network(plan.network, target, fill=fill)
    except WeightsError as error:
        if plan.prototxt is None or plan.spec is not None:
            raise
        raise does_not_fit(plan.prototxt, caffemodel, str(error)) from error
    finally:
        reporter.end()
    found = {own: theirs for own, theirs in plan.renamed.items() if own != theirs}
    rows = [replace(row, why=f"the file calls it {found[row.layer]}") if row.layer in found else row for row in rows]
    return plan, rows, target


def choose_target(plan: Plan, caffemodel: Path, output: Path | None, sha256: Future[str], reporter: Reporter) -> Path:
    """Where the file goes. A published network goes where it is found by name; others must not take that name.

    Bytes that are not known to be the published ones go there only if nothing else is there.
    """
    if output is not None:
        if plan.spec is not None and is_kept(plan.spec, output) and not plan.is_published:
            command = f"imgnn convert {shlex.quote(str(caffemodel))} --network {plan.spec.name}"
            raise WeightsError(
                f"{caffemodel} is not the whole of {plan.spec.title}, or has other classes",
                hint=f"{command} makes a file of its own of it",
            )
        return output
    beside = Path(f"{caffemodel.stem}.keras")
    if plan.spec is None or not plan.is_published:
        return beside
    kept = weights.converted_path(plan.spec.name)
    if not plan.is_authentic and kept.is_file() and kept_sha256(kept) != sha256.result():
        reporter.note(f"{plan.spec.name} is here already, from another file: {kept} stays, this one goes to {beside}")
        return beside
    if not plan.is_authentic and plan.spec.weights and weights.known_hash(plan.spec.weights):
        reporter.note(f"taken as {plan.spec.title} though its bytes are not the published ones")
    weights.made_folder(kept.parent)
    return kept


def is_kept(spec: NetworkSpec, target: Path) -> bool:
    """Whether the target is where the network is found by name."""
    return target == weights.converted_path(spec.name)


def kept_sha256(kept: Path) -> str | None:
    """Of the caffemodel that a kept file was made of; None if it is too damaged to tell."""
    try:
        return read_facts(kept)["source"]["sha256"]
    except (ImgnnError, KeyError, TypeError):
        return None


def check(plan: Plan, converted: Path, caffemodel: Path, picture: np.ndarray) -> Verification:
    """The written file, loaded again, against the second opinion, on an image."""
    network = load_network_file(converted)
    if network.preprocessing is None:
        raise ConversionError(f"{network.name} does not take one picture: nothing to verify it with")
    x = preprocess(classifier_crops(picture, network.preprocessing), network.preprocessing, network.mean_image)
    net, prototxt = plan.net, plan.prototxt
    beside = caffemodel.with_suffix(".prototxt")
    if plan.spec is not None and prototxt is None and beside.is_file():
        net, prototxt = read_net(beside, caffemodel), beside  # with it OpenCV can answer
    return verify(network, net, x, prototxt=prototxt, caffemodel=caffemodel)


def release(blobs: Blobs) -> None:
    """Give the pages of the mapped file back: what was copied is not wanted again, and all of it would be in memory."""
    for base in {id(each): each for arrays in blobs.values() for array in arrays if (each := mapped(array))}.values():
        base.madvise(mmap.MADV_DONTNEED)


def mapped(array: np.ndarray) -> mmap.mmap | None:
    """The map that an array is a view of; None if it is none, or where the system has no madvise."""
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None
