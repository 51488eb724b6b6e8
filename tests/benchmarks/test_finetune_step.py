"""What the benchmark of a training step counts, beside published counts."""

import numpy as np
import pytest

from benchmarks import finetune_step, peers
from imgnn.networks import names
from imgnn.networks.files import unallocated


@pytest.mark.parametrize(
    ("name", "size", "products"),
    [
        # Efficient Processing of Deep Neural Networks, arXiv:1703.09039, table II: AlexNet, 666M and 58.6M.
        ("caffenet", 227, 724e6),
        # torchvision, models/squeezenet.py, SqueezeNet1_1_Weights: "_ops" in 10^9.
        ("squeezenet-v1.1", 224, 0.349e9),
    ],
)
def test_work_of_a_picture_is_what_others_count(name, size, products):
    model = unallocated(lambda: names.network_of(name, input_shape=(size, size, 3))).model
    assert sum(finetune_step.work_of_layers(model).values()) / 2 == pytest.approx(products, rel=2e-3)


def test_a_step_is_three_passes_but_for_the_gradient_by_the_pixels():
    model = unallocated(lambda: names.network_of("caffenet")).model
    layers = finetune_step.work_of_layers(model)
    assert layers["conv1"] == 2 * 55 * 55 * 96 * 11 * 11 * 3
    assert finetune_step.work_of_step(model) == 3 * sum(layers.values()) - layers["conv1"]


def test_random_caffenet_has_the_shapes_of_the_network():
    blobs = finetune_step.blobs_of("caffenet", shared=None)
    model = unallocated(lambda: names.network_of("caffenet", classes=finetune_step.CLASSES)).model
    assert sum(array.size for own in blobs.values() for array in own) == sum(
        int(np.prod(weight.shape)) for weight in model.weights
    )


def test_steps_that_warm_up_are_not_counted():
    calls = []
    assert len(peers.seconds_of(lambda: calls.append(1), count=4, warm=2)) == 4
    assert len(calls) == 6
