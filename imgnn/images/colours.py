"""The colours of a picture without its brushwork: a style that keeps the content's colours, in four ways.

Images are `(height, width, 3)`, RGB, 0..255, uint8 or float. `keep_colours` is the last step before a file and gives
uint8; the others prepare a picture before the optimisation and give float32, so that nothing is rounded twice.

Source: Gatys, Bethge, Hertzmann, Shechtman, Preserving Color in Neural Artistic Style Transfer, arXiv:1606.05897.
"""

import numpy as np

from imgnn.errors import InputError
from imgnn.images.preprocess import LUMA

# Grey levels²: what varies less along a direction of colour is noise (the colours that JPEG leaves in a grey picture:
# 1 to 5), and is not stretched into colours that the style does not have. Paintings that were measured vary by 33 and
# more along each.
NOISE = 16.0


def keep_colours(result: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The brightness of `result` with the colours of `content`: Y of the one, U and V of the other.

    Args:
        result, content: of one size.

    Returns:
        uint8 `(height, width, 3)`, rounded, clipped to 0..255 (a saturated colour cannot be as light as white).

    Raises:
        InputError: they are not of one size.

    Source: jcjohnson/neural-style, `-original_colors 1`; YUV of ITU-R BT.601, full range.
    """
    result, content = as_floats(result), as_floats(content)
    if result.shape != content.shape:
        raise InputError(
            f"colours are kept between pictures of one size, not of {result.shape[0]} x {result.shape[1]} and "
            f"{content.shape[0]} x {content.shape[1]} pixels"
        )
    # U and V are multiples of B - Y and R - Y: whoever adds the same to R, G and B changes Y alone.
    lighter = (result @ LUMA - content @ LUMA)[..., None]
    return np.clip(np.rint(content + lighter), 0, 255).astype("uint8")


def match_mean_covariance(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The style, its colours moved and turned until their mean and covariance are the content's.

    `x -> Σc^½ Σs^-½ (x - μs) + μc`, with symmetric roots: of all such maps one that keeps each colour near where it
    was. Directions in which the style hardly varies (of a grey picture, two of the three) stay pale.

    Args:
        style, content: of any sizes.

    Returns:
        float32, the size of `style`, clipped to 0..255: what is clipped is missing from the covariance.

    Source: arXiv:1606.05897, section 4, "Image Analogies colour transfer".
    """
    style, content = as_floats(style), as_floats(content)
    (style_mean, style_covariance), (content_mean, content_covariance) = moments(style), moments(content)
    change = power(content_covariance, 0.5) @ power(style_covariance, -0.5, least=NOISE)
    return within((style - style_mean) @ change.T + content_mean)


def match_histogram(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The style, each channel's values replaced by those of the same rank in the content.

    The rank of a value is the middle of its step in the cumulative distribution, not its upper end as in
    scikit-image: the mean is kept, and a flat style becomes the content's median instead of its maximum.

    Args:
        style, content: of any sizes.

    Returns:
        float32, the size of `style`, within the content's values.

    Source: Gonzalez and Woods, Digital Image Processing, histogram specification.
    """
    style, content = as_floats(style), as_floats(content)
    matched = np.empty_like(style)
    for channel in range(3):
        _, place, counts = np.unique(style[..., channel], return_inverse=True, return_counts=True)
        values, wanted = np.unique(content[..., channel], return_counts=True)
        matched[..., channel] = np.interp(ranks(counts), ranks(wanted), values)[place.reshape(style.shape[:2])]
    return matched


def luminance(image: np.ndarray) -> np.ndarray:
    """The picture in grey: float32 `(height, width, 3)`, three equal channels.

    Source: ITU-R BT.601, Y of YUV and YIQ.
    """
    grey = as_floats(image) @ LUMA
    return np.repeat(grey[..., None], 3, axis=-1)


def match_luminance(style_luma: np.ndarray, content_luma: np.ndarray) -> np.ndarray:
    """The style, as light on average and as rich in contrast as the content: `σc / σs (y - μs) + μc`.

    Args:
        style_luma, content_luma: what `luminance` gives, of any sizes.

    Returns:
        float32, the size of `style_luma`, clipped to 0..255.

    Source: arXiv:1606.05897, section 5, luminance-only transfer.
    """
    style, content = as_floats(style_luma), as_floats(content_luma)
    contrast = content.std(dtype="float64") / max(style.std(dtype="float64"), NOISE**0.5)
    return within((style - style.mean(dtype="float64")) * contrast + content.mean(dtype="float64"))


def as_floats(image: np.ndarray) -> np.ndarray:
    """The picture as float32.

    Raises:
        InputError: it is not `(height, width, 3)`, or empty.
    """
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"a picture of shape (height, width, 3) is expected, not {image.shape}")
    return np.asarray(image, "float32")


def within(pixels: np.ndarray) -> np.ndarray:
    """Clipped to 0..255, float32."""
    return np.clip(pixels, 0, 255).astype("float32")


def moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean `(3,)` and covariance `(3, 3)` of the colours, float64."""
    pixels = image.reshape(-1, 3)
    mean = pixels.mean(axis=0, dtype="float64")
    centred = pixels - mean.astype("float32")
    return mean, (centred.T @ centred).astype("float64") / len(pixels)


def power(covariance: np.ndarray, exponent: float, least: float = 0.0) -> np.ndarray:
    """A power of a symmetric matrix, no eigenvalue taken as smaller than `least`."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.maximum(values, least) ** exponent) @ vectors.T


def ranks(counts: np.ndarray) -> np.ndarray:
    """Of values in ascending order, met so many times: the share of all that lies below, and half of their own."""
    return (np.cumsum(counts) - counts / 2) / counts.sum()
