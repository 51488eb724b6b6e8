"""From the net that was trained to the net that answers: what Caffe's users do by hand to make a deploy.prototxt.

Data layers become inputs, labels go with all that needs only them, losses and accuracies are cut; SoftmaxWithLoss and
SigmoidCrossEntropyLoss leave the Softmax and Sigmoid that they hold. An auxiliary head (GoogLeNet has two) goes with
its loss. A net without data layers and losses stays as it is.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from imgnn.caffe.layer import Layer, Transform
from imgnn.caffe.message import Message

# Losses that hold a layer of the answering net: type -> the layer's type.
_HIDDEN = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
# How many of a loss's bottoms are answers; the others are labels. One if not said here.
_ANSWERS = {"ContrastiveLoss": 2, "TripletLoss": 3, "MultiBoxLoss": 3}
_MEASURES = {"Accuracy", "DetectionEvaluate"}
_SINKS = {*_MEASURES, "Silence", "HDF5Output"}
_LEARNED = {"Convolution", "Deconvolution", "InnerProduct", "Embed", "LSTM", "RNN", "BatchNorm", "Scale", "PReLU"}
# Their second top is the label.
_PICTURES_AND_LABELS = {"Data", "ImageData", "MemoryData", "WindowData", "AnnotatedData"}
_OLD_TRANSFORMS = ("data_param", "image_data_param", "window_data_param")


@dataclass(frozen=True)
class Deployed:
    """What is left of a net, and what was done to it."""

    inputs: dict[str, tuple[int, ...] | None]
    layers: tuple[Layer, ...]
    notes: tuple[str, ...]
    transform: Transform | None


def is_source(layer: Layer) -> bool:
    """Whether a layer brings data in: it reads no blob, and learns none."""
    return not layer.bottoms and bool(layer.tops) and not layer.blobs and layer.type != "Parameter"


def deploy(layers: Sequence[Layer], declared: dict[str, tuple[int, ...] | None]) -> Deployed:
    """Cut a net to what answers.

    Args:
        layers: of one phase, in order; every bottom is in `declared` or is a top of an earlier layer.
        declared: the inputs that the net declares without a layer.
    """
    sources = [layer for layer in layers if is_source(layer)]
    body = [layer for layer in layers if not is_source(layer)]
    labels = _labels(sources, body)
    unlabelled = [layer for layer in body if not _only_labels(layer, labels)]  # fills labels on its way
    losses = [layer for layer in unlabelled if _is_loss(layer)]
    auxiliary = [loss for loss in losses if _is_auxiliary(loss, losses[-1])]
    kept, notes = _answering(unlabelled, losses, auxiliary)

    inputs, transform = dict(declared), None
    for source in sources:
        for index, top in enumerate(source.tops):
            if top not in labels and top not in inputs:
                inputs[top] = _shape(source, index, body)
                transform = transform or _transform(source)
        if source.type != "Input":
            used = [top for top in source.tops if top in inputs]
            result = f"is the input {', '.join(used)}" if used else "was cut"
            notes.append(f"data layer {source.name} ({source.type}) {result}")
    if transform is not None and transform.mean_file:
        notes.append(
            f"the data layer names the mean image {transform.mean_file}, which is not read: --mean FILE gives it; "
            "without it the mean is taken as usual (104, 117, 123; one channel: 0)"
        )
    return Deployed(inputs, tuple(kept), tuple(notes), transform)


def _answering(
    body: Sequence[Layer], losses: Sequence[Layer], auxiliary: Sequence[Layer]
) -> tuple[list[Layer], list[str]]:
    """The layers that the answers need, in order, and the notes of what was done."""
    notes = []
    producers = _producers(body)
    read = {producer for each in producers for producer in each}
    # Whatever nobody reads is an answer, and so is what a loss judges.
    roots = {index for index, layer in enumerate(body) if index not in read and not _is_sink(layer)}
    answers: dict[int, Layer] = {}  # place of a loss -> the layer that takes its place
    hidden = [loss for loss in losses if loss.type in _HIDDEN and loss not in auxiliary]
    there = {(each.type, each.bottoms) for each in body}
    taken = {each.name for each in body} | {top for each in body for top in each.tops}
    for index, layer in enumerate(body):
        if layer in auxiliary or not _is_loss(layer):
            continue
        roots.update(producers[index][: _ANSWERS.get(layer.type, 1)])
        if layer in hidden:
            answer = _hidden_layer(layer, taken, alone=len(hidden) == 1)
            if (answer.type, answer.bottoms) in there:
                notes.append(f"layer {layer.name} ({layer.type}) was cut: the net has its {answer.type} already")
            else:
                answers[index] = answer
                notes.append(f"layer {layer.name} ({layer.type}) became {answer.name} ({answer.type})")
        else:
            notes.append(f"layer {layer.name} ({layer.type}) was cut")

    needed = _needed(roots, producers)
    judged = {loss.bottoms[0] for loss in auxiliary}
    for index, layer in enumerate(body):
        # An accuracy is sometimes the only layer behind the classifier.
        if layer.type in _MEASURES and layer.bottoms and layer.bottoms[0] not in judged:
            needed |= _needed(producers[index][:1], producers)
        if layer.type == "HDF5Output":
            needed |= _needed(producers[index], producers)
        if layer.type in _SINKS:
            notes.append(f"layer {layer.name} ({layer.type}) was cut")

    if auxiliary:
        only = [layer.name for index, layer in enumerate(body) if index not in needed and not _is_sink(layer)]
        names = ", ".join(loss.name for loss in auxiliary)
        notes.append(
            f"auxiliary heads were cut (same labels as the last loss, smaller loss_weight): {names}"
            f"{', with ' if only else ''}{', '.join(only)}"
        )
    kept = [
        answers.get(index, layer)
        for index, layer in enumerate(body)
        if index in answers or (index in needed and not _is_sink(layer))
    ]
    return kept, notes


def _is_loss(layer: Layer) -> bool:
    return layer.type.endswith("Loss")


def _is_sink(layer: Layer) -> bool:
    return _is_loss(layer) or layer.type in _SINKS


def _is_auxiliary(loss: Layer, last: Layer) -> bool:
    def weight(layer: Layer) -> float:
        return float(layer.params.loss_weight[0]) if layer.params.has("loss_weight") else 1.0

    same_labels = loss.type == last.type and loss.bottoms[1:] == last.bottoms[1:]
    return loss is not last and same_labels and weight(loss) < weight(last)


def _labels(sources: Iterable[Layer], body: Sequence[Layer]) -> set[str]:
    """The tops of data layers that only losses and accuracies want."""
    labels = set()
    for source in sources:
        for index, top in enumerate(source.tops):
            readers = _readers(top, body)
            learns = any(layer.type in _LEARNED or layer.blobs for layer in readers)
            is_second = source.type in _PICTURES_AND_LABELS and index > 0
            is_unused = not readers and source.type != "Input"
            if not learns and (is_second or is_unused or any(_is_sink(layer) for layer in readers)):
                labels.add(top)
        if labels.issuperset(source.tops) and not any(_is_label_name(top) for top in source.tops[:1]):
            labels.discard(source.tops[0])  # a net without learned layers: its first top is the data
    return labels


def _is_label_name(top: str) -> bool:
    return "label" in top.lower() or "target" in top.lower()


def _readers(top: str, body: Sequence[Layer]) -> list[Layer]:
    """The layers that see a blob, directly or through others."""
    seen, readers = {top}, []
    for layer in body:
        if not seen.isdisjoint(layer.bottoms):
            readers.append(layer)
            seen.update(layer.tops)
    return readers


def _only_labels(layer: Layer, labels: set[str]) -> bool:
    """Whether all that a layer reads are labels; then what it writes are labels too."""
    if not layer.bottoms or not labels.issuperset(layer.bottoms):
        return False
    labels.update(layer.tops)
    return True


def _producers(body: Sequence[Layer]) -> list[list[int]]:
    """For each layer, the places of the layers that wrote what it reads (-1: an input), in the order of its bottoms."""
    writer: dict[str, int] = {}
    producers = []
    for index, layer in enumerate(body):
        producers.append([writer.get(bottom, -1) for bottom in layer.bottoms])
        writer.update(dict.fromkeys(layer.tops, index))
    return producers


def _needed(roots: Iterable[int], producers: Sequence[Sequence[int]]) -> set[int]:
    needed: set[int] = set()
    waiting = [root for root in roots if root >= 0]
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += [producer for producer in producers[index] if producer >= 0]
    return needed


def _hidden_layer(loss: Layer, taken: Collection[str], *, alone: bool) -> Layer:
    """The Softmax or Sigmoid that a loss holds; called `prob`, as in deploy nets, if no layer or blob has that name."""
    name = "prob" if alone and "prob" not in taken else loss.name
    top = loss.tops[1] if len(loss.tops) > 1 else name if name == "prob" or not loss.tops else loss.tops[0]
    kind = _HIDDEN[loss.type]
    params = Message("LayerParameter", line=loss.line)
    for field, value in (("name", name), ("type", kind), ("bottom", [loss.bottoms[0]]), ("top", [top])):
        params.set(field, value)
    if kind == "Softmax" and loss.params.has("softmax_param"):
        params.set("softmax_param", loss.params.softmax_param)
    return replace(loss, name=name, type=kind, bottoms=loss.bottoms[:1], tops=(top,), params=params, blobs=())


def _transform(source: Layer) -> Transform | None:
    """What a data layer does to its pictures; old files say it in data_param in place of transform_param."""
    found = Transform()
    for param in ("transform_param", *_OLD_TRANSFORMS):
        if source.params.has(param):
            said = getattr(source.params, param)
            found = Transform(
                mean_value=tuple(said.mean_value) if param == "transform_param" else found.mean_value,
                scale=said.scale if said.has("scale") else found.scale,
                crop_size=said.crop_size or found.crop_size,
                mean_file=said.mean_file or found.mean_file,
            )
    return found if found != Transform() else None


def _shape(source: Layer, index: int, body: Sequence[Layer]) -> tuple[int, ...] | None:
    """The shape of a data layer's top in Caffe's axes, as far as the files say."""
    params, shape = source.params, None
    if source.type in ("Input", "DummyData"):
        said = params.input_param if source.type == "Input" else params.dummy_data_param
        if said.has("shape"):
            shape = tuple(said.shape[min(index, len(said.shape) - 1)].dim)
        elif source.type == "DummyData":
            four = (said.num, said.channels, said.height, said.width)
            shape = tuple(dims[min(index, len(dims) - 1)] for dims in four if dims)
    elif source.type == "MemoryData":
        said = params.memory_data_param
        shape = (said.batch_size, said.channels, said.height, said.width)
    else:
        shape = _picture_shape(source, source.tops[index], body)
    return shape if shape and all(dim > 0 for dim in shape) else None


def _picture_shape(source: Layer, top: str, body: Sequence[Layer]) -> tuple[int, ...] | None:
    params, transform = source.params, _transform(source) or Transform()
    side, picture = transform.crop_size, params.image_data_param
    size = (side, side) if side else (picture.new_height, picture.new_width)
    batches = (params.data_param.batch_size, picture.batch_size if params.has("image_data_param") else 0)
    batch = max(*batches, params.window_data_param.batch_size) or 1
    first = next((layer for layer in body if top in layer.bottoms and layer.type == "Convolution"), None)
    if first is not None and first.blobs and first.blobs[0].ndim == 4:
        channels = first.blobs[0].shape[1] * first.params.convolution_param.group
    elif len(transform.mean_value) > 1:
        channels = len(transform.mean_value)
    else:
        is_grey = params.transform_param.force_gray or not picture.is_color
        channels = 1 if is_grey else 3
    return (batch, channels, *size)
