"""`imgnn finetune`: a network's lower layers, and a classifier of one's own on top of them."""

import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imgnn import __version__, backend
from imgnn.data.labelled import Labelled, read_training
from imgnn.data.mean_record import check_mean
from imgnn.errors import InputError
from imgnn.images.mean import load_mean
from imgnn.images.preprocess import LUMA, side_before_crop
from imgnn.jobs.finetune_data import Setup
from imgnn.jobs.finetune_run import START, Finetuned, Training
from imgnn.jobs.load import load_network
from imgnn.networks import head, names, registry
from imgnn.networks.files import load_network_file, save_network
from imgnn.networks.network import Network
from imgnn.options import FinetuneOptions
from imgnn.runs import Reporter, Silent, is_file, stop_after_step
from imgnn.training.recipes import on_descriptors, plan
from imgnn.training.run_folder import BEST, check_run_folder, options_from, read_config, stored_options, write_config

ShowSetup = Callable[[Setup], None]


def finetune(
    source: Path,
    folder: Path,
    options: FinetuneOptions | None = None,
    reporter: Reporter | None = None,
    *,
    command: str = "",
    show_layers: ShowSetup | None = None,
) -> Finetuned:
    """Train a network's classifier, and perhaps more of it, on pictures of one's own.

    Args:
        source: a list file, or class folders; see `data/labelled.py`.
        folder: of the run; made here, must not be a run already.
        command: as it was typed, for the record.
        show_layers: called with the `Setup` before training.

    Raises:
        InputError: the pictures, labels or options do not fit; the run's folder cannot be written.
        InterruptedRun: Ctrl-C; a checkpoint was written.
        DivergedError: the loss is no longer finite; the last good checkpoint is kept.
        UnknownNameError, WeightsError, DownloadError: the network cannot be had.
    """
    began = time.monotonic()
    options, reporter = options or FinetuneOptions(), reporter or Silent()
    options.check()
    train, val = read_pictures(source, options, reporter)
    check_run_folder(folder, "classifier", early=START)
    setup = prepare(train, val, options, reporter)
    folder.mkdir(exist_ok=True)
    save_network(setup.network, folder / START)  # before the config, by which a run is known
    write_config(folder, {**config_of(setup, command), "source": str(source.resolve())})
    if show_layers:
        show_layers(setup)
    return trained(setup, folder, reporter, began, resume=False)


def resume(folder: Path, reporter: Reporter | None = None, *, show_layers: ShowSetup | None = None) -> Finetuned:
    """Go on with a run where its last checkpoint stands: the end is that of a run that was never stopped.

    Raises:
        InputError: there is no run, or its pictures are others now.
        InterruptedRun, DivergedError: as of `finetune`.
    """
    began, reporter = time.monotonic(), reporter or Silent()
    config = read_config(folder, "classifier")
    # "auto" may mean another precision here; a run ends in the one it was begun in.
    options = replace(options_from(config["options"], FinetuneOptions), precision=config["precision"])
    source = Path(config["source"])
    train, val = read_pictures(source, options, reporter)
    for now, then in ((train, config["train"]), (val, config["val"])):
        if (now.digest if now else None) != (then["sha256"] if then else None):
            raise InputError(
                f"the pictures of {now.source if now else source} are not those that {folder} was begun with",
                hint="imgnn finetune without --resume begins anew",
            )
    # Graph and frozen weights; what training changes is in the checkpoint. A run that is done has best.keras only.
    file = folder / (START if is_file(folder / START) else BEST)
    setup = prepare(train, val, options, reporter, file=file, new=set(config["new"]))
    if show_layers:
        show_layers(setup)
    return trained(setup, folder, reporter, began, resume=True)


def trained(setup: Setup, folder: Path, reporter: Reporter, began: float, *, resume: bool) -> Finetuned:
    """Train, and sum up. Ctrl-C ends the training after its step; what sums up is not worth saving."""
    with stop_after_step() as stop:
        training = Training(setup, folder, reporter, stop, began, resume=resume)
        training.run()
    return training.finish()


def read_pictures(source: Path, options: FinetuneOptions, reporter: Reporter) -> tuple[Labelled, Labelled | None]:
    """Pictures to train on and to judge by."""
    return read_training(
        source, val=options.val, share=options.val_share, root=options.root, seed=options.seed, reporter=reporter
    )


def prepare(
    train: Labelled,
    val: Labelled | None,
    options: FinetuneOptions,
    reporter: Reporter,
    *,
    file: Path | None = None,
    new: set[str] | None = None,
) -> Setup:
    """The network with its new head, and the stages it is trained in.

    Args:
        train: gives the classes; `val`: is handed on.
        file, new: the network of a run that is resumed, and Keras's names of the layers that were made for it; None:
            the head is made now.

    Raises:
        InputError: nothing would be trained, or the network takes no pictures or none of this size.
        UnknownNameError, WeightsError, DownloadError: the network or a layer cannot be had.
    """
    if options.deterministic:
        backend.be_deterministic()
    devices = backend.Devices(backend.devices(options.devices))
    with devices.scope():
        if file is not None:
            network = load_network_file(file)
            loaded = {layer.name for layer in network.model.layers} - (new or set())
        else:
            network, loaded = build(train, options, reporter)
    stages = plan(network, options)
    if not any(stage.rounds for stage in stages):
        raise InputError("nothing would be trained: all stages have 0 epochs", hint="--epochs 1 or more")
    if network.mean_image is not None and any(stage.crop == "random" for stage in stages):
        reporter.note("Crops as Caffe cuts them, not random ones: the mean is a picture, and every place has its own")
        stages = [replace(stage, crop="caffe") if stage.crop == "random" else stage for stage in stages]
    setup = Setup(train, val, network, stages, options, backend.precision_of(options.precision), devices, loaded)
    reporter.note(backend.where(setup.precision, len(devices)))
    return setup


