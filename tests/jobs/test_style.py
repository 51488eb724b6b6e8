import math
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from imgnn.errors import DivergedError, InputError, InterruptedRun, UnknownNameError
from imgnn.images.files import load_image, read_settings, save_image
from imgnn.images.preprocess import preprocess
from imgnn.images.resize import resize
from imgnn.jobs.load import load_network
from imgnn.jobs.style import check_memory, check_painting, cover, shares_of, stylise
from imgnn.networks.features import cut
from imgnn.networks.names import network_of
from imgnn.optimize.loop import Outcome
from imgnn.optimize.optimizers import LBFGS, Adam
from imgnn.options import StyleOptions
from imgnn.runs import Silent

QUICK = StyleOptions(network="random", size=48, iterations=3, style_layers=("relu1", "relu2"))


class Recorder(Silent):
    """Remembers the losses; presses Ctrl-C at one step."""

    def __init__(self, stop=None):
        self.losses, self.stop = [], stop

    def advance(self, done, **facts):
        self.losses.append(facts["loss"])
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
def out(tmp_path):
    return tmp_path / "out.png"


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_loss_falls_and_the_picture_has_the_shape_of_the_content(tiny_image, painting, out, optimizer):
    result = stylise(tiny_image, [painting], out, changed(optimizer=optimizer, iterations=8), recorder := Recorder())
    assert (result.path, result.size, result.network, result.steps) == (out, (32, 48), "random", 8)
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


@pytest.fixture
def begun(monkeypatch):
    """What a run hands to the optimisation, which is not made."""
    begun = {}

    def minimise(start, evaluate, optimizer, steps, reporter):
        begun.update(start=ops.convert_to_numpy(start)[0], optimizer=optimizer, steps=steps)
        begun["parts"] = {name: float(part) for name, part in evaluate(start)[1].items()}
        return Outcome(start, 1.0, 1, 1)

    monkeypatch.setattr("imgnn.jobs.style.minimise", minimise)
    return begun


def test_the_loss_is_that_of_the_formulas(tiny_image, painting, out, begun):
    stylise(tiny_image, [painting], out, changed(init="random", content_layers=("relu2",)))
    network = load_network("random")

    def see(image):
        return {
            name: np.asarray(value)[0]
            for name, value in cut(network, ("relu1", "relu2"), image.shape[:2])(
                preprocess(image, network.preprocessing)
            ).items()
        }

    def gram(f):
        return np.einsum("hwi,hwj->ij", f, f) / (f.shape[0] * f.shape[1])

    photo = resize(load_image(tiny_image), (32, 48))
    start, there = (
        begun["start"][..., ::-1],
        see(resize(load_image(painting), (48, 24))),
    )  # the painting keeps its shape
    here, wanted = see(start.astype("float32")), see(photo)
    style = [np.sum((gram(here[n]) - gram(there[n])) ** 2) / np.sum(gram(there[n]) ** 2) for n in there]
    assert begun["parts"] == pytest.approx(
        {
            "content": 0.05 * np.sum((here["relu2"] - wanted["relu2"]) ** 2) / np.sum(wanted["relu2"] ** 2),
            "style": np.mean(style),
            "tv": 5.0 * sum(np.mean(np.diff(start, axis=axis) ** 2) for axis in (0, 1)) / (2 * 255**2),
        },
        rel=1e-4,
    )


def test_each_init_begins_as_it_says(tiny_image, painting, out, begun):
    starts = {}
    for init in ("content", "style", "random"):
        stylise(tiny_image, [painting], out, changed(init=init))
        starts[init] = begun["start"][..., ::-1]
    np.testing.assert_allclose(starts["content"], resize(load_image(tiny_image), (32, 48)), atol=1e-3)
    np.testing.assert_allclose(starts["style"], cover(resize(load_image(painting), (48, 24)), (32, 48)), atol=1e-3)
    assert (starts["random"].mean(), starts["random"].std()) == pytest.approx((128, 20), rel=0.03)


def test_the_optimizer_is_the_one_asked_for(tiny_image, painting, out, begun):
    stylise(tiny_image, [painting], out, QUICK)
    assert isinstance(begun["optimizer"], Adam)
    assert (begun["optimizer"].learning_rate, begun["optimizer"].total, begun["steps"]) == (20, 3, 3)
    stylise(tiny_image, [painting], out, changed(optimizer="lbfgs", learning_rate=0.5))
    assert isinstance(begun["optimizer"], LBFGS)
    assert begun["optimizer"].learning_rate == 0.5


def test_another_seed_makes_another_noise(tiny_image, painting, tmp_path):
    for seed in (1, 2):
        stylise(tiny_image, [painting], tmp_path / f"{seed}.png", changed(init="random", iterations=1, seed=seed))
    assert (load_image(tmp_path / "1.png") != load_image(tmp_path / "2.png")).mean() > 0.9


