import re
import signal

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy import signal as filters

from imgnn.errors import DivergedError, InputError, InterruptedRun, UnknownNameError
from imgnn.images.files import load_image, read_settings, save_image
from imgnn.images.preprocessing import Preprocessing
from imgnn.images.resize import resize
from imgnn.jobs import dream as job
from imgnn.jobs import dreamer
from imgnn.jobs.dream import dream_picture, dream_zoom
from imgnn.networks.files import save_network
from imgnn.networks.network import Network
from imgnn.optimize.evaluate import Whole
from imgnn.options import DreamOptions, LayerChoice
from imgnn.runs import Silent

MEAN = (104.0, 116.0, 122.0)  # B, G, R: the notebook's


class Recorder(Silent):
    """Remembers what it is told; presses Ctrl-C at one step."""

    def __init__(self, stop=None):
        self.facts, self.notes, self.stop = [], [], stop

    def note(self, message):
        self.notes.append(message)

    def advance(self, done, **facts):
        self.facts.append(facts)
        if done == self.stop:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def kernel(random):
    """5 x 5, BGR to four channels."""
    return (random.normal(size=(5, 5, 3, 4)) / 10).astype("float32")


@pytest.fixture
def network(tmp_path, kernel):
    """One convolution with its ReLU, and a channel that never fires, as a file."""
    data = keras.Input((None, None, 3), name="data")
    conv = keras.layers.Conv2D(4, 5, padding="same", name="conv")
    mute = keras.layers.Conv2D(2, 1, name="mute")
    x = keras.layers.ReLU(name="relu")(conv(data))
    model = keras.Model(data, keras.layers.ReLU(name="relu_mute")(mute(x)))
    conv.set_weights([kernel, np.zeros(4, "float32")])
    mute.set_weights([-np.ones((1, 1, 4, 2), "float32"), np.zeros(2, "float32")])
    layers = {layer.name: layer.name for layer in model.layers[1:]}
    path = tmp_path / "one.keras"
    blobs = {"conv": ("relu", 0), "mute": ("relu_mute", 0)}
    save_network(Network("one", model, Preprocessing((32, 32), mean=MEAN), layers, blobs), path)
    return str(path)


@pytest.fixture
def wide(tmp_path):
    """A convolution that wants 20 x 20 pixels at least, as a file."""
    data = keras.Input((None, None, 3), name="data")
    model = keras.Model(data, keras.layers.Conv2D(2, 20, name="conv")(data))
    save_network(Network("wide", model, Preprocessing((32, 32)), {"conv": "conv"}, {}), tmp_path / "wide.keras")
    return str(tmp_path / "wide.keras")


@pytest.fixture
def quick(network):
    """Options for it: `quick(size=20)`."""

    def options(**changes):
        plain = {"network": network, "layers": (LayerChoice("conv"),), "iterations": 3, "octaves": 2, "jitter": 4}
        return DreamOptions(**{**plain, "precision": "float32", **changes})

    return options


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.png"


def deepdream(image, kernel, seed, octave_n=2, iter_n=3, octave_scale=1.4, step_size=1.5, jitter=4):
    """google/deepdream, dream.ipynb, with SciPy's convolutions where it has Caffe's; channels first, BGR, as there."""
    random, mean = np.random.default_rng(seed), np.array(MEAN)[:, None, None]
    filters_of = kernel.astype("float64").transpose(3, 2, 0, 1)

    def make_step(src):
        ox, oy = random.integers(-jitter, jitter + 1, 2)[::-1]
        src = np.roll(np.roll(src, ox, -1), oy, -2)
        dst = [sum(filters.correlate2d(p, f, "same") for p, f in zip(src, own, strict=True)) for own in filters_of]
        dst = np.maximum(dst, 0)  # and this is the gradient at the layer: diff = data
        g = np.stack(
            [
                sum(filters.convolve2d(d, own[c], "same") for d, own in zip(dst, filters_of, strict=True))
                for c in range(3)
            ]
        )
        src = src + step_size / np.abs(g).mean() * g
        src = np.roll(np.roll(src, -ox, -1), -oy, -2)
        return np.clip(src, -mean, 255 - mean)

    octaves = [np.rollaxis(image.astype("float64"), 2)[::-1] - mean]
    for _ in range(octave_n - 1):
        octaves.append(ndimage.zoom(octaves[-1], (1, 1.0 / octave_scale, 1.0 / octave_scale), order=1))
    detail = np.zeros_like(octaves[-1])
    for octave, octave_base in enumerate(octaves[::-1]):
        h, w = octave_base.shape[-2:]
        if octave > 0:
            h1, w1 = detail.shape[-2:]
            detail = ndimage.zoom(detail, (1, 1.0 * h / h1, 1.0 * w / w1), order=1)
        src = octave_base + detail
        for _ in range(iter_n):
            src = make_step(src)
        detail = src - octave_base
    return np.dstack((src + mean)[::-1])


