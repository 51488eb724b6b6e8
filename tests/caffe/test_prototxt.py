"""The text form: protobuf's grammar, and what people really write."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgnn.caffe.prototxt import parse_prototxt, read_prototxt
from imgnn.errors import InputError


def layer(body: str):
    """The one layer of a net that has this in it."""
    (found,) = parse_prototxt(f"layer {{ {body} }}").layer
    return found


@pytest.mark.parametrize(
    "text",
    [
        'layer { name: "a" type: "B" }',
        "layer: { name: 'a' type: 'B' }",
        'layer < name: "a", type: "B", >',
        'layer: [ { name: "a"; type: "B"; } ]',
        'layer\n{\nname:"a"#comment\ntype\n:\n"B"}#end',
        'name: "net";layer{name:"a"type:"B"}',
        'layer { name: "" \'a\' type: "B" "" }',
        "\ufefflayer { name: \"a\" type: 'B' }",
    ],
)
def test_the_same_layer_in_many_spellings(tmp_path, text):
    path = tmp_path / "net.prototxt"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    (found,) = read_prototxt(path).layer
    assert (found.name, found.type) == ("a", "B")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.f", 1.0),
        ("2F", 2.0),
        ("-3", -3.0),
        ("- 0.5", -0.5),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("0x10", 16.0),
        ("1E3", 1000.0),
    ],
)
def test_floats(text, value):
    assert layer(f"power_param {{ shift: {text} }}").power_param.shift == value


def test_not_a_number_is_a_float():
    assert math.isnan(layer("power_param { shift: nan }").power_param.shift)


@pytest.mark.parametrize(("text", "value"), [("-1", -1), ("0x1F", 31), ("-0x1f", -31), ("017", 15), ("0", 0)])
def test_whole_numbers(text, value):
    assert layer(f"softmax_param {{ axis: {text} }}").softmax_param.axis == value


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("t", True), ("False", False), ("0", False)])
def test_truths(text, value):
    param = layer(f"convolution_param {{ bias_term: {text} }}").convolution_param
    assert param.bias_term is value


@pytest.mark.parametrize("text", ["AVE", "1", '"AVE"'])
def test_an_enum_by_name_or_number(text):
    assert layer(f"pooling_param {{ pool: {text} }}").pooling_param.pool == "AVE"


def test_a_value_that_a_fork_gave_an_enum_is_kept():
    assert layer("convolution_param { engine: MKLDNN }").convolution_param.engine == "MKLDNN"


def test_lists_and_repetition_are_the_same():
    for text in ("dim: 1 dim: 2 dim: 3", "dim: [1, 2, 3]", "dim: [1, 2] dim: 3", "dim: [] dim: [1,2,3]"):
        assert layer(f"reshape_param {{ shape {{ {text} }} }}").reshape_param.shape.dim == [1, 2, 3]


def test_strings_have_their_escapes():
    assert layer(r"""name: "a\"b\\c\n\x41\102\t" '\'d'""").name == "a\"b\\c\nAB\t'd"
    assert layer(r'name: "\303\251"').name == "é"
    assert layer(r'name: "\u00e9"').name == "é"


def test_defaults_and_presence():
    conv = layer("convolution_param { kernel_size: 3 }").convolution_param
    assert (conv.group, conv.bias_term, conv.stride, conv.kernel_size) == (1, True, [], [3])
    assert not conv.has("group") and conv.has("kernel_size") and not conv.has("stride")
    assert layer('name: "a"').lrn_param.alpha == 1.0


def test_a_message_given_twice_is_merged_and_a_scalar_counts_the_last_time():
    param = layer("pooling_param { kernel_size: 2 stride: 2 } pooling_param { kernel_size: 3 }").pooling_param
    assert (param.kernel_size, param.stride) == (3, 2)


def test_unknown_fields_are_kept_with_their_lines():
    text = """name: "forked"
    layer {
      name: "up"
      interp_param { height: 60 deep { deeper: <a: [1, {b: "}"}]> } }
      bn_param: [ { a: 1 }, { b: 'x' "y" } ]
      pooling_param { pool: MAX
        shape_mode: -FANCY.MODE
        shape_mode: 2 }
      [org.example.ext]: 3; other: 1
      type: "Interp"
    }"""
    (found,) = parse_prototxt(text).layer
    assert (found.name, found.type, found.line) == ("up", "Interp", 2)
    assert found.unknown == [("interp_param", 4), ("bn_param", 5), ("[org.example.ext]", 9), ("other", 9)]
    assert found.pooling_param.unknown == [("shape_mode", 7)]


def test_every_message_knows_its_line():
    first, second = parse_prototxt('layer {}\n\nlayer {\n type: "LRN"\n lrn_param\n {}\n}').layer
    assert (first.line, second.line, second.lrn_param.line) == (1, 3, 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer {\n name: 'a\n}", "expected the end of the string on its line, found none: <text>, line 2"),
        ("layer {\n\n lrn_param {\n }", "expected '}' to close the LayerParameter of line 1, found the end"),
        ("layer {\n foo {\n bar: [ }", "expected braces in pairs, found '}': <text>, line 3"),
        ("layer {\n foo {\n bar: 1", "expected '}' to close line 2, found the end of the file: <text>, line 3"),
        ("layer { }\n}", "expected the name of a field, found '}': <text>, line 2"),
        ("layer { name: a b }", "expected a value for b, found '}'"),
        ("layer { name: 3 }", "expected a string for name, found '3 }'"),
        ("layer { name }", "expected ':' after name, found '}'"),
        ("layer 3", "expected { after layer, found '3'"),
        ("layer {}\ninput_dim: x", "expected a whole number for input_dim, found 'x': <text>, line 2"),
        ("input_dim: 1.5", "expected a whole number for input_dim"),
        ("input_dim: 1.2.3", "found '1.2.3'"),
        ("input_dim: 99999999999999999999", "expected a whole number for input_dim"),
        ("layer { convolution_param { stride: -1 } }", "expected a whole number from 0 for stride, found '-1 } }'"),
        ("layer { convolution_param { bias_term: 2 } }", "expected true or false for bias_term"),
        ("layer { pooling_param { pool: 9.5 } }", "expected a name for pool"),
        ("layer { relu_param { negative_slope: big } }", "expected a number for negative_slope"),
        ("layer { name: [ 'a' ] }", "expected a string for name"),
        ("layer { foo", "expected a value for foo, found the end of the file"),
        ("layer { \x01 }", "expected a field of a prototxt, found"),
        ("name: 'only'", "expected the prototxt of a network, found no layer in it: <text>"),
        ("", "expected the prototxt of a network, found no layer"),
        ("net: 'x.prototxt'\nbase_lr: 0.1", "found a solver (line 1)"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(text, message):
    with pytest.raises(InputError) as caught:
        parse_prototxt(text)
    assert message in str(caught.value)


def test_comments_in_another_encoding_do_no_harm(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_bytes("# 卷积层\nlayer { name: 'a' }".encode("gbk"))
    assert read_prototxt(path).layer[0].name == "a"
    path.write_text("layer { name: 'ä' }", encoding="utf-16")
    assert read_prototxt(path).layer[0].name == "ä"


def test_bytes_that_are_no_text_keep_their_name_in_both_forms(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_bytes(b"layer { name: '\xe4' }")
    assert read_prototxt(path).layer[0].name == r"\xe4"


def test_the_real_prototxts_are_read_whole(shared):
    layers = {
        "weights/bvlc_googlenet": 143,
        "weights/squeezenet_v1.1": 67,
        "weights/vgg19_conv1_to_conv3": 19,
        "caffe_samples/det1": 10,
        "caffe_samples/det2": 13,
        "caffe_samples/lenet": 9,
    }
    for name, count in layers.items():
        path = shared / f"{name}.prototxt"
        net = read_prototxt(path)
        # Every "layer {" of these files starts a line.
        assert len(net.layer) == count == path.read_text().count("\nlayer {")
        assert not net.unknown and not any(each.unknown for each in net.layer)


@given(st.text(max_size=40))
def test_any_string_survives_the_trip(text):
    escaped = "".join(f"\\{byte:03o}" for byte in text.encode())
    assert layer(f'name: "{escaped}"').name == text


@given(st.text(alphabet="layer{}<>[]:;,\"'\\#\n 0x1.5e-f_", max_size=60))
def test_no_text_raises_anything_but_an_input_error(text):
    try:
        parse_prototxt(text)
    except InputError as error:
        assert "<text>" in str(error)
