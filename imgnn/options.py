"""Every knob and its default: one frozen dataclass per job. Imports no Keras.

`None` means "the network's own"; the job resolves it once.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from imgnn.errors import InputError, OptionError, missing
from imgnn.runs import is_file

SMALLEST_TILE = 128  # pixels: below it a tile is nearly all overlap


def option_name(field: str) -> str:
    """A field of the options as it is typed: "tv_weight" -> "--tv-weight"."""
    return f"--{TYPED.get(field, field).replace('_', '-')}"


# Those that are called otherwise
TYPED = {"parameter": "param", "masks": "mask", "target": "class", "rates": "layer-rate", "n": "number"}


@dataclass(frozen=True)
class LayerChoice:
    """A layer as a command names it: `LAYER[:CHANNEL][=WEIGHT]`."""

    name: str
    channel: int | None = None  # counted from 0; None: all of them
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "LayerChoice":
        """`inception_4c/output:11=0.5` -> its parts.

        Raises:
            InputError: there is no name, or the weight is not a finite number.
        """
        found = re.fullmatch(r"(?P<name>.+?)(:(?P<channel>[0-9]+))?(=(?P<weight>[^=]*))?", text.strip())
        try:
            if found is None:
                raise ValueError
            weight = float(found["weight"] or 1.0) if found["weight"] != "" else math.nan
            if not math.isfinite(weight):
                raise ValueError
        except ValueError:
            raise InputError(f"a layer is written LAYER, LAYER:CHANNEL or LAYER=WEIGHT, not {text!r}") from None
        return cls(found["name"], int(found["channel"]) if found["channel"] else None, weight)

    @property
    def label(self) -> str:
        """The choice without its weight."""
        return self.name if self.channel is None else f"{self.name}:{self.channel}"

    def __str__(self) -> str:
        return self.label + ("" if self.weight == 1.0 else f"={self.weight:g}")


@dataclass(frozen=True)
class ClassifyOptions:
    """What `imgnn classify` may be told."""

    network: str = "squeezenet-v1.1"  # a name of the registry, or a .keras or .caffemodel file
    top: int = 5  # classes shown for each picture, most probable first
    oversample: bool = False  # average over ten crops (corners, centre, mirrored) instead of the centre alone
    batch: int = 16  # crops that go through the network at once: more is faster until the memory is full


NETWORK_FILES = (".keras", ".caffemodel")  # suffixes
STARTS = ("content", "random", "style")  # what `StyleOptions.init` may be, beside the name of a file


@dataclass(frozen=True)
class StyleOptions:
    """What `imgnn style` may be told. The three weights are neural-style's: see `optimize/objectives.py`."""

    network: str = "mini"  # a name of the registry, or a .keras or .caffemodel file

    # The picture
    size: int = 512  # pixels, the long side of the result; the shape is the content's
    init: str = "content"  # what the picture is before the first step: "content", "random", "style", or a file
    colours: Literal["style", "original", "luminance", "match", "histogram"] = "style"  # see docs/style.md
    masks: tuple[Path, ...] = ()  # one for each style: white where it is painted; none: everywhere
    seed: int = 0  # of init="random", of jitter

    # Weights
    content_weight: float = 5.0
    style_weight: float = 100.0
    tv_weight: float | None = None  # smoothness: larger takes away grain, and at last the strokes; None: the network's
    style_blend: tuple[float, ...] | None = None  # share of each style picture; None: the same for all
    style_scale: float = 1.0  # long side of a style, of the picture's: larger makes larger strokes
    dream: tuple[LayerChoice, ...] = ()  # layers that are amplified beside
    dream_weight: float = 0.2  # their pull, of that of the style

    # The network and its layers
    content_layers: tuple[LayerChoice, ...] | None = None
    style_layers: tuple[LayerChoice, ...] | None = None
    pooling: Literal["max", "average"] = "max"
    normalise_gradients: bool = False  # each layer's gradient by its L1 norm, as neural-style's -normalize_gradients

    # The optimisation
    min_size: int = 128  # pixels, the long side that it begins with; each next one is √2 larger
    initial_iterations: int = 100  # evaluations of the loss and its gradient at the first size
    iterations: int = 60  # at each further one
    optimizer: Literal["lbfgs", "adam"] | None = None  # None: L-BFGS; Adam for Fourier coefficients and with jitter
    learning_rate: float | None = (
        None  # None: 5 for Adam (grey levels a step; 0.05 of Fourier coefficients), 1 for L-BFGS
    )
    history: int = 10  # steps that L-BFGS remembers, two pictures of float32 each; 50 came to the same loss
    average: float = 0.0  # 0..1, how much of the mean of the iterates is kept in a step; 0: the best one is taken
    parameter: Literal["pixels", "fourier"] = "pixels"
    jitter: int = 0  # pixels, at most, that the picture is shifted by before each look
    tolerance: float = 1e-3  # a size ends when the loss falls by less than this share of it in 30 evaluations; 0: never
    max_time: float | None = None  # seconds

    # The machine
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    tile_size: int | None = None  # pixels, the side of a tile; None: tiles when the memory asks for them
    preview: int | None = None  # steps between two looks at the picture so far, in OUTPUT.preview.png
    keep_every: int | None = None  # steps between pictures that are kept, OUTPUT_0100.png

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read beside content and styles: masks, what `init` names, and the network's."""
        others = [self.init] if self.init not in STARTS else []
        others += [self.network] if Path(self.network).suffix in NETWORK_FILES else []
        return (*self.masks, *(Path(each).expanduser() for each in others))

    def check(self, styles: int) -> None:
        """Refuse what cannot be meant.

        Args:
            styles: the number of style pictures.

        Raises:
            OptionError: an option is out of its range, or does not fit the others.
            MissingError: there is no file `init`.
        """
        if not styles:
            raise OptionError("at least one style picture is expected")
        numbers = dict.fromkeys(("size", "iterations", "initial_iterations", "history", "preview", "keep_every"), 1)
        _check_least(self, {**numbers, "seed": 0, "jitter": 0, "min_size": 16, "tile_size": SMALLEST_TILE})
        _check_choices(self)
        for name in ("content_weight", "style_weight", "tv_weight", "dream_weight", "max_time"):
            weight = getattr(self, name)
            if weight is not None and not 0 <= weight < math.inf:
                raise OptionError(f"{option_name(name)} is a number, 0 or more; {weight} was given")
        if not (self.content_weight or self.style_weight):
            raise OptionError("--content-weight and --style-weight are both 0: nothing would be asked for")
        if self.dream and not self.style_weight:
            raise OptionError("--dream pulls by a share of the style: it wants a --style-weight above 0")
        for choice in (*(self.content_layers or ()), *(self.style_layers or ())):
            if choice.weight < 0:
                raise OptionError(f"the weight of a layer is 0 or more; {choice} was given")
            if choice.channel is not None:
                raise OptionError(f"content and style are compared in whole layers, not in a channel: {choice}")
        fractions = {"average": self.average, "tolerance": self.tolerance}
        for name, value in fractions.items():
            if not 0 <= value < 1:
                raise OptionError(f"--{name} is a number from 0 to below 1; {value} was given")
        if not 0 < self.style_scale < math.inf:
            raise OptionError(f"--style-scale is a number above 0; {self.style_scale} was given")
        if self.masks and len(self.masks) != styles:
            wanted = "1 --mask goes with 1 style" if styles == 1 else f"{styles} styles want {styles} --mask"
            raise OptionError(f"{wanted}; number given: {len(self.masks)}")
        if self.masks and self.jitter:
            raise OptionError("--jitter shifts the picture under its --mask: one or the other")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise OptionError(f"--learning-rate is a number above 0; {self.learning_rate} was given")
        self.shares(styles)
        if self.init not in STARTS and not is_file(Path(self.init).expanduser()):
            raise missing(self.init, hint=f"--init is {', '.join(STARTS)} or a picture")

    def shares(self, styles: int) -> tuple[float, ...]:
        """The share of each of so many styles; they add up to 1.

        Raises:
            OptionError: there are more or fewer numbers than styles, or they cannot be shares.
        """
        blend = self.style_blend or (1.0,) * styles
        if len(blend) != styles:
            wanted = (
                "1 style picture takes 1 number" if styles == 1 else f"{styles} style pictures take {styles} numbers"
            )
            raise OptionError(f"{wanted} in --style-blend; {len(blend)} were received")
        if not all(math.isfinite(each) and each >= 0 for each in blend) or not any(blend):
            given = ",".join(f"{each:g}" for each in blend)
            raise OptionError(f"the numbers of --style-blend are 0 or more, and not all 0; {given} was received")
        return tuple(each / sum(blend) for each in blend)