def test_it_is_google_deepdream(tiny_image, out, quick, kernel):
    result = dream_picture(tiny_image, out, quick(seed=3))
    wanted = deepdream(load_image(tiny_image), kernel, seed=3)
    off = np.abs(load_image(out) - wanted)
    # Rounding to levels takes half of one; float32 may round the other way.
    assert (off.max() < 0.51, result.steps, result.size) == (True, 6, (40, 60))
    assert np.abs(wanted - load_image(tiny_image)).mean() > 3, "something was dreamed"


def test_the_objective_rises_and_is_told_for_each_layer(tiny_image, out, quick):
    layers = (LayerChoice("conv", weight=2.0), LayerChoice("conv", 1))
    result = dream_picture(tiny_image, out, quick(layers=layers), recorder := Recorder())
    assert result.layers == ("conv=2", "conv:1")
    assert list(result.before) == list(result.after) == ["conv", "conv:1"]
    assert all(result.after[name] > result.before[name] > 0 for name in result.before)
    for facts in recorder.facts:
        assert facts["objective"] == pytest.approx(facts["conv"] + facts["conv:1"])
    assert recorder.facts[5]["objective"] > recorder.facts[3]["objective"]
    assert recorder.notes == [
        "one, conv=2, conv:1: 40 x 60 pixels (height x width), by way of 29 x 43; 6 steps on the "
        f"{'processor' if job.backend.device() == 'cpu' else 'GPU'}, in float32"
    ]


@pytest.mark.parametrize("optimizer", ["ascent", "adam", "lbfgs"])
@pytest.mark.parametrize("objective", ["norm", "mean"])
def test_every_optimizer_raises_every_objective(tiny_image, out, quick, optimizer, objective):
    result = dream_picture(tiny_image, out, quick(optimizer=optimizer, objective=objective, jitter=None))
    assert result.after["conv"] > 1.05 * result.before["conv"]
    assert read_settings(out)["pixels_of_jitter"] == (0 if optimizer == "lbfgs" else 32)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_enhance_comes_near_to_what_is_gain_times_as_strong(tmp_path, out, quick, optimizer):
    """A faint picture, so that twice as much is within the levels."""
    faint = np.random.default_rng(1).integers(100, 140, (30, 40, 3)).astype("uint8")
    save_image(tmp_path / "faint.png", faint)
    options = quick(objective="enhance", gain=1.5, optimizer=optimizer, iterations=20, tv_weight=0.0, octaves=1)
    result = dream_picture(tmp_path / "faint.png", out, options)
    assert result.before == pytest.approx({"conv": 0.25}, rel=1e-4)  # |a - 1.5 a|² / |a|²
    assert result.after["conv"] < 0.1


