import numpy as np
import pytest
from keras import ops

from imgnn.backend import value_and_grad
from imgnn.errors import InputError
from imgnn.optimize.objectives import content_loss, dream_loss, gram_matrix, style_loss, tv_loss
from imgnn.options import LayerChoice

tensor, numbers = ops.convert_to_tensor, ops.convert_to_numpy


def test_gram_matrix_sees_channels_that_fire_together():
    features = np.zeros((1, 2, 2, 3), "float32")
    features[..., 0] = features[..., 2] = 1.0
    np.testing.assert_allclose(3 * numbers(gram_matrix(features))[0], [[1, 0, 1], [0, 0, 0], [1, 0, 1]], rtol=1e-6)


def test_gram_matrix_of_a_picture_laid_out_twice_is_the_same(random):
    features = random.random((1, 3, 5, 4), dtype="float32")
    np.testing.assert_allclose(
        numbers(gram_matrix(np.concatenate([features, features], axis=2))), numbers(gram_matrix(features)), rtol=1e-6
    )


def test_gram_matrix_wants_four_axes():
    with pytest.raises(InputError, match="not \\(2, 3\\)"):
        gram_matrix(np.zeros((2, 3)))


def gram_of(features):
    """`F F^T / (N M)`, N channels, M positions, in float64."""
    flat = features.astype("float64").reshape(-1, features.shape[-1])
    return flat.T @ flat / flat.size


def test_losses_are_their_formulas(random):
    picture = random.uniform(0, 255, (1, 6, 7, 3)).astype("float32")
    x = tensor(picture)
    found, wanted = random.random((2, 1, 4, 5, 2), dtype="float32")
    features = {"a": tensor(found)}
    assert float(content_loss({"a": tensor(wanted)}, {"a": 3.0})(x, features)[0]) == pytest.approx(
        3 * ((found - wanted) ** 2).mean(), rel=1e-5
    )
    assert float(style_loss({"a": tensor(gram_of(wanted)[None].astype("float32"))})(x, features)[0]) == pytest.approx(
        ((gram_of(found) - gram_of(wanted)) ** 2).mean(), rel=1e-5
    )
    assert float(dream_loss([LayerChoice("a", weight=2.0)])(x, features)[0]) == pytest.approx(
        -2 * np.linalg.norm(found), rel=1e-5
    )
    assert float(dream_loss([LayerChoice("a", 1)])(x, features)[0]) == pytest.approx(
        -np.linalg.norm(found[..., 1]), rel=1e-5
    )


def test_the_gradient_of_tv_is_neural_styles(random):
    """TVLoss of jcjohnson/neural-style: each pixel of the block that has a right and a lower neighbour pulls three."""
    picture = random.uniform(0, 255, (1, 6, 7, 3)).astype("float32")
    wanted = np.zeros_like(picture)
    across = picture[:, :-1, :-1] - picture[:, :-1, 1:]
    down = picture[:, :-1, :-1] - picture[:, 1:, :-1]
    wanted[:, :-1, :-1] += across + down
    wanted[:, :-1, 1:] -= across
    wanted[:, 1:, :-1] -= down
    _, _, gradient = value_and_grad(lambda x: tv_loss()(x, {}))(tensor(picture))
    np.testing.assert_allclose(numbers(gradient), wanted, atol=1e-3)


def test_a_region_has_the_gram_matrix_of_its_own_positions_and_counts_by_its_area(random):
    found, left, right = random.random((3, 1, 4, 6, 2), dtype="float32")
    regions = np.zeros((1, 4, 6, 2), "float32")
    regions[:, :, :2, 0] = regions[:, :, 2:, 1] = 1.0
    targets = tensor(np.stack([gram_of(left), gram_of(right)]).astype("float32"))
    loss, _ = style_loss({"a": targets}, None, (0.5, 0.25))(None, {"a": tensor(found)}, {"regions:a": tensor(regions)})
    one, two = ((gram_of(part) - gram_of(of)) ** 2 for part, of in ((found[:, :, :2], left), (found[:, :, 2:], right)))
    assert float(loss) == pytest.approx(0.5 * (2 / 6) * one.mean() + 0.25 * (4 / 6) * two.mean(), rel=1e-5)


def test_a_normalised_gradient_has_the_layers_weight_as_its_l1_norm(random):
    found, wanted = random.random((2, 1, 4, 5, 2), dtype="float32")
    objectives = {
        "content": 5.0 * content_loss({"a": tensor(wanted)}, {"a": 2.0}, strength=5.0),
        "style": 5.0 * style_loss({"a": tensor(gram_of(wanted)[None].astype("float32"))}, {"a": 2.0}, strength=5.0),
    }
    for name, objective in objectives.items():
        plain = {
            "content": content_loss({"a": tensor(wanted)}),
            "style": style_loss({"a": tensor(gram_of(wanted)[None].astype("float32"))}),
        }[name]
        _, _, gradient = value_and_grad(lambda x, objective=objective: objective(x, {"a": x}))(tensor(found))
        _, _, direction = value_and_grad(lambda x, plain=plain: plain(x, {"a": x}))(tensor(found))
        direction = numbers(direction) / np.abs(numbers(direction)).sum()
        np.testing.assert_allclose(numbers(gradient), 10.0 * direction, rtol=1e-3, atol=1e-6)


def test_objectives_add_and_scale(random):
    features = {"a": tensor(random.random((1, 3, 3, 2), dtype="float32"))}
    picture = tensor(random.uniform(0, 255, (1, 6, 6, 3)).astype("float32"))
    content, tv = content_loss({"a": features["a"] + 1}), tv_loss()
    loss, parts = (3.0 * (content + 2.0 * tv))(picture, features)
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(
        {
            "content": 3 * float(content(picture, features)[0]),
            "tv": 6 * float(tv(picture, features)[0]),
        }
    )
    assert float(loss) == pytest.approx(sum(float(part) for part in parts.values()))


def test_a_weight_of_nothing_leaves_a_term_out(random):
    loss, parts = (1.0 * tv_loss() + 0.0 * content_loss({"missing": np.ones(1)}))(
        tensor(np.zeros((1, 3, 3, 3), "float32")), {}
    )
    assert (float(loss), list(parts)) == (0.0, ["tv"])


def test_two_terms_of_one_name_do_not_add():
    with pytest.raises(ValueError, match="two terms are called tv"):
        tv_loss() + tv_loss()


@pytest.mark.parametrize("name", ["content", "style", "tv"])
def test_gradients_are_finite_differences(name, random):
    """Along a random direction, in float64: (f(x + h d) - f(x - h d)) / 2h."""
    start, target = random.uniform(0.5, 2.0, (2, 1, 4, 5, 3))
    gram = gram_of(target)[None]
    objective = {
        "content": content_loss({"a": tensor(target)}),
        "style": style_loss({"a": tensor(gram)}),
        "tv": tv_loss(),
    }[name]
    evaluate = value_and_grad(lambda x: objective(x, {"a": x}))
    _, _, gradient = evaluate(ops.convert_to_tensor(start, "float64"))
    direction = random.standard_normal(start.shape)
    ahead, behind = (
        float(evaluate(ops.convert_to_tensor(start + step * direction, "float64"))[0]) for step in (1e-3, -1e-3)
    )
    assert np.vdot(numbers(gradient), direction) == pytest.approx((ahead - behind) / 2e-3, rel=1e-3)