def test_every_setting_is_in_the_file(tiny_image, painting, out):
    result = stylise(tiny_image, [painting], out, changed(iterations=1, seed=7))
    settings = read_settings(out)
    assert settings["command"] == "style"
    assert settings["loss"] == result.loss
    assert settings.keys() >= vars(QUICK).keys() | {"content", "styles", "height", "width", "steps", "imgnn"}
    assert (settings["seed"], settings["styles"], settings["style_layers"]) == (
        7,
        [str(painting)],
        ["relu1", "relu2"],
    )
    assert settings["content_layers"], "the network's own, by name"


def test_a_style_alone_is_a_blend_that_has_all_of_it(tiny_image, painting, tmp_path):
    one, blend = tmp_path / "one.png", tmp_path / "blend.png"
    stylise(tiny_image, [painting], one, QUICK)
    stylise(tiny_image, [painting, tiny_image], blend, changed(style_blend=(2.0, 0.0)))
    np.testing.assert_array_equal(load_image(one), load_image(blend))


def test_shares_add_up_to_one():
    assert shares_of(None, 4) == (0.25, 0.25, 0.25, 0.25)
    assert shares_of((3.0, 1.0), 2) == (0.75, 0.25)


def test_cover_fills_the_size_and_cuts_around_the_middle():
    image = np.zeros((10, 40, 3), "uint8")
    image[:, 15:25] = 255  # the middle square
    assert (cover(image, (10, 10)) == 255).all()
    assert cover(image, (33, 20)).shape == (33, 20, 3)


def test_ctrl_c_saves_the_picture_so_far(tiny_image, painting, out):
    said = f"stopped at step 2 of 9; the best picture so far, of step 2, saved to {out}"
    with pytest.raises(InterruptedRun, match=re.escape(said)) as caught:
        stylise(tiny_image, [painting], out, changed(iterations=9), Recorder(stop=2))
    assert caught.value.exit_code == 130
    assert (load_image(out).shape, read_settings(out)["steps"]) == ((32, 48, 3), 2)


def test_ctrl_c_while_the_picture_is_saved_waits_until_it_is(tiny_image, painting, out, monkeypatch):
    def save_slowly(*given, **named):
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        save_image(*given, **named)

    monkeypatch.setattr("imgnn.jobs.style.save_image", save_slowly)
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


def test_a_loss_that_runs_away_is_told_and_the_last_good_picture_saved(tiny_image, painting, out, monkeypatch):
    def ends_badly(start, *_):
        return Outcome(start, 0.5, step=1, steps=2, ended="diverged")

    monkeypatch.setattr("imgnn.jobs.style.minimise", ends_badly)
    with pytest.raises(DivergedError, match="no longer finite at step 2; the best picture before it was saved"):
        stylise(tiny_image, [painting], out, QUICK)
    assert read_settings(out)["steps"] == 2


def test_a_loss_that_is_too_large_from_the_start_is_told_and_nothing_saved(tiny_image, painting, out, monkeypatch):
    def ends_at_once(start, *_):
        return Outcome(start, math.inf, step=0, steps=1, ended="diverged")

    monkeypatch.setattr("imgnn.jobs.style.minimise", ends_at_once)
    with pytest.raises(DivergedError, match="not finite at the first step; nothing was saved") as caught:
        stylise(tiny_image, [painting], out, QUICK)
    assert caught.value.hint == "smaller weights"
    assert not out.exists()


def test_a_learning_rate_out_of_all_bounds_leaves_a_picture(tiny_image, painting, out):
    result = stylise(tiny_image, [painting], out, changed(learning_rate=1e30, iterations=8), recorder := Recorder())
    assert result.loss <= recorder.losses[0] * 1.001


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "at least 1"),
        ({"iterations": 0}, "at least 1"),
        ({"tv_weight": -1.0}, "0 or more"),
        ({"content_weight": 0.0, "style_weight": 0.0, "tv_weight": 0.0}, "are all 0"),
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
        stylise(tiny_image, [painting], out, changed(style_layers=("relu9",)))
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


def test_activations_count_twice_for_the_gradient_and_once_for_a_painting(monkeypatch):
    network = load_network("random")
    numbers = 32 * 48 * (3 + 32 + 32)  # the picture, conv1, relu1
    for check, wanted in ((check_memory, 8 * numbers), (check_painting, 4 * numbers)):
        monkeypatch.setattr("imgnn.backend.memory", lambda there=wanted: there)
        with pytest.raises(InputError, match=r"a\.png at 32 x 48 pixels wants about"):
            check(network, ["relu1"], (32, 48), Path("a.png"))
        monkeypatch.setattr("imgnn.backend.memory", lambda there=wanted + 1: there)
        check(network, ["relu1"], (32, 48), Path("a.png"))


def test_a_painting_too_narrow_for_the_network_is_named():
    with pytest.raises(InputError, match=r"style narrow\.png: squeezenet-v1.1 cannot give .* 256 x 6 pixels"):
        check_painting(network_of("squeezenet-v1.1"), ["fire5/concat"], (256, 6), Path("narrow.png"))


def test_the_result_never_takes_the_place_of_what_it_is_made_of(tiny_image, painting):
    before = tiny_image.read_bytes()
    with pytest.raises(InputError, match="would be replaced by what is made of it"):
        stylise(tiny_image, [painting], tiny_image, QUICK)
    assert tiny_image.read_bytes() == before