@dataclass(frozen=True)
class DreamOptions:
    """What `imgnn dream IMAGE` may be told. The defaults are google/deepdream's, but for the network."""

    network: str = "mini"  # a name of the registry, or a .keras or .caffemodel file

    # The picture
    size: int | None = None  # pixels, the long side of the result; None: that of the picture
    seed: int = 0  # of the jitter

    # What is raised: see optimize/dreaming.py
    layers: tuple[LayerChoice, ...] | None = None
    objective: Literal["norm", "mean", "enhance"] = "norm"
    guide: Path | None = None  # a picture: what the layers see in it is looked for in this one
    gain: float = 2.0  # of "enhance": how many times as strong the activations are to be
    tv_weight: float = 0.1  # of "enhance": smoothness, a share of the base's total variation

    # The way up
    octaves: int = 4  # sizes, smallest first
    octave_scale: float = 1.4  # from one to the next
    iterations: int = 10  # evaluations of the objective and its gradient, at each of them
    optimizer: Literal["ascent", "adam", "lbfgs"] = "ascent"
    step_size: float | None = None  # grey levels a step, on the mean; None: 1.5; of L-BFGS a factor, 1
    jitter: int | None = None  # pixels, at most, that the picture is shifted by before each look; None: 32; L-BFGS: 0
    laplacian: int = 0  # levels of the pyramid in which the gradient is made equally strong; 0: none, 4 is usual
    smooth: float = 0.0  # pixels, the standard deviation of a Gaussian over the gradient; 0: none

    # The machine
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    tile_size: int | None = None  # pixels, the side of a tile; None: tiles when the memory asks for them
    preview: int | None = None  # steps between two looks at the picture so far, in OUTPUT.preview.png

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            OptionError: an option is out of its range, or does not fit the others.
        """
        numbers = dict.fromkeys(("size", "octaves", "iterations", "preview"), 1)
        _check_least(self, {**numbers, "seed": 0, "jitter": 0, "laplacian": 0, "tile_size": SMALLEST_TILE})
        _check_choices(self)
        for name, above in (("octave_scale", 1.0), ("step_size", 0.0)):
            value = getattr(self, name)
            if value is not None and not above < value < math.inf:
                raise OptionError(f"{option_name(name)} is a number above {above:g}; {value} was given")
        for name in ("smooth", "tv_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise OptionError(f"{option_name(name)} is a number, 0 or more; {getattr(self, name)} was given")
        if not math.isfinite(self.gain):
            raise OptionError(f"--gain is a number; {self.gain} was given")
        choices = self.layers or ()
        names = [choice.label for choice in choices]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise OptionError(f"--layers names {twice} twice", hint=f"{twice}=2 gives it twice the weight")
        if choices and not any(choice.weight for choice in choices):
            raise OptionError("the weights of all --layers are 0: nothing would be asked for")
        if self.guide is not None:
            if self.objective != "norm":
                raise OptionError(f"--guide has an objective of its own; --objective {self.objective} was given beside")
            if any(choice.channel is not None for choice in choices):
                raise OptionError("--guide compares whole layers: LAYER without :CHANNEL")


@dataclass(frozen=True)
class ClassPictureOptions:
    """What `imgnn dream --class` and `--neuron` may be told."""

    target: str  # a class, by word, wnid or index: "goldfish", "n01443537", "1"; or a channel: "inception_4c/output:11"
    network: str = "googlenet"  # a name of the registry, or a .keras or .caffemodel file
    preset: Literal["A", "B", "C", "D", "fourier"] = "fourier"  # table 1 of arXiv:1506.06579; Lucid's
    iterations: int | None = None  # evaluations of the score and its gradient; None: the preset's
    size: int | None = None  # pixels, both sides; None: the network's
    seed: int = 0  # of the noise that it starts from, and of the jitter
    judge: str | None = (
        None  # a second network, which tells whether it sees the class; None: one that is on this machine
    )


@dataclass(frozen=True)
class ConvertOptions:
    """What `imgnn convert` may be told."""

    network: str | None = None  # a name of the registry; None: recognised, or built from the prototxt
    until: str | None = None  # the layer before which the import ends
    mean: str | None = None  # a .binaryproto, .npy or picture; or numbers, "104,117,123" or "127.5" for all channels
    scale: float | None = None  # factor after the mean is taken away; not 0
    rgb: bool = False  # trained on RGB; Caffe's own networks take BGR
    words: Path | None = None  # a file with a line for each class, "n02123045 tabby, tabby cat" or plain "tabby"
    verify: Path | None = None  # the picture with which every blob is compared with a second opinion


Recipe = Literal["head", "svm", "gradual", "one-cycle", "caffe"]


# Options that some recipes have no use for: recipes, fields, why.
IDLE = (
    (("head", "svm"), ("crop", "colour", "mixup", "cutmix"), "it looks at every picture once"),
    (("head", "svm"), ("freeze",), "all but the classifier is frozen"),
    (
        ("svm",),
        (
            *("epochs", "optimizer", "learning_rate", "schedule", "rates", "weight_decay"),
            *("smoothing", "balance", "dropout", "patience"),
        ),
        "it is solved in one go",
    ),
)


@dataclass(frozen=True)
class FinetuneOptions:
    """What `imgnn finetune` may be told. `None`: what the recipe says, see training/recipes.py."""

    network: str = "mini"  # a name of the registry, a .keras or .caffemodel file, or the folder of a run
    recipe: Recipe = "head"
    from_scratch: bool = False  # random weights instead of the network's own
    ungrouped: bool = False  # with from_scratch: AlexNet and CaffeNet without the two groups of their convolutions

    # The pictures
    val: Path | None = None  # a list, or class folders; None: what lies beside the list, or a part of it
    val_share: float = 0.2  # of the pictures, when nothing else tells
    root: Path | None = None  # the folder that the list's paths start from; None: the list's own
    size: int | None = None  # pixels, both sides
    mean: Path | None = None  # PREFIX.json of `imgnn mean`; None: the network's own mean

    # The head
    layers: tuple[str, ...] | None = None  # those that the new classifier looks at; (): what the old one looked at
    dropout: float | None = None  # share of values that are dropped, 0..1
    freeze: str | None = None  # the last layer that is not trained; None: as the recipe says

    # Training
    epochs: int | None = None  # of the recipe's last stage
    head_epochs: int = 40  # of the head on cached features, in the recipes that begin with it
    batch: int = 32  # pictures in one step
    optimizer: Literal["sgd", "adam"] | None = None
    learning_rate: float | None = None  # the largest
    schedule: Literal["constant", "step", "cosine", "one-cycle"] | None = None
    rates: tuple[tuple[str, float], ...] = ()  # (pattern of layers' names, factor of their learning rate)
    weight_decay: float | None = None
    smoothing: float = 0.0  # of the targets, 0..1
    balance: bool = False  # every class weighs the same, however many pictures it has

    # Augmentation
    crop: Literal["none", "caffe", "random"] | None = None
    mirror: bool = True
    colour: float = 0.0  # 0..1: brightness, contrast, saturation change by a factor of at most 1 ± colour
    mixup: float = 0.0  # alpha of its Beta distribution; 0: none
    cutmix: float = 0.0  # the same for rectangles

    # The run
    seed: int = 0
    patience: int | None = None  # epochs without a better validation after which a stage ends; None: never
    save_every: float = 60.0  # seconds between two checkpoints within an epoch
    report: bool = True  # write report.html at the end

    # The machine
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    devices: str = "one"  # "one", "all", or how many
    deterministic: bool = False  # the same numbers on each run, where that costs speed (GPU)
    workers: int | None = None  # threads that decode; None: one for each core
    memory: float = 0.25  # share of the machine's memory for pictures and features that are kept from epoch to epoch

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            OptionError: which.
        """
        if self.ungrouped and not self.from_scratch:
            raise OptionError("--ungrouped goes with --from-scratch: published weights are of grouped convolutions")
        if self.from_scratch and self.recipe != FinetuneOptions.recipe:
            raise OptionError(f"--from-scratch does not go with --recipe {self.recipe}: all layers are trained at once")
        if self.from_scratch and self.freeze is not None:
            raise OptionError("--freeze does not go with --from-scratch: the layers that it keeps are random")
        if self.recipe == "svm" and self.layers == ():
            raise OptionError("the svm recipe wants features of several layers: --layers LAYER,LAYER")
        recipe = "scratch" if self.from_scratch else self.recipe
        for recipes, fields, why in IDLE:
            given = [name for name in fields if getattr(self, name) != getattr(FinetuneOptions(), name)]
            if recipe in recipes and given:
                what = "training from scratch" if self.from_scratch else recipe
                raise OptionError(f"{option_name(given[0])} changes nothing in {what}: {why}")