def test_a_weight_on_the_total_variation_makes_it_smoother(tiny_image, tmp_path, quick):
    rough = []
    for weight in (0.0, 3.0):
        options = quick(objective="enhance", tv_weight=weight, optimizer="adam", iterations=8)
        result = dream_picture(tiny_image, tmp_path / f"{weight}.png", options)
        rough.append(np.abs(np.diff(load_image(result.path).astype(int), axis=1)).mean())
    assert set(result.before) == {"conv", "tv"}
    assert result.before["tv"] == pytest.approx(3.0, rel=1e-4)  # the picture's own, by the weight
    assert rough[1] < 0.9 * rough[0]


def test_the_guide_is_found_in_the_picture(tiny_image, tmp_path, out, quick, kernel):
    """One step by hand: at each position the guide's vector with the largest dot product."""
    guide = np.random.default_rng(5).integers(0, 256, (16, 20, 3)).astype("uint8")
    save_image(tmp_path / "guide.png", guide)
    dream_picture(tiny_image, out, quick(guide=tmp_path / "guide.png", iterations=1, octaves=1, jitter=0))
    own = kernel.astype("float64")

    def see(image):
        x = image[..., ::-1].astype("float64") - MEAN
        planes = [sum(filters.correlate2d(x[..., i], own[..., i, o], "same") for i in range(3)) for o in range(4)]
        return np.stack(planes, -1)

    here, there = see(load_image(tiny_image)), np.maximum(see(guide), 0).reshape(-1, 4)
    best = there[(np.maximum(here, 0).reshape(-1, 4) @ there.T).argmax(1)].reshape(here.shape) * (here > 0)
    g = np.stack(
        [sum(filters.convolve2d(best[..., o], own[..., i, o], "same") for o in range(4)) for i in (2, 1, 0)], -1
    )
    wanted = np.clip(load_image(tiny_image) + 1.5 / np.abs(g).mean() * g, 0, 255)
    assert np.abs(load_image(out) - wanted).max() < 0.51


def test_a_guide_too_small_for_the_layer_is_named(tiny_image, tmp_path, out, wide):
    save_image(tmp_path / "dot.png", np.zeros((19, 30, 3), "uint8"))
    options = DreamOptions(wide, layers=(LayerChoice("conv"),), guide=tmp_path / "dot.png")
    with pytest.raises(InputError, match=re.escape(f"guide {tmp_path / 'dot.png'}: ")) as caught:
        dream_picture(tiny_image, out, options)
    assert caught.value.hint == "a larger guide, or an earlier layer"


def test_smoothing_and_the_pyramid_change_what_is_followed(tiny_image, tmp_path, quick):
    detail = {}
    for name, options in {"plain": {}, "smooth": {"smooth": 2.0}, "laplacian": {"laplacian": 3}}.items():
        dream_picture(tiny_image, tmp_path / f"{name}.png", quick(**options, jitter=0, octaves=1, iterations=1))
        change = load_image(tmp_path / f"{name}.png").astype(float) - load_image(tiny_image)
        detail[name] = np.abs(ndimage.gaussian_filter(change, (3, 3, 0))).mean() / np.abs(change).mean()
    assert detail["smooth"] > 2 * detail["plain"]
    assert detail["laplacian"] > 1.2 * detail["plain"]


def test_the_same_seed_makes_the_same_picture_and_another_another(tiny_image, tmp_path, quick):
    pictures = []
    for number, seed in enumerate((1, 1, 2)):
        dream_picture(tiny_image, tmp_path / f"{number}.png", quick(seed=seed))
        pictures.append(load_image(tmp_path / f"{number}.png"))
    np.testing.assert_array_equal(*pictures[:2])
    assert (pictures[0] != pictures[2]).mean() > 0.2


def test_size_is_the_long_side(tiny_image, out, quick):
    result = dream_picture(tiny_image, out, quick(size=30, iterations=1))
    assert (result.size, load_image(out).shape) == ((20, 30), (20, 30, 3))


def test_octaves_that_the_network_cannot_look_at_are_left_out(tiny_image, out, wide):
    options = DreamOptions(wide, layers=(LayerChoice("conv"),), octaves=6, iterations=1)
    result = dream_picture(tiny_image, out, options, recorder := Recorder())
    assert "by way of 21 x 31, 29 x 43; 3 steps" in recorder.notes[0]
    assert result.steps == 3


