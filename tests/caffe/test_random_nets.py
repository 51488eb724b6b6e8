"""Nets of random layers and settings: each becomes a model or an error of ours, and soon."""

import re

import keras
from hypothesis import given, settings
from hypothesis import strategies as st

from imgnn.caffe.graph import BOTTOMS, RULES, before, build_free
from imgnn.caffe.net import read_net
from imgnn.caffe.schema import ENUMS, SCHEMA
from imgnn.errors import ImgnnError
from imgnn.networks.files import unallocated
from tests.caffe.oracle import header

HUGE = (1 << 28) + 7
SMALL = st.sampled_from([1, 1, 2, 2, 3, 4])
NUMBERS = {
    "int": SMALL | st.sampled_from([-HUGE, -7, -2, -1, 0, 5, 96, HUGE]),
    "uint": SMALL | SMALL | st.sampled_from([0, 5, 96, HUGE, (1 << 32) - 1]),
    "float": st.sampled_from([-2.5, -1.0, 0.0, 1e-9, 0.5, 1.0, 2.0, 1e30]),
    "bool": st.sampled_from(["true", "false"]),
}
NEEDED = ("num_output", "kernel_size", "shape", "tiles")
FILLERS = st.sampled_from(["constant", "bilinear", "xavier"])
WITHOUT_A_PLACE = ["PriorBox", "Python"]
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
        if draw(st.sampled_from([True, False, field.name in NEEDED])):
            count = draw(st.sampled_from([1, 1, 2, 4])) if field.repeated else 1
            if field.kind == "FillerParameter":
                words.append(f'{field.name} {{ type: "{draw(FILLERS)}" }}')
            elif field.kind == "BlobShape":
                sizes = draw(st.lists(NUMBERS["int"], max_size=5))
                words.append(f"{field.name} {{ {' '.join(f'dim: {size}' for size in sizes)} }}")
            else:
                words += [f"{field.name}: {setting(draw, field.kind)}" for _ in range(count)]
    return f"{name} {{ {' '.join(words)} }}"


@st.composite
def nets(draw) -> str:
    """A prototxt of one to four layers that read the inputs and one another."""
    inputs = draw(st.sampled_from([{"image": INPUTS["image"]}, INPUTS]))
    known, lines = list(inputs), [header(**inputs)]
    for number in range(draw(st.integers(1, 4))):
        type = draw(st.sampled_from([*sorted(RULES), *WITHOUT_A_PLACE]))
        least, most = BOTTOMS.get(type, (1, 1))
        bottoms = draw(st.lists(st.sampled_from(["image", *known]), min_size=least, max_size=min(most, 3)))
        several = type == "Slice" or draw(NUMBERS["int"]) == 0
        tops = [draw(st.sampled_from([f"top{number}", bottoms[0]])), *(["second"] if several else [])]
        blobs = [f'bottom: "{blob}"' for blob in bottoms] + [f'top: "{blob}"' for blob in tops]
        lines.append(f'layer {{ name: "{number}" type: "{type}" {" ".join(blobs)} {draw(param(type))} }}')
        known += tops
    return "\n".join(lines)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(nets(), st.sampled_from(["", "", "1"]))
def test_a_random_net_becomes_a_model_or_an_error_of_ours(tmp_path_factory, text, until):
    path = tmp_path_factory.getbasetemp() / "random.prototxt"
    path.write_text(text)
    try:
        net = read_net(path, None)
        net = before(net, until) if until else net
        model = unallocated(lambda: build_free(net, assign=False)).model
    except ImgnnError as error:
        assert len(str(error)) < 1000
    else:
        assert isinstance(model, keras.Model)
