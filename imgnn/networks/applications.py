"""The networks of keras.applications as `keras:NAME`, each with its own preprocessing. Light until one is loaded.

Their weights come through Keras, into Keras' own cache (`~/.keras/models`, or `KERAS_HOME`).
"""

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from imgnn import backend
from imgnn.errors import DownloadError, UnknownNameError, WeightsError
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.registry import LayerRoles, class_words
from imgnn.networks.weights import is_offline

if TYPE_CHECKING:
    from imgnn.networks.network import Network

PREFIX = "keras:"
Mode = Literal["tf", "torch", "caffe", "inside"]

KERNELS = "{name}_weights_tf_dim_ordering_tf_kernels{top}.h5"
PLAIN = "{name}{top}.h5"


@dataclass(frozen=True)
class Application:
    """One network of keras.applications.

    Attributes:
        name: what follows `keras:`.
        function: the function of `keras.applications` that builds it.
        size: side of the square picture that its classifier was trained on.
        mode: how its authors prepared pictures: "tf" to -1..1, "torch" by ImageNet's mean and deviation, "caffe"
            BGR minus mean, "inside": the network's first layers do it.
        paper: title and number.
        file: the name of the weights in Keras' cache; `{top}` stands for what marks a file without classifier.
        no_top: that mark.
        roles: layers for the recipes; empty: guessed from the graph.
    """

    name: str
    function: str
    size: int
    mode: Mode
    paper: str
    file: str
    no_top: str = "_notop"
    roles: LayerRoles = field(default_factory=LayerRoles)

    @property
    def preprocessing(self) -> Preprocessing:
        """What `keras.applications` calls preprocess_input, as numbers."""
        size = (self.size, self.size)
        if self.mode == "caffe":
            return Preprocessing(size, mean=(103.939, 116.779, 123.68))
        mean: tuple[float, ...] = (0.0, 0.0, 0.0)
        scale: tuple[float, ...] = (1.0, 1.0, 1.0)
        if self.mode == "tf":
            mean, scale = (127.5,) * 3, (1 / 127.5,) * 3
        elif self.mode == "torch":
            mean = tuple(255 * m for m in (0.485, 0.456, 0.406))
            scale = tuple(1 / (255 * s) for s in (0.229, 0.224, 0.225))
        return Preprocessing(size, mean=mean, channel_order="RGB", scale=scale)

    def weights_path(self, include_top: bool = True) -> Path:
        """Where Keras keeps the weights."""
        home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
        return Path(home) / "models" / self.file.format(top="" if include_top else self.no_top)


VGG_ROLES = LayerRoles(
    style=("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1"),
    content=("block4_conv2",),
    dream=("block4_conv3",),
    features=("fc2",),
    classifier=("predictions",),
)
INCEPTION_V3_ROLES = LayerRoles(
    style=("activation_2", "activation_4", "mixed2", "mixed4", "mixed7"),
    content=("mixed2",),
    dream=("mixed3", "mixed5"),
    features=("avg_pool",),
    classifier=("predictions",),
)
RESNET_ROLES = LayerRoles(
    style=("conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out"),
    content=("conv3_block4_out",),
    dream=("conv4_block6_out",),
    features=("avg_pool",),
    classifier=("predictions",),
)


