"""A Caffe net as a plain list of layers: definition and weights brought together, for one phase."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from imgnn.caffe.deploy import deploy, is_source
from imgnn.caffe.filler import complete, sharing_note
from imgnn.caffe.layer import Layer, Transform
from imgnn.caffe.message import Message
from imgnn.caffe.prototxt import read_prototxt
from imgnn.caffe.schema import SCHEMA, V1_TYPES
from imgnn.caffe.wire import blob_array, read_caffemodel
from imgnn.errors import ConversionError, InputError

__all__ = ["Layer", "Net", "Transform", "read_net"]

Blobs = tuple[np.ndarray, ...]
Inputs = dict[str, tuple[int, ...] | None]


@dataclass(frozen=True, eq=False)
class Net:
    """A net ready to build: one phase, without data, loss and accuracy layers.

    Attributes:
        inputs: blob name -> shape in Caffe's axes (number, channels, height, width); None if the files do not say.
        layers: in the order of the file, which is an order they can be computed in.
        notes: what a user should know of the reading: unknown fields, layers cut or renamed, weights not used.
        transform: what the data layer did, if one was cut and says.
        unused_blobs: weights of layers that the net does not have, by layer name.
    """

    name: str
    inputs: Mapping[str, tuple[int, ...] | None]
    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()
    transform: Transform | None = None
    unused_blobs: Mapping[str, Blobs] = field(default_factory=dict)


def read_net(
    prototxt: Path | None,
    caffemodel: Path | None,
    *,
    phase: str = "TEST",
    stages: Sequence[str] = (),
    level: int = 0,
) -> Net:
    """Read a net from its prototxt, its weights from a caffemodel, or both from a caffemodel alone.

    The layers are the prototxt's when there is one; the weights are matched by the layer's name, as in Caffe, and
    layers without any get what Caffe would give them (`filler.py`). A train_val net is cut to what answers in the
    phase asked for (`deploy.py` says how).

    Args:
        phase: "TEST" or "TRAIN"; with `stages` and `level` the state that include and exclude rules are asked about.

    Raises:
        InputError: no file was given, or the prototxt cannot be read.
        WeightsError: the caffemodel cannot be read, or a blob's shape does not fit its numbers.
        ConversionError: the layers make no net: V0, V1 and V2 mixed, a blob that nobody writes.
    """
    weights = None if caffemodel is None else read_caffemodel(caffemodel)
    definition = weights if prototxt is None else read_prototxt(prototxt)
    where = str(caffemodel if prototxt is None else prototxt)
    if definition is None:
        raise InputError("expected a prototxt, a caffemodel or both, found neither")

    notes = _unknown_fields(definition, where)
    state = Message("NetState", {"phase": phase.upper(), "level": level or definition.state.level})
    state.set("stage", [*definition.state.stage, *stages])
    stored = {} if weights is None else _stored_blobs(weights, str(caffemodel))
    every_layer = [replace(layer, blobs=stored.get(layer.name, ())) for layer in _layers(definition, where)]
    # A snapshot holds the layers of one phase, TRAIN, and says so in each: Caffe has filtered it already.
    is_snapshot = prototxt is None and any(layer.params.has("phase") for layer in every_layer)
    included = [is_snapshot or _is_included(layer, state, where) for layer in every_layer]
    layers = [layer for layer, is_in in zip(every_layer, included, strict=True) if is_in]
    excluded = [layer for layer, is_in in zip(every_layer, included, strict=True) if not is_in]

    inputs = _declared_inputs(definition, where)
    layers, missing = _with_sources(layers, excluded, inputs, where, strict=prototxt is not None)
    notes += missing
    if is_snapshot:
        notes += _with_stored_statistics(layers)
    deployed = deploy(layers, inputs)
    answering = complete(deployed.layers, layers, deployed.inputs)
    used = {layer.name for layer in layers}
    unused = {name: blobs for name, blobs in stored.items() if name not in used}
    if unused:
        few = ", ".join(list(unused)[:3]) + (f" and {len(unused) - 3} more" if len(unused) > 3 else "")
        notes.append(f"weights of layers that the net does not have were not used: {few}")
    notes += [*deployed.notes, *sharing_note(answering)]
    return Net(definition.name, deployed.inputs, answering, tuple(notes), deployed.transform, unused)


def _layers(definition: Message, where: str) -> list[Layer]:
    """All layers, in the terms of V2."""
    if definition.has("layer") and definition.has("layers"):
        raise ConversionError(f"expected `layer` (V2) or `layers` (V1), found both: {where}")
    layers = []
    for index, message in enumerate([*definition.layer, *definition.layers]):
        place = where if message.line is None else f"{where}, line {message.line}"
        if message.kind == "V1LayerParameter":
            if message.has("layer"):
                raise ConversionError(
                    f"expected a net of V1 or V2, found one of V0 (`layers {{ layer {{`): {place}",
                    hint="Caffe's tools upgrade_net_proto_text and upgrade_net_proto_binary bring it up to date.",
                )
            message = _upgraded(message)
        # Hand-written files mix the two ways to write a type.
        kind = V1_TYPES.get(message.type, message.type)
        if not kind or kind == "None":
            raise ConversionError(f"expected a type for layer {message.name!r}, found none: {place}")
        if kind.endswith("Loss") and not message.bottom:
            raise ConversionError(f"expected a blob that layer {message.name!r} ({kind}) judges, found none: {place}")
        if message.pooling_param.has("ceil_mode") and not message.pooling_param.has("round_mode"):
            message.pooling_param.set("round_mode", "CEIL" if message.pooling_param.ceil_mode else "FLOOR")
        name = message.name or next(iter(message.top), f"{kind}{index}")
        layers.append(Layer(name, kind, tuple(message.bottom), tuple(message.top), message, line=message.line))
    return list(_without_inserted_splits(layers))


def _upgraded(v1: Message) -> Message:
    """A layer of V1 as one of V2."""
    v2 = Message("LayerParameter", line=v1.line)
    v2.unknown = v1.unknown
    for known, value in v1.present():
        if known.name in SCHEMA["LayerParameter"] and known.name not in ("param", "blobs"):
            v2.set(known.name, value)
    v2.set("type", V1_TYPES.get(v1.type, v1.type))
    names = {"lr_mult": v1.blobs_lr, "decay_mult": v1.weight_decay, "name": v1.param}
    for index in range(max(map(len, names.values()))):
        spec = {name: values[index] for name, values in names.items() if index < len(values)}
        v2.add("param", Message("ParamSpec", spec))
    return v2


def _without_inserted_splits(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Undo Caffe's own Split layers, which a snapshot holds wherever a blob has two readers.

    Caffe calls them BLOB_LAYER_0_split, their tops BLOB_LAYER_0_split_0 and on (insert_splits.cpp).
    """
    original: dict[str, str] = {}
    for layer in layers:
        bottoms = tuple(original.get(bottom, bottom) for bottom in layer.bottoms)
        inserted = tuple(f"{layer.name}_{index}" for index in range(len(layer.tops)))
        if layer.type == "Split" and layer.name.endswith("_split") and layer.tops == inserted and bottoms:
            original.update(dict.fromkeys(layer.tops, bottoms[0]))
        else:
            yield replace(layer, bottoms=bottoms)


