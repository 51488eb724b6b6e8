"""A loss and its gradient for a picture: of the whole at once, or tile by tile with the same result."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from keras import ops

from imgnn import backend
from imgnn.backend import Parts, Tensor, compiled, value_and_grad
from imgnn.errors import InputError
from imgnn.networks.features import count_activations, cut
from imgnn.networks.network import Network
from imgnn.networks.table import reach
from imgnn.optimize.objectives import NOWHERE, Features, Objective, Scene
from imgnn.optimize.tiles import Tile, cut_tiles
from imgnn.options import SMALLEST_TILE

ANY_SIZE: Any = (None, None)

See = Callable[[Tensor], Features]
T = TypeVar("T")


class Picture(Protocol):
    """`pixels -> (loss, parts, gradient)`; pixels `(1, height, width, 3)`, RGB, 0..255."""

    def __call__(self, pixels: Tensor, scene: Scene = NOWHERE) -> tuple[Tensor, Parts, Tensor]: ...

    def measure(self, pixels: Tensor, scene: Scene = NOWHERE) -> tuple[Tensor, Parts]:
        """The loss and its parts alone, in half the memory."""


class Whole:
    """Evaluates a picture in one piece.

    Args:
        see: pixels -> features.
        objective: of both.
        scene: what the objective wants to know beside, the same in every call.
        any_size: as of `backend.value_and_grad`; `see` takes pictures of several sizes.
    """

    def __init__(self, see: See, objective: Objective, scene: Scene = NOWHERE, *, any_size: bool = False) -> None:
        self.scene = scene

        def evaluate(pixels: Tensor, scene: Scene) -> tuple[Tensor, Parts]:
            return objective(pixels, see(pixels), scene)

        self.run, self.forward = value_and_grad(evaluate, any_size=any_size), compiled(evaluate)

    def __call__(self, pixels: Tensor, scene: Scene = NOWHERE) -> tuple[Tensor, Parts, Tensor]:
        return self.run(pixels, {**self.scene, **scene})

    def measure(self, pixels: Tensor, scene: Scene = NOWHERE) -> tuple[Tensor, Parts]:
        loss, parts = self.forward(pixels, {**self.scene, **scene})
        return loss, parts


class Tiled:
    """Evaluates a picture tile by tile: as large as you like, the memory is that of a tile.

    The loss is a function of sums over the picture. They are added up over the tiles first; then each tile's share of
    the gradient is taken with the sums of the whole in place, and the shares are added where the windows overlap. It is
    the gradient of the whole, not an approximation; the price is a second look, about a third more work, and the
    overlap.

    Args:
        see: a window's pixels -> its features.
        objective: as for `Whole`.
        tiles: of `tiles.cut_tiles`.
        layers: layer -> `(height, width)` of its features of a window.
        scene: as for `Whole`, for the whole picture; arrays in main memory, cut for each tile.
    """

    def __init__(
        self,
        see: See,
        objective: Objective,
        tiles: Sequence[Tile],
        layers: Mapping[str, tuple[int, int]],
        scene: Scene = NOWHERE,
    ) -> None:
        self.objective, self.tiles, self.layers = objective, tiles, layers
        self.scene = {key: ops.convert_to_numpy(value) for key, value in scene.items()}
        self.sums = compiled(lambda window, scene: objective.sums(see(window), scene))
        self.run = value_and_grad(
            lambda window, scene, totals: objective.of_sums(
                in_place_of(totals, objective.sums(see(window), scene)), scene
            )
        )
        self.pixels = value_and_grad(objective.of_pixels)

    def __call__(self, pixels: Tensor, scene: Scene = NOWHERE) -> tuple[Tensor, Parts, Tensor]:
        whole = ops.convert_to_numpy(pixels)
        totals = self.totals(whole, scene)
        gradient, loss = np.zeros_like(whole), ops.zeros(())
        parts: Parts = {}
        for tile in self.tiles:
            window = ops.convert_to_tensor(whole[tile.window])
            loss, parts, share = self.run(window, self.scene_of(tile, scene), totals)
            gradient[tile.window] += ops.convert_to_numpy(share)
        if not self.objective.of_picture:
            return loss, parts, ops.convert_to_tensor(gradient)
        more, own, slope = self.pixels(pixels, self.factors(scene))
        return loss + more, {**parts, **own}, ops.convert_to_tensor(gradient) + slope

    def measure(self, pixels: Tensor, scene: Scene = NOWHERE) -> tuple[Tensor, Parts]:
        with backend.forward_only():
            totals = self.totals(ops.convert_to_numpy(pixels), scene)
            loss, parts = self.objective.of_sums(totals, self.factors(scene))
            more, own = self.objective.of_pixels(pixels, self.factors(scene))
        return loss + more, {**parts, **own}

    def factors(self, scene: Scene) -> Scene:
        """What of the scene belongs to no layer."""
        return {key: value for key, value in {**self.scene, **scene}.items() if key.startswith("factor:")}

    def totals(self, pixels: np.ndarray, scene: Scene = NOWHERE) -> dict[str, dict[str, Tensor]]:
        """The sums of the objective over the whole picture."""
        totals: dict[str, dict[str, Tensor]] = {}
        for tile in self.tiles:
            sums = self.sums(ops.convert_to_tensor(pixels[tile.window]), self.scene_of(tile, scene))
            for name, each in sums.items():
                own = totals.setdefault(name, {})
                for key, value in each.items():
                    own[key] = own[key] + value if key in own else value
        return totals

    def scene_of(self, tile: Tile, scene: Scene) -> Scene:
        """What belongs to one tile."""
        cut: dict[str, Tensor] = {}
        for key, value in {**self.scene, **scene}.items():
            kind, _, name = key.partition(":")
            if kind == "factor":
                cut[key] = value
                continue
            cut[key] = ops.convert_to_tensor(ops.convert_to_numpy(value)[tile.of_layer(name, self.layers[name])])
        counts = {
            f"counts:{name}": ops.convert_to_tensor(tile.counts(name, size)) for name, size in self.layers.items()
        }
        return {**cut, **counts}


def build_picture(
    network: Network,
    layers: Sequence[str],
    size: tuple[int, int],
    see: Callable[[Sequence[str], tuple[int, int]], See],
    objective: Objective,
    scene: Scene = NOWHERE,
    tile: int | None = None,
) -> "Whole | Tiled":
    """What evaluates pictures of a size, as a whole or in tiles.

    Args:
        layers: those of the objective.
        size: `(height, width)`, pixels; without tiles `ANY_SIZE` gives one that evaluates pictures of several sizes.
        see: `(layers, size) -> pixels of this size -> their features`.
        tile: side of a tile, pixels; None: in one piece.

    Raises:
        InputError: tiles are wanted, and a layer sees the whole picture at once.
    """
    if tile is None:
        return Whole(see(layers, size), objective, scene, any_size=size == ANY_SIZE)
    tiles = cut_tiles(size, reach(network, layers, size), tile)
    sizes = {name: each.shape[1:3] for name, each in cut(network, layers, tiles[0].size).output.items()}
    return Tiled(see(layers, tiles[0].size), objective, tiles, sizes, scene)


def compute_features(
    network: Network,
    layers: Sequence[str],
    pixels: Tensor,
    see: Callable[[Sequence[str], tuple[int, int]], See],
    tile: int | None = None,
) -> dict[str, Any]:
    """The features of a whole picture; of one that is looked at in tiles, in main memory.

    Args:
        see, tile: as for `build_picture`.
    """
    size = tuple(pixels.shape[1:3])
    if tile is None:
        with backend.forward_only():
            return dict(see(layers, size)(pixels))
    tiles = cut_tiles(size, reach(network, layers, size), tile)
    look, whole = see(layers, tiles[0].size), ops.convert_to_numpy(pixels)
    found = {
        name: np.zeros((1, *each.shape[1:]), "float32") for name, each in cut(network, layers, size).output.items()
    }
    for part in tiles:
        with backend.forward_only():
            features = look(ops.convert_to_tensor(whole[part.window]))
        for name, each in features.items():
            own = part.own(name)
            found[name][part.of_layer(name, each.shape[1:3])][own] = ops.convert_to_numpy(each)[own]
    return found


def tile_for(
    network: Network, layers: Sequence[str], size: tuple[int, int], precision: str, wanted: int | None = None
) -> int | None:
    """The side of the tiles to look at a picture with, pixels; None: in one piece.

    Args:
        wanted: by the user; None: as the memory asks for. On a GPU one finds out by trying.

    Raises:
        InputError: tiles are needed, and a layer sees the whole picture at once.
    """
    if wanted is None:
        there = backend.memory() if backend.device() == "cpu" else None
        needed = needed_memory(network, layers, size, precision)
        if there is None or needed < 0.6 * there:
            return None
        wanted = int(math.sqrt(0.3 * there / needed * size[0] * size[1]))
    side = max(wanted, SMALLEST_TILE)
    if side >= max(size):
        return None
    reach(network, layers, size)  # tells what cannot be tiled
    return side


def halve_tile(error: Exception, network: Network, size: tuple[int, int], tile: int | None) -> int:
    """The side of the tiles to go on with when the memory did not suffice: half of what it was.

    Args:
        error: what the evaluation of a picture of `size` ended with.
        tile: the side so far, pixels; None: in one piece.

    Raises:
        InputError: the tiles would be too small.
        error: itself, if it tells of something else.
    """
    if not backend.is_out_of_memory(error):
        raise error
    smaller = (tile or max(size)) // 2
    if smaller < SMALLEST_TILE:
        height, width = size
        raise InputError(
            f"{height} x {width} pixels of {network.name} do not fit into the memory",
            hint="a smaller --size, or a smaller network",
        ) from error
    return smaller


def if_it_fits(work: Callable[[], T]) -> T | None:
    """What `work` gives; None if the memory does not suffice, even in tiles: what there is already must not be lost."""
    try:
        return work()
    except Exception as error:
        if not (isinstance(error, InputError) or backend.is_out_of_memory(error)):
            raise
        return None


def needed_memory(network: Network, layers: Sequence[str], size: tuple[int, int], precision: str) -> float:
    """About how many bytes the evaluation of a picture in one piece takes.

    Each activation is kept for the gradient, beside the gradient itself. (Measured with SqueezeNet v1.1 at 512 to 1536
    pixels: the process has 0.9 to 1.1 times that, and 0.6 GB for TensorFlow.)
    """
    number = {"float32": 4.0, "bfloat16": 2.0}[precision]
    return 2 * number * count_activations(network, layers, size) if layers else 0.0


def in_place_of(totals: Mapping[str, Any], sums: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """The totals, as values; but their gradient is that of the sums of one tile."""
    return {
        name: {key: ops.stop_gradient(totals[name][key] - value) + value for key, value in each.items()}
        for name, each in sums.items()
    }
