"""glass.jpg: a window of stained glass, poppies at a lake before the rising sun.

Every pixel gets the number of its piece of glass and a colour; a piece has the mean colour of its pixels, a little
off. The glass is streaked in a direction of its own in every piece, the light comes from behind, and lead runs
between the pieces.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from drawing.texture import HEIGHT, SCALE, WIDTH, finish, light_relief, shades, soft_noise

H, W = HEIGHT * SCALE, WIDTH * SCALE
LEAD = 4.2  # half of its width, in pixels
RIM = 44  # the border of the window, in pixels

SUN = (690.0, 262.0, 74.0)  # x, y, radius
SKY = [(255, 236, 120), (255, 190, 70), (250, 132, 70), (226, 86, 110), (140, 74, 160), (62, 78, 180), (28, 66, 150)]
HILLS = [
    (350, 46, [(120, 110, 190), (90, 120, 200), (150, 130, 200)]),
    (410, 38, [(40, 130, 150), (60, 160, 160), (30, 110, 140)]),
    (470, 24, [(40, 140, 70), (90, 170, 60), (20, 110, 70), (140, 190, 70)]),
]
WATER = [(20, 90, 150), (50, 150, 190), (110, 200, 210), (24, 70, 130)]
PETALS = [(226, 30, 36), (250, 70, 40), (200, 14, 44), (255, 110, 50)]
LEAVES = [(30, 120, 50), (110, 180, 50), (20, 90, 60), (160, 200, 70)]
BORDER = [(30, 60, 150), (180, 30, 50), (240, 180, 50), (20, 110, 90)]
# x and y of the heart, radius, turn of the petals, where the stem stands.
POPPIES = [(196, 452, 98, 0.3, 262), (372, 588, 82, 1.0, 352), (104, 640, 66, 0.6, 150), (860, 556, 92, 0.1, 812)]
BLADES = [  # leaves: from the foot over a bend to the tip
    [(300, 790), (330, 640), (470, 540)], [(240, 790), (190, 680), (60, 560)], [(400, 790), (470, 690), (560, 640)],
    [(770, 790), (720, 660), (640, 590)], [(840, 790), (900, 700), (985, 640)], [(330, 790), (290, 650), (300, 520)],
    [(800, 790), (770, 690), (760, 560)], [(560, 790), (600, 720), (680, 690)], [(120, 790), (90, 740), (40, 720)],
]  # fmt: skip


class Window:
    """The pieces while they are laid: a number and a wished colour for every pixel."""

    def __init__(self) -> None:
        self.piece = np.zeros((H, W), "int64")
        self.colour = np.zeros((H, W, 3), "float32")

    def lay(self, where: NDArray[np.bool_], number: NDArray, colour: NDArray) -> None:
        """Pieces over what lies there: pixels with the same `number` are one."""
        above = self.piece.max() + 1
        self.piece[where] = above + np.broadcast_to(number, (H, W)).astype("int64")[where]
        self.colour[where] = np.broadcast_to(colour, (H, W, 3))[where]


def mask_of(points: NDArray) -> NDArray[np.bool_]:
    """The inside of a polygon."""
    mask = Image.new("1", (W, H))
    ImageDraw.Draw(mask).polygon([tuple(map(float, each)) for each in points], fill=1)
    return np.asarray(mask)


def bezier(points: list[tuple[int, int]]) -> NDArray:
    """A bent line of three points, as many."""
    t = np.linspace(0, 1, 40)[:, None]
    a, b, c = np.array(points, float)
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c


def lay_pieces() -> Window:
    """The picture, from far to near."""
    window = Window()
    y, x = np.mgrid[0:H, 0:W].astype("float32")
    everywhere = np.ones((H, W), bool)

    u, v, radius = SUN
    far, turn = np.hypot(x - u, y - v), np.arctan2(y - v, x - u) / (2 * np.pi) + 0.5
    ring = np.searchsorted(np.array([1.0, 1.75, 2.7, 3.9, 5.3, 6.9, 8.8]) * radius, far)
    parts = np.array([1, 12, 16, 20, 26, 32, 38, 44])[ring]
    sector = np.floor(turn * parts + 0.5 * (ring % 2)) % np.maximum(parts, 1)
    glow = shades(SKY, np.clip(far / (8.2 * radius), 0, 1))
    window.lay(everywhere, ring * 100 + sector * (ring > 0), np.where((ring == 0)[..., None], (255, 244, 170), glow))

    for place, (top, rise, palette) in enumerate(HILLS):
        ridge = top + rise * np.sin(x / (150 - 22 * place) + 2.1 * place) + 0.4 * rise * np.sin(x / 57 + place)
        column = np.floor((x + (0.9 - 0.7 * place) * (y - top) + 16 * np.sin(y / 30)) / (74 + 12 * place)) + 20
        row = np.floor((y - ridge) / 46)
        window.lay(y > ridge, row * 100 + column, np.array(palette)[(column + row).astype(int) % len(palette)])

    for number in range(6):  # waves: rows that grow towards us, gold where the sun is mirrored
        width = 96 + 26 * number
        phase = x / width + 0.37 * number
        wave = np.floor(phase + 0.5)
        crest = 500 + 40 * number + 4 * number**2 - 13 * np.abs(np.cos(np.pi * phase)) ** 0.7
        under_sun = np.abs((wave - 0.37 * number) * width - u) < 0.5 * width
        water = np.array(WATER)[(2 * number + wave).astype(int) % len(WATER)]
        window.lay(y > crest, wave, np.where(under_sun[..., None], (255, 178 - 10 * number, 70), water))

    for number, blade in enumerate(BLADES):
        spine = bezier(blade)
        t = np.linspace(0, 1, len(spine))[:, None]
        way = np.gradient(spine, axis=0)
        across = np.stack([-way[:, 1], way[:, 0]], 1) / np.linalg.norm(way, axis=1, keepdims=True)
        wide = across * (22 * np.sin(np.pi * np.clip(0.12 + 0.88 * t, 0, 1)) ** 0.8)
        for side, light in ((1, 0), (-1, 1)):
            half = mask_of(np.concatenate([spine, (spine + side * wide)[::-1]]))
            window.lay(half, (y // 92), np.array(LEAVES[(2 * (number % 2) + light) % 4]))
    half = np.array([5, 0])
    for u, v, radius, turned, foot in POPPIES:
        stem = bezier([(foot, 790), (int(0.6 * foot + 0.4 * u + 14), int(0.5 * v + 390)), (u, v)])
        window.lay(mask_of(np.concatenate([stem + half, (stem - half)[::-1]])), y // 110, np.array((90, 150, 50)))
        far, turn = (
            np.hypot(x - u, (y - v) * 1.08) / radius,
            np.arctan2((y - v) * 1.08, x - u) / (2 * np.pi) * 5 + turned,
        )
        petal, place = np.floor(turn) % 5, turn % 1 - 0.5
        edge = 0.80 + 0.24 * np.sqrt(np.clip(1 - (1.9 * place) ** 2, 0, 1)) + 0.015 * np.cos(place * 25)
        ring = (far > 0.30).astype(int) + (far > 0.66 + 0.10 * np.cos(place * 6.3))
        red = np.array(PETALS)[((petal + 2 * (ring > 1)) % 4).astype(int)]
        heart = np.where((ring == 0)[..., None], (60, 20, 70), red)
        window.lay(far < edge, np.where(ring == 0, 0, 10 * ring + petal), heart)
        window.lay(far < 0.15, np.zeros(()), np.array((240, 200, 60)))

    rim = np.minimum(np.minimum(x, W - 1 - x), np.minimum(y, H - 1 - y))
    upright = np.minimum(x, W - 1 - x) < np.minimum(y, H - 1 - y)
    side = np.where(upright, np.where(x < W / 2, 0, 1), np.where(y < H / 2, 2, 3))
    place = np.floor(np.where(upright, y / H * 12, x / W * 16))
    window.lay(rim < RIM, side * 100 + place, np.array(BORDER)[(place.astype(int) * 3 + side) % 4])
    return window


def draw() -> Image.Image:
    """The picture, uint8 RGB, 512 wide and 384 high."""
    random = np.random.default_rng(5)
    window = lay_pieces()
    numbers, piece = np.unique(window.piece, return_inverse=True)
    piece = piece.reshape(H, W)
    count = len(numbers)
    size = np.bincount(piece.ravel(), minlength=count)
    means = (
        np.stack([np.bincount(piece.ravel(), window.colour[..., c].ravel(), count) for c in range(3)], 1)
        / size[:, None]
    )
    means = means * random.uniform(0.80, 1.12, (count, 1)) + random.normal(0, 9, (count, 3))

    # Streaks: long spots of noise, turned and moved in every piece.
    y, x = np.mgrid[0:H, 0:W].astype("float32")
    turn, start = random.uniform(0, np.pi, count)[piece], random.uniform(0, 500, (2, count))[:, piece]
    noise = soft_noise(random, (512, 512), 16, 3)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    streaks = ndimage.map_coordinates(noise, [along / 5 + start[0], across / 1.3 + start[1]], order=1, mode="grid-wrap")
    seeds = ndimage.map_coordinates(noise, [x * 1.9, y * 1.9], order=1, mode="grid-wrap")

    edge = np.zeros((H, W), bool)
    edge[:, 1:] |= piece[:, 1:] != piece[:, :-1]
    edge[1:] |= piece[1:] != piece[:-1]
    gap = ndimage.distance_transform_edt(~edge).astype("float32")

    light = 0.84 + 0.34 * np.exp(-((x - SUN[0]) ** 2 + (y - SUN[1]) ** 2) / 330**2)
    light *= (1 - 0.42 * np.exp(-gap / 9)) * (1 + 0.13 * streaks + 0.03 * seeds)
    glass = 255 * np.clip(means[piece] / 255 * light[..., None], 0, 1.3)
    glass += 26 * np.clip(streaks - 0.7, 0, 2)[..., None] * light[..., None]

    round_lead = ndimage.gaussian_filter(np.sqrt(np.clip(1 - (gap / LEAD) ** 2, 0, 1)), 1.3)
    lead = light_relief(np.full((H, W, 3), 34.0) + 3 * seeds[..., None], LEAD * round_lead, 1.0, 90)
    cover = np.clip(LEAD + 0.5 - gap, 0, 1)[..., None]
    pixels = glass * (1 - cover) + lead * cover
    bloom = np.stack([ndimage.gaussian_filter(np.clip(glass[..., c] - 90, 0, None), 14) for c in range(3)], -1)
    return finish(pixels + 0.16 * bloom)
