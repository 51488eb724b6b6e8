"""Trains the network `mini` that comes with imgnn, and measures it.

    python tools/train_mini.py RUN --captions captions.jsonl --captions aerial/dataset.json --classes flowers/train \\
        --vgg19 vgg19_conv1_to_conv3.caffemodel
    python tools/train_mini.py RUN ...       # the same command again goes on where it stopped

mini learns to say what trained networks say of the same photo (knowledge distillation): at each of its stages a 1x1
convolution, thrown away afterwards, is to turn its activations into those of a teacher. The means of its last stage
are to give GoogLeNet's classes, and the words that people use in captions of the photo, too. The loss of a layer is
the share of the teacher's variance that remains unexplained, so that 1 is what a guess of the mean has, and 0 is
perfect; all layers count the same.

Files in RUN: checkpoint.npz (every 250 steps), log.csv, mini.npz (float16: what `imgnn/assets/mini.npz` is made of)
and figures.json (of photos that were not trained on, with the rounded weights).

Seeded: crops, colours and first weights depend on --seed and the step alone, so a run that was stopped sees the same
crops as an unbroken one. Runs on whatever Keras runs on; bfloat16 where that is faster.
"""

import argparse
import csv
import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from imgnn import backend, start

start.quiet()

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402
from PIL import Image  # noqa: E402

from imgnn.data.caption_files import read_captions  # noqa: E402
from imgnn.data.labelled import read_classes  # noqa: E402
from imgnn.images.files import load_image  # noqa: E402
from imgnn.images.preprocess import preprocess  # noqa: E402
from imgnn.jobs.load import load_network  # noqa: E402
from imgnn.language.tokens import tokenize  # noqa: E402
from imgnn.networks import registry  # noqa: E402
from imgnn.networks.features import look  # noqa: E402
from imgnn.networks.mini import build_mini  # noqa: E402
from imgnn.runs import write_aside  # noqa: E402
from imgnn.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from imgnn.training.schedule import Schedule  # noqa: E402

EVERY = 250  # steps between two checkpoints
TOLD = 50  # steps that a line of the log is the mean of
SEEN = 20  # photos that a word has to be said of
HELD_OUT = 256  # photos that the figures are of


class Hint(NamedTuple):
    """A layer of mini that is to give what a teacher's layer gives: FitNets, arXiv:1412.6550.

    Attributes:
        thin: of maps, every so many rows and columns are compared: neighbours say much the same.
        between: the teacher looks at places half a cell further right and down (SqueezeNet's unpadded first layer,
            GoogLeNet's pooling), so means of 2x2 cells of mini's are compared.
    """

    layer: str
    teacher: str
    blob: str
    thin: int = 1
    between: bool = False

    @property
    def name(self) -> str:
        return f"{self.teacher} {self.blob}"


HINTS = (
    Hint("relu1_2", "vgg19", "relu1_2", thin=3),
    Hint("relu2_2", "vgg19", "relu2_2", thin=2),
    Hint("relu3_3", "vgg19", "relu3_2"),
    Hint("relu4_3", "squeezenet-v1.1", "fire5/concat", between=True),
    Hint("relu4_3", "googlenet", "inception_3b/output", between=True),
    Hint("relu5_3", "squeezenet-v1.1", "fire9/concat", between=True),
    Hint("relu5_3", "googlenet", "inception_4d/output", between=True),
)
DESCRIPTION = "inception_5b/output"  # GoogLeNet's: what its classifier takes the means of
DESCRIBED, ANSWERED, SAID = "googlenet description", "googlenet answer", "words"
WEIGHTS = {ANSWERED: 0.2, SAID: 0.02}  # of nats, which are more than shares; the layers have 1


@dataclass(frozen=True)
class Photos:
    """Photos in memory, with the words said of each, and how often each is drawn.

    Attributes:
        images: uint8 `(height, width, 3)`.
        words: float32 `(n, words)`: 1 if the word was said.
        shares: of the draws, sum 1.
    """

    images: Sequence[np.ndarray]
    words: np.ndarray
    shares: np.ndarray
    vocabulary: Sequence[str]