@dataclass(frozen=True)
class LabelOptions:
    """What `imgnn label` may be told."""

    # The labels
    root: Path | None = None  # the folder that paths in the list start from; None: the one that is labelled
    label: int | None = None  # of every picture, 0 or more; None: each folder is a class
    add: bool = False  # to the list that is there, whose entries stay as they are

    # The split
    split: tuple[float, ...] = ()  # shares of train, val and perhaps test, their sum 1; none: one list
    given_split: bool = False  # the parts that the list had which imgnn fetch read
    seed: int = 0  # of the split, and of the pictures on a contact sheet

    # The checks
    check: bool = True  # decode every picture; without it only names are looked at
    keep: tuple[str, ...] = ()  # findings for which no picture is left out: data/checks.py, KEEPABLE
    min_side: int = 32  # pixels; a picture whose shorter side has less is tiny
    near: int = 6  # bits of 64, 0..12, in which the looks of two pictures that are nearly the same may differ

    # The machine
    workers: int | None = None  # threads; None: one for each core
    dask: str | None = None  # the address of a Dask scheduler, whose workers do it instead


ResizeMode = Literal["border", "keep_ratio", "keep_ratio_largest", "center_crop"]  # img2dataset's words
FileFormat = Literal["jpg", "png", "webp"]