def _is_included(layer: Layer, state: Message, where: str) -> bool:
    """Caffe's rule (net.cpp, FilterNet): in if any include rule is met, or no exclude rule is.

    The layer's own `phase` is no rule: it says how the layer runs.
    """
    include, exclude = layer.params.include, layer.params.exclude
    if include and exclude:
        place = where if layer.line is None else f"{where}, line {layer.line}"
        raise ConversionError(f"expected include or exclude rules for layer {layer.name}, found both: {place}")
    if include:
        return any(_is_met(rule, state) for rule in include)
    return not any(_is_met(rule, state) for rule in exclude)


def _is_met(rule: Message, state: Message) -> bool:
    return (
        (not rule.has("phase") or rule.phase == state.phase)
        and (not rule.has("min_level") or state.level >= rule.min_level)
        and (not rule.has("max_level") or state.level <= rule.max_level)
        and set(rule.stage).issubset(state.stage)
        and set(rule.not_stage).isdisjoint(state.stage)
    )


def _with_stored_statistics(layers: Sequence[Layer]) -> list[str]:
    """Let the BatchNorms of a snapshot answer as in TEST: with the statistics that they stored, not the batch's."""
    names = []
    for layer in layers:
        said = layer.params.batch_norm_param
        if said.has("use_global_stats") and not said.use_global_stats and layer.params.phase == "TRAIN":
            said.set("use_global_stats", True)
            names.append(layer.name)
    few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return [f"use_global_stats: false is for training; the stored statistics are used: {few}"] if names else []


