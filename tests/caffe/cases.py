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
        for shape, (type, settings) in itertools.product([IMAGE, VECTOR], layers.items()):
            yield Sweep(type, settings, {"data": shape}, low=low)
    logs = product("log_param", ["", "base: 10"], ["", "scale: 0.5"], ["", "shift: 1"])
    yield Sweep("Log", logs, low=0.1, opencv="OpenCV ignores base, scale, shift")


def weights_per_channel() -> Iterator[Sweep]:
    for shape in (IMAGE, VECTOR):
        yield Sweep("BatchNorm", each("batch_norm_param", "", "eps: 0.01", "use_global_stats: true"), {"data": shape})
        yield Sweep("Scale", each("scale_param", "", "bias_term: true"), {"data": shape})
        yield Sweep("Bias", [""], {"data": shape}, opencv=REFUSED)
    axes = ["num_axes: 2", "num_axes: 3", "num_axes: -1", "num_axes: 0", "axis: 2", "axis: 3", "axis: -2"]
    yield Sweep("Scale", product("scale_param", axes, ["", "bias_term: true"]), opencv="OpenCV scales channels")
    yield Sweep("Bias", each("bias_param", *axes), opencv=REFUSED)
    for settings, shape in [("", (4,)), ("axis: 0", (2, 4)), ("axis: 2", (5, 7)), ("axis: 0", IMAGE)]:
        yield Sweep("Scale", each("scale_param", settings), beside(by=shape))
        yield Sweep("Bias", each("bias_param", settings), beside(by=shape), opencv=REFUSED)


def several_values() -> Iterator[Sweep]:
    sums = ["", "operation: SUM", "operation: PROD", "operation: MAX", "coeff: 1 coeff: -1", "coeff: 0.5 coeff: 2.25"]
    for shape in (IMAGE, VECTOR):
        yield Sweep("Eltwise", each("eltwise_param", *sums), {"data": shape, "other": shape})
    three = [*sums[:4], "coeff: 1 coeff: -2 coeff: 3"]
    yield Sweep("Eltwise", each("eltwise_param", *three), beside(second=IMAGE, third=IMAGE))
    yield Sweep("Concat", each("concat_param", "", "axis: 1", "concat_dim: 1", "axis: -3"), beside(other=(2, 3, 5, 7)))
    yield Sweep("Concat", each("concat_param", "axis: 2"), beside(other=(2, 4, 2, 7)))
    yield Sweep("Concat", each("concat_param", "axis: 3"), beside(other=(2, 4, 5, 1)))
    yield Sweep("Concat", [""], {"data": VECTOR, "other": (3, 2)})
    two = ["slice_point: 1", "slice_dim: 1 slice_point: 3", "axis: 2 slice_point: 2", "axis: -1 slice_point: 4"]
    yield Sweep("Slice", each("slice_param", *two), tops=2)
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
    yield Sweep("Flatten", each("flatten_param", "", "axis: 2", "end_axis: 2", "axis: 2 end_axis: 3", "axis: -3"))
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
    yield Sweep("Permute", each("permute_param", *(" ".join(values("order", *order)) for order in orders)))
    yield Sweep("Permute", each("permute_param", "order: 0 order: 3"), opencv="OpenCV wants every axis")
    tiles = product("tile_param", values("tiles", 2, 3), ["", "axis: 2", "axis: 3", "axis: -1"])
    yield Sweep("Tile", tiles, opencv=REFUSED)
    yield Sweep("Tile", each("tile_param", "tiles: 2"), {"data": VECTOR}, opencv=REFUSED)


def statistics() -> Iterator[Sweep]:
    for shape in (IMAGE, (1, 3, 8, 8)):
        settings = product("mvn_param", ["", "normalize_variance: false"], ["", "across_channels: true"])
        yield Sweep("MVN", settings, {"data": shape})
    yield Sweep("MVN", each("mvn_param", "eps: 0.5"), opencv="OpenCV adds eps to the variance")
    yield Sweep("Softmax", each("softmax_param", "", *values("axis", 1, 2, 3, -1)))
    yield Sweep("Softmax", [""], {"data": VECTOR})
    operations = values("operation", "SUM", "ASUM", "SUMSQ", "MEAN")
    settings = product("reduction_param", operations, values("axis", 1, 2, 3, -1), ["", "coeff: 0.5"])
    yield Sweep("Reduction", settings, opencv=REFUSED)
    yield Sweep("Reduction", each("reduction_param", "axis: 1"), {"data": VECTOR}, opencv=REFUSED)
    settings = product(
        "argmax_param", ["", "top_k: 3"], ["", "out_max_val: true"], ["", "axis: 1", "axis: 2", "axis: -1"]
    )
    yield Sweep("ArgMax", settings, opencv=REFUSED)
    settings = product("argmax_param", ["", "top_k: 2"], ["", "out_max_val: true"], ["", "axis: 1"])
    yield Sweep("ArgMax", settings, {"data": VECTOR}, opencv=REFUSED)


def inner_products() -> Iterator[Sweep]:
    """On an image (whose order a channels-last graph gets wrong first), a vector, and along a later axis."""
    settings = product("inner_product_param", ["num_output: 5"], ["", "bias_term: false"])
    yield Sweep("InnerProduct", settings)
    yield Sweep("InnerProduct", settings, {"data": VECTOR})
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