def test_a_network_of_the_registry_dreams_with_its_own_layer(tiny_image, out):
    result = dream_picture(tiny_image, out, DreamOptions(network="random", iterations=1, octaves=1))
    assert result.layers == ("relu3",)


def test_every_setting_is_in_the_file(tiny_image, out, quick):
    result = dream_picture(tiny_image, out, quick(seed=7, smooth=0.5))
    settings = read_settings(out)
    assert settings.keys() >= vars(quick()).keys() | {"image", "imgnn", "backend", "network_source", "octave_sizes"}
    assert (settings["command"], settings["seed"], settings["smooth"], settings["ended"]) == ("dream", 7, 0.5, "done")
    assert settings["after"] == result.after
    assert (settings["raised"], settings["octave_sizes"]) == (["conv"], [[29, 43], [40, 60]])


def test_ctrl_c_keeps_what_was_dreamed_so_far_at_the_full_size(tiny_image, out, quick, kernel):
    """Stopped after the three steps at 29 x 43: what they brought is scaled up and laid on the photo."""
    with pytest.raises(
        InterruptedRun, match=re.escape(f"stopped at step 3 of 6; the picture so far was saved to {out}")
    ):
        dream_picture(tiny_image, out, quick(), Recorder(stop=3))
    photo = load_image(tiny_image).astype("float64")
    small = ndimage.zoom(photo, (29 / 40, 43 / 60, 1), order=1)
    detail = deepdream(small, kernel, seed=0, octave_n=1) - small
    wanted = np.clip(photo + ndimage.zoom(detail, (40 / 29, 60 / 43, 1), order=1), 0, 255)
    assert np.abs(load_image(out) - wanted).max() < 0.51


def test_a_second_ctrl_c_does_not_lose_what_the_first_kept(tiny_image, out, quick):
    class Impatient(Recorder):
        def end(self):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRun, match="stopped at step"):
        dream_picture(tiny_image, out, quick(), Impatient(stop=4))
    assert load_image(out).shape == (40, 60, 3)


