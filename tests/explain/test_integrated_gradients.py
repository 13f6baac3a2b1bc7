from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fer_lab.errors import ConfigError
from fer_lab.explain import attribute
from fer_lab.explain.attribution.integrated_gradients import integral
from fer_lab.models import BaselineCNN, TimmClassifier
from tests.models.batches import batch


def resnet() -> nn.Module:
    torch.manual_seed(3)
    model = TimmClassifier(name="resnet18", image_size=64)
    image = batch(32, size=64, seed=9)["image"]
    with torch.no_grad():  # batch norms learn the statistics of what they get
        for _ in range(20):
            model.train()(image)
    return model.eval()


def baseline() -> nn.Module:
    torch.manual_seed(2)
    return BaselineCNN(image_size=32).eval()


@pytest.mark.parametrize("colour", ["black", "grey"])
@pytest.mark.parametrize("make", [baseline, resnet])
def test_attributions_sum_to_what_the_logit_gained(make, colour):
    model = make()
    image = batch(2, size=model.image_size)["image"]
    flat = torch.full_like(image, {"black": 0.0, "grey": 0.5}[colour])
    with torch.no_grad():
        all_gained = model(image) - model(flat)
    target = all_gained.abs().argmax(1)  # a share of next to nothing would say little
    gained = all_gained.gather(1, target[:, None])[:, 0]
    found = integral(model, image, target, steps=200, baseline=colour)
    error = (found.values.sum((1, 2, 3)) - gained).abs() / gained.abs()
    assert (error < 0.01).all()
    torch.testing.assert_close(found.error, error, rtol=0.05, atol=1e-4)


def test_attributions_equal_a_loop_over_gauss_legendre_points():
    model, image = baseline(), batch(2, size=32)["image"]
    found = integral(model, image, torch.tensor([3, 5]), steps=7, batch_size=3)
    points, shares = np.polynomial.legendre.leggauss(7)
    expected = torch.zeros_like(image)
    for n, target in enumerate((3, 5)):
        for point, share in zip(points, shares, strict=True):
            on_the_way = (image[n : n + 1] * (point + 1) / 2).float().requires_grad_()
            model(on_the_way)[0, target].backward()
            expected[n] += share / 2 * on_the_way.grad[0] * image[n]
    torch.testing.assert_close(found.values, expected, rtol=1e-3, atol=1e-6)


def test_the_map_is_the_positive_part_of_the_sum_over_colours():
    model, image = baseline(), batch(3, size=32)["image"]
    signed = integral(model, image, torch.tensor([2, 2, 2]), steps=9).values.sum(1)
    heat = attribute(model, image, 2, method="integrated_gradients", steps=9)
    positive = signed.clamp(min=0)
    torch.testing.assert_close(heat, positive / positive.amax((1, 2), keepdim=True))


def test_more_images_than_a_batch_holds_are_taken_in_turns():
    model, image = baseline(), batch(5, size=32)["image"]
    small = integral(model, image, steps=6, batch_size=2)
    large = integral(model, image, steps=6, batch_size=64)
    torch.testing.assert_close(small.values, large.values, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("options", [{"steps": 0}, {"baseline": "pink"}, {"batch_size": 0}])
def test_options_that_cannot_work_are_named(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        attribute(baseline(), torch.rand(1, 3, 32, 32), 0, method="integrated_gradients", **options)