@dataclass(frozen=True)
class FetchOptions:
    """What `imgnn fetch` may be told."""

    # The list
    url_column: str | None = None  # of a table: a name, or a number from 1 on; None: found by its usual names
    label_column: str | None = None  # the same for the class
    label: str | None = None  # the class of every picture; None: what the list says
    words: Path | None = None  # names of classes: `n02123045 tabby, tabby cat`, `3 Romantic`, or names alone
    wnid: str | None = None  # only this synset of ImageNet's lists
    is_a: Path | None = None  # wordnet.is_a.txt: and everything that is a kind of it
    limit: int | None = None  # pictures of each class that are kept; None: all
    shard: tuple[int, int] | None = None  # (2, 4): the second of four parts of the addresses alone
    dask: str | None = None  # the address of a Dask scheduler, whose workers ask

    # Manners
    concurrency: int = 64  # requests at once
    per_host: int = 6  # of them, to one host; as many as browsers allow themselves
    retries: int = 2  # further tries of what may pass: timeouts, 429, 5xx
    timeout: float = 10.0  # seconds to connect, and without a byte
    deadline: float = 60.0  # seconds for one try, all in all
    longest_wait: float = 60.0  # seconds; a host that asks to wait longer is left alone
    max_time: float | None = None  # seconds, after which no new address is asked
    robots: bool = True  # honour robots.txt and X-Robots-Tag
    allow_private: bool = False  # ask addresses of private networks too
    contact: str = ""  # a mail or web address, for the servers' logs

    # What is kept
    max_bytes: int = 50_000_000  # of an answer
    max_pixels: int = 100_000_000  # of a decoded picture
    min_side: int = 1  # pixels, of the shorter side
    max_aspect: float = 0.0  # long side by short side; 0: any
    placeholder_after: int = 5  # the same bytes from so many addresses stand for a picture that is gone; 0: never
    placeholders: tuple[Path, ...] = ()  # further pictures of this kind
    allow_renames: bool = False  # a redirect from photo.jpg to another name may bring the photo
    resize: int | None = None  # pixels; None: the bytes as they came
    resize_mode: ResizeMode = "border"  # see docs/fetch.md
    only_if_bigger: bool = False  # smaller pictures are not enlarged
    format: FileFormat | None = None  # None: as it came; resized, jpg
    quality: int = 95  # 1..100, of JPEG and WebP

    min_success: float = 0.0  # share of the addresses that were asked; less is a failure