def test_ctrl_c_before_the_first_step_saves_nothing(tiny_image, out, quick, monkeypatch):
    monkeypatch.setattr(dreamer, "build_picture", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    with pytest.raises(InterruptedRun, match="stopped before the first step; nothing was saved"):
        dream_picture(tiny_image, out, quick())
    assert not out.exists()


def test_a_gradient_that_is_no_number_from_the_start_is_told_and_nothing_saved(tiny_image, out, quick):
    with pytest.raises(DivergedError, match="not finite at the first step; nothing was saved") as caught:
        dream_picture(tiny_image, out, quick(layers=(LayerChoice("conv", weight=1e38),)))
    assert "smaller =WEIGHTs" in caught.value.hint
    assert not out.exists()


def test_a_gradient_that_runs_away_is_told_and_the_picture_before_saved(tiny_image, out, quick, monkeypatch):
    build = dreamer.build_picture

    def failing(*args, **named):
        picture, looks = build(*args, **named), iter(range(100))

        def evaluate(*given):
            loss, parts, gradient = picture(*given)
            return loss, parts, gradient * (np.nan if next(looks) == 2 else 1)

        evaluate.measure = picture.measure
        return evaluate

    monkeypatch.setattr(dreamer, "build_picture", failing)
    message = f"the gradient is not finite after step 2 of 6; the picture so far was saved to {out}"
    with pytest.raises(DivergedError, match=re.escape(message)):
        dream_picture(tiny_image, out, quick())
    assert read_settings(out)["ended"] == "diverged"


def test_a_layer_that_fires_nowhere_is_told(tiny_image, out, quick):
    message = f"mute:1 of one does not fire on {tiny_image}: the picture would stay as it is"
    with pytest.raises(InputError, match=re.escape(message)):
        dream_picture(tiny_image, out, quick(layers=(LayerChoice("mute", 1),)))
    assert not out.exists()


def test_a_picture_is_not_replaced_by_its_dream(tiny_image, tmp_path, quick):
    guide = tmp_path / "guide.png"
    save_image(guide, load_image(tiny_image))
    for output, options in ((tiny_image, quick()), (guide, quick(guide=guide))):
        with pytest.raises(InputError, match="would be replaced by what is made of it"):
            dream_picture(tiny_image, output, options)


def test_what_the_memory_does_not_hold_in_the_smallest_tiles_is_told(tiny_image, out, quick, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(dreamer, "build_picture", full)
    with pytest.raises(InputError, match="29 x 43 pixels of one do not fit into the memory") as caught:
        dream_picture(tiny_image, out, quick())
    assert caught.value.hint == "a smaller --size, or a smaller network"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"layers": (LayerChoice("con"),)}, UnknownNameError, "no layer is called 'con'; did you mean 'conv'?"),
        ({"layers": (LayerChoice("conv", 4),)}, InputError, "layer conv of one has channels 0 to 3, not 4"),
        ({"layers": None}, InputError, "one does not say which of its layers to take for the dream"),
        ({"layers": (LayerChoice("conv"), LayerChoice("conv", weight=2.0))}, InputError, "--layers names conv twice"),
        ({"layers": (LayerChoice("conv", weight=0.0),)}, InputError, "the weights of all --layers are 0"),
        ({"octaves": 0}, InputError, "--octaves is at least 1, not 0"),
        ({"preview": 0}, InputError, "--preview is at least 1, not 0"),
        ({"octave_scale": 1.0}, InputError, "--octave-scale is a number above 1; 1.0 was given"),
        ({"step_size": float("nan")}, InputError, "--step-size is a number above 0; nan was given"),
        ({"smooth": -1.0}, InputError, "--smooth is a number, 0 or more; -1.0 was given"),
        ({"gain": float("inf")}, InputError, "--gain is a number; inf was given"),
        ({"guide": "GUIDE", "objective": "mean"}, InputError, "--guide has an objective of its own"),
        ({"guide": "GUIDE", "layers": (LayerChoice("conv", 1),)}, InputError, "--guide compares whole layers"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_one_line(tiny_image, out, quick, changes, error, message):
    changes = {key: tiny_image if value == "GUIDE" else value for key, value in changes.items()}
    with pytest.raises(error, match=re.escape(message)):
        dream_picture(tiny_image, out, quick(**changes))


def test_a_preview_is_the_picture_so_far_and_goes_at_the_end(tiny_image, out, quick, kernel):
    preview, shown = out.with_name("out.preview.png"), {}

    class Watcher(Recorder):
        def advance(self, done, **facts):  # before the preview of this step
            shown[done] = load_image(preview) if preview.exists() else None

    dream_picture(tiny_image, out, quick(octaves=1, iterations=5, preview=2), Watcher())
    assert [step for step, image in shown.items() if image is not None] == [3, 4, 5]
    for step, steps in ((3, 2), (4, 2), (5, 4)):
        wanted = deepdream(load_image(tiny_image), kernel, seed=0, octave_n=1, iter_n=steps)
        assert np.abs(shown[step] - wanted).max() < 0.51
    assert not preview.exists()


def test_a_preview_of_a_smaller_octave_is_as_large_as_the_picture(tiny_image, out, quick):
    preview, sizes = out.with_name("out.preview.png"), []

    class Watcher(Recorder):
        def advance(self, done, **facts):
            sizes.extend([load_image(preview).shape] if preview.exists() else [])

    dream_picture(tiny_image, out, quick(iterations=2, preview=1), Watcher())
    assert sizes == [(40, 60, 3)] * 3


def test_a_preview_takes_no_picture_s_place(tmp_path, tiny_image, quick):
    guide = tmp_path / "out.preview.png"
    guide.write_bytes(tiny_image.read_bytes())
    with pytest.raises(InputError, match=r"out\.preview\.png would be replaced"):
        dream_picture(tiny_image, tmp_path / "out.png", quick(guide=guide, preview=1))


def test_zoom_dreams_enlarges_and_dreams_again(tiny_image, tmp_path, quick, kernel):
    folder = tmp_path / "frames"
    result = dream_zoom(tiny_image, folder, 3, 0.1, quick(seed=2), recorder := Recorder())
    frames = [load_image(path) for path in sorted(folder.iterdir())]
    assert (result.frames, len(frames), len(recorder.facts)) == (3, 3, 18)
    frame = load_image(tiny_image).astype("float64")
    for number in range(3):  # the notebook's loop
        frame = deepdream(frame, kernel, seed=2 + number)
        assert np.abs(frames[number] - frame).mean() < 0.3, f"frame {number}"
        frame = ndimage.affine_transform(frame, [0.9, 0.9, 1], [40 * 0.05, 60 * 0.05, 0], order=1)


def test_zoom_compiles_for_the_first_frame_only(tiny_image, tmp_path, quick, monkeypatch):
    built, build = [], dreamer.build_picture
    monkeypatch.setattr(dreamer, "build_picture", lambda *args, **named: built.append(args[2]) or build(*args, **named))
    dream_zoom(tiny_image, tmp_path / "film.gif", 2, options=quick(iterations=1))
    assert built == [(None, None)], "once, for all octaves"
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.size) == (2, (60, 40))


