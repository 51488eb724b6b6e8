"""Every knob and its default: one frozen dataclass per job. Imports no Keras.

`None` means "the network's own"; the job resolves it once.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ClassifyOptions:
    """What `imgnn classify` may be told."""

    network: str = "squeezenet-v1.1"  # a name of the registry, or a .keras or .caffemodel file
    top: int = 5  # classes shown for each picture, most probable first
    oversample: bool = False  # average over ten crops (corners, centre, mirrored) instead of the centre alone
    batch: int = 16  # crops that go through the network at once: more is faster until the memory is full