def build(train: Labelled, options: FinetuneOptions, reporter: Reporter) -> tuple[Network, set[str]]:
    """The network with a head for the classes, and Keras's names of the layers whose weights were loaded.

    Raises:
        InputError: the options do not fit this network.
        UnknownNameError, WeightsError, DownloadError: it, or a layer, cannot be had.
    """
    if options.from_scratch:
        spec = registry.find(options.network)
        if options.ungrouped and spec.name not in ("alexnet", "caffenet"):
            raise InputError(f"{spec.title} has no grouped convolutions: --ungrouped is AlexNet's and CaffeNet's")
        extra = {"groups": 1} if options.ungrouped else {}
        shape = (options.size, options.size, 3) if options.size else None
        given = names.network_of(spec, input_shape=shape, classes=len(train.classes), **extra)
    else:
        given = load_network(options.network, reporter=reporter)
    layers = options.layers
    if layers is None:
        layers = head.head_layers(given) if on_descriptors(options) else ()
        if options.recipe == "svm" and not layers:
            raise InputError(f"{given.name} does not say which layers to look at", hint="--layers LAYER,LAYER")
    size = (options.size, options.size) if options.size else None
    if size is None and layers and options.recipe != "caffe":
        size = head.enlarged_size(given, layers)
    network = head.replace_head(
        given, train.classes, layers=layers, size=size, dropout=options.dropout, seed=options.seed
    )
    network = replace(network, source={**given.source, "finetuned": f"imgnn {__version__}, recipe {options.recipe}"})
    if options.mean is not None:
        network = with_mean(network, options.mean, train)
    elif (options.crop or ("caffe" if options.recipe == "caffe" else None)) == "caffe":
        # What is trained on places in a picture scaled to `resize` is to look at the middle of such a one.
        network = replace(network, preprocessing=replace(network.pictures, crop="caffe"))
    if options.from_scratch:
        network = head.initialise(network, options.seed)
        return network, set()
    new = {network.layers[name] for name in network.roles.classifier}
    return network, {layer.name for layer in network.model.layers} - new


def with_mean(network: Network, path: Path, train: Labelled) -> Network:
    """The network with the mean of its new pictures in place of its own.

    Raises:
        InputError: it is the mean of other pictures.
    """
    if train.listed is None:
        raise InputError("a mean belongs to a list; class folders were given", hint="imgnn label, imgnn mean")
    record = check_mean(path, train.listed)
    mean = load_mean(path.with_name(next(name for name in record["files"] if name.endswith(".npy"))))
    own = network.pictures
    if own.channel_order == "RGB":
        mean = mean[..., ::-1]
    elif own.channel_order == "GREY":
        mean = (mean[..., ::-1] @ LUMA)[..., None]
    preprocessing = replace(
        own,
        mean=tuple(round(float(value), 4) for value in mean.mean(axis=(0, 1))),
        crop="caffe",
        resize=side_before_crop(own.size, mean.shape[0]),
    )
    return replace(network, preprocessing=preprocessing, mean_image=np.ascontiguousarray(mean.transpose(2, 0, 1)))


def head_of(setup: Setup) -> tuple[str, ...]:
    """The layers whose descriptors the classifier looks at."""
    end = "/descriptor"
    return tuple(name.removesuffix(end) for name in setup.network.layers if name.endswith(end))


def config_of(setup: Setup, command: str) -> dict[str, Any]:
    """The content of config.json."""

    def facts(labelled: Labelled | None) -> dict[str, Any] | None:
        if labelled is None:
            return None
        return {"list": str(labelled.source.resolve()), "pictures": len(labelled), "sha256": labelled.digest}

    return {
        "kind": "classifier",
        "imgnn": __version__,
        "command": command,
        "network": setup.network.name,
        "recipe": "from scratch" if setup.options.from_scratch else setup.options.recipe,
        "classes": list(setup.train.classes),
        "size": list(setup.network.preprocessing.size) if setup.network.preprocessing else None,
        "features": list(head_of(setup)),
        "stages": [
            {
                "name": stage.name,
                "epochs": stage.epochs,
                "optimizer": stage.optimizer,
                "learning_rate": stage.learning_rate,
                "schedule": stage.schedule,
                "weight_decay": stage.weight_decay,
                "crop": stage.crop,
            }
            for stage in setup.stages
        ],
        "new": sorted({layer.name for layer in setup.network.model.layers} - setup.loaded),
        "options": stored_options(setup.options),
        "train": facts(setup.train),
        "val": facts(setup.val),
        "machine": f"{platform.machine()}, {len(setup.devices)} x {backend.device()}, Keras on {backend.name()}",
        "precision": setup.precision,
    }