def read_photos(options: argparse.Namespace) -> tuple[Photos, list[Path]]:
    """What is trained on, and some photos of the captions' val that are not."""
    files, texts, weights, held_out = [], [], [], []
    for number, source in enumerate(options.captions):
        captions = read_captions(source)
        for image in captions.part("train").images:
            files.append(captions.file(image))
            texts.append({token for caption in image.captions for token in tokenize(caption)})
            weights.append(1.0 if number == 0 else options.share)
        if number == 0:
            held_out = [captions.file(image) for image in captions.part("val").images[:HELD_OUT]]
    for folder in options.classes:
        labelled = read_classes(folder)
        for file, label in zip(labelled.files, labelled.labels, strict=True):
            files.append(file)
            texts.append(set(tokenize(labelled.classes[label])))
            weights.append(1.0)
    counts = Counter(word for words in texts for word in words)
    vocabulary = sorted(word for word, count in counts.items() if SEEN <= count < len(files) / 2)
    said = np.array([[word in words for word in vocabulary] for words in texts], "float32")
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(load_image, files))
    return Photos(images, said, np.array(weights) / sum(weights), vocabulary), held_out


def batch_of(photos: Photos, step: int, options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """`x` of crops, float32 `(batch, side, side, 3)`, and the words of their photos: always the same for a step."""
    random = np.random.default_rng((options.seed, step + 10))
    drawn = random.choice(len(photos.images), options.batch, p=photos.shares)
    crops = [disturb(crop_of(photos.images[index], options.side, random), random) for index in drawn]
    return preprocess(np.stack(crops), registry.find("mini").preprocessing), photos.words[drawn]


def crop_of(image: np.ndarray, side: int, random: np.random.Generator) -> np.ndarray:
    """A square of the photo at a scale that is drawn: from the whole short side to 0.7 times `side`."""
    height, width, _ = image.shape
    shortest = min(height, width)
    wide = math.exp(random.uniform(math.log(min(0.7 * side, shortest)), math.log(shortest)))
    left, top = random.uniform(0, width - wide), random.uniform(0, height - wide)
    picture = Image.fromarray(image)
    if random.random() < 0.5:
        picture, left = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), width - wide - left
    box = (left, top, left + wide, top + wide)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box))