@dataclass(frozen=True)
class MeanOptions:
    """What `imgnn mean` may be told."""

    root: Path | None = None  # the folder that the list's paths start from; None: the list's own
    size: tuple[int, int] = (256, 256)  # (height, width), pixels: every picture is brought to it; Caffe's examples' own
    crop: Literal["caffe", "square"] = "caffe"  # the whole picture, its shape not kept; or its largest centred square

    # The machines
    workers: int | None = None  # pictures read at once; None: as many as there are cores
    dask: str | None = None  # the address of a Dask scheduler, whose workers read the pictures
    shard: tuple[int, int] | None = None  # (1, 3): the first of three parts alone, to be merged


@dataclass(frozen=True)
class EvaluateOptions:
    """What `imgnn evaluate classify` may be told."""

    network: str  # the folder of a run, a name of the registry, or a .keras or .caffemodel file
    root: Path | None = None  # the folder that paths in the lists start from; None: the lists' own
    top: int = 5  # classes among which the true one is looked for, beside the most probable alone
    oversample: bool = False  # average over ten crops (corners, centre, mirrored) instead of the centre alone
    batch: int = 16  # crops that go through the network at once: more is faster until the memory is full


@dataclass(frozen=True)
class TrainSentenceOptions:
    """What the commands that train a decoder of sentences may be told; the defaults are those of captions."""

    # The data
    form: str | None = None  # of the data set, one of data/caption_files.py's or data/boke.py's FORMS; None: recognised
    images: Path | None = None  # the folder that pictures' names start from; None: found beside the sentences
    skip_missing: bool = False  # leave out pictures that are not there
    val_share: float = 0.1  # of the pictures, where the data set has no split of its own
    minimum: int = 5  # times that a token is seen in the training sentences, else it is UNK
    longest: int = 30  # tokens of a sentence that are trained on

    # The feature
    network: str = "mini"  # a name of the registry, a .keras or .caffemodel file, or the folder of a run
    layers: tuple[str, ...] | None = None  # side by side; None: those that the network itself names for features
    size: int | None = None  # pixels, both sides, of the picture; None: the network's own
    mirror: bool = True  # train on mirrored pictures, too

    # The decoder: language/decoder.py
    cell: Literal["lstm", "gru"] = "lstm"
    depth: int = 1  # recurrent layers
    hidden: int = 512  # units of each
    embedding: int = 512  # numbers for a token, and for the picture
    tied: bool = False  # the embedding is the output's kernel, too

    # Training
    epochs: int = 12
    batch: int = 128  # sentences in one step
    learning_rate: float = 1e-3  # the largest, of Adam
    schedule: Literal["constant", "cosine", "one-cycle"] = "cosine"
    dropout: float = 0.5  # share of values dropped, 0..1
    clip: float = 5.0  # the largest norm of all gradients together; 0: any
    weight_decay: float = 0.0
    smoothing: float = 0.0  # of the targets, 0..1
    patience: int | None = 5  # epochs without a better validation after which it ends; None: never

    # The run
    seed: int = 0
    save_every: float = 60.0  # seconds between two checkpoints within an epoch

    # The machine
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    workers: int | None = None  # threads that decode; None: one for each core

    def check(self) -> None:
        """Refuse a training of nothing, a decoder that cannot be, and options that do not go together.

        Raises:
            OptionError: which.
        """
        if self.epochs < 1:
            raise OptionError("nothing would be trained: --epochs 0", hint="--epochs 1 or more")
        if self.tied and self.embedding != self.hidden:
            raise OptionError(
                f"--tied wants --embedding and --hidden to be the same, not {self.embedding} and {self.hidden}"
            )