def test_ctrl_c_leaves_the_frames_so_far(tiny_image, tmp_path, quick):
    film = tmp_path / "film.webp"
    with pytest.raises(InterruptedRun, match=re.escape(f"stopped in frame 3 of 5; the 2 before are in {film}")):
        dream_zoom(tiny_image, film, 5, options=quick(), reporter=Recorder(stop=14))
    with Image.open(film) as frames:
        assert frames.n_frames == 2


def test_ctrl_c_in_the_first_frame_leaves_nothing(tiny_image, tmp_path, quick):
    with pytest.raises(InterruptedRun, match=r"stopped in frame 1 of 5; nothing was saved"):
        dream_zoom(tiny_image, tmp_path / "film.gif", 5, options=quick(), reporter=Recorder(stop=2))
    assert not list(tmp_path.glob("*.gif"))


def test_a_film_that_cannot_be_written_is_told_before_the_work(tiny_image, tmp_path, quick):
    with pytest.raises(InputError, match="films are written as"):
        dream_zoom(tiny_image, tmp_path / "film.png", 2, options=quick())
    with pytest.raises(InputError, match="--zoom is at least 1 frame, not 0"):
        dream_zoom(tiny_image, tmp_path / "film.gif", 0, options=quick())
    with pytest.raises(InputError, match="--zoom-scale is a number between 0 and 1; 1"):
        dream_zoom(tiny_image, tmp_path / "film.gif", 2, 1.0, options=quick())


@pytest.mark.slow
def test_googlenet_dreams_on_the_sky(shared, out):
    """The notebook's picture and weights, at half its size: the norm rises about sixfold."""
    options = DreamOptions(str(shared / "weights" / "bvlc_googlenet.caffemodel"), size=512)
    result = dream_picture(shared / "photos" / "sky1024px.jpg", out, options)
    assert result.layers == ("inception_4c/output",)
    assert result.after["inception_4c/output"] > 4 * result.before["inception_4c/output"]
    photo = resize(load_image(shared / "photos" / "sky1024px.jpg"), result.size)
    assert 5 < np.abs(load_image(out).astype(int) - photo).mean() < 60


def test_a_size_that_no_memory_holds_is_refused(tiny_image, out, quick):
    with pytest.raises(InputError, match=r"wants about \d+ GB of memory; this machine has"):
        dream_picture(tiny_image, out, quick(size=2_000_000))


