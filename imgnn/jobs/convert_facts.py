"""What is known of a converted network beside its weights: how a picture becomes its input, and its classes' words."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from imgnn.caffe.layer import Transform
from imgnn.caffe.wire import read_binaryproto
from imgnn.errors import InputError, OptionError, missing
from imgnn.images.mean import channel_mean, load_mean
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs.convert_plan import Plan
from imgnn.networks.files import usual_resize
from imgnn.networks.network import Network
from imgnn.options import ConvertOptions
from imgnn.runs import Reporter


def with_preprocessing(plan: Plan, options: ConvertOptions, reporter: Reporter) -> Network:
    """Settle how a picture becomes the input: the options, the file's data layer, the registry, Caffe's habit.

    What comes first in this list wins, each for what it says.
    """
    network, transform = plan.network, plan.net.transform
    prepared, mean_image = network.preprocessing, None
    shapes = [tuple(each.shape) for each in network.model.inputs]
    takes_picture = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][-1] in (1, 3)
    told = transform is not None and bool(transform.mean_value)
    if prepared is None and takes_picture:
        prepared = habit(shapes[0][-1], *plan.net.inputs.values())
        if plan.kin is not None:
            prepared = replace(prepared, mean=plan.kin.preprocessing.mean)
    elif prepared is not None and plan.spec is None:
        prepared, told = replace(prepared, resize=usual_resize(prepared.size)), True
    if prepared is None:
        if options.mean or options.scale is not None or options.rgb:
            raise InputError(
                f"{network.name} does not take a picture: {shapes}; --mean, --scale and --rgb have no meaning"
            )
        return network
    if transform is not None and not plan.is_authentic:
        prepared = as_trained(prepared, transform)
    if options.rgb:
        if prepared.channel_order == "GREY":
            raise InputError(f"{network.name} takes grey pictures; --rgb has no meaning")
        if prepared.channel_order == "BGR":  # the same mean, the other way round
            prepared = replace(prepared, channel_order="RGB", mean=prepared.mean[::-1], scale=prepared.scale[::-1])
    if options.scale is not None:
        if not math.isfinite(options.scale) or options.scale == 0:
            raise OptionError(f"--scale is a factor other than 0; {options.scale:g} was given")
        prepared = replace(prepared, scale=(options.scale,) * len(prepared.mean))
    if options.mean is not None:
        mean, mean_image = read_mean(options.mean, len(prepared.mean), is_rgb=options.rgb)
        prepared = replace(prepared, mean=mean)
    elif not told and (plan.spec is None or not plan.is_published):
        numbers = ", ".join(f"{each:g}" for each in prepared.mean)
        spec = plan.spec or plan.kin
        whose = f"{spec.title}'s" if spec else "Caffe's usual one"
        reporter.note(
            f"the files do not say which mean was taken away: assumed is {whose}, "
            f"{prepared.channel_order} minus {numbers} (--mean says otherwise)"
        )
    if options.mean is None and transform is not None and transform.mean_file:
        reporter.note(f"its data layer names a mean image: --mean {Path(transform.mean_file).name} uses it")
    return replace(network, preprocessing=prepared, mean_image=mean_image)


def habit(channels: int, declared: tuple[int, ...] | None) -> Preprocessing:
    """What most Caffe networks were trained with: BGR, 0..255, minus ImageNet's mean; one channel: as it is.

    The size is that of the input as the files declare it, `(number, channels, height, width)`, else 224.
    """
    size = (declared[2], declared[3]) if declared else (224, 224)
    if channels == 1:
        return Preprocessing(size, (0.0,), "GREY", (1.0,), resize=usual_resize(size))
    return Preprocessing(size, resize=usual_resize(size))


def as_trained(prepared: Preprocessing, transform: Transform) -> Preprocessing:
    """What the file's own data layer says wins: its mean values and its scale."""
    channels, values = len(prepared.mean), transform.mean_value
    if len(values) in (1, channels):
        prepared = replace(prepared, mean=tuple(values) * (channels // len(values)))
    if transform.scale != 1.0:
        prepared = replace(prepared, scale=(transform.scale,) * channels)
        if not values and not transform.mean_file:
            prepared = replace(prepared, mean=(0.0,) * channels)
    return prepared


def with_words(network: Network, options: ConvertOptions) -> Network:
    """The network with the class words of `--words`, a line for each class.

    Raises:
        InputError: the file cannot be read, or has another number of lines than the network has classes.
    """
    if options.words is None:
        return network
    try:
        lines = Path(options.words).read_text(encoding="utf-8-sig").rstrip().splitlines()
    except FileNotFoundError:
        raise missing(options.words) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the class words in {options.words}: {error}") from error
    classes = network.model.outputs[0].shape[-1]
    if len(network.model.outputs) != 1 or len(lines) != classes:
        raise InputError(f"--words wants a line for each of {classes} classes; {options.words} has {len(lines)}")
    return replace(network, words=tuple(line.strip() for line in lines))


def read_mean(mean: str, channels: int, *, is_rgb: bool = False) -> tuple[tuple[float, ...], np.ndarray | None]:
    """`--mean`: a .binaryproto, .npy or picture, or numbers ("104,117,123"): channel means, and the mean image.

    Numbers and arrays are in the network's own channel order; one number is for all channels.
    """
    numbers = mean.replace(",", " ").split()
    image = None
    if numbers and all(is_number(each) for each in numbers):
        values = tuple(float(each) for each in numbers)
        values = values * channels if len(values) == 1 else values
    else:
        path = Path(mean).expanduser()
        if not path.is_file():
            raise InputError(f"--mean takes numbers, as 104,117,123, or a file; {mean!r} is neither")
        array = read_binaryproto(path).transpose(1, 2, 0) if path.suffix == ".binaryproto" else load_mean(path)
        if is_rgb and path.suffix not in (".binaryproto", ".npy"):
            array = array[..., ::-1]  # load_mean turns pictures to BGR
        values = channel_mean(array)
        image = np.ascontiguousarray(array.transpose(2, 0, 1)) if array.shape[:2] != (1, 1) else None
    if len(values) != channels:
        raise InputError(f"the network wants a mean of {channels} channels; {mean} has {len(values)}")
    if not all(map(math.isfinite, values)):
        raise InputError(f"a mean is made of numbers; {mean} gives {', '.join(f'{each:g}' for each in values)}")
    return values, image


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