@dataclass(frozen=True)
class TrainCaptionOptions(TrainSentenceOptions):
    """What `imgnn train caption` may be told."""

    features: Path | None = None  # a .mat file of Karpathy's with a feature for each picture, in place of a network
    scheduled_sampling: float = 0.0  # share of words, at the end, that are the decoder's own instead of the caption's
    average: int = 0  # of so many of the best epochs the weights are averaged at the end, if that is better
    finetune_after: int | None = None  # epochs after which the network of the feature is trained along; None: never
    network_rate: float = 1e-5  # the learning rate of that network

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            OptionError: which.
        """
        super().check()
        after = self.finetune_after
        if self.features is not None and after is not None:
            raise OptionError("--features does not go with --finetune-after: a file has no network to be trained along")
        if self.features is not None and (not self.layers or self.network == TrainCaptionOptions.network):
            raise OptionError(
                "--features goes with --network and --layers: a file does not tell what it is of",
                hint="as --network vgg16 --layers fc7: for the photos to come",
            )
        if after is not None and after >= self.epochs:
            raise OptionError(f"--finetune-after {after} comes after the last of --epochs {self.epochs}")
        if after is None and self.network_rate != TrainCaptionOptions.network_rate:
            raise OptionError("--network-rate goes with --finetune-after: else the network is not trained")
        if after is not None and self.average:
            raise OptionError("--finetune-after does not go with --average, which is of a decoder alone")


Pairing = Literal["many", "one", "best", "sampled", "stars"]


@dataclass(frozen=True)
class TrainBokeOptions(TrainSentenceOptions):
    """What `imgnn train boke` may be told. The decoder is butsugiri/bokete's."""

    tokenizer: str | None = None  # of language/tokenizers.py; None: what suits the texts, or what the data set has
    pairing: Pairing = "many"  # which boke of a picture it learns; see training/pairing.py
    ng: Path | None = None  # a file with a word a line: boke with one of them are left out
    shortest: int = 1  # tokens; shorter boke, and those longer than `longest`, are left out
    keep: Literal["best", "last"] = "best"  # the decoder of the epoch with the smallest loss of val, or of the last one

    minimum: int = 2
    longest: int = 40
    mirror: bool = False  # a picture with writing in it is another one then
    hidden: int = 100
    embedding: int = 100
    epochs: int = 100
    batch: int = 16
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            OptionError: which.
        """
        super().check()
        if not 1 <= self.shortest <= self.longest:
            raise OptionError(f"--shortest {self.shortest} and --longest {self.longest} leave no boke")


WIDEST = 1_000  # hypotheses of a beam: memory and time grow with them


@dataclass(frozen=True)
class CaptionOptions:
    """What `imgnn caption` may be told."""

    models: tuple[str, ...] = ()  # runs of `imgnn train caption`, whose mean is taken; none: what came with imgnn
    weights: tuple[float, ...] | None = None  # of each model; None: the same
    network: str | None = None  # the name or file of the network that looks at the pictures; None: the model's own

    # What is written
    n: int = 1  # captions of each picture
    max_length: int = 24  # tokens at most
    min_length: int = 0  # words at least
    no_repeat_ngram: int = 3  # so many words in a row do not come twice in a caption; 0: they may
    unk: bool = False  # let UNK be said

    # How it is looked for: the most probable ones by beam search ...
    beam: int | None = None  # hypotheses that are followed; None: 3, or 20 where several captions are wanted
    length_penalty: float = 0.7  # sentences are ordered by log_prob / length ** it; 0: short ones win
    groups: int = 1  # beams apart from each other: diverse beam search
    diversity: float = 0.5  # of groups
    # ... or drawn at random
    temperature: float | None = None  # 0: the most probable word; 1: as the model finds them probable; None: no drawing
    top_k: int = 0  # only so many of the most probable words; 0: all
    top_p: float = 1.0  # only the most probable words that reach this probability together
    seed: int = 0

    # The machine
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    batch: int = 128  # pictures that are captioned at once

    @property
    def drawn(self) -> bool:
        """Whether captions are drawn at random."""
        return self.temperature is not None or self.top_k > 0 or self.top_p < 1

    @property
    def width(self) -> int:
        """Of the beam: what was asked for, or 3, or 20 (`n` if that is more) for several; shared evenly by groups."""
        if self.beam is not None:
            return self.beam
        return math.ceil((3 if self.n == 1 else max(20, self.n)) / self.groups) * self.groups

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            OptionError: which.
        """
        if self.drawn and (self.beam is not None or self.groups > 1):
            raise OptionError("captions are looked for (--beam, --groups) or drawn (--temperature, --top-k, --top-p)")
        if self.width % self.groups:
            raise OptionError(f"--beam {self.beam} is not shared evenly by --groups {self.groups}")
        if self.width > WIDEST:
            raise OptionError(f"--beam {self.width} is more than {WIDEST}: what is found so far down nobody wants")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"--top-p is a probability above 0, not {self.top_p:g}")
        if not self.drawn and self.width < self.n:
            raise OptionError(f"--beam {self.beam} finds {self.beam} captions at most; --number {self.n} wants more")
        if self.min_length >= self.max_length:
            raise OptionError(
                f"--min-length {self.min_length} words do not fit into --max-length {self.max_length} tokens, of which "
                "one is the end"
            )
        if self.weights is not None and len(self.weights) != len(self.models):
            raise OptionError(f"--weights has {len(self.weights)} numbers for {len(self.models)} models")


