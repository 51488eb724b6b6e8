"""The sweep: every layer type in many settings, as tiny nets of parallel layers that read the same inputs."""

import itertools
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.caffe.oracle import header

SIZES = [(7, 7), (10, 10), (13, 9)]


@dataclass(frozen=True)
class Sweep:
    """One net: layers of one type side by side, each with other settings.

    Attributes:
        settings: what stands inside each layer, `convolution_param { kernel_size: 3 }`.
        low: the inputs are noise between this and 2.
        opencv: None, or why OpenCV is no judge here.
    """

    type: str
    settings: list[str]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"data": (2, 4, 5, 7)})
    tops: int = 1
    low: float = -2.0
    opencv: str | None = None

    @property
    def title(self) -> str:
        sizes = "+".join("x".join(map(str, shape)) for shape in self.shapes.values())
        return f"{self.type} {sizes}" + (f" ({self.opencv})" if self.opencv else "")

    def prototxt(self) -> str:
        """Each layer is named after its settings, so that a failure says which."""
        bottoms = " ".join(f'bottom: "{name}"' for name in self.shapes)
        lines = [header(**self.shapes)]
        for settings in self.settings:
            inside = settings.partition("{")[2].replace("-", "minus")
            name = "_".join(re.findall(r"[\w.]+", inside)) or "default"
            tops = " ".join(f'top: "{name}.{index}"' for index in range(self.tops))
            lines.append(f'layer {{ name: "{name}" type: "{self.type}" {bottoms} {tops} {settings} }}')
        return "\n".join(lines)


def each(param: str, *texts: str) -> list[str]:
    """Each text inside `param { }`; an empty one stands for the defaults."""
    return [f"{param} {{ {text} }}" if text else "" for text in texts]


def product(param: str, *choices: Iterable[str]) -> list[str]:
    """Every combination of one text from each list, inside `param { }`."""
    return each(param, *(" ".join(filter(None, chosen)) for chosen in itertools.product(*choices)))


def values(name: str, *numbers: object) -> list[str]:
    return [f"{name}: {number}" for number in numbers]


def number(settings: str, name: str, default: int) -> int:
    found = re.search(rf"\b{name}: (\d+)", settings)
    return int(found[1]) if found else default


def extents(settings: str, axis: str) -> tuple[int, int, int, int]:
    """Kernel, stride, pad, dilation along `axis` ("h" or "w")."""
    kernel = number(settings, f"kernel_{axis}", number(settings, "kernel_size", 1))
    stride = number(settings, f"stride_{axis}", number(settings, "stride", 1))
    return kernel, stride, number(settings, f"pad_{axis}", number(settings, "pad", 0)), number(settings, "dilation", 1)


def some(settings: Iterable[str], count: int, seed: int) -> list[str]:
    """`count` of the settings, the same in every run."""
    known = list(settings)
    return random.Random(seed).sample(known, count) if count < len(known) else known


KERNELS = [*values("kernel_size", 1, 2, 3, 5), "kernel_h: 1 kernel_w: 5", "kernel_h: 3 kernel_w: 2"]
STRIDES = [*values("stride", 1, 2, 3), "stride_h: 2 stride_w: 1"]
PADS = [*values("pad", 0, 1, 2), "pad_h: 1 pad_w: 0"]


def convolutions(size: tuple[int, int], seed: int, *, depthwise: bool = False) -> Sweep:
    """`depthwise`: only those with a dilation and one channel per group; otherwise all but those."""

    def fits(settings: str) -> bool:
        ends = zip(size, "hw", strict=True)
        return all(d * (k - 1) < length + 2 * p for length, axis in ends for k, _, p, d in [extents(settings, axis)])

    def is_depthwise(settings: str) -> bool:
        return all(text in settings for text in ("num_output: 4", "dilation", "group: 4"))

    every = product(
        "convolution_param",
        values("num_output", 4, 8),
        KERNELS,
        STRIDES,
        PADS,
        ["", "dilation: 2"],
        ["", "group: 2", "group: 4"],
        ["", "bias_term: false"],
    )
    settings = some([each for each in every if fits(each) and is_depthwise(each) == depthwise], 60, seed)
    opencv = "OpenCV errs where dilated and depthwise" if depthwise else None
    return Sweep("Convolution", settings, {"data": (2, 4, *size)}, opencv=opencv)


