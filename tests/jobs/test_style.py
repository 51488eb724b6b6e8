import json
import math
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from imgnn.errors import DivergedError, InputError, InterruptedRun, UnknownNameError
from imgnn.images.files import LONGEST, load_image, read_settings, save_image
from imgnn.images.preprocess import preprocess
from imgnn.images.resize import resize
from imgnn.jobs import style as job
from imgnn.jobs import style_plan
from imgnn.jobs.load import load_network
from imgnn.jobs.style import cover, stylise
from imgnn.jobs.style_canvas import Canvas
from imgnn.jobs.style_grid import draw_grid
from imgnn.jobs.style_plan import Stage, plan, prepare
from imgnn.jobs.style_probe import probe
from imgnn.networks.features import cut
from imgnn.networks.names import network_of
from imgnn.optimize.evaluate import Whole
from imgnn.optimize.parameters import to_pixels
from imgnn.options import LayerChoice, StyleOptions
from imgnn.runs import Silent

QUICK = StyleOptions(
    network="random",
    size=48,
    iterations=3,
    style_layers=(LayerChoice("relu1"), LayerChoice("relu2")),
    precision="float32",
)


class Recorder(Silent):
    """Remembers the losses and what it is told; presses Ctrl-C at one step."""

    def __init__(self, stop=None):
        self.losses, self.steps, self.notes, self.stop = [], [], [], stop

    def note(self, message):
        self.notes.append(message)

    def advance(self, done, **facts):
        self.losses.append(facts["loss"])
        self.steps.append(done)
        if done == self.stop:
            raise KeyboardInterrupt


def changed(**options):
    return StyleOptions(**{**vars(QUICK), **options})


@pytest.fixture
def painting(tmp_path, random):
    """Blue and yellow stripes, 32 wide and 64 high."""
    stripes = np.zeros((64, 32, 3), "uint8")
    stripes[::4] = stripes[1::4] = (250, 220, 60)
    stripes[2::4] = stripes[3::4] = (20, 40, 160)
    save_image(tmp_path / "stripes.png", stripes)
    return tmp_path / "stripes.png"


@pytest.fixture
def sky(tmp_path):
    """A photo without detail: 40 x 60, lighter towards the bottom."""
    save_image(tmp_path / "sky.png", np.tile(np.linspace(60, 200, 40)[:, None, None], (1, 60, 3)).astype("uint8"))
    return tmp_path / "sky.png"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.png"


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_loss_falls_and_the_picture_has_the_shape_of_the_content(tiny_image, painting, out, optimizer):
    options = changed(optimizer=optimizer, iterations=12, tv_weight=0.0)
    result = stylise(tiny_image, [painting], out, options, recorder := Recorder())
    assert (result.path, result.size, result.network, result.steps) == (out, (32, 48), "random", 12)
    assert load_image(out).shape == (32, 48, 3)
    assert result.loss == pytest.approx(min(recorder.losses), rel=0.1)  # rounded and clipped to 0..255
    assert result.loss < 0.9 * recorder.losses[0]


@pytest.mark.parametrize("init", ["content", "random", "style"])
def test_the_same_seed_makes_the_same_picture(tiny_image, painting, tmp_path, init):
    pictures = []
    for number in range(2):
        path = tmp_path / f"{number}.png"
        stylise(tiny_image, [painting], path, changed(init=init, seed=5))
        pictures.append(load_image(path))
    np.testing.assert_array_equal(*pictures)


def begin(tiny_image, painting, **options):
    """The subject, the canvas of the last size, and the numbers that a run would begin with."""
    subject = prepare(tiny_image, [painting], changed(**options), Silent())
    canvas = Canvas(subject, subject.options.size, dreaming=False, reporter=Silent())
    return subject, canvas, job.first_picture(subject, canvas.photo)


def test_the_loss_is_that_of_the_formulas(tiny_image, painting):
    """Gram matrices, content, style and TV as neural-style writes them, in NumPy."""
    subject, canvas, start = begin(
        tiny_image, painting, init="random", content_layers=(LayerChoice("relu2", weight=2),)
    )
    network = load_network("random")

    def see(image):
        features = cut(network, ("relu1", "relu2"), image.shape[:2])(preprocess(image, network.preprocessing))
        return {name: ops.convert_to_numpy(value)[0].astype("float64") for name, value in features.items()}

    def gram(f):
        return np.einsum("hwi,hwj->ij", f, f) / f.size

    photo, there = resize(load_image(tiny_image), (32, 48)), see(resize(load_image(painting), (48, 24)))
    here, wanted = see(start.astype("float32")), see(photo)
    _, parts, _ = canvas.evaluate(canvas.parameter.values(to_pixels(start)))
    across, down = (start[:-1, :-1] - other for other in (start[:-1, 1:], start[1:, :-1]))
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(
        {
            "content": 5 * subject.content["relu2"] * np.mean((here["relu2"] - wanted["relu2"]) ** 2),
            "style": 100 * sum(subject.style[n] * np.mean((gram(here[n]) - gram(there[n])) ** 2) for n in there),
            "tv": 1e-3 * 0.5 * (np.sum(across**2) + np.sum(down**2)),
        },
        rel=1e-4,
    )
    plain, _, _ = begin(tiny_image, painting, content_layers=(LayerChoice("relu2"),))
    assert subject.content["relu2"] == pytest.approx(2 * plain.content["relu2"])


