"""Pictures a little different each time they are trained on. Random only by the generator that is handed in."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from imgnn.images.preprocess import LUMA, fit, side_before_crop
from imgnn.images.resize import fit_long_side, resize_linear

ASPECTS = (3 / 4, 4 / 3)  # width by height of a random crop
TRIES = 10  # crops that are drawn before the largest square is taken
SPARE = 1.15  # a frame's short side, of the size trained on: small crops need not be enlarged much


@dataclass(frozen=True)
class Augmentation:
    """How training pictures are varied.

    Attributes:
        crop: "none" takes what a classifier looks at; "caffe" a random place in the picture scaled to `resize` squared
            (BVLC Caffe, data_transformer.cpp); "random" a random part of random shape, scaled (arXiv:1409.4842,
            section 6).
        area: the smallest part of the picture that a random crop takes, 0..1.
        mirror: every second one.
        colour: 0..1, how much brightness, contrast and saturation change: by a factor of at most 1 ± colour each.
    """

    crop: Literal["none", "caffe", "random"] = "random"
    area: float = 0.35
    mirror: bool = True
    colour: float = 0.0


def frame_of(image: np.ndarray, size: tuple[int, int], resize: int, crop: str, way: str) -> np.ndarray:
    """What of a picture is kept in memory from epoch to epoch: enough for every view of it.

    Args:
        image: uint8 `(height, width, 3)`.
        size: `(height, width)` that the network takes.
        resize: the side to which Caffe's way scales before it crops.
        crop: of the augmentation.
        way: how the network's preprocessing cuts, "square" or "caffe".

    Returns:
        uint8 `(h, w, 3)`: of "caffe" crops `resize` squared; of random ones the picture with a short side of at most
        1.15 times the size.
    """
    if crop == "caffe":
        side = side_before_crop(size, resize)
        return fit(image, (side, side), "caffe" if way == "caffe" else "square")
    short, wanted = min(image.shape[:2]), round(max(size) * SPARE)
    if short <= wanted:
        return image
    long_side = round(max(image.shape[:2]) * wanted / short)
    return resize_linear(image, fit_long_side(image.shape[:2], long_side))


def augment(
    frame: np.ndarray, size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator
) -> np.ndarray:
    """One random view of a frame: uint8 (float32 if the frame is) `(*size, 3)`."""
    if augmentation.crop == "random":
        view = random_crop(frame, size, augmentation.area, random)
    else:
        top, left = (random.integers(0, have - want + 1) for have, want in zip(frame.shape, size, strict=False))
        view = frame[top : top + size[0], left : left + size[1]]
    if augmentation.mirror and random.random() < 0.5:
        view = view[:, ::-1]
    if augmentation.colour:
        view = change_colours(view, augmentation.colour, random)
    return np.ascontiguousarray(view)


def random_crop(frame: np.ndarray, size: tuple[int, int], smallest: float, random: np.random.Generator) -> np.ndarray:
    """A part of at least `smallest` of the frame's area, its shape drawn too, scaled to `size`."""
    height, width = frame.shape[:2]
    for _ in range(TRIES):
        area = height * width * random.uniform(smallest, 1.0)
        aspect = np.exp(random.uniform(*np.log(ASPECTS)))
        w, h = round(float(np.sqrt(area * aspect))), round(float(np.sqrt(area / aspect)))
        if 0 < w <= width and 0 < h <= height:
            break
    else:
        w = h = min(height, width)
    top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
    box = (left, top, left + w, top + h)
    if frame.dtype == np.uint8:
        return np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR, box))
    channels = [Image.fromarray(np.ascontiguousarray(each)) for each in np.moveaxis(frame, -1, 0)]
    return np.stack([np.asarray(each.resize(size[::-1], Image.Resampling.BILINEAR, box)) for each in channels], -1)


def change_colours(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Brightness, contrast and saturation, each by a factor from `1 - strength` to `1 + strength`."""
    brightness, contrast, saturation = random.uniform(1 - strength, 1 + strength, 3).astype("float32")
    x = image.astype("float32") * brightness
    grey = x @ LUMA
    x = (x - grey.mean()) * contrast + grey.mean()
    grey = (x @ LUMA)[..., None]
    x = (x - grey) * saturation + grey
    return x if image.dtype != np.uint8 else np.clip(np.rint(x), 0, 255).astype("uint8")


def mix(
    pictures: np.ndarray, targets: np.ndarray, random: np.random.Generator, *, mixup: float, cutmix: float
) -> tuple[np.ndarray, np.ndarray]:
    """Each picture of a batch with a share of another, and its target with the same share of the other's.

    Args:
        pictures: `(n, height, width, 3)`.
        targets: float32 `(n, classes)`.
        mixup: alpha of the Beta distribution from which the share is drawn; 0: not done (arXiv:1710.09412).
        cutmix: the same for a rectangle of the other picture in its place (arXiv:1905.04899). Of both, one is
            drawn for each batch.

    Returns:
        Pictures of the same type, and targets.
    """
    ways = [way for way, alpha in (("mixup", mixup), ("cutmix", cutmix)) if alpha]
    if not ways or len(pictures) < 2:
        return pictures, targets
    way = ways[int(random.integers(len(ways)))]
    alpha = mixup if way == "mixup" else cutmix
    share = float(random.beta(alpha, alpha))
    other = np.roll(np.arange(len(pictures)), 1)  # batches are in random order already
    if way == "mixup":
        mixed = pictures.astype("float32") * share + pictures[other].astype("float32") * (1 - share)
        mixed = mixed if pictures.dtype != np.uint8 else np.rint(mixed).astype("uint8")
    else:
        height, width = pictures.shape[1:3]
        h, w = round(height * np.sqrt(1 - share)), round(width * np.sqrt(1 - share))
        top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
        mixed = pictures.copy()
        mixed[:, top : top + h, left : left + w] = pictures[other, top : top + h, left : left + w]
        share = 1 - h * w / (height * width)  # of what was really cut
    return mixed, (targets * share + targets[other] * (1 - share)).astype("float32")