def deconvolutions(size: tuple[int, int], seed: int, dilation: str = "", opencv: str | None = None) -> Sweep:
    def fits(settings: str) -> bool:
        return all(p < k for axis in "hw" for k, _, p, _ in [extents(settings, axis)])

    every = product(
        "convolution_param",
        values("num_output", 2, 4),
        [*values("kernel_size", 1, 2, 3, 4), "kernel_h: 3 kernel_w: 2"],
        STRIDES,
        values("pad", 0, 1),
        [dilation],
        ["", "group: 2"],
        ["", "bias_term: false"],
    )
    return Sweep("Deconvolution", some(filter(fits, every), 30, seed), {"data": (2, 4, *size)}, opencv=opencv)


def poolings(size: tuple[int, int], method: str, extra: str = "", opencv: str | None = None) -> Sweep:
    def fits(settings: str) -> bool:
        for length, axis in zip(size, "hw", strict=True):
            kernel, stride, pad, _ = extents(settings, axis)
            starts = range(-pad, length + pad - kernel + stride, stride)
            # Where a window lies wholly outside, Caffe's own result is -FLT_MAX or 0 / 0.
            if pad >= kernel or (starts[-1] >= length and kernel < stride and not pad):
                return False
        return True

    every = product(
        "pooling_param",
        [f"pool: {method}"],
        [*values("kernel_size", 1, 2, 3, 4, 5), "kernel_h: 2 kernel_w: 3"],
        STRIDES,
        [*values("pad", 0, 1, 2), "pad_h: 1 pad_w: 0"],
        [extra],
    )
    settings = list(filter(fits, every))
    if not extra:
        settings.append(f"pooling_param {{ pool: {method} global_pooling: true }}")
    return Sweep("Pooling", settings, {"data": (2, 3, *size)}, opencv=opencv)


def lrns(region: str, alphas: list[str], k: str = "", opencv: str | None = None) -> Sweep:
    settings = product(
        "lrn_param",
        [f"norm_region: {region}"],
        values("local_size", 1, 3, 5),
        alphas,
        ["", "beta: 0.5"],
        [k],
    )
    return Sweep("LRN", settings, {"data": (2, 7, 6, 9)}, opencv=opencv)


FLOOR = "OpenCV stops at round_mode FLOOR"
REFUSED = "OpenCV has no such layer"
IMAGE = (2, 4, 5, 7)
CUBE = (2, 4, 4, 4)  # where a mixed-up axis does not show by its size
VECTOR = (3, 6)