def disturb(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The crop in other colours, or with noise: style transfer goes by pictures that are no photos."""
    values = image.astype("float32")
    kind = random.random()
    if kind < 0.1:
        values = values[..., random.permutation(3)]
    elif kind < 0.15:
        values = np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)
    if random.random() < 0.5:
        gain, offset = random.uniform(0.6, 1.5), random.uniform(-30, 30)
        values = (values - 128) * gain * random.uniform(0.8, 1.2, 3) + 128 + offset
    if random.random() < 0.25:
        values += random.normal(0, random.uniform(0, 25), values.shape)
    return np.clip(values, 0, 255).round().astype("uint8")


class EqualisedConv(keras.layers.Layer):
    """A convolution that learns as fast at the end of the network as at its beginning.

    Its variable is drawn with deviation 1; the kernel is that, each filter's mean taken off, times the deviation which
    He et al. (arXiv:1502.01852) give it. Adam moves all numbers alike: at the rate that the first layers need that
    would be too far for a kernel of (3, 3, 256, 256), whose deviation is 0.03. Filters without a mean keep activations,
    which are positive, from growing alike from layer to layer.

    Args:
        centred: whether the mean is taken off: not of the first layer, which is to see how bright the picture is.

    Source: Progressive Growing of GANs, arXiv:1710.10196, section 4.1; Weight Standardization, arXiv:1903.10520.
    """

    def __init__(self, shape: Sequence[int], seed: int, *, centred: bool, **options: Any):
        super().__init__(**options)
        self.form, self.centred = tuple(shape), centred
        self.deviation = math.sqrt(2.0 / math.prod(self.form[:-1]))
        draw = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        self.drawn = self.add_weight(shape=self.form, initializer=draw, name="drawn")
        self.bias = self.add_weight(shape=self.form[-1:], initializer="zeros", name="bias")

    @property
    def kernel(self) -> Any:
        """`(3, 3, in, out)`, as the convolution uses it."""
        drawn = ops.convert_to_tensor(self.drawn)
        mean = ops.mean(drawn, axis=(0, 1, 2), keepdims=True) if self.centred else 0.0
        return (drawn - mean) * self.deviation

    def call(self, x: Any) -> Any:
        return ops.conv(x, ops.cast(self.kernel, x.dtype), padding="same") + ops.cast(self.bias, x.dtype)


class Adaptor(keras.layers.Layer):
    """What a layer's activations say of something else: a linear function of their deviations from the mean.

    It is thrown away when mini has learnt.

    Args:
        count: of the numbers that come out.
        pace: what they are multiplied by: logits of words, most of which are seldom said, are to grow slowly.
    """

    def __init__(self, count: int, pace: float = 1.0):
        super().__init__()
        self.count, self.pace = count, pace
        self.norm = keras.layers.BatchNormalization(momentum=0.98, center=False, scale=False)
        self.linear = keras.layers.Dense(count, kernel_initializer="zeros")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.pace * self.linear(self.norm(x, training=training))


def equalised(seeds: Iterator[int]) -> keras.Model:
    """mini for pictures of any size, its convolutions made equal."""

    def equalise(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Conv2D):
            return EqualisedConv(layer.kernel.shape, next(seeds), centred=layer.name != "conv1_1", name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(build_mini((None, None, 3)), clone_function=equalise)


class Student(keras.Model):
    """mini with what it learns by: adaptors, a head for GoogLeNet's answer and one for words.

    Args:
        teachers: name -> function of mini's `x` that gives the activations of its hints.
        words: how many.
    """

    def __init__(self, teachers: Mapping[str, Any], words: int, seed: int) -> None:
        super().__init__(name="student")
        self.mini = equalised(itertools.count(seed))
        outputs = {name: self.mini.get_layer(name).output for name in dict.fromkeys(hint.layer for hint in HINTS)}
        self.seen = keras.Model(self.mini.inputs, outputs)
        self.answers = [Adaptor(1024), Adaptor(1000, pace=0.1), Adaptor(words, pace=0.1)]
        self.adaptors: list[Any] = []
        self.moments: dict[str, tuple[np.ndarray, float]] = {}
        self._teachers = (teachers,)  # in a tuple: the teachers' weights are not to be ours
        self.terms = {name: keras.metrics.Mean(name) for name in self.names}

    @property
    def names(self) -> list[str]:
        return [*(hint.name for hint in HINTS), DESCRIBED, ANSWERED, SAID]

    def prepare(self, batches: Sequence[np.ndarray]) -> None:
        """Make the adaptors, and measure the moments of the teachers' answers: the mean of each channel, and the
        standard deviation of all together, by which they are told apart from it."""
        taught = [{name: ops.convert_to_numpy(each) for name, each in self.teach(x).items()} for x in batches]
        for name in taught[0]:
            values = np.concatenate([each[name].reshape(-1, each[name].shape[-1]) for each in taught])
            self.moments[name] = values.mean(axis=0), float(np.sqrt(values.var(axis=0).mean()))
        for hint in HINTS:
            self.adaptors.append(Adaptor(len(self.moments[hint.name][0])))

    def teach(self, x: Any) -> dict[str, Any]:
        """What the teachers say, as far as it is compared; GoogLeNet's description is `(batch, 1024)`."""
        taught = {name: teacher(x) for name, teacher in self._teachers[0].items()}
        answers = {each.name: taught[each.teacher][each.blob][:, :: each.thin, :: each.thin] for each in HINTS}
        return answers | {DESCRIBED: ops.mean(taught["googlenet"][DESCRIPTION], axis=(1, 2))}

    def call(self, x: Any, training: bool = False) -> dict[str, Any]:
        features = self.seen(x, training=training)
        said: dict[str, Any] = {}
        for hint, adaptor in zip(HINTS, self.adaptors, strict=True):
            values = features[hint.layer]
            if hint.between:
                values = ops.average_pool(values, 2, strides=1, padding="valid")
            said[hint.name] = adaptor(values[:, :: hint.thin, :: hint.thin], training=training)
        top = ops.mean(ops.cast(features["relu5_3"], "float32"), axis=(1, 2))
        for name, head in zip((DESCRIBED, ANSWERED, SAID), self.answers, strict=True):
            said[name] = head(top, training=training)
        return {name: ops.cast(value, "float32") for name, value in said.items()}

    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
        terms = {}
        for name, target in (taught := self.teach(x)).items():
            said, (mean, deviation) = y_pred[name], self.moments[name]
            if len(target.shape) == 4:  # between its cells, mini has one row and column less than GoogLeNet
                target = target[:, : said.shape[1], : said.shape[2]]
            terms[name] = ops.mean(ops.square(ops.subtract(target, mean) / deviation - said))
        logits = self.classify(taught[DESCRIBED])
        told = ops.log_softmax(y_pred[ANSWERED])
        terms[ANSWERED] = ops.mean(ops.sum(ops.softmax(logits) * (ops.log_softmax(logits) - told), axis=-1))
        crossed = keras.losses.binary_crossentropy(y, y_pred["words"], from_logits=True)  # mean over words
        terms[SAID] = ops.mean(crossed) * y.shape[-1]
        for name, term in terms.items():
            self.terms[name].update_state(term)
        return sum(WEIGHTS.get(name, 1.0) * term for name, term in terms.items())

    def classify(self, description: Any) -> Any:
        """GoogLeNet's logits, from the means of its last maps."""
        kernel, bias = self._teachers[0]["googlenet"].classifier
        return ops.matmul(description, kernel) + bias


class Teacher:
    """A trained network that tells its activations for mini's `x`."""

    def __init__(self, name: str, source: str, side: int, precision: str) -> None:
        blobs = [hint.blob for hint in HINTS if hint.teacher == name]
        network = load_network(source)
        network.model.trainable = False
        if name == "googlenet":
            blobs.append(DESCRIPTION)
            self.classifier = network.model.get_layer("loss3__classifier").get_weights()
        self.look = look(network, blobs, (side, side), precision=precision)
        ours, theirs = registry.find("mini").preprocessing, network.preprocessing
        self.scale = np.array(theirs.scale, "float32") / np.array(ours.scale, "float32")
        self.shift = (np.array(ours.mean, "float32") - np.array(theirs.mean, "float32")) * np.array(theirs.scale)

    def __call__(self, x: Any) -> dict[str, Any]:
        return self.look(ops.add(ops.multiply(ops.cast(x, "float32"), self.scale), self.shift.astype("float32")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--captions", type=Path, action="append", required=True, help="the first one's val is held out")
    parser.add_argument("--classes", type=Path, action="append", default=[], help="a folder of class folders")
    parser.add_argument("--share", type=float, default=0.3, help="how often photos of further --captions are drawn")
    parser.add_argument("--vgg19", default="vgg19", help="a network or file with VGG-19's first blocks")
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=128, help="of the crops, pixels")
    parser.add_argument("--rate", type=float, default=1e-2, help="the highest learning rate")
    parser.add_argument("--seed", type=int, default=20261122)
    train(parser.parse_args())


def train(options: argparse.Namespace) -> None:
    options.run.mkdir(parents=True, exist_ok=True)
    precision = backend.precision_of("auto")
    photos, held_out = read_photos(options)
    if len(held_out) < options.batch:
        raise SystemExit(f"{options.captions[0]} has {len(held_out)} photos of val; the figures want {options.batch}")
    print(f"{len(photos.images)} photos, {len(photos.vocabulary)} words, {len(held_out)} held out; {precision}")
    student = make_student(options, photos, precision)
    optimizer = student.optimizer
    schedule = Schedule("one-cycle", options.steps)
    first, seconds = restore(student, options)
    told: list[dict[str, float]] = []
    began = time.perf_counter() - seconds
    with ThreadPoolExecutor(1) as pool:
        ready = pool.submit(batch_of, photos, first, options)
        for step in range(first, options.steps):
            x, words = ready.result()
            ready = pool.submit(batch_of, photos, step + 1, options)
            optimizer.learning_rate.assign(options.rate * schedule(step))
            told.append(student.train_on_batch(x, words, return_dict=True))
            if (step + 1) % TOLD == 0:
                tell(options.run / "log.csv", step + 1, time.perf_counter() - began, mean_of(told))
                told.clear()
            if (step + 1) % EVERY == 0 or step + 1 == options.steps:
                keep(student, options, step + 1, time.perf_counter() - began)
    save_mini(student.mini, options.run / "mini.npz")
    figures = {"steps": options.steps, "photos": len(photos.images), **judge(student, held_out, options)}
    with write_aside(options.run / "figures.json") as aside:
        aside.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    print(json.dumps(figures, indent=1))


def make_student(options: argparse.Namespace, photos: Photos, precision: str) -> Student:
    """mini with first weights, adaptors and optimiser."""
    sources = {"vgg19": options.vgg19, "squeezenet-v1.1": "squeezenet-v1.1", "googlenet": "googlenet"}
    teachers = {name: Teacher(name, source, options.side, precision) for name, source in sources.items()}
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    student = Student(teachers, len(photos.vocabulary), options.seed)
    first = [batch_of(photos, -1 - number, options)[0] for number in range(4)]
    student.prepare(first)
    student(first[0])
    often = photos.words.mean(axis=0)  # how often a word is said of any photo: what a head begins with
    student.answers[2].linear.bias.assign(np.log(often / (1 - often)) / student.answers[2].pace)
    optimizer = keras.optimizers.AdamW(options.rate, weight_decay=1e-2, beta_2=0.99, clipnorm=1.0)
    student.compile(optimizer, jit_compile=backend.jitted())
    optimizer.build(student.trainable_variables)
    return student


def state_of(student: Student) -> dict[str, Any]:
    """The variables, in an order that stays."""
    variables = [*student.trainable_variables, *student.non_trainable_variables, *student.optimizer.variables]
    return {f"v{number}": variable for number, variable in enumerate(variables)}


def asked(options: argparse.Namespace) -> dict[str, str]:
    """The options that a run has to keep to."""
    return {name: str(value) for name, value in vars(options).items() if name != "run"}


def keep(student: Student, options: argparse.Namespace, step: int, seconds: float) -> None:
    """Write the checkpoint: every number that the next step depends on, but for the photos and the teachers."""
    arrays = {name: ops.convert_to_numpy(variable.value) for name, variable in state_of(student).items()}
    moments = {name: [mean.tolist(), deviation] for name, (mean, deviation) in student.moments.items()}
    facts = {"step": step, "seconds": seconds, "options": asked(options), "moments": moments}
    save_checkpoint(options.run / "checkpoint.npz", arrays, facts)


def restore(student: Student, options: argparse.Namespace) -> tuple[int, float]:
    """The step to go on from, and the seconds that those before it took; lines of the log from there on are dropped."""
    path, log = options.run / "checkpoint.npz", options.run / "log.csv"
    first, seconds = 0, 0.0
    if path.is_file():
        arrays, facts = load_checkpoint(path)
        for name, value in asked(options).items():
            if facts["options"].get(name) != value:  # another rate at each step, or other crops
                raise SystemExit(f"{path} is of a run with --{name} {facts['options'].get(name)}, not {value}")
        for name, variable in state_of(student).items():
            variable.assign(arrays[name])
        for name, (mean, deviation) in facts["moments"].items():
            student.moments[name] = np.array(mean, "float32"), deviation
        first, seconds = facts["step"], facts["seconds"]
    if log.is_file():
        header, *lines = log.read_text("utf-8").splitlines(keepends=True)
        with write_aside(log) as aside:
            aside.write_text(header + "".join(line for line in lines if int(line.split(",")[0]) <= first), "utf-8")
    return first, seconds


def mean_of(told: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each number, the mean over some steps."""
    return {name: round(float(np.mean([each[name] for each in told])), 4) for name in told[0]}


def tell(path: Path, step: int, seconds: float, means: Mapping[str, float]) -> None:
    """A line of the log."""
    row = {"step": step, "seconds": round(seconds, 1), **means}
    fresh = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)
    print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)


def save_mini(mini: keras.Model, path: Path) -> None:
    """Its weights, float16: `conv1_1/kernel` (3, 3, in, out) and `conv1_1/bias`."""
    arrays: dict[str, Any] = {}
    for layer in mini.layers:
        if isinstance(layer, EqualisedConv):
            for kind in ("kernel", "bias"):
                arrays[f"{layer.name}/{kind}"] = ops.convert_to_numpy(getattr(layer, kind)).astype("float16")
    with write_aside(path) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)


def judge(student: Student, files: Sequence[Path], options: argparse.Namespace) -> dict[str, float]:
    """The terms of the loss on photos that were not trained on, the middle of each, with weights as they are saved."""
    with np.load(options.run / "mini.npz") as stored:
        for layer in student.mini.layers:
            if isinstance(layer, EqualisedConv):  # the means of rounded filters are 0 but for the rounding
                layer.drawn.assign(stored[f"{layer.name}/kernel"].astype("float32") / layer.deviation)
                layer.bias.assign(stored[f"{layer.name}/bias"].astype("float32"))
    none = np.zeros((options.batch, student.answers[2].count), "float32")
    means = mean_of([student.test_on_batch(batch, none, return_dict=True) for batch in batches(files, options)])
    return {name: means[name] for name in student.names if name != SAID}


def batches(files: Sequence[Path], options: argparse.Namespace) -> Iterator[np.ndarray]:
    """`x` of the photos' middles at their own size, whole batches."""
    crops = []
    for path in files:
        image = load_image(path)
        top, left = ((length - options.side) // 2 for length in image.shape[:2])
        crops.append(image[top : top + options.side, left : left + options.side])
    for first in range(0, len(crops) - options.batch + 1, options.batch):
        yield preprocess(np.stack(crops[first : first + options.batch]), registry.find("mini").preprocessing)


if __name__ == "__main__":
    main()