def test_tiles_of_a_picture_that_is_enhanced_without_smoothing(tmp_path, random):
    save_image(tmp_path / "photo.png", random.integers(0, 256, (150, 240, 3), dtype="uint8"))
    options = DreamOptions("random", objective="enhance", tv_weight=0.0, tile_size=128, octaves=1, iterations=1)
    result = dream_picture(tmp_path / "photo.png", tmp_path / "out.png", options)
    assert result.before.keys() == {"relu3"}


@pytest.mark.parametrize("objective", ["norm", "enhance"])
def test_tiles_dream_what_the_whole_dreams(tmp_path, random, objective):
    save_image(tmp_path / "photo.png", random.integers(0, 256, (150, 240, 3), dtype="uint8"))
    pictures = []
    for tile in (None, 128):
        options = DreamOptions(
            network="random", objective=objective, tile_size=tile, octaves=2, iterations=2, precision="float32"
        )
        dream_picture(tmp_path / "photo.png", tmp_path / "out.png", options)
        pictures.append(load_image(tmp_path / "out.png").astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_memory_that_does_not_suffice_makes_tiles(tmp_path, random, monkeypatch):
    class Full(Whole):
        def __call__(self, *given):
            raise MemoryError

    monkeypatch.setattr("imgnn.optimize.evaluate.Whole", Full)
    save_image(tmp_path / "photo.png", random.integers(0, 256, (150, 300, 3), dtype="uint8"))
    options = DreamOptions(network="random", octaves=1, iterations=1, precision="float32")
    result = dream_picture(tmp_path / "photo.png", tmp_path / "out.png", options, recorder := Recorder())
    assert result.steps == 1
    assert "not enough memory: going on with tiles of 150 pixels" in recorder.notes


def test_a_dream_that_cannot_be_measured_is_saved(tiny_image, out, quick, monkeypatch):
    def full(self, *given):
        raise MemoryError

    monkeypatch.setattr(Whole, "measure", full)
    result = dream_picture(tiny_image, out, quick())
    assert (result.steps, result.after) == (6, {})
    assert load_image(out).shape == (40, 60, 3)


def test_a_dream_that_cannot_be_saved_is_saved_elsewhere(tiny_image, out, quick, tmp_path, monkeypatch):
    (tmp_path / "spare").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spare"))

    def full(path, image, **settings):
        if path == out:
            raise InputError(f"cannot write {path}: No space left on device")
        save_image(path, image, **settings)

    monkeypatch.setattr("imgnn.images.files.save_image", full)
    with pytest.raises(InputError, match="No space left on device") as caught:
        dream_picture(tiny_image, out, quick())
    (spare,) = (tmp_path / "spare").iterdir()
    assert caught.value.hint == f"the picture was saved to {spare}"


def test_memory_that_gives_out_on_the_way_leaves_the_dream_so_far(tiny_image, out, quick, monkeypatch):
    looks, look = iter(range(100)), job.Dreamer.look

    def scarce(self, x, scene):
        if next(looks) == 4:
            raise InputError("40 x 60 pixels do not fit into the memory")
        return look(self, x, scene)

    monkeypatch.setattr(job.Dreamer, "look", scarce)
    with pytest.raises(InputError, match=re.escape(f"memory; the picture so far was saved to {out}")):
        dream_picture(tiny_image, out, quick())
    assert (read_settings(out)["steps"], load_image(out).shape) == (4, (40, 60, 3))


def test_frames_made_before_an_error_are_kept(tiny_image, tmp_path, quick, monkeypatch):
    dream, film = job.Dreamer.dream, tmp_path / "film.gif"

    def failing(self, image, seed, reporter):
        if seed == 2:
            raise InputError("do not fit into the memory")
        return dream(self, image, seed, reporter)

    monkeypatch.setattr(job.Dreamer, "dream", failing)
    with pytest.raises(InputError, match="do not fit"):
        dream_zoom(tiny_image, film, 5, options=quick(iterations=1))
    with Image.open(film) as frames:
        assert frames.n_frames == 2
