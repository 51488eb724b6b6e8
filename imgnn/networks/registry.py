"""The facts of the networks, as data. Imports no Keras."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from imgnn.errors import UnknownNameError
from imgnn.home import ASSETS
from imgnn.images.preprocessing import Preprocessing


@dataclass(frozen=True)
class LayerRoles:
    """The layers that the recipes use when none is named: Caffe's names.

    A blob's name means its value at the end: `conv1` is the activation after its in-place ReLU.
    """

    style: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    dream: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    classifier: tuple[str, ...] = ()  # what finetune replaces; its number of outputs may differ in a weights file
    head: tuple[str, ...] = ()  # what a new classifier looks at while the network itself is not trained


@dataclass(frozen=True)
class PublishedWeights:
    """Where a network's weights were published, and how to know them.

    Attributes:
        url: the authors' address: a default, never a must (`IMGNN_WEIGHTS_URL` or a local file replaces it).
            Empty when the authors give no direct link: then the file must be given, and `page` says where it is.
        size: about so many bytes, for the progress bar and the message before a download.
        sha256, sha1, git_blob: the hash that the model card gives; several may be known. None known:
            the sha256 of the first download is recorded and a change is told.
        licence: as the authors put it.
        file: the name under which the authors publish it.
        page: the authors' page, for a human.
    """

    url: str
    size: int
    licence: str
    sha256: str | None = None
    sha1: str | None = None
    git_blob: str | None = None  # sha1("blob " + size + "\0" + bytes)
    file: str = ""
    page: str = ""


@dataclass(frozen=True)
class NetworkSpec:
    """One network: its builder and its facts. A network without mean and source is unfinished.

    Attributes:
        name: what `--network` takes.
        title: as its authors write it.
        builder: "module:function"; called with `input_shape=(height, width, channels)` (None for a free
            size), `classes` and `include_top`; gives a flat Keras model without trained weights.
        paper: title and where it is, or the prototxt's home where no paper tells of it.
        classes: outputs of the published version; 0 for a network that does not classify.
        weights: as published; None for a network that needs none (seeded random filters), or has them in the package.
        packaged: the file among the package's assets that holds the weights, float16: `conv1_1/kernel`...
        words: the packaged table of class words ("imagenet").
        accuracy: as published, ILSVRC-2012 validation, centre crop.
        aliases: other names that `find` takes.
        parameters: of the published version; the table of `imgnn networks` shows it without waking Keras.
        tops: Caffe layer -> its blob, where the prototxt gives the two different names.
        tv_weight: how much smoothness counts in style transfer, if nothing is said; neural-style's for most.
        note: what a user should know before trusting a number, in a sentence.
    """

    name: str
    title: str
    builder: str
    paper: str
    preprocessing: Preprocessing
    roles: LayerRoles
    weights: PublishedWeights | None
    packaged: str | None = None
    classes: int = 1000
    words: str | None = "imagenet"
    accuracy: str = ""
    aliases: tuple[str, ...] = field(default=())
    parameters: int = 0
    tops: Mapping[str, str] = field(default_factory=dict)
    tv_weight: float = 1e-3
    note: str = ""

    def build(self, **options: Any) -> Any:
        """Call the builder: a Keras model. Imports Keras."""
        module, _, function = self.builder.partition(":")
        build: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return build(**options)


class ClassWord(NamedTuple):
    """One class: its WordNet id (`n02123045`) and its words, the first one first."""

    wnid: str
    words: str

    def __str__(self) -> str:
        """The line of a synset file, which is how a `Network` keeps it: "n02123045 tabby, tabby cat"."""
        return f"{self.wnid} {self.words}"

    @property
    def short(self) -> str:
        """The first of the words: "tabby" of "tabby, tabby cat"."""
        return self.words.partition(",")[0]


BERKELEY = "http://dl.caffe.berkeleyvision.org"
OXFORD = "http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe"
SQUEEZENET = "https://raw.githubusercontent.com/DeepScale/SqueezeNet/master"

ALEXNET_PAPER = (
    "ImageNet Classification with Deep Convolutional Neural Networks, Krizhevsky, Sutskever, Hinton, NIPS 2012"
)
VGG_PAPER = "Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"
SQUEEZENET_PAPER = (
    "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, arXiv:1602.07360"
)
RESNET_PAPER = "Deep Residual Learning for Image Recognition, arXiv:1512.03385"

ALEXNET_ROLES = LayerRoles(
    style=("conv1", "conv2", "conv3", "conv4", "conv5"),
    content=("conv4",),
    dream=("conv4",),
    features=("fc7",),
    classifier=("fc8",),
    head=("pool5", "fc6", "fc7"),
)
SQUEEZENET_ROLES = LayerRoles(
    style=("conv1", "fire2/concat", "fire3/concat", "fire4/concat", "fire5/concat"),
    content=("fire5/concat",),
    dream=("fire8/concat",),
    features=("fire9/concat",),
    classifier=("conv10",),
    head=("fire6/concat", "fire7/concat", "fire8/concat", "fire9/concat"),
)
VGG_MEAN = (103.939, 116.779, 123.68)
# Channel means of the mean image that comes with the weights; the image itself is 224 x 224.
RESNET_MEAN = (103.0626, 115.9029, 123.1516)


def _vgg(depth: int, parameters: int, size: int) -> NetworkSpec:
    return NetworkSpec(
        name=f"vgg{depth}",
        title=f"VGG-{depth}",
        builder=f"imgnn.networks.vgg:build_vgg{depth}",
        paper=VGG_PAPER,
        preprocessing=Preprocessing((224, 224), mean=VGG_MEAN),
        roles=LayerRoles(
            style=("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
            content=("relu4_2",),
            dream=("relu4_3",),
            features=("fc7",),
            classifier=("fc8",),
            head=("pool5", "fc6", "fc7"),
        ),
        weights=PublishedWeights(
            url=f"{OXFORD}/VGG_ILSVRC_{depth}_layers.caffemodel",
            size=size,
            licence="CC BY 4.0",
            file=f"VGG_ILSVRC_{depth}_layers.caffemodel",
            page="http://www.robots.ox.ac.uk/~vgg/research/very_deep/",
        ),
        accuracy="top-5 92.5 %",
        aliases=(f"vgg-{depth}",),
        parameters=parameters,
    )


def _squeezenet(version: str, git_blob: str, parameters: int) -> NetworkSpec:
    return NetworkSpec(
        name=f"squeezenet-v{version}",
        title=f"SqueezeNet v{version}",
        builder=f"imgnn.networks.squeezenet:build_squeezenet_v{version.replace('.', '_')}",
        paper=SQUEEZENET_PAPER,
        preprocessing=Preprocessing((227, 227)),
        roles=SQUEEZENET_ROLES,
        weights=PublishedWeights(
            url=f"{SQUEEZENET}/SqueezeNet_v{version}/squeezenet_v{version}.caffemodel",
            size=4_950_000,
            licence="BSD 2-Clause",
            git_blob=git_blob,
            file=f"squeezenet_v{version}.caffemodel",
            page="https://github.com/DeepScale/SqueezeNet",
        ),
        accuracy="top-5 80.3 % or more",
        aliases=(f"squeezenet{version}", f"squeezenet-{version}", *(["squeezenet"] if version == "1.1" else [])),
        parameters=parameters,
    )


def _resnet(depth: int, ends: tuple[str, str, str], size: int, accuracy: str, parameters: int) -> NetworkSpec:
    return NetworkSpec(
        name=f"resnet{depth}",
        title=f"ResNet-{depth}",
        builder=f"imgnn.networks.resnet:build_resnet{depth}",
        paper=RESNET_PAPER,
        preprocessing=Preprocessing((224, 224), mean=RESNET_MEAN),
        roles=LayerRoles(
            style=("conv1", *ends),
            content=(ends[1],),
            dream=(ends[2],),
            features=("pool5",),
            classifier=("fc1000",),
            head=(ends[2], "res5a", "res5b", "res5c"),
        ),
        weights=PublishedWeights(
            url="",
            size=size,
            licence="MIT",
            file=f"ResNet-{depth}-model.caffemodel",
            page="https://github.com/KaimingHe/deep-residual-networks",
        ),
        accuracy=accuracy,
        aliases=(f"resnet-{depth}",),
        parameters=parameters,
        note="Trained with a mean image (ResNet_mean.binaryproto); the mean here is that image's channel means. "
        "The authors link to the weights on a file-sharing page: download them by hand and give the file.",
    )


_SPECS = (
    NetworkSpec(
        name="mini",
        title="mini, imgnn's own",
        builder="imgnn.networks.mini:build_mini",
        paper="Distilling the Knowledge in a Neural Network, arXiv:1503.02531, is how it was trained; docs/mini.md",
        preprocessing=Preprocessing((224, 224), scale=(1 / 58, 1 / 58, 1 / 58)),
        roles=LayerRoles(
            # Those of neural-style for VGG, and the second ones of the fine stages. With the five alone, layers of
            # GoogLeNet that were held out saw 1.6 times SqueezeNet's distance from the style, with these 1.2 times.
            style=("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu4_1", "relu5_1"),
            content=("relu4_2",),
            dream=("relu4_3",),
            features=("relu5_3",),
            head=("relu5_1", "relu5_2", "relu5_3"),
        ),
        weights=None,
        packaged="mini.npz",
        classes=0,
        words=None,
        parameters=2_435_616,
        tv_weight=0.0,  # relu1_1 and relu1_2 see every pixel, so grain is not like the style
        note="Knows no classes. Small, and in the package: nothing needs to be downloaded.",
    ),
    NetworkSpec(
        name="caffenet",
        title="BVLC Reference CaffeNet",
        builder="imgnn.networks.alexnet:build_caffenet",
        paper=ALEXNET_PAPER + "; with pooling before normalisation",
        preprocessing=Preprocessing((227, 227)),
        roles=ALEXNET_ROLES,
        weights=PublishedWeights(
            url=f"{BERKELEY}/bvlc_reference_caffenet.caffemodel",
            size=243_862_414,
            licence="unrestricted",
            sha1="4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
            file="bvlc_reference_caffenet.caffemodel",
            page="https://github.com/BVLC/caffe/tree/master/models/bvlc_reference_caffenet",
        ),
        accuracy="top-1 57.4 %, top-5 80.4 %",
        aliases=("bvlc-reference-caffenet",),
        parameters=60_965_224,
    ),
    NetworkSpec(
        name="alexnet",
        title="BVLC AlexNet",
        builder="imgnn.networks.alexnet:build_alexnet",
        paper=ALEXNET_PAPER,
        preprocessing=Preprocessing((227, 227)),
        roles=ALEXNET_ROLES,
        weights=PublishedWeights(
            url=f"{BERKELEY}/bvlc_alexnet.caffemodel",
            size=243_862_418,
            licence="unrestricted",
            sha1="9116a64c0fbe4459d18f4bb6b56d647b63920377",
            file="bvlc_alexnet.caffemodel",
            page="https://github.com/BVLC/caffe/tree/master/models/bvlc_alexnet",
        ),
        accuracy="top-1 57.1 %, top-5 80.2 %",
        aliases=("bvlc-alexnet",),
        parameters=60_965_224,
    ),
    _vgg(16, 138_357_544, 553_432_081),
    _vgg(19, 143_667_240, 574_671_192),
    NetworkSpec(
        name="googlenet",
        title="BVLC GoogLeNet",
        builder="imgnn.networks.googlenet:build_googlenet",
        paper="Going Deeper with Convolutions, arXiv:1409.4842",
        preprocessing=Preprocessing((224, 224)),
        roles=LayerRoles(
            style=(
                "conv1/7x7_s2",
                "conv2/3x3",
                "inception_3a/output",
                "inception_3b/output",
                "inception_4a/output",
            ),
            # fzliu/style-transfer adds conv2/3x3 with a weight of 2e-4: as good as none. Its style layer
            # inception_5a/output is left out: with it the picture is grain, and the photo is lost.
            content=("inception_3a/output",),
            dream=("inception_4c/output",),
            features=("pool5/7x7_s1",),
            classifier=("loss3/classifier",),
            head=(
                "inception_4c/output",
                "inception_4d/output",
                "inception_4e/output",
                "inception_5a/output",
                "inception_5b/output",
            ),
        ),
        weights=PublishedWeights(
            url=f"{BERKELEY}/bvlc_googlenet.caffemodel",
            size=53_533_754,
            licence="unrestricted",
            sha1="405fc5acd08a3bb12de8ee5e23a96bec22f08204",
            file="bvlc_googlenet.caffemodel",
            page="https://github.com/BVLC/caffe/tree/master/models/bvlc_googlenet",
        ),
        accuracy="top-1 68.7 %, top-5 88.9 %",
        aliases=("bvlc-googlenet", "inception-v1"),
        parameters=6_998_552,
    ),
    _squeezenet("1.0", "a381d848b43d7048c3b362238ece2386c21d6ff0", 1_248_424),
    _squeezenet("1.1", "9d2fc33abf653a6e8b2ee6cc63ede0e72ec67f44", 1_235_496),
    NetworkSpec(
        name="nin",
        title="Network in Network (ImageNet)",
        builder="imgnn.networks.nin:build_nin",
        paper="Network In Network, arXiv:1312.4400",
        preprocessing=Preprocessing((224, 224)),
        roles=LayerRoles(
            style=("relu0", "relu3", "relu7", "relu12"),
            content=("relu7",),
            dream=("cccp6",),
            features=("cccp7",),
            classifier=("cccp8-1024",),
            head=("conv3", "cccp6", "cccp7"),
        ),
        weights=PublishedWeights(
            url="https://www.dropbox.com/s/cphemjekve3d80n/nin_imagenet.caffemodel?dl=1",
            size=30_400_000,
            licence="BSD",
            file="nin_imagenet.caffemodel",
            page="https://gist.github.com/mavenlin/d802a5849de39225bcc6",
        ),
        accuracy="top-1 59.4 %",
        aliases=("network-in-network", "nin-imagenet"),
        parameters=7_595_176,
        tops={"conv4-1024": "conv4", "cccp7-1024": "cccp7", "cccp8-1024": "cccp8"},
        note="Trained with a mean image; the mean here is ILSVRC-2012's channel means, rounded.",
    ),
    _resnet(50, ("res2c", "res3d", "res4f"), 102_462_397, "top-1 75.3 %, top-5 92.2 %", 25_557_096),
    _resnet(101, ("res2c", "res3b3", "res4b22"), 178_727_749, "top-1 76.4 %, top-5 92.9 %", 44_549_160),
    _resnet(152, ("res2c", "res3b7", "res4b35"), 241_430_000, "top-1 77.0 %, top-5 93.3 %", 60_192_808),
    NetworkSpec(
        name="random",
        title="Seeded random filters",
        builder="imgnn.networks.random:build_random",
        paper="What does it take to generate natural textures?, Ustyuzhaninov et al., arXiv:1606.00021; "
        "A Powerful Generative Model Using Random Weights for the Deep Image Representation, arXiv:1606.04801",
        preprocessing=Preprocessing((256, 256), scale=(1 / 64, 1 / 64, 1 / 64)),
        roles=LayerRoles(
            style=("relu1", "relu2", "relu3", "relu4", "relu5"),
            content=("relu2",),
            dream=("relu3",),
            features=("relu5",),
            head=("relu2", "relu3", "relu4", "relu5"),
        ),
        weights=None,
        classes=0,
        words=None,
        parameters=23_680,
        note="Knows no classes and has seen no pictures: for style transfer without a download.",
    ),
)

SPECS: Mapping[str, NetworkSpec] = {spec.name: spec for spec in _SPECS}


def names() -> list[str]:
    """The networks of the registry, in its order."""
    return list(SPECS)


def find(name: str) -> NetworkSpec:
    """The network called `name` (or one of its aliases); case and "_" against "-" do not matter.

    Raises:
        UnknownNameError: there is none; near names are offered.
    """
    wanted = name.casefold().replace("_", "-")
    for spec in SPECS.values():
        if wanted in (spec.name, *spec.aliases):
            return spec
    raise UnknownNameError("network", name, names(), hint="imgnn networks lists them")


@cache
def class_words(table: str) -> tuple[ClassWord, ...]:
    """The packaged class words called `table` ("imagenet"), in the order of the network's outputs.

    The file has a line for each class: index, wnid, words, with tabs between. Source: the 1,000
    synsets of ILSVRC-2012 in Caffe's order, words of WordNet; `tools/make_class_words.py` writes it.

    Raises:
        UnknownNameError: no table is called so.
    """
    path = ASSETS / f"{table}_classes.tsv"
    if not path.is_file():
        raise UnknownNameError("table of class words", table, ["imagenet"])
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return tuple(ClassWord(wnid, words.replace("; ", ", ")) for _, wnid, words in rows)