def _applications() -> Iterator[Application]:
    vgg = "Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"
    for depth in (16, 19):
        name = f"vgg{depth}"
        yield Application(name, f"VGG{depth}", 224, "caffe", vgg, KERNELS.replace("{name}", name), roles=VGG_ROLES)

    rethinking = "Rethinking the Inception Architecture for Computer Vision, arXiv:1512.00567"
    file = KERNELS.replace("{name}", "inception_v3")
    yield Application("inception_v3", "InceptionV3", 299, "tf", rethinking, file, roles=INCEPTION_V3_ROLES)
    inception4 = "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning, arXiv:1602.07261"
    file = KERNELS.replace("{name}", "inception_resnet_v2")
    yield Application("inception_resnet_v2", "InceptionResNetV2", 299, "tf", inception4, file)
    xception = "Xception: Deep Learning with Depthwise Separable Convolutions, arXiv:1610.02357"
    yield Application("xception", "Xception", 299, "tf", xception, KERNELS.replace("{name}", "xception"))

    resnet = "Deep Residual Learning for Image Recognition, arXiv:1512.03385"
    identity = "Identity Mappings in Deep Residual Networks, arXiv:1603.05027"
    for depth in (50, 101, 152):
        roles = RESNET_ROLES if depth == 50 else LayerRoles()
        file = KERNELS.replace("{name}", f"resnet{depth}")
        yield Application(f"resnet{depth}", f"ResNet{depth}", 224, "caffe", resnet, file, roles=roles)
    for depth in (50, 101, 152):
        file = KERNELS.replace("{name}", f"resnet{depth}v2")
        yield Application(f"resnet{depth}_v2", f"ResNet{depth}V2", 224, "tf", identity, file)

    densenet = "Densely Connected Convolutional Networks, arXiv:1608.06993"
    for depth in (121, 169, 201):
        file = KERNELS.replace("{name}", f"densenet{depth}")
        yield Application(f"densenet{depth}", f"DenseNet{depth}", 224, "torch", densenet, file)

    mobile = "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, arXiv:1704.04861"
    yield Application("mobilenet", "MobileNet", 224, "tf", mobile, "mobilenet_1_0_224_tf{top}.h5", "_no_top")
    mobile2 = "MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381"
    file = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224{top}.h5"
    yield Application("mobilenet_v2", "MobileNetV2", 224, "tf", mobile2, file, "_no_top")
    mobile3 = "Searching for MobileNetV3, arXiv:1905.02244"
    for size in ("small", "large"):
        file = f"weights_mobilenet_v3_{size}_224_1.0_float{{top}}.h5"
        name, function = f"mobilenet_v3_{size}", f"MobileNetV3{size.title()}"
        yield Application(name, function, 224, "inside", mobile3, file, "_no_top_v2")

    nasnet = "Learning Transferable Architectures for Scalable Image Recognition, arXiv:1707.07012"
    yield Application("nasnet_mobile", "NASNetMobile", 224, "tf", nasnet, "nasnet_mobile{top}.h5", "_no_top")
    yield Application("nasnet_large", "NASNetLarge", 331, "tf", nasnet, "nasnet_large{top}.h5", "_no_top")

    efficient = "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, arXiv:1905.11946"
    for number, side in enumerate((224, 240, 260, 300, 380, 456, 528, 600)):
        name, function = f"efficientnet_b{number}", f"EfficientNetB{number}"
        yield Application(name, function, side, "inside", efficient, f"efficientnetb{number}{{top}}.h5")
    efficient2 = "EfficientNetV2: Smaller Models and Faster Training, arXiv:2104.00298"
    sides = {"B0": 224, "B1": 240, "B2": 260, "B3": 300, "S": 384, "M": 480, "L": 480}
    for letter, side in sides.items():
        name, file = f"efficientnet_v2_{letter.lower()}", f"efficientnetv2-{letter.lower()}{{top}}.h5"
        yield Application(name, f"EfficientNetV2{letter}", side, "inside", efficient2, file)

    convnext = "A ConvNet for the 2020s, arXiv:2201.03545"
    for word in ("Tiny", "Small", "Base", "Large", "XLarge"):
        name = f"convnext_{word.lower()}"
        yield Application(name, f"ConvNeXt{word}", 224, "inside", convnext, f"{name}{{top}}.h5")


APPLICATIONS = {application.name: application for application in _applications()}


def names() -> list[str]:
    """All of them, as `--network` takes them: `keras:inception_v3`."""
    return [PREFIX + name for name in APPLICATIONS]


def find(name: str) -> Application:
    """The application called `name`, with or without `keras:`; `InceptionV3` and `inception-v3` are the same.

    Raises:
        UnknownNameError: there is none; near names are offered.
    """
    wanted = _plain(name.removeprefix(PREFIX))
    for application in APPLICATIONS.values():
        if wanted in (_plain(application.name), _plain(application.function)):
            return application
    raise UnknownNameError("network of keras.applications", name, names(), hint="imgnn networks lists them")


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def is_present(application: Application, include_top: bool = True) -> bool:
    """Whether its weights are in Keras' cache."""
    return application.weights_path(include_top).is_file()


