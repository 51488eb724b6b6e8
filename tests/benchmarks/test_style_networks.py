"""What the benchmark of networks in style transfer computes of pictures, and how it compares networks."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks import style_networks
from benchmarks.style_networks import Painted, Score, Seen


def seen(seed):
    random = np.random.default_rng(seed)
    return Seen({"low": random.random((4, 4)), "high": random.random((6, 6))}, random.random((1, 3, 5, 6)))


def painted(network, factor, style, content, pair="cat like waves"):
    return Painted(pair, network, factor, f"{network}_{factor}.png", 1.0, 2.0, {"vgg19": Score(style, content)})


def test_a_painting_is_no_way_from_itself_and_a_photo_keeps_its_content():
    photo, painting = seen(0), seen(1)
    assert style_networks.style_distances(painting, painting) == {"low": 0, "high": 0}
    own = style_networks.score(photo, photo, painting)
    assert own.content == 0
    assert own.style > 0


def test_distance_is_relative_to_the_target_and_each_layer_counts_the_same():
    target = Seen({"low": np.full((2, 2), 3.0), "high": np.full((9, 9), 1e-4)}, np.ones((1, 2, 2, 9)))
    other = Seen({"low": np.full((2, 2), 6.0), "high": np.full((9, 9), 4e-4)}, np.zeros((1, 2, 2, 9)))
    score = style_networks.score(other, target, target)
    assert score.layers == pytest.approx({"low": 1, "high": 9})
    assert score.style == pytest.approx((1 + 9) / 2)
    assert score.content == pytest.approx(1)


def test_style_is_interpolated_between_pictures_on_a_power_law():
    scores = [Score(style=0.02 / content**1.5, content=content) for content in (0.8, 0.05, 0.2)]
    assert style_networks.style_at(scores, 0.1) == pytest.approx(0.02 / 0.1**1.5)
    assert style_networks.style_at(scores, 0.2) == pytest.approx(0.02 / 0.2**1.5)


@pytest.mark.parametrize(("content", "told"), [(0.9, "all nearer to the photo"), (0.01, "all farther from the photo")])
def test_nothing_is_guessed_beyond_the_pictures(content, told):
    scores = [Score(0.1, 0.05), Score(0.02, 0.8)]
    assert style_networks.style_at(scores, content) is None
    assert style_networks.beyond(scores, content) == told


def test_networks_are_compared_at_the_content_of_the_references_default_picture():
    pictures = [painted("reference", factor, 0.1 / factor, 0.2 * factor) for factor in (0.5, 1.0, 2.0)]
    # Half the distance at every content; its own weights keep four times as much of the photo.
    pictures += [painted("better", factor, 0.2 / factor, 0.05 * factor) for factor in (1.0, 4.0, 8.0)]
    pictures += [painted("timid", factor, 1.0, 0.01 * factor) for factor in (1.0, 2.0)]
    found = style_networks.ratios(pictures, "vgg19", "reference")
    assert found["reference"]["cat like waves"] == pytest.approx(1)
    assert found["better"]["cat like waves"] == pytest.approx(0.5)
    assert found["timid"]["cat like waves"] == "all nearer to the photo"
    assert style_networks.median_of([3.0, "all nearer to the photo", 1.0]) == 2
    assert style_networks.median_of(["all nearer to the photo"]) is None


def test_layers_are_told_one_by_one_at_the_default_weight():
    judge = style_networks.Judge("vgg19", ("low", "high"), "high")
    pictures = [
        Painted(str(far), "some", factor, "", 1.0, 1.0, {"vgg19": Score(0, 0, {"low": far, "high": 10 * far})})
        for far, factor in ((1.0, 1.0), (2.0, 1.0), (5.0, 1.0), (100.0, 4.0))
    ]
    assert style_networks.by_layer(pictures, judge) == {"some": [2, 20]}


def test_pictures_no_nearer_to_the_painting_than_the_photo_are_named():
    pictures = [painted("good", 1.0, 0.1, 0.3), painted("bad", 1.0, 0.9, 0.3)]
    assert style_networks.not_nearer(pictures, {("cat like waves", "vgg19"): 0.5}) == ["bad_1.0.png, says vgg19"]


def test_gram_matrices_of_what_a_judge_sees_are_those_of_its_layers():
    judge = style_networks.Judge("random", ("relu1", "relu3"), "relu2")
    eye = style_networks.Eye(judge, "random")
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), "uint8")
    looked = eye.look(image)
    assert {name: gram.shape for name, gram in looked.grams.items()} == {"relu1": (32, 32), "relu3": (32, 32)}
    assert looked.content.shape == (1, 24, 32, 32)
    assert style_networks.score(eye.look(image), looked, looked) == Score(0, 0, {"relu1": 0, "relu3": 0})
    assert style_networks.score(eye.look(255 - image), looked, looked).style > 0


def test_a_judge_is_taken_from_a_file_by_its_name():
    assert style_networks.judge_files(["vgg19=some.keras"]) == {"vgg19": "some.keras", "googlenet": "googlenet"}
    with pytest.raises(ValueError, match="NAME one of vgg19, googlenet"):
        style_networks.judge_files(["alexnet=some.keras"])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"contents": [Path("a/cat.jpg"), Path("b/cat.png")]}, "--contents: two of them"),
        ({"networks": ["random"]}, "lacks the reference"),
        ({"weights": [0.5, 2.0]}, "--weights lacks 1"),
    ],
)
def test_what_could_not_be_compared_is_refused_before_the_work(changed, told):
    given = {
        "contents": [Path("cat.jpg")],
        "styles": [Path("waves.jpg")],
        "networks": ["random", "squeezenet-v1.1"],
        "reference": "squeezenet-v1.1",
        "weights": [1.0],
    }
    style_networks.check(argparse.Namespace(**given))
    with pytest.raises(ValueError, match=told):
        style_networks.check(argparse.Namespace(**{**given, **changed}))