def _declared_inputs(definition: Message, where: str) -> Inputs:
    """The inputs of the old form: `input` with `input_dim` or `input_shape`."""
    names, dims, shapes = definition.input, definition.input_dim, definition.input_shape
    if shapes and len(shapes) != len(names):
        raise ConversionError(f"expected an input_shape for each of {len(names)} inputs, found {len(shapes)}: {where}")
    if dims and len(dims) != 4 * len(names):
        raise ConversionError(f"expected 4 input_dim for each of {len(names)} inputs, found {len(dims)}: {where}")
    inputs: Inputs = {}
    for index, name in enumerate(names):
        shape = tuple(shapes[index].dim) if shapes else tuple(dims[4 * index : 4 * index + 4])
        inputs[name] = shape if shape and all(dim > 0 for dim in shape) else None
    return inputs


def _with_sources(
    layers: Sequence[Layer], excluded: Sequence[Layer], inputs: Inputs, where: str, *, strict: bool
) -> tuple[list[Layer], list[str]]:
    """The layers with every bottom accounted for; gives also the notes of what had to be supplied.

    A blob that nobody writes comes from a data layer of the other phase, or, when a caffemodel is all there is, is an
    input. In a prototxt it is a mistake.
    """
    supplied: list[Layer] = []
    notes = []
    known = set(inputs)
    written = {top for layer in layers for top in layer.tops}
    for layer in layers:
        for bottom in layer.bottoms:
            if bottom in known:
                continue
            source = next((each for each in excluded if bottom in each.tops and is_source(each)), None)
            if source is not None:
                supplied.append(source)
                known.update(source.tops)
                notes.append(f"data layer {source.name} of another phase stands for the input {bottom}")
            elif not strict and bottom not in written:
                inputs[bottom] = None
                known.add(bottom)
                notes.append(f"the caffemodel does not say where {bottom} comes from: it is an input")
            else:
                place = where if layer.line is None else f"{where}, line {layer.line}"
                near = difflib.get_close_matches(bottom, known, n=1)
                raise ConversionError(
                    f"layer {layer.name} reads the blob {bottom!r}, which no layer before it writes"
                    f"{f'; is it {near[0]!r}?' if near else ''}: {place}"
                )
        known.update(layer.tops)
    return [*supplied, *layers], notes


def _stored_blobs(weights: Message, where: str) -> dict[str, Blobs]:
    """The weights of a caffemodel by layer name; of two layers with one name the last counts, as in Caffe."""
    return {
        layer.name: tuple(
            blob_array(blob, f"blob {index} of layer {layer.name}, {where}") for index, blob in enumerate(layer.blobs)
        )
        for layer in [*weights.layer, *weights.layers]
        if layer.has("blobs")
    }


def _unknown_fields(definition: Message, where: str) -> list[str]:
    """One note for each name that Caffe does not know, with the lines."""
    lines: dict[str, list[int]] = {}
    for message in _messages(definition):
        for name, line in message.unknown:
            label = f"field {name!r}" if line is not None else f"{name} of {message.kind}"
            lines.setdefault(label, []).extend([] if line is None else [line])
    notes = []
    for name, found in lines.items():
        shown = ", ".join(map(str, found[:5])) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        place = f"line{'s' if len(found) > 1 else ''} {shown}: " if found else ""
        notes.append(f"{place}{name} is unknown to Caffe and was not used ({where})")
    return notes


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for known, value in message.present():
        if known.is_message and known.kind != "BlobProto":
            for each in value if known.repeated else [value]:
                yield from _messages(each)