def load(name: str, *, include_top: bool = True, weights: str | Path | None = "imagenet") -> "Network":
    """The network `keras:NAME`, with the weights that Keras publishes.

    Args:
        name: `keras:inception_v3`, or without the prefix.
        include_top: with the classifier (the weights without it are another, smaller file).
        weights: "imagenet"; a weights file of one's own; None for random ones.

    Raises:
        UnknownNameError: keras.applications has no such network.
        WeightsError: the file is damaged or fits another network; or it is missing and IMGNN_OFFLINE is set.
        DownloadError: the file could not be fetched.
    """
    application = find(name)
    keras_path = application.weights_path(include_top)
    if weights == "imagenet" and is_offline() and not keras_path.is_file():
        raise WeightsError(
            f"no weights for {PREFIX + application.name!r}: {keras_path} is missing, "
            "and IMGNN_OFFLINE forbids the network",
            hint="unset IMGNN_OFFLINE, or put the file there yourself",
        )
    model = _build(application, include_top, None if weights is None else str(weights))

    from imgnn.networks.names import guess_roles  # with Keras, which the list of names does without
    from imgnn.networks.network import Network

    roles = application.roles if application.roles.style else guess_roles(model)
    layers = {layer.name: layer.name for layer in model.layers}
    return Network(
        name=PREFIX + application.name,
        model=model,
        preprocessing=application.preprocessing,
        layers=layers,
        blobs={},
        words=tuple(map(str, class_words("imagenet"))) if include_top else None,
        roles=roles,
        source={
            "title": f"{application.function} of keras.applications",
            "paper": application.paper,
            "licence": "Apache-2.0 (Keras); the weights as their authors say",
            "file": keras_path.name if weights == "imagenet" else str(weights),
        },
    )


def _build(application: Application, include_top: bool, weights: str | None) -> Any:
    """Call keras.applications; what goes wrong with the weights becomes one of our errors."""
    import keras

    build = getattr(keras.applications, application.function, None)
    if build is None:
        raise UnknownNameError(f"network of Keras {keras.__version__}", application.name, names())
    shape = (application.size, application.size, 3) if include_top else (None, None, 3)
    name = PREFIX + application.name
    try:
        # Keras draws its download bar on stdout, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # MobileNet, that a free size gets the weights of 224
            with backend.standard():
                return _renumbered(build(weights=weights, include_top=include_top, input_shape=shape))
    except OSError as error:
        raise WeightsError(f"the weights of {name!r} cannot be read: {error}", hint=_again(application)) from error
    except ValueError as error:
        # "Incomplete or corrupted file", or shapes of another network.
        raise WeightsError(f"the weights of {name!r} do not fit: {error}", hint=_again(application)) from error
    except Exception as error:
        # All that Keras' get_file says of a failed download; the code is None where no server answered.
        found = re.match(r"URL fetch failure on (\S+): (\S+) -- (?:\[Errno \S+ )?(.*)", str(error), re.DOTALL)
        if found is None:
            raise
        url, code, why = found.groups()
        why = f"cannot be reached ({why})" if code == "None" else f"answers {code} {why}"
        raise DownloadError(
            f"no weights for {name!r} on this machine: {urlsplit(url).netloc or url} {why}",
            hint=f"again with a network; or get {url} elsewhere and put it into {application.weights_path().parent}",
        ) from error


def _renumbered(model: Any) -> Any:
    """The model, its unnamed layers counted from the first: `activation`, `activation_1`, ...

    Keras goes on counting through the whole process; a second Inception would have an `activation_94` for its first.
    """
    groups: dict[str, list[tuple[int, Any]]] = {}
    for layer in model.layers:
        stem, _, number = layer.name.rpartition("_") if layer.name[-1].isdecimal() else (layer.name, "", "0")
        if not number.isdecimal():  # conv2d
            stem, number = layer.name, "0"
        if stem.replace("_", "") == type(layer).__name__.casefold():
            groups.setdefault(stem, []).append((int(number), layer))
    for stem, layers in groups.items():
        first = min(number for number, _ in layers)
        for number, layer in layers:
            layer.name = f"{stem}_{number - first}" if number > first else stem
    return model


def _again(application: Application) -> str:
    return f"delete {application.weights_path()} and run again: Keras fetches it anew"