def beside(**shapes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """An image and other inputs."""
    return {"data": IMAGE, **shapes}


def neurons() -> Iterator[Sweep]:
    """Layers that take each value by itself, on images and on vectors."""
    of_any: dict[str, list[str]] = {
        "ReLU": each("relu_param", "", "negative_slope: 0.1"),
        "PReLU": each("prelu_param", "", "channel_shared: true"),
        "ELU": each("elu_param", "", "alpha: 0.3"),
        "Sigmoid": [""],
        "TanH": [""],
        "AbsVal": [""],
        "BNLL": [""],
        "Dropout": each("dropout_param", "", "dropout_ratio: 0.7"),
        "Power": each("power_param", "", "power: 2", "power: 3 scale: -1 shift: 0.5"),
        "Exp": product("exp_param", ["", "base: 2"], ["", "scale: 0.5"], ["", "shift: 1"]),
    }
    of_positive = {
        "Power": product("power_param", values("power", 1, 2, 0.5, -1), ["", "scale: 3"], ["", "shift: 0.2"]),
        "Log": [""],
    }
    for low, layers in ((-2.0, of_any), (0.1, of_positive)):
        for shape, (type, settings) in itertools.product([IMAGE, CUBE, VECTOR], layers.items()):
            yield Sweep(type, settings, {"data": shape}, low=low)
    logs = product("log_param", ["", "base: 10"], ["", "scale: 0.5"], ["", "shift: 1"])
    yield Sweep("Log", logs, low=0.1, opencv="OpenCV ignores base, scale, shift")


def weights_per_channel() -> Iterator[Sweep]:
    for shape in (IMAGE, CUBE, VECTOR):
        yield Sweep("BatchNorm", each("batch_norm_param", "", "eps: 0.01", "use_global_stats: true"), {"data": shape})
        batch = each("batch_norm_param", "use_global_stats: false")
        yield Sweep("BatchNorm", batch, {"data": shape}, opencv="OpenCV wants a batch of 1")
        yield Sweep("Scale", each("scale_param", "", "bias_term: true"), {"data": shape})
        yield Sweep("Bias", [""], {"data": shape}, opencv=REFUSED)
    axes = ["num_axes: 2", "num_axes: 3", "num_axes: -1", "num_axes: 0", "axis: 2", "axis: 3", "axis: -2"]
    scales = product("scale_param", axes, ["", "bias_term: true"])
    for image in (IMAGE, CUBE):
        yield Sweep("Scale", scales, {"data": image}, opencv="OpenCV scales channels")
        yield Sweep("Bias", each("bias_param", *axes), {"data": image}, opencv=REFUSED)
        for settings, shape in [("", image[1:2]), ("axis: 0", image[:2]), ("axis: 2", image[2:]), ("axis: 0", image)]:
            yield Sweep("Scale", each("scale_param", settings), {"data": image, "by": shape})
            yield Sweep("Bias", each("bias_param", settings), {"data": image, "by": shape}, opencv=REFUSED)


def several_values() -> Iterator[Sweep]:
    sums = ["", "operation: SUM", "operation: PROD", "operation: MAX", "coeff: 1 coeff: -1", "coeff: 0.5 coeff: 2.25"]
    for shape in (IMAGE, CUBE, VECTOR):
        yield Sweep("Eltwise", each("eltwise_param", *sums), {"data": shape, "other": shape})
    three = [*sums[:4], "coeff: 1 coeff: -2 coeff: 3"]
    yield Sweep("Eltwise", each("eltwise_param", *three), beside(second=IMAGE, third=IMAGE))
    yield Sweep("Concat", each("concat_param", "", "axis: 1", "concat_dim: 1", "axis: -3"), beside(other=(2, 3, 5, 7)))
    axes = each("concat_param", "axis: 1", "axis: 2", "axis: 3")
    yield Sweep("Concat", axes, {"data": CUBE, "other": CUBE})
    yield Sweep("Concat", each("concat_param", "axis: 2"), beside(other=(2, 4, 2, 7)))
    yield Sweep("Concat", each("concat_param", "axis: 3"), beside(other=(2, 4, 5, 1)))
    yield Sweep("Concat", [""], {"data": VECTOR, "other": (3, 2)})
    two = ["slice_point: 1", "slice_dim: 1 slice_point: 3", "axis: 2 slice_point: 2", "axis: -1 slice_point: 4"]
    yield Sweep("Slice", each("slice_param", *two), tops=2)
    cuts = [f"axis: {axis} slice_point: 1" for axis in (1, 2, 3)]
    yield Sweep("Slice", each("slice_param", *cuts), {"data": CUBE}, tops=2)
    yield Sweep("Slice", each("slice_param", "slice_point: 1 slice_point: 4"), {"data": (2, 6, 5, 7)}, tops=3)
    yield Sweep("Slice", each("slice_param", "slice_point: 1 slice_point: 4"), {"data": VECTOR}, tops=3)
    yield Sweep("Slice", each("slice_param", "", "axis: 3"), {"data": (2, 4, 5, 6)}, tops=2, opencv="no slice_point")
    yield Sweep("Split", [""], tops=3, opencv="OpenCV gives one top")
    crops = ["", "offset: 1", "offset: 2 offset: 0", "axis: 3 offset: 2"]
    yield Sweep("Crop", each("crop_param", *crops), {"data": (2, 4, 7, 9), "like": (2, 4, 5, 6)})
    crops = ["axis: 1", "axis: 1 offset: 1 offset: 0 offset: 2"]
    yield Sweep("Crop", each("crop_param", *crops), {"data": (2, 4, 7, 9), "like": (2, 3, 5, 6)})


def shapes() -> Iterator[Sweep]:
    """Layers that move values to another shape: where channels-last and Caffe's order part."""
    flattens = each("flatten_param", "", "axis: 2", "end_axis: 2", "axis: 2 end_axis: 3", "axis: -3")
    for shape in (IMAGE, CUBE):
        yield Sweep("Flatten", flattens, {"data": shape})
    reshapes = [
        "shape { dim: 0 dim: -1 }",
        "shape { dim: 0 dim: 2 dim: 2 dim: 35 }",
        "shape { dim: 0 dim: 0 dim: 7 dim: 5 }",
        "shape { dim: 0 dim: 10 dim: -1 }",
        "shape { dim: -1 dim: 2 } axis: 1 num_axes: 1",
        "shape { dim: 7 dim: 5 } axis: 2",
    ]
    yield Sweep("Reshape", each("reshape_param", *reshapes))
    reshapes = ["shape { dim: 0 dim: 3 dim: 2 dim: 4 }", "shape { dim: 0 dim: 4 dim: -1 }"]
    yield Sweep("Reshape", each("reshape_param", *reshapes), {"data": (2, 24)})
    orders = [(0, *order) for order in itertools.permutations((1, 2, 3))]
    permutes = each("permute_param", *(" ".join(values("order", *order)) for order in orders))
    for shape in (IMAGE, CUBE):
        yield Sweep("Permute", permutes, {"data": shape})
    yield Sweep("Permute", each("permute_param", "order: 0 order: 3"), opencv="OpenCV wants every axis")
    tiles = product("tile_param", values("tiles", 2, 3), ["", "axis: 2", "axis: 3", "axis: -1"])
    for shape in (IMAGE, CUBE):
        yield Sweep("Tile", tiles, {"data": shape}, opencv=REFUSED)
    yield Sweep("Tile", each("tile_param", "tiles: 2"), {"data": VECTOR}, opencv=REFUSED)


def statistics() -> Iterator[Sweep]:
    for shape in (IMAGE, CUBE):
        settings = product("mvn_param", ["", "normalize_variance: false"], ["", "across_channels: true"])
        yield Sweep("MVN", settings, {"data": shape})
    yield Sweep("MVN", each("mvn_param", "eps: 0.5"), opencv="OpenCV adds eps to the variance")
    for shape in (IMAGE, CUBE):
        yield Sweep("Softmax", each("softmax_param", "", *values("axis", 1, 2, 3, -1)), {"data": shape})
    yield Sweep("Softmax", [""], {"data": VECTOR})
    operations = values("operation", "SUM", "ASUM", "SUMSQ", "MEAN")
    settings = product("reduction_param", operations, values("axis", 1, 2, 3, -1), ["", "coeff: 0.5"])
    for shape in (IMAGE, CUBE):
        yield Sweep("Reduction", settings, {"data": shape}, opencv=REFUSED)
    yield Sweep("Reduction", each("reduction_param", "axis: 1"), {"data": VECTOR}, opencv=REFUSED)
    settings = product(
        "argmax_param", ["", "top_k: 3"], ["", "out_max_val: true"], ["", "axis: 1", "axis: 2", "axis: -1"]
    )
    for shape in (IMAGE, CUBE):
        yield Sweep("ArgMax", settings, {"data": shape}, opencv=REFUSED)
    settings = product("argmax_param", ["", "top_k: 2"], ["", "out_max_val: true"], ["", "axis: 1"])
    yield Sweep("ArgMax", settings, {"data": VECTOR}, opencv=REFUSED)


def inner_products() -> Iterator[Sweep]:
    """On an image (whose order a channels-last graph gets wrong first), a vector, and along a later axis."""
    settings = product("inner_product_param", ["num_output: 5"], ["", "bias_term: false"])
    for shape in (IMAGE, CUBE, VECTOR):
        yield Sweep("InnerProduct", settings, {"data": shape})
    for shape in (IMAGE, CUBE):
        settings = product("inner_product_param", ["num_output: 4"], ["axis: 2", "axis: 3"], ["", "bias_term: false"])
        yield Sweep("InnerProduct", settings, {"data": shape})
    for shape in ((2, 3, 4), (2, 3, 2, 4, 2)):
        yield Sweep("InnerProduct", each("inner_product_param", "num_output: 5"), {"data": shape})
    yield Sweep("InnerProduct", each("inner_product_param", "num_output: 5 axis: 2"), {"data": (2, 3, 4)})
    yield Sweep("InnerProduct", each("inner_product_param", "num_output: 5 axis: -1"), {"data": (2, 3, 4)})
    settings = product("inner_product_param", ["num_output: 5 transpose: true"], ["", "bias_term: false"])
    yield Sweep("InnerProduct", settings, opencv="OpenCV ignores transpose")


SWEEPS = [
    *(convolutions(size, seed) for seed, size in enumerate(SIZES)),
    convolutions((9, 8), 3, depthwise=True),
    *(deconvolutions(size, seed) for seed, size in enumerate([(4, 4), (5, 7)])),
    deconvolutions((5, 4), 2, "dilation: 2", "OpenCV ignores dilation"),
    *(poolings(size, method) for size in SIZES for method in ("MAX", "AVE")),
    *(poolings(size, method, "round_mode: FLOOR", FLOOR) for size in [(7, 7), (13, 8)] for method in ("MAX", "AVE")),
    *(lrns(region, values("alpha", 0.0001, 0.5)) for region in ("ACROSS_CHANNELS", "WITHIN_CHANNEL")),
    *(lrns(region, [""], "", "OpenCV's alpha is 1e-4") for region in ("ACROSS_CHANNELS", "WITHIN_CHANNEL")),
    lrns("ACROSS_CHANNELS", ["alpha: 0.5"], "k: 2.5", "OpenCV ignores k"),
    Sweep("LRN", each("lrn_param", "local_size: 7 alpha: 2"), {"data": (1, 3, 5, 5)}),  # wider than the channels
    *inner_products(),
    *neurons(),
    *weights_per_channel(),
    *several_values(),
    *shapes(),
    *statistics(),
]


def net(text: str, **shapes: tuple[int, ...]) -> str:
    """A prototxt from lines like `Convolution conv1: data -> conv1 { num_output: 4 kernel_size: 3 }`."""
    lines = [header(**shapes)]
    for line in text.strip().splitlines():
        words, _, settings = line.strip().removesuffix("}").partition("{")
        (type, name), (bottoms, tops) = words.split(":")[0].split(), words.split(":")[1].split("->")
        blobs = [f'bottom: "{blob}"' for blob in bottoms.split()] + [f'top: "{blob}"' for blob in tops.split()]
        param = "convolution" if type == "Deconvolution" else re.sub("(?<=[a-z])(?=[A-Z])", "_", type).lower()
        inside = f"{param}_param {{ {settings} }}" if settings else ""
        lines.append(f'layer {{ name: "{name}" type: "{type}" {" ".join(blobs)} {inside} }}')
    return "\n".join(lines)


# Small nets with the turns that real ones take, by what they are like.
NETS = {
    "resnet: batch norm, scale and relu in place, a shortcut": net(
        """
        Convolution c1: data -> c1 { num_output: 4 kernel_size: 3 pad: 1 bias_term: false }
        BatchNorm bn1: c1 -> c1
        Scale sc1: c1 -> c1 { bias_term: true }
        ReLU re1: c1 -> c1
        Convolution c2: c1 -> c2 { num_output: 4 kernel_size: 3 pad: 1 }
        BatchNorm bn2: c2 -> c2
        Eltwise sum: c1 c2 -> sum
        ReLU re2: sum -> sum
        Pooling pool: sum -> pool { pool: AVE global_pooling: true }
        InnerProduct ip: pool -> ip { num_output: 5 }
        Dropout drop: ip -> ip
        Softmax prob: ip -> prob
        """,
        data=(2, 3, 9, 11),
    ),
    "a layer reads a blob before it is changed in place": net(
        """
        Convolution c1: data -> c1 { num_output: 4 kernel_size: 3 }
        Power before: c1 -> before { scale: 2 }
        ReLU re1: c1 -> c1
        Power after: c1 -> after { scale: 3 }
        Concat both: before after c1 -> both
        """,
        data=(2, 3, 6, 7),
    ),
    "fcn: much padding, deconvolution, crop to the input": net(
        """
        Convolution c1: data -> c1 { num_output: 6 kernel_size: 3 pad: 10 }
        ReLU r1: c1 -> c1
        Pooling p1: c1 -> p1 { kernel_size: 2 stride: 2 }
        Pooling p2: p1 -> p2 { kernel_size: 2 stride: 2 }
        Convolution score: p2 -> score { num_output: 6 kernel_size: 1 }
        Deconvolution up: score -> up { num_output: 6 kernel_size: 4 stride: 2 bias_term: false group: 6 }
        Crop like: up p1 -> like { axis: 2 offset: 1 }
        Eltwise fuse: p1 like -> fuse
        Deconvolution up8: fuse -> up8 { num_output: 6 kernel_size: 4 stride: 2 bias_term: false }
        Crop out: up8 data -> out { axis: 2 offset: 9 }
        Softmax prob: out -> prob
        """,
        data=(1, 3, 13, 17),
    ),
    "ssd: permute, flatten and concat to vectors": net(
        """
        Convolution a: data -> a { num_output: 6 kernel_size: 3 pad: 1 }
        Convolution b: a -> b { num_output: 6 kernel_size: 3 stride: 2 }
        Permute a_perm: a -> a_perm { order: 0 order: 2 order: 3 order: 1 }
        Flatten a_flat: a_perm -> a_flat { axis: 1 }
        Permute b_perm: b -> b_perm { order: 0 order: 2 order: 3 order: 1 }
        Flatten b_flat: b_perm -> b_flat { axis: 1 }
        Concat conf: a_flat b_flat -> conf { axis: 1 }
        Reshape rows: conf -> rows { shape { dim: 0 dim: -1 dim: 3 } }
        Softmax prob: rows -> prob { axis: 2 }
        Flatten flat: prob -> flat { axis: 1 }
        """,
        data=(2, 3, 8, 10),
    ),
    "generator: a vector becomes an image": net(
        """
        InnerProduct ip: data -> ip { num_output: 60 }
        Reshape image: ip -> image { shape { dim: 0 dim: 5 dim: 3 dim: 4 } }
        Deconvolution up: image -> up { num_output: 4 kernel_size: 4 stride: 2 pad: 1 }
        ELU elu: up -> up
        InnerProduct out: up -> out { num_output: 3 }
        """,
        data=(2, 7),
    ),
    "squeeze and excitation: a factor for each channel": net(
        """
        Convolution c: data -> c { num_output: 8 kernel_size: 3 group: 1 }
        Pooling squeeze: c -> squeeze { pool: AVE global_pooling: true }
        InnerProduct down: squeeze -> down { num_output: 2 }
        ReLU relu: down -> down
        InnerProduct excite: down -> excite { num_output: 8 }
        Sigmoid sigmoid: excite -> excite
        Scale scaled: c excite -> scaled { axis: 0 }
        """,
        data=(2, 3, 8, 9),
    ),
    "siamese: one kernel for two inputs": net(
        """
        Convolution c: data other -> left right { num_output: 4 kernel_size: 3 }
        ReLU r: left -> left
        Eltwise apart: left right -> apart { coeff: 1 coeff: -1 }
        AbsVal abs: apart -> apart
        """,
        data=(1, 3, 7, 7),
        other=(1, 3, 7, 7),
    ),
    "split: the pieces go their own ways": net(
        """
        Split split: data -> a b
        ReLU re: a -> a
        Slice slice: b -> b1 b2 { axis: 1 slice_point: 1 }
        TanH tanh: b1 -> b1
        Concat again: b2 b1 a -> again
        LRN lrn: again -> lrn { alpha: 0.1 }
        """,
        data=(2, 4, 6, 5),
    ),
}