def test_each_init_begins_as_it_says(tiny_image, painting):
    starts = {init: begin(tiny_image, painting, init=init)[2] for init in ("content", "style", "random")}
    np.testing.assert_allclose(starts["content"], resize(load_image(tiny_image), (32, 48)), atol=1e-3)
    np.testing.assert_allclose(starts["style"], cover(load_image(painting), (32, 48)), atol=1e-3)
    assert (starts["random"].mean(), starts["random"].std()) == pytest.approx((128, 20), rel=0.03)


def test_a_picture_of_ones_own_is_what_it_begins_with(tiny_image, painting, tmp_path):
    save_image(tmp_path / "start.png", np.full((64, 96, 3), (10, 200, 30), "uint8"))
    subject, _, start = begin(tiny_image, painting, init=str(tmp_path / "start.png"))
    np.testing.assert_allclose(start, np.full((32, 48, 3), (10, 200, 30)), atol=1e-3)
    assert subject.options.files == (tmp_path / "start.png",)
    with pytest.raises(InputError, match=r"no such file: noise"):
        stylise(tiny_image, [painting], tmp_path / "out.png", changed(init="noise"))
    with pytest.raises(InputError, match="would be replaced by what is made of it"):
        stylise(tiny_image, [painting], tmp_path / "start.png", changed(init=str(tmp_path / "start.png")))


def test_what_it_begins_with_has_the_colours_that_are_painted_with(tiny_image, painting):
    subject, _, start = begin(tiny_image, painting, init="style", colours="luminance")
    np.testing.assert_allclose(start, cover(subject.paintings[0], (32, 48)))
    assert np.ptp(start, axis=-1).max() < 1, "grey"
    _, _, own = begin(tiny_image, painting, init=str(painting), colours="luminance")
    assert np.ptp(own, axis=-1).max() < 1, "grey"


def test_vggs_layers_weigh_what_they_weigh_in_neural_style(tiny_image, painting, monkeypatch):
    calibrated, _, _ = begin(tiny_image, painting)
    monkeypatch.setattr(style_plan, "load_network", lambda name, reporter: replace(load_network(name), name="vgg19"))
    plain, _, _ = begin(tiny_image, painting)
    assert set(plain.style.values()) == set(plain.content.values()) == {1.0}
    assert 1.0 not in {*calibrated.style.values(), *calibrated.content.values()}


def test_the_way_goes_from_small_to_large(tiny_image, painting):
    options = {"size": 512, "iterations": 7, "initial_iterations": 20}
    assert plan(prepare(tiny_image, [painting], changed(**options), Silent())) == [
        Stage(128, 20),
        Stage(181, 7),
        Stage(256, 7),
        Stage(362, 7),
        Stage(512, 7),
    ]
    assert plan(prepare(tiny_image, [painting], changed(**options, min_size=512), Silent())) == [Stage(512, 7)]
    dreaming = changed(size=150, iterations=7, initial_iterations=20, min_size=100, dream=(LayerChoice("relu4"),))
    assert plan(prepare(tiny_image, [painting], dreaming, Silent())) == [
        Stage(106, 8),
        Stage(106, 12, True),
        Stage(150, 7, True),
    ]


def test_sizes_that_the_network_cannot_look_at_are_left_out(painting, tmp_path):
    save_image(tmp_path / "thin.png", np.zeros((40, 400, 3), "uint8"))
    options = changed(size=400, min_size=16, iterations=1, initial_iterations=1)
    sides = [stage.side for stage in plan(prepare(tmp_path / "thin.png", [painting], options, Silent()))]
    assert sides[-1] == 400
    assert sides[0] > 16


