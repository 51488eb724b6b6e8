"""Nets of random layers and settings: each becomes a model or an error of ours, and soon."""

import re

import keras
from hypothesis import given
from hypothesis import strategies as st

from imgnn.caffe.graph import BOTTOMS, RULES, build_graph
from imgnn.caffe.layer import Layer
from imgnn.caffe.net import Net
from imgnn.caffe.prototxt import parse_prototxt
from imgnn.caffe.schema import ENUMS, SCHEMA
from imgnn.errors import ImgnnError

HUGE = (1 << 28) + 7
SMALL = st.sampled_from([1, 1, 2, 2, 3, 4])
NUMBERS = {
    "int": SMALL | st.sampled_from([-HUGE, -7, -2, -1, 0, 5, 96, HUGE]),
    "uint": SMALL | SMALL | st.sampled_from([0, 5, 96, HUGE, (1 << 32) - 1]),
    "float": st.sampled_from([-2.5, -1.0, 0.0, 1e-9, 0.5, 1.0, 2.0, 1e38]),
    "bool": st.sampled_from(["true", "false"]),
}
NEEDED = ("num_output", "kernel_size", "shape", "tiles")
INPUTS = {"image": (1, 3, 6, 8), "vector": (1, 5), "cube": (1, 2, 3, 4), "wide": (1, 2, 2, 3, 2)}


def setting(draw, kind: str) -> object:
    if kind in ENUMS:
        return draw(st.sampled_from([*ENUMS[kind].values(), "NONSENSE"]))
    return draw(NUMBERS.get(kind, NUMBERS["int"]))


@st.composite
def param(draw, type: str) -> str:
    """`pooling_param { kernel_size: 3 stride: 0 }`, with some of the fields that the type has."""
    stem = {"Deconvolution": "convolution", "InnerProduct": "inner_product", "ArgMax": "argmax"}.get(type)
    name = f"{stem or re.sub('(?<=[a-z])(?=[A-Z])', '_', type).lower()}_param"
    if name not in SCHEMA["LayerParameter"]:
        return ""
    words = []
    for field in SCHEMA[SCHEMA["LayerParameter"][name].kind].values():
        if draw(st.sampled_from([True, False, field.name in NEEDED])) and field.kind != "FillerParameter":
            count = draw(st.sampled_from([1, 1, 2, 4])) if field.repeated else 1
            values = [setting(draw, field.kind) for _ in range(count)]
            if field.kind == "BlobShape":
                sizes = draw(st.lists(NUMBERS["int"], max_size=5))
                words.append(f"{field.name} {{ {' '.join(f'dim: {size}' for size in sizes)} }}")
            else:
                words += [f"{field.name}: {value}" for value in values]
    return f"{name} {{ {' '.join(words)} }}"


@st.composite
def nets(draw) -> Net:
    known, layers = list(INPUTS), []
    for number in range(draw(st.integers(1, 4))):
        type = draw(st.sampled_from(sorted(RULES)))
        least, most = BOTTOMS.get(type, (1, 1))
        bottoms = draw(st.lists(st.sampled_from(["image", *known]), min_size=least, max_size=min(most, 3)))
        several = type == "Slice" or draw(NUMBERS["int"]) == 0
        tops = [draw(st.sampled_from([f"top{number}", bottoms[0]])), *(["second"] if several else [])]
        params = parse_prototxt(f"layer {{ {draw(param(type))} }}").layer[0]
        layers.append(Layer(f"layer{number}", type, tuple(bottoms), tuple(tops), params))
        known += tops
    return Net("random", INPUTS, tuple(layers))


@given(nets())
def test_a_random_net_becomes_a_model_or_an_error_of_ours(net):
    try:
        model = build_graph(net).model
    except ImgnnError as error:
        assert len(str(error)) < 1000
    else:
        assert isinstance(model, keras.Model)
