import numpy as np
import pytest
from keras import ops

from imgnn.backend import value_and_grad
from imgnn.errors import InputError
from imgnn.optimize.objectives import content_loss, gram_matrix, style_loss, tv_loss

tensor, numbers = ops.convert_to_tensor, ops.convert_to_numpy


def test_gram_matrix_sees_channels_that_fire_together():
    features = np.zeros((1, 2, 2, 3), "float32")
    features[..., 0] = features[..., 2] = 1.0
    np.testing.assert_allclose(numbers(gram_matrix(features))[0], [[1, 0, 1], [0, 0, 0], [1, 0, 1]])


def test_gram_matrix_of_a_picture_laid_out_twice_is_the_same(random):
    features = random.random((1, 3, 5, 4), dtype="float32")
    np.testing.assert_allclose(
        numbers(gram_matrix(np.concatenate([features, features], axis=2))), numbers(gram_matrix(features)), rtol=1e-6
    )


def test_gram_matrix_wants_four_axes():
    with pytest.raises(InputError, match="not \\(2, 3\\)"):
        gram_matrix(np.zeros((2, 3)))


def test_losses_are_their_formulas(random):
    picture = random.uniform(0, 255, (1, 6, 7, 3)).astype("float32")
    x = tensor(picture)
    found, wanted = random.random((2, 1, 4, 5, 2), dtype="float32")
    features = {"a": tensor(found)}
    assert float(content_loss({"a": wanted})(x, features)[0]) == pytest.approx(
        ((found - wanted) ** 2).sum() / (wanted**2).sum(), rel=1e-5
    )
    gram, target = (each.reshape(20, 2).T @ each.reshape(20, 2) / 20 for each in (found, wanted))
    assert float(style_loss({"a": target[None]})(x, features)[0]) == pytest.approx(
        ((gram - target) ** 2).sum() / (target**2).sum(), rel=1e-5
    )
    across, down = np.diff(picture, axis=2), np.diff(picture, axis=1)
    expected = 0.5 * (np.mean(across**2) + np.mean(down**2)) / 255**2
    assert float(tv_loss()(x, features)[0]) == pytest.approx(expected, rel=1e-5)


def test_several_layers_count_the_same_whatever_their_scale(random):
    found, wanted = random.random((2, 1, 4, 5, 2), dtype="float32")
    alone = content_loss({"a": wanted})(None, {"a": tensor(found)})[0]
    both = content_loss({"a": wanted, "b": 1000 * wanted})(None, {"a": tensor(found), "b": tensor(1000 * found)})[0]
    assert float(both) == pytest.approx(float(alone), rel=1e-5)


def test_a_target_of_zeros_gives_a_finite_loss():
    assert float(content_loss({"a": np.zeros((1, 2, 2, 1), "float32")})(None, {"a": ops.ones((1, 2, 2, 1))})[0]) == 4.0


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
    loss, parts = (1.0 * tv_loss() + 0.0 * content_loss({"missing": np.ones(1)}))(tensor(np.zeros((1, 3, 3, 3))), {})
    assert (float(loss), list(parts)) == (0.0, ["tv"])


def test_two_terms_of_one_name_do_not_add():
    with pytest.raises(ValueError, match="two terms are called tv"):
        tv_loss() + tv_loss()


@pytest.mark.parametrize("name", ["content", "style", "tv"])
def test_gradients_are_finite_differences(name, random):
    """Along a random direction, in float64: (f(x + h d) - f(x - h d)) / 2h."""
    start, target = random.uniform(0.5, 2.0, (2, 1, 4, 5, 3))
    gram = np.einsum("nhwc,nhwd->ncd", target, target) / 20
    objective = {"content": content_loss({"a": target}), "style": style_loss({"a": gram}), "tv": tv_loss()}[name]
    evaluate = value_and_grad(lambda x: objective(x, {"a": x}))
    _, _, gradient = evaluate(ops.convert_to_tensor(start, "float64"))
    direction = random.standard_normal(start.shape)
    ahead, behind = (
        float(evaluate(ops.convert_to_tensor(start + step * direction, "float64"))[0]) for step in (1e-3, -1e-3)
    )
    assert np.vdot(numbers(gradient), direction) == pytest.approx((ahead - behind) / 2e-3, rel=1e-3)