BokeMode = Literal["model", "mismatch", "retrieve"]


@dataclass(frozen=True)
class BokeOptions:
    """What `imgnn boke` may be told."""

    model: str | None = None  # a run of `imgnn train boke` or `imgnn train caption`; None: the one of captions in imgnn
    network: str | None = None  # the name or file of the network that looks at the pictures; None: the model's own
    mode: BokeMode | None = None  # None: model with a run of boke; mismatch with one of captions, or with donors

    # What is written
    n: int = 5  # boke of each picture
    max_length: int = 40  # tokens at most
    min_length: int = 2  # tokens at least, without the end
    no_repeat_ngram: int | None = None  # so many tokens in a row do not come twice; 0: they may; None: by the tokens
    ng: Path | None = None  # a file with a word a line: what has one of them is not shown

    # Mode model
    candidates: int = 50  # drawn of each picture, of which the best n are shown
    temperature: float = 0.8  # 0: the most probable token; 1: as the model finds them probable
    top_k: int = 0  # only so many of the most probable tokens; 0: all
    top_p: float = 0.9  # only the most probable tokens that reach this probability together
    copies: bool = False  # show what a training text says word for word, too

    # Mode mismatch
    distance: Literal["far", "middle"] = "far"  # of the donor: in the farthest fifth of pictures, or the middle one
    donors: tuple[Path, ...] = ()  # pictures, and folders of them, that lend; none: those that the run knows
    blend: float = 1.0  # how much of the donor's feature, above 0; at 1 the picture's own is not in it

    # Modes model and mismatch
    contrast: float = 0.0  # how much tokens lose that the mean picture (mismatch: the picture itself) makes probable
    seed: int = 0  # of what is drawn: sentences, or donors

    # The machine
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    batch: int = 16  # pictures at once

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            OptionError: which.
        """
        if self.candidates < self.n:
            raise OptionError(f"-n {self.n} boke are not found among --candidates {self.candidates}")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"--top-p is a probability above 0, not {self.top_p:g}")
        if not 0 < self.blend <= 1:
            raise OptionError(f"--blend is above 0 and at most 1, not {self.blend:g}: at 0 no donor has a say")
        if self.min_length >= self.max_length:
            raise OptionError(
                f"--min-length {self.min_length} does not fit into --max-length {self.max_length} tokens, of which one "
                "is the end"
            )
        if self.donors and self.mode not in (None, "mismatch"):
            raise OptionError(f"--donors lend to --mode mismatch, not to {self.mode}")


@dataclass(frozen=True)
class EvaluateCaptionOptions:
    """What `imgnn evaluate caption` may be told, beside how captions are written."""

    # The data
    split: Literal["train", "val", "test", "all"] | None = None  # that is judged; None: test, or val if there is none
    form: str | None = None  # of the captions, one of data/caption_files.py's FORMS; None: recognised
    images: Path | None = None  # the folder that pictures' names start from; None: found beside the captions
    skip_missing: bool = False  # leave out pictures that are not there
    limit: int | None = None  # pictures, the first ones; None: all
    features: Path | None = None  # a .mat file of Karpathy's with a feature for each picture, in place of a network

    # The sentences, where no model writes them
    results: Path | None = None  # COCO's result file of any program
    partial: bool = False  # it may lack pictures: those that it has are judged

    # The scores
    baselines: bool = True  # retrieval, and how people agree
    document_frequency: Path | None = None  # for CIDEr-D, of another corpus; None: of the pictures that are judged
    meteor: bool = False  # METEOR too, where Java and pycocoevalcap are found


@dataclass(frozen=True)
class EvaluateBokeOptions:
    """What `imgnn evaluate boke` may be told."""

    model: str  # a run of `imgnn train boke`
    network: str | None = None  # the name or file of the network that looks at the pictures; None: the model's own

    # The data
    split: Literal["train", "val", "test", "all"] | None = None  # that is judged; None: test, or val if there is none
    form: str | None = None  # of the boke, one of data/boke.py's FORMS; None: recognised
    images: Path | None = None  # the folder that pictures' names start from; None: found beside the boke
    skip_missing: bool = False  # leave out pictures that are not there
    limit: int | None = None  # pictures, the first ones; None: all

    # What the model writes, as `imgnn boke` does
    sentences: int = 200  # pictures that it writes a boke for, the first ones; 0: none
    ng: Path | None = None  # a file with a word a line, which are looked for there; None: the one of the training

    # The machine
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def check(self) -> None:
        """Refuse options of which nothing would come.

        Raises:
            OptionError: which.
        """
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"at least 1 picture is judged, not {self.limit}")
        if self.sentences < 0:
            raise OptionError(f"a boke is written for 0 pictures or more, not {self.sentences}")


@dataclass(frozen=True)
class ServeOptions:
    """What `imgnn serve` may be told."""

    models: tuple[Path, ...] = ()  # runs of train boke and train caption, one of each at most; none: the package's
    folder: Path | None = (
        None  # of ratings and the studio's pictures; None: IMGNN_HOME/page, or the platform's for data
    )
    host: str = "127.0.0.1"  # the address to listen on
    port: int = 8000  # 0: any that is free
    requests_per_minute: int = 240  # requests of one client that change or compute something; 0: any


def _check_least(options: Any, numbers: Mapping[str, int]) -> None:
    """Refuse fields that are less than they may be; None is the network's own."""
    for name, least in numbers.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise OptionError(f"{option_name(name)} is at least {least}, not {value}")


def _check_choices(options: Any) -> None:
    """Refuse fields that are words, and none of those that their type names."""
    for name, hint in get_type_hints(type(options)).items():
        words = next((get_args(each) for each in (hint, *get_args(hint)) if get_origin(each) is Literal), None)
        value = getattr(options, name)
        if words and value not in words and not (value is None and type(None) in get_args(hint)):
            raise OptionError(f"{option_name(name)} is one of {', '.join(map(str, words))}, not {value!r}")