def test_each_size_begins_where_the_last_one_ended(sky, painting, out):
    options = changed(size=68, min_size=48, initial_iterations=40, iterations=2, tv_weight=0.0)
    stylise(sky, [painting], out, options, way := Recorder())
    stylise(sky, [painting], out, changed(size=68, min_size=68, tv_weight=0.0), direct := Recorder())
    assert len(way.losses) == 42
    assert way.losses[40] < 0.9 * direct.losses[0]


def test_another_seed_makes_another_noise(tiny_image, painting, tmp_path):
    for seed in (1, 2):
        stylise(tiny_image, [painting], tmp_path / f"{seed}.png", changed(init="random", iterations=1, seed=seed))
    assert (load_image(tmp_path / "1.png") != load_image(tmp_path / "2.png")).mean() > 0.9


def test_every_setting_is_in_the_file(tiny_image, painting, out):
    result = stylise(tiny_image, [painting], out, changed(iterations=1, seed=7))
    settings = read_settings(out)
    assert settings["command"] == "style"
    assert settings["loss"] == result.loss
    assert settings.keys() >= vars(QUICK).keys() | {"content", "styles", "height", "width", "steps", "imgnn", "sha256"}
    assert (settings["seed"], settings["styles"], list(settings["style_factors"])) == (
        7,
        [str(painting)],
        ["relu1", "relu2"],
    )
    assert settings["content_factors"], "the network's own, by name"


def test_a_style_alone_is_a_blend_that_has_all_of_it(tiny_image, painting, tmp_path):
    one, blend = tmp_path / "one.png", tmp_path / "blend.png"
    stylise(tiny_image, [painting], one, QUICK)
    stylise(tiny_image, [painting, tiny_image], blend, changed(style_blend=(2.0, 0.0)))
    np.testing.assert_array_equal(load_image(one), load_image(blend))


def test_shares_add_up_to_one():
    assert StyleOptions().shares(4) == (0.25, 0.25, 0.25, 0.25)
    assert StyleOptions(style_blend=(3.0, 1.0)).shares(2) == (0.75, 0.25)


def test_cover_fills_the_size_and_cuts_around_the_middle():
    image = np.zeros((10, 40, 3), "uint8")
    image[:, 15:25] = 255  # the middle square
    assert (cover(image, (10, 10)) == 255).all()
    assert cover(image, (33, 20)).shape == (33, 20, 3)


def test_ctrl_c_saves_the_picture_so_far(tiny_image, painting, out):
    said = f"stopped at step 2 of 9; the best picture so far was saved to {out}"
    with pytest.raises(InterruptedRun, match=re.escape(said)) as caught:
        stylise(tiny_image, [painting], out, changed(iterations=9), Recorder(stop=2))
    assert caught.value.exit_code == 130
    assert (load_image(out).shape, read_settings(out)["steps"]) == ((32, 48, 3), 2)


def test_ctrl_c_while_the_picture_is_saved_waits_until_it_is(tiny_image, painting, out, monkeypatch):
    def save_slowly(*given, **named):
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        save_image(*given, **named)

    monkeypatch.setattr("imgnn.images.files.save_image", save_slowly)
    before = signal.getsignal(signal.SIGINT)
    assert stylise(tiny_image, [painting], out, QUICK).steps == 3
    assert load_image(out).shape == (32, 48, 3)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_lose_what_the_first_kept(tiny_image, painting, out, monkeypatch):
    class Impatient(Recorder):
        def end(self):
            signal.raise_signal(signal.SIGINT)

        def advance(self, done, **facts):
            if done == 2:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRun, match="stopped at step 2"):
        stylise(tiny_image, [painting], out, QUICK, Impatient())
    assert load_image(out).shape == (32, 48, 3)


def test_a_learning_rate_out_of_all_bounds_is_told_and_the_last_good_picture_saved(sky, painting, out):
    said = f"the loss ran away at step 20 of 30; the best picture before was saved to {out}"
    with pytest.raises(DivergedError, match=re.escape(said)) as caught:
        stylise(sky, [painting], out, changed(learning_rate=1e9, iterations=30, optimizer="adam"))
    assert caught.value.hint == "a smaller --learning-rate, or none: then it is the optimiser's own"
    photo = resize(load_image(sky), (32, 48))
    assert np.abs(load_image(out).astype(int) - photo).mean() < 1, "nothing better than the photo was found"


