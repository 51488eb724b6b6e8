"""The deploy prototxts of the registry's networks, generated from compact tables of facts.

Written from the published prototxts (BVLC/caffe models/, DeepScale/SqueezeNet, Simonyan's and Lin's
gists, KaimingHe/deep-residual-networks) and not from our builders: layer names, blobs, numbers. OpenCV
reads the text; the builders are compared with what OpenCV computes.
"""

import math
from collections.abc import Callable

import numpy as np


class Prototxt:
    """A prototxt that grows layer by layer, with the shapes that Caffe gives its blobs.

    Attributes:
        blob: the blob written last.
        shapes: blob -> (channels, height, width).
        weights: layer -> the shapes of its weights, bias last.
        tops: layer -> its blob.
    """

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        self.text = f'name: "{name}"\ninput: "data"\ninput_shape {{ dim: 1 dim: 3 dim: {size[0]} dim: {size[1]} }}\n'
        self.blob = "data"
        self.shapes = {"data": (3, *size)}
        self.weights: dict[str, list[tuple[int, ...]]] = {}
        self.tops: dict[str, str] = {}

    def layer(self, kind, name, bottoms, top, params="", shape=None):
        links = "".join(f'bottom: "{bottom}" ' for bottom in bottoms)
        self.text += f'layer {{ name: "{name}" type: "{kind}" {links}top: "{top}" {params} }}\n'
        self.blob, self.tops[name], self.shapes[top] = top, top, shape or self.shapes[bottoms[0]]
        return top

    def conv(self, name, outputs, kernel, stride=1, pad=0, group=1, bias=True, bottom=None, top=None):
        bottom = bottom or self.blob
        channels, *sides = self.shapes[bottom]
        self.weights[name] = [(outputs, channels // group, kernel, kernel), (outputs,)][: 1 + bias]
        shape = (outputs, *((side + 2 * pad - kernel) // stride + 1 for side in sides))
        params = f"num_output: {outputs} kernel_size: {kernel} stride: {stride} pad: {pad} group: {group}"
        params = f"convolution_param {{ {params}{'' if bias else ' bias_term: false'} }}"
        return self.layer("Convolution", name, [bottom], top or name, params, shape)

    def inplace(self, kind, name, params=""):
        return self.layer(kind, name, [self.blob], self.blob, params)

    def relu(self, name):
        return self.inplace("ReLU", name)

    def drop(self, name, ratio=0.5):
        return self.inplace("Dropout", name, f"dropout_param {{ dropout_ratio: {ratio} }}")

    def batch_norm(self, name):
        channels = self.shapes[self.blob][0]
        self.weights[name] = [(channels,), (channels,), (1,)]
        return self.inplace("BatchNorm", name, "batch_norm_param { use_global_stats: true }")

    def scale(self, name):
        self.weights[name] = [(self.shapes[self.blob][0],)] * 2
        return self.inplace("Scale", name, "scale_param { bias_term: true }")

    def pool(self, name, kernel, stride, pad=0, method="MAX", bottom=None):
        bottom = bottom or self.blob
        channels, *sides = self.shapes[bottom]
        shape = (channels, *(-((kernel - side - 2 * pad) // stride) + 1 for side in sides))
        params = f"pooling_param {{ pool: {method} kernel_size: {kernel} stride: {stride} pad: {pad} }}"
        return self.layer("Pooling", name, [bottom], name, params, shape)

    def global_average(self, name):
        shape = (self.shapes[self.blob][0], 1, 1)
        params = "pooling_param { pool: AVE global_pooling: true }"
        return self.layer("Pooling", name, [self.blob], name, params, shape)

    def lrn(self, name):
        return self.layer("LRN", name, [self.blob], name, "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")

    def dense(self, name, outputs):
        self.weights[name] = [(outputs, math.prod(self.shapes[self.blob])), (outputs,)]
        params = f"inner_product_param {{ num_output: {outputs} }}"
        return self.layer("InnerProduct", name, [self.blob], name, params, (outputs,))

    def concat(self, name, bottoms):
        channels = sum(self.shapes[bottom][0] for bottom in bottoms)
        return self.layer("Concat", name, bottoms, name, shape=(channels, *self.shapes[bottoms[0]][1:]))

    def softmax(self):
        return self.layer("Softmax", "prob", [self.blob], "prob")


def caffenet(net: Prototxt, classes: int | None, pool_first: bool = True) -> None:
    # name, outputs, kernel, stride, pad, group, is it normalised, is it pooled
    for name, outputs, kernel, stride, pad, group, norm, pool in (
        ("1", 96, 11, 4, 0, 1, True, True),
        ("2", 256, 5, 1, 2, 2, True, True),
        ("3", 384, 3, 1, 1, 1, False, False),
        ("4", 384, 3, 1, 1, 2, False, False),
        ("5", 256, 3, 1, 1, 2, False, True),
    ):
        net.conv("conv" + name, outputs, kernel, stride, pad, group)
        net.relu("relu" + name)
        if norm and not pool_first:
            net.lrn("norm" + name)
        if pool:
            net.pool("pool" + name, 3, 2)
        if norm and pool_first:
            net.lrn("norm" + name)
    fully_connected(net, classes)


def alexnet(net: Prototxt, classes: int | None) -> None:
    caffenet(net, classes, pool_first=False)


def fully_connected(net: Prototxt, classes: int | None) -> None:
    if not classes:
        return
    for digit in "67":
        net.dense("fc" + digit, 4096)
        net.relu("relu" + digit)
        net.drop("drop" + digit)
    net.dense("fc8", classes)
    net.softmax()


def vgg(net: Prototxt, classes: int | None, lengths: tuple[int, ...]) -> None:
    for block, (length, outputs) in enumerate(zip(lengths, (64, 128, 256, 512, 512), strict=True), 1):
        for number in range(1, length + 1):
            net.conv(f"conv{block}_{number}", outputs, 3, pad=1)
            net.relu(f"relu{block}_{number}")
        net.pool(f"pool{block}", 2, 2)
    fully_connected(net, classes)


def vgg16(net: Prototxt, classes: int | None) -> None:
    vgg(net, classes, (2, 2, 3, 3, 3))


def vgg19(net: Prototxt, classes: int | None) -> None:
    vgg(net, classes, (2, 2, 4, 4, 4))


# 1x1, 3x3_reduce, 3x3, 5x5_reduce, 5x5, pool_proj: table 1 of the paper; None: a 3x3 pooling, stride 2.
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "pool3/3x3_s2": None,
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "pool4/3x3_s2": None,
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(net: Prototxt, classes: int | None) -> None:
    net.conv("conv1/7x7_s2", 64, 7, 2, 3)
    net.relu("conv1/relu_7x7")
    net.pool("pool1/3x3_s2", 3, 2)
    net.lrn("pool1/norm1")
    net.conv("conv2/3x3_reduce", 64, 1)
    net.relu("conv2/relu_3x3_reduce")
    net.conv("conv2/3x3", 192, 3, pad=1)
    net.relu("conv2/relu_3x3")
    net.lrn("conv2/norm2")
    net.pool("pool2/3x3_s2", 3, 2)
    for name, outputs in INCEPTION.items():
        if outputs is None:
            net.pool(name, 3, 2)
        else:
            inception(net, f"inception_{name}/", outputs)
    if classes:
        net.pool("pool5/7x7_s1", 7, 1, method="AVE")
        net.drop("pool5/drop_7x7_s1", 0.4)
        net.dense("loss3/classifier", classes)
        net.softmax()


def inception(net: Prototxt, at: str, outputs: tuple[int, ...]) -> None:
    source = net.blob
    ends = []
    for bottom, chain in (
        (source, [("1x1", outputs[0], 1)]),
        (source, [("3x3_reduce", outputs[1], 1), ("3x3", outputs[2], 3)]),
        (source, [("5x5_reduce", outputs[3], 1), ("5x5", outputs[4], 5)]),
        (None, [("pool_proj", outputs[5], 1)]),
    ):
        net.blob = bottom or net.pool(at + "pool", 3, 1, 1, bottom=source)
        for name, channels, kernel in chain:
            net.conv(at + name, channels, kernel, pad=kernel // 2)
            net.relu(f"{at}relu_{name}")
        ends.append(net.blob)
    net.concat(at + "output", ends)


def squeezenet(net: Prototxt, classes: int | None, first: tuple[int, int], pools: set[int], last_pad: int) -> None:
    net.conv("conv1", first[0], first[1], 2)
    net.relu("relu_conv1")
    net.pool("pool1", 3, 2)
    for number, (squeeze, expand) in enumerate(
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)], 2
    ):
        at = f"fire{number}/"
        net.conv(at + "squeeze1x1", squeeze, 1)
        squeezed = net.relu(at + "relu_squeeze1x1")
        ends = []
        for name, kernel in (("expand1x1", 1), ("expand3x3", 3)):
            net.conv(at + name, expand, kernel, pad=kernel // 2, bottom=squeezed)
            ends.append(net.relu(f"{at}relu_{name}"))
        net.concat(at + "concat", ends)
        if number in pools:
            net.pool(f"pool{number}", 3, 2)
    if classes:
        net.drop("drop9")
        net.conv("conv10", classes, 1, pad=last_pad)
        net.relu("relu_conv10")
        net.global_average("pool10")
        net.softmax()


def squeezenet_v1_0(net: Prototxt, classes: int | None) -> None:
    squeezenet(net, classes, (96, 7), {4, 8}, 1)


def squeezenet_v1_1(net: Prototxt, classes: int | None) -> None:
    squeezenet(net, classes, (64, 3), {3, 5}, 0)


def nin(net: Prototxt, classes: int | None) -> None:
    # layer, blob, outputs, kernel, stride, pad, its ReLU
    rows = [
        ("conv1", "conv1", 96, 11, 4, 0, "relu0"),
        ("cccp1", "cccp1", 96, 1, 1, 0, "relu1"),
        ("cccp2", "cccp2", 96, 1, 1, 0, "relu2"),
        "pool0",
        ("conv2", "conv2", 256, 5, 1, 2, "relu3"),
        ("cccp3", "cccp3", 256, 1, 1, 0, "relu5"),
        ("cccp4", "cccp4", 256, 1, 1, 0, "relu6"),
        "pool2",
        ("conv3", "conv3", 384, 3, 1, 1, "relu7"),
        ("cccp5", "cccp5", 384, 1, 1, 0, "relu8"),
        ("cccp6", "cccp6", 384, 1, 1, 0, "relu9"),
        "pool3",
        ("conv4-1024", "conv4", 1024, 3, 1, 1, "relu10"),
        ("cccp7-1024", "cccp7", 1024, 1, 1, 0, "relu11"),
        ("cccp8-1024", "cccp8", classes, 1, 1, 0, "relu12"),
    ]
    for row in rows if classes else rows[:-1]:
        if isinstance(row, str):
            net.pool(row, 3, 2)
            if row == "pool3":
                net.drop("drop")
        else:
            layer, blob, outputs, kernel, stride, pad, relu = row
            net.conv(layer, outputs, kernel, stride, pad, top=blob)
            net.relu(relu)
    if classes:
        net.pool("pool4", 6, 1, method="AVE")
        net.softmax()


def resnet(net: Prototxt, classes: int | None, stages: dict[int, list[str]], first_bias: bool) -> None:
    def normalised(name, outputs, kernel, stride, pad, suffix, bottom, bias=False):
        net.conv(name, outputs, kernel, stride, pad, bias=bias, bottom=bottom)
        net.batch_norm("bn" + suffix)
        return net.scale("scale" + suffix)

    normalised("conv1", 64, 7, 2, 3, "_conv1", "data", bias=first_bias)
    net.relu("conv1_relu")
    net.pool("pool1", 3, 2)
    for stage, letters in stages.items():
        width = 32 * 2 ** (stage - 1)
        for letter in letters:
            source, unit = net.blob, f"{stage}{letter}"
            stride = 2 if letter == "a" and stage > 2 else 1
            shortcut = source
            if letter == "a":
                shortcut = normalised(f"res{unit}_branch1", 4 * width, 1, stride, 0, f"{unit}_branch1", source)
            bottom = source
            for part, outputs, kernel in (("2a", width, 1), ("2b", width, 3), ("2c", 4 * width, 1)):
                name = f"res{unit}_branch{part}"
                step = stride if part == "2a" else 1
                bottom = normalised(name, outputs, kernel, step, kernel // 2, f"{unit}_branch{part}", bottom)
                if part != "2c":
                    net.relu(name + "_relu")
            net.layer("Eltwise", "res" + unit, [shortcut, bottom], "res" + unit)
            net.relu(f"res{unit}_relu")
    if classes:
        net.pool("pool5", 7, 1, method="AVE")
        net.dense("fc1000", classes)
        net.softmax()


def numbered(count: int) -> list[str]:
    return ["a", *(f"b{number}" for number in range(1, count))]


def resnet50(net: Prototxt, classes: int | None) -> None:
    resnet(net, classes, {2: list("abc"), 3: list("abcd"), 4: list("abcdef"), 5: list("abc")}, first_bias=True)


def resnet101(net: Prototxt, classes: int | None) -> None:
    resnet(net, classes, {2: list("abc"), 3: numbered(4), 4: numbered(23), 5: list("abc")}, first_bias=False)


def resnet152(net: Prototxt, classes: int | None) -> None:
    resnet(net, classes, {2: list("abc"), 3: numbered(8), 4: numbered(36), 5: list("abc")}, first_bias=False)


NETWORKS: dict[str, Callable[[Prototxt, int | None], None]] = {
    "caffenet": caffenet,
    "alexnet": alexnet,
    "vgg16": vgg16,
    "vgg19": vgg19,
    "googlenet": googlenet,
    "squeezenet-v1.0": squeezenet_v1_0,
    "squeezenet-v1.1": squeezenet_v1_1,
    "nin": nin,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
}


def deploy(name: str, size: tuple[int, int], classes: int | None = 1000) -> Prototxt:
    """The deploy prototxt of `name` for pictures of `size`; `classes=None` leaves the classifier out."""
    net = Prototxt(name, size)
    NETWORKS[name](net, classes)
    return net


def random_blobs(net: Prototxt, random: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """Weights for every layer, scaled after He et al. so that activations neither grow nor fade."""

    def draw(shape, spread, middle=0.0):
        return (middle + spread * random.standard_normal(shape, dtype="float32")).astype("float32")

    blobs = {}
    for name, shapes in net.weights.items():
        if len(shapes) == 3:  # BatchNorm: sums of mean and variance, and over how many batches
            mean, variance = draw(shapes[0], 0.1), random.uniform(0.5, 2, shapes[1]).astype("float32")
            blobs[name] = [3 * mean, 3 * variance, np.full(1, 3, "float32")]
        elif len(shapes[0]) == 1:  # Scale
            blobs[name] = [draw(shapes[0], 0.1, 0.7), draw(shapes[1], 0.1)]
        else:
            spread = math.sqrt(2 / math.prod(shapes[0][1:]))
            blobs[name] = [draw(shapes[0], spread), *(draw(shape, 0.1) for shape in shapes[1:])]
    return blobs
