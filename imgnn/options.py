"""Every knob and its default: one frozen dataclass per job. Imports no Keras.

`None` means "the network's own"; the job resolves it once.
"""

from dataclasses import dataclass
from typing import Literal