def test_a_loss_that_is_no_number_from_the_start_is_told_and_nothing_saved(tiny_image, painting, out):
    with pytest.raises(DivergedError, match="not finite at the first step; nothing was saved") as caught:
        stylise(tiny_image, [painting], out, changed(style_weight=1e38))
    assert caught.value.hint == "smaller weights"
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "--size is at least 1, not 0"),
        ({"iterations": 0}, "--iterations is at least 1"),
        (
            {"style_layers": (LayerChoice("relu1", weight=-1.0),)},
            "the weight of a layer is 0 or more; relu1=-1 was given",
        ),
        ({"average": 1.0}, "--average is a number from 0 to below 1"),
        ({"style_scale": 0.0}, "--style-scale is a number above 0"),
        ({"masks": (Path("a.png"), Path("b.png"))}, "1 --mask goes with 1 style; number given: 2"),
        ({"masks": (Path("a.png"),), "jitter": 3}, "one or the other"),
        ({"tv_weight": -1.0}, "0 or more"),
        ({"jitter": -1}, "--jitter is at least 0, not -1"),
        ({"min_size": 1}, "--min-size is at least 16, not 1"),
        ({"dream_weight": float("nan")}, "--dream-weight is a number, 0 or more; nan was given"),
        ({"tile_size": 64}, "--tile-size is at least 128, not 64"),
        ({"content_weight": 0.0, "style_weight": 0.0}, "are both 0"),
        ({"style_weight": 0.0, "dream": (LayerChoice("relu4"),)}, "it wants a --style-weight above 0"),
        ({"pooling": "avg"}, "--pooling is one of max, average, not 'avg'"),
        ({"seed": -1}, "--seed is at least 0"),
        ({"style_layers": (LayerChoice("relu1", 3),)}, "compared in whole layers, not in a channel: relu1:3"),
        ({"style_weight": float("nan")}, "--style-weight is a number, 0 or more; nan was given"),
        ({"content_weight": float("inf")}, "--content-weight is a number, 0 or more; inf was given"),
        ({"learning_rate": 0.0}, "--learning-rate is a number above 0"),
        ({"learning_rate": float("inf")}, "--learning-rate is a number above 0"),
        ({"style_blend": (1.0, 2.0)}, "1 style picture takes 1 number in --style-blend; 2 were received"),
        ({"style_blend": (-1.0,)}, "0 or more"),
        ({"size": 1}, "1 x 1 pixels: too few"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant_are_refused(tiny_image, painting, out, options, message):
    with pytest.raises(InputError, match=message):
        stylise(tiny_image, [painting], out, changed(**options))
    assert not out.exists()


def test_paths_may_be_text(tiny_image, painting, out):
    assert stylise(str(tiny_image), [str(painting)], str(out), QUICK).path == out


def test_unknown_names_are_told_with_the_near_ones(tiny_image, painting, out):
    with pytest.raises(UnknownNameError, match="no layer is called 'relu9'; did you mean"):
        stylise(tiny_image, [painting], out, changed(style_layers=(LayerChoice("relu9"),)))
    with pytest.raises(UnknownNameError, match="no network is called 'randon'; did you mean 'random'"):
        stylise(tiny_image, [painting], out, changed(network="randon"))


def test_the_output_is_looked_at_before_the_long_work(tiny_image, painting, tmp_path):
    recorder = Recorder()
    with pytest.raises(InputError, match="there is no folder"):
        stylise(tiny_image, [painting], tmp_path / "nowhere" / "out.png", QUICK, recorder)
    with pytest.raises(InputError, match=r"'\.xyz' was received"):
        stylise(tiny_image, [painting], tmp_path / "out.xyz", QUICK, recorder)
    assert recorder.losses == []


def test_a_picture_that_does_not_fit_the_memory_is_refused_before_it_is_made(tiny_image, painting, out):
    with pytest.raises(InputError, match=r"wants about \d+ GB of memory; this machine has") as caught:
        stylise(tiny_image, [painting], out, StyleOptions(network="random", size=2_000_000))
    assert caught.value.hint.startswith("--size ")


def test_a_painting_too_narrow_for_the_network_is_named(tiny_image, tmp_path, monkeypatch):
    monkeypatch.setattr(style_plan, "load_network", lambda name, reporter: network_of("squeezenet-v1.1"))
    save_image(tmp_path / "narrow.png", np.zeros((256, 4, 3), "uint8"))
    with pytest.raises(InputError, match=r"style .*narrow\.png: squeezenet-v1.1 cannot give .* 256 x 4 pixels"):
        stylise(tiny_image, [tmp_path / "narrow.png"], tmp_path / "out.png", StyleOptions(size=256))


def test_the_result_never_takes_the_place_of_what_it_is_made_of(tiny_image, painting):
    before = tiny_image.read_bytes()
    with pytest.raises(InputError, match="would be replaced by what is made of it"):
        stylise(tiny_image, [painting], tiny_image, QUICK)
    assert tiny_image.read_bytes() == before


# Going on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [2, 5, 7])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_run_stopped_and_resumed_ends_where_an_unbroken_one_ends(tiny_image, painting, tmp_path, optimizer, stop):
    options = changed(size=64, min_size=40, initial_iterations=4, iterations=4, optimizer=optimizer, average=0.5)
    whole, half = tmp_path / "whole.png", tmp_path / "half.png"
    stylise(tiny_image, [painting], whole, options)
    with pytest.raises(InterruptedRun) as caught:
        stylise(tiny_image, [painting], half, options, Recorder(stop=stop))
    assert caught.value.hint == "the same command with --resume goes on from here"
    stylise(tiny_image, [painting], half, options, resume=True)
    np.testing.assert_array_equal(load_image(half), load_image(whole))
    assert [path.name for path in tmp_path.glob("half*")] == ["half.png"], "nothing else is left"


def test_a_run_stopped_where_the_loss_falls_no_more_ends_there_too(sky, painting, tmp_path):
    """It is looked at every 30 evaluations; Ctrl-C comes with the one at which it is found."""
    options = changed(size=64, min_size=40, initial_iterations=200, iterations=40, tolerance=0.3)
    whole, half = tmp_path / "whole.png", tmp_path / "half.png"
    stylise(sky, [painting], whole, options, recorder := Recorder())
    last = max(done for done in recorder.steps if done <= 200)
    assert last < 200
    with pytest.raises(InterruptedRun):
        stylise(sky, [painting], half, options, Recorder(stop=last))
    stylise(sky, [painting], half, options, resume=True)
    np.testing.assert_array_equal(load_image(half), load_image(whole))


def test_a_run_that_was_killed_goes_on_where_its_state_was_last_written(tiny_image, painting, tmp_path):
    """kill -9, in a process of its own, as soon as a state is on the disk."""
    out, whole = tmp_path / "out.png", tmp_path / "whole.png"
    program = f"""
import imgnn.jobs.style as job
from imgnn.options import LayerChoice, StyleOptions
job.STATE_EVERY = 0.0
job.stylise({str(tiny_image)!r}, [{str(painting)!r}], {str(out)!r}, {changed(iterations=600, tolerance=0.0)!r})
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    state = tmp_path / "out.resume.npz"
    try:
        for _ in range(1200):
            if state.exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        assert state.exists(), process.poll()
    finally:
        process.kill()
        process.wait()
    assert not out.exists()
    with np.load(state) as kept:
        made = int(kept["run/numbers"][2])
    assert made < 600
    options = changed(iterations=600, tolerance=0.0)
    stylise(tiny_image, [painting], out, options, recorder := Recorder(), resume=True)
    assert len(recorder.losses) == 600 - made, "it went on after what was kept"
    stylise(tiny_image, [painting], whole, options)
    np.testing.assert_array_equal(load_image(out), load_image(whole))


def test_there_must_be_something_to_resume(tiny_image, painting, out):
    with pytest.raises(InputError, match="there is nothing to resume") as caught:
        stylise(tiny_image, [painting], out, QUICK, resume=True)
    assert caught.value.hint == "the same command without --resume"


def test_a_run_is_not_resumed_with_other_options_or_pictures(tiny_image, painting, out, tmp_path):
    with pytest.raises(InterruptedRun):
        stylise(tiny_image, [painting], out, QUICK, Recorder(stop=2))
    with pytest.raises(InputError, match=r"was made with --style-weight 100\.0, not 7\.0"):
        stylise(tiny_image, [painting], out, changed(style_weight=7.0), resume=True)
    with pytest.raises(InputError, match="was made with another picture"):
        stylise(painting, [painting], out, QUICK, resume=True)
    state = tmp_path / "out.resume.npz"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"out\.resume\.npz is damaged"):
        stylise(tiny_image, [painting], out, QUICK, resume=True)


def test_a_disk_that_is_full_costs_the_state_not_the_work(tiny_image, painting, out, monkeypatch):
    monkeypatch.setattr(job, "STATE_EVERY", 0.0)

    def full(*_):
        raise InputError("cannot write out.resume.npz: No space left on device")

    monkeypatch.setattr(job.State, "save", full)
    stylise(tiny_image, [painting], out, QUICK, recorder := Recorder())
    assert "what was done so far is not kept: cannot write out.resume.npz: No space left on device" in recorder.notes
    assert len(recorder.notes) == 2
    assert out.is_file()


def test_a_picture_that_cannot_be_saved_is_saved_elsewhere(tiny_image, painting, out, tmp_path, monkeypatch):
    (tmp_path / "spare").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spare"))

    def full(path, image, **settings):
        if Path(path) == out:
            raise InputError(f"cannot write {path}: No space left on device")
        save_image(path, image, **settings)

    monkeypatch.setattr("imgnn.images.files.save_image", full)
    with pytest.raises(InputError, match="No space left on device") as caught:
        stylise(tiny_image, [painting], out, QUICK)
    (spare,) = (tmp_path / "spare").iterdir()
    assert caught.value.hint == f"the picture was saved to {spare}"
    assert load_image(spare).shape == (32, 48, 3)


def test_where_nothing_can_be_saved_the_file_asked_for_is_named(tiny_image, painting, out, tmp_path, monkeypatch):
    (tmp_path / "spare").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spare"))

    def full(path, image, **settings):
        raise InputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("imgnn.images.files.save_image", full)
    with pytest.raises(InputError, match=re.escape(f"cannot write {out}: ")) as caught:
        stylise(tiny_image, [painting], out, QUICK)
    assert caught.value.hint is None
    assert not list((tmp_path / "spare").iterdir())


@pytest.mark.parametrize(
    ("error", "told"),
    [(InputError("the pixels do not fit into the memory"), "do not fit into the memory"), (MemoryError(), "gave out")],
    ids=str,
)
def test_a_failure_on_the_way_keeps_the_best_picture_and_can_be_resumed(
    tiny_image, painting, out, monkeypatch, error, told
):
    looks, look = iter(range(100)), Canvas.evaluate

    def failing(self, values):
        if next(looks) == 3:
            raise error
        return look(self, values)

    monkeypatch.setattr(Canvas, "evaluate", failing)
    options = changed(iterations=6, tolerance=0.0)
    message = f"{told}; the best picture so far was saved to {out}"
    with pytest.raises(InputError, match=re.escape(message)):
        stylise(tiny_image, [painting], out, options)
    assert read_settings(out)["steps"] == 3
    assert (
        stylise(tiny_image, [painting], out, changed(iterations=6, tolerance=0.0, tile_size=128), resume=True).steps
        == 6
    )


def test_a_state_that_could_not_be_kept_is_not_promised(tiny_image, painting, out, monkeypatch):
    def full(*_):
        raise InputError("cannot write out.resume.npz: No space left on device")

    monkeypatch.setattr(job.State, "save", full)
    with pytest.raises(InterruptedRun) as caught:
        stylise(tiny_image, [painting], out, QUICK, Recorder(stop=2))
    assert caught.value.hint is None


def test_a_format_that_is_too_small_for_the_picture_is_refused_before_the_work(
    tiny_image, painting, tmp_path, monkeypatch
):
    monkeypatch.setitem(LONGEST, "WEBP", 47)
    with pytest.raises(InputError, match="a side of WEBP has at most 47 pixels, not 48"):
        stylise(tiny_image, [painting], tmp_path / "out.webp", QUICK, recorder := Recorder())
    assert recorder.losses == []


def test_pictures_kept_on_the_way_do_not_replace_what_is_read(tiny_image, painting, tmp_path):
    photo = tmp_path / "out_0002.png"
    save_image(photo, load_image(tiny_image))
    with pytest.raises(InputError, match=r"out_0002\.png would be replaced"):
        stylise(photo, [painting], tmp_path / "out.png", changed(keep_every=2))
    stylise(photo, [painting], tmp_path / "out.png", QUICK)


def test_of_a_run_that_ran_away_the_best_picture_is_saved_not_the_mean(sky, painting, out):
    with pytest.raises(DivergedError):
        stylise(sky, [painting], out, changed(learning_rate=1e9, iterations=30, optimizer="adam", average=0.9))
    assert np.abs(load_image(out).astype(int) - resize(load_image(sky), (32, 48))).mean() < 1


# What it is made with ------------------------------------------------------------------------------------------


def test_tiles_make_the_picture_that_the_whole_makes(tiny_image, painting, tmp_path):
    save_image(tmp_path / "large.png", resize(load_image(tiny_image), (160, 300)))
    pictures = []
    for name, tile in (("whole", None), ("tiled", 128)):
        options = changed(size=300, min_size=300, iterations=5, tile_size=tile)
        stylise(tmp_path / "large.png", [painting], tmp_path / f"{name}.png", options)
        pictures.append(load_image(tmp_path / f"{name}.png").astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 2


@pytest.mark.parametrize("options", [{"tile_size": 128}, {"jitter": 4}], ids=str)
def test_no_weight_on_the_total_variation_is_none(tiny_image, painting, out, options):
    options = changed(size=300, min_size=300, iterations=2, tv_weight=0.0, **options)
    assert set(stylise(tiny_image, [painting], out, options).parts) == {"content", "style"}


def test_memory_that_does_not_suffice_makes_the_tiles_smaller(tiny_image, painting, out, monkeypatch):
    class Full(Whole):
        def __call__(self, *given):
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory while trying to allocate")

    monkeypatch.setattr("imgnn.optimize.evaluate.Whole", Full)
    options = changed(size=300, min_size=300, iterations=2)
    stylise(tiny_image, [painting], out, options, recorder := Recorder())
    assert "not enough memory: going on with tiles of 150 pixels" in recorder.notes
    assert load_image(out).shape == (200, 300, 3)


def test_memory_that_gives_out_in_the_midst_of_a_run_does_not_change_its_way(tiny_image, painting, out, monkeypatch):
    options = changed(size=300, min_size=300, iterations=5)
    stylise(tiny_image, [painting], out, options, calm := Recorder())
    looks, look = iter(range(100)), Whole.__call__

    def scarce(self, *given):
        if next(looks) == 2:
            raise MemoryError
        return look(self, *given)

    monkeypatch.setattr(Whole, "__call__", scarce)
    stylise(tiny_image, [painting], out, options, recorder := Recorder())
    assert "not enough memory: going on with tiles of 150 pixels" in recorder.notes
    np.testing.assert_allclose(recorder.losses, calm.losses, rtol=1e-4)


def test_a_mask_keeps_a_style_to_its_place(tiny_image, painting, out, tmp_path):
    left = np.zeros((40, 60, 3), "uint8")
    left[:, :30] = 255
    save_image(tmp_path / "left.png", left)
    options = changed(masks=(tmp_path / "left.png",), iterations=20, tv_weight=0.0, content_weight=0.0)
    stylise(tiny_image, [painting], out, options)
    moved = np.abs(load_image(out).astype(int) - resize(load_image(tiny_image), (32, 48))).mean(axis=(0, 2))
    assert moved[:20].mean() > 10
    assert moved[30:].max() < 1, "beyond what the layers see across the border"


def test_a_mask_of_another_shape_is_refused(tiny_image, painting, out, tmp_path):
    save_image(tmp_path / "square.png", np.full((40, 40, 3), 255, "uint8"))
    with pytest.raises(InputError, match=r"square\.png is 40 x 40 pixels .*tiny\.png is 40 x 60"):
        stylise(tiny_image, [painting], out, changed(masks=(tmp_path / "square.png",)))


@pytest.mark.parametrize("colours", ["original", "luminance", "match", "histogram"])
def test_colours_come_from_the_photo(painting, out, tmp_path, colours):
    photo = np.zeros((48, 48, 3), "uint8")
    photo[:24], photo[24:] = (200, 60, 60), (90, 130, 80)
    save_image(tmp_path / "photo.png", photo)
    stylise(tmp_path / "photo.png", [painting], out, changed(colours=colours, iterations=30))
    blue = load_image(out)[..., 2].astype(int) - load_image(out)[..., 0]
    plain = tmp_path / "plain.png"
    stylise(tmp_path / "photo.png", [painting], plain, changed(iterations=30))
    own = load_image(plain)[..., 2].astype(int) - load_image(plain)[..., 0]
    assert (blue > 40).mean() < (own > 40).mean(), "less of the painting's blue"


@pytest.mark.parametrize(
    "options", [{"parameter": "fourier"}, {"jitter": 4}, {"normalise_gradients": True, "optimizer": "adam"}], ids=str
)
def test_other_ways_come_down_too(tiny_image, painting, out, options):
    options = changed(iterations=30, size=64, min_size=64, tv_weight=1e-5, **options)
    result = stylise(tiny_image, [painting], out, options, recorder := Recorder())
    assert min(recorder.losses) < 0.9 * recorder.losses[0]
    assert math.isfinite(result.loss)


def test_bfloat16_comes_to_the_loss_of_float32(tiny_image, painting, tmp_path):
    results = [
        stylise(tiny_image, [painting], tmp_path / "a.png", changed(precision=precision, iterations=40)).loss
        for precision in ("float32", "bfloat16")
    ]
    assert results[1] == pytest.approx(results[0], rel=0.02)


def test_the_dream_pulls_by_its_share_of_the_style(tiny_image, painting):
    options = {"dream": (LayerChoice("relu4", 3),), "dream_weight": 0.25}
    subject = prepare(tiny_image, [painting], changed(**options), Silent())
    canvas = Canvas(subject, 48, dreaming=True, reporter=Silent())
    values = to_pixels(job.first_picture(subject, canvas.photo))
    canvas.weigh_dream(values)
    factors = dict(canvas.factors)
    lengths = {}
    for alone in ("style", "dream"):
        canvas.factors = {key: each * float(key == f"factor:{alone}") for key, each in factors.items()}
        lengths[alone] = np.linalg.norm(ops.convert_to_numpy(canvas.evaluate(values)[2]))
    assert lengths["dream"] == pytest.approx(0.25 * lengths["style"], rel=1e-3)


def test_a_dream_in_a_layer_that_style_or_content_holds_is_told(tiny_image, painting, out):
    stylise(tiny_image, [painting], out, changed(dream=(LayerChoice("relu2"),)), recorder := Recorder())
    assert any("relu2 is a layer of the style" in note for note in recorder.notes)


def test_a_channel_that_the_layer_does_not_have_is_told(tiny_image, painting, out):
    with pytest.raises(InputError, match="layer relu4 of random has channels 0 to 31, not 99"):
        stylise(tiny_image, [painting], out, changed(dream=(LayerChoice("relu4", 99),)))


def test_the_time_is_shared_among_the_sizes(tiny_image, painting, out):
    options = changed(size=96, min_size=48, initial_iterations=10**6, iterations=10**6, max_time=3.0, tolerance=0.0)
    result = stylise(tiny_image, [painting], out, options)
    assert result.ended == "time"
    assert load_image(out).shape == (64, 96, 3)


def test_previews_are_shown_and_numbered_pictures_kept(tiny_image, painting, out, tmp_path):
    class Watcher(Recorder):
        def advance(self, done, **facts):
            super().advance(done, **facts)
            self.seen = (tmp_path / "out.preview.png").exists()

    stylise(tiny_image, [painting], out, changed(iterations=4, preview=1, keep_every=2), watcher := Watcher())
    assert watcher.seen
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.png", "out_0002.png", "out_0004.png"]


# Sheets and estimates ------------------------------------------------------------------------------------------


def test_a_grid_is_a_sheet_of_pictures_that_are_kept(tiny_image, painting, out, tmp_path):
    axes = {"network": ("random",), "style_weight": (10.0, 100.0)}
    assert draw_grid(tiny_image, [painting], out, QUICK, axes) == out
    names = {"out_network=random_style-weight=10.png", "out_network=random_style-weight=100.png"}
    assert {path.name for path in tmp_path.glob("out_*")} == names
    assert load_image(out).shape[1] > 96
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in names}
    draw_grid(tiny_image, [painting], out, QUICK, axes, recorder := Recorder(), resume=True)
    assert recorder.losses == []
    assert before == {name: (tmp_path / name).stat().st_mtime_ns for name in names}


def test_values_that_run_away_do_not_stop_a_sheet(sky, painting, out):
    options = changed(optimizer="adam", iterations=25)
    recorder = Recorder()
    draw_grid(sky, [painting], out, options, {"learning_rate": (1e9, 5.0)}, recorder)
    assert any("the loss ran away" in note for note in recorder.notes)
    assert out.is_file()
    draw_grid(sky, [painting], out, options, {"learning_rate": (1e9, 5.0)}, again := Recorder(), resume=True)
    assert 0 < len(again.losses) <= 25, "only the one that ran away is painted again"


def test_a_grid_is_checked_before_its_first_picture_is_painted(tiny_image, painting, out):
    with pytest.raises(InputError, match="--colours is one of"):
        draw_grid(tiny_image, [painting], out, QUICK, {"colours": ("style", "none")}, recorder := Recorder())
    assert recorder.losses == []


def test_an_estimate_says_sizes_steps_time_and_memory(tiny_image, painting, tmp_path):
    estimate = probe(tiny_image, [painting], changed(size=400, min_size=150, iterations=10, initial_iterations=20))
    assert estimate.sizes == ((133, 200), (189, 283), (267, 400))
    assert estimate.steps[-1] == 10
    assert 0 < estimate.seconds < 600
    assert 1e8 < estimate.bytes < 1e11
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.png", "stripes.png"}
    assert "267 x 400: 10 steps" in str(estimate)
    assert json.dumps(estimate.sizes)
    hurried = changed(size=400, min_size=150, iterations=10**6, max_time=7.0)
    assert probe(tiny_image, [painting], hurried).seconds == 7.0


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="measured with TensorFlow")
def test_an_evaluation_made_twice_gives_the_same_to_the_last_bit(tiny_image, painting):
    _, canvas, start = begin(tiny_image, painting)
    values = to_pixels(start)
    first = ops.convert_to_numpy(canvas.evaluate(values)[2])
    np.testing.assert_array_equal(first, ops.convert_to_numpy(canvas.evaluate(values)[2]))
