from __future__ import annotations

import pytest
import torch
from captum.attr import Occlusion

from fer_lab.errors import ConfigError
from fer_lab.explain import attribute
from fer_lab.explain.attribution.occlusion import drops
from fer_lab.models import BaselineCNN
from tests.models.batches import batch


@pytest.fixture
def model():
    torch.manual_seed(5)
    return BaselineCNN(image_size=32).eval()


def slow_drops(model, image, target, window, stride, colour):
    """One square of one image at a time, in probability."""
    height, width = image.shape[-2:]
    found = []
    for one, wanted in zip(image, target, strict=True):
        with torch.no_grad():
            whole = model(one[None]).softmax(1)[0, wanted]
        total, times = torch.zeros(height, width), torch.zeros(height, width)
        tops = sorted({min(top, height - window) for top in range(0, height, stride)})
        lefts = sorted({min(left, width - window) for left in range(0, width, stride)})
        for top in tops:
            for left in lefts:
                covered = one.clone()
                covered[:, top : top + window, left : left + window] = colour
                with torch.no_grad():
                    lost = whole - model(covered[None]).softmax(1)[0, wanted]
                total[top : top + window, left : left + window] += lost
                times[top : top + window, left : left + window] += 1
        assert times.min() >= 1
        found.append(total / times)
    return torch.stack(found)


@pytest.mark.parametrize(("window", "stride"), [(8, 8), (8, 4), (7, 5), (32, 1)])
def test_drops_equal_a_slow_loop(model, window, stride):
    image, target = batch(3, size=32)["image"], torch.tensor([1, 0, 6])
    _, found = drops(model, image, target, window=window, stride=stride, batch_size=10)
    reference = slow_drops(model, image, target, window, stride, 0.5)
    torch.testing.assert_close(found, reference, atol=1e-5, rtol=1e-3)
    heat = attribute(model, image, target, method="occlusion", window=window, stride=stride)
    highest = reference.clamp(min=0).flatten(1).argmax(1)
    if window < 32:
        assert (heat.flatten(1).gather(1, highest[:, None]) > 0.99).all()


def test_squares_side_by_side_equal_captum(model):
    image, target = batch(3, size=32)["image"], torch.tensor([1, 0, 6])
    _, found = drops(model, image, target, window=8, stride=8, replace="black", score="logit")
    reference = Occlusion(model).attribute(image, (3, 8, 8), 8, baselines=0.0, target=target)
    torch.testing.assert_close(found, reference[:, 0].detach(), atol=1e-5, rtol=1e-3)


def test_default_squares_are_an_eighth_of_the_image(model):
    image = batch(2, size=32)["image"]
    target = torch.tensor([0, 1])
    _, found = drops(model, image, target)
    _, expected = drops(model, image, target, window=4, stride=2)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"window": 33}, "window"),
        ({"window": 4, "stride": 5}, "stride"),
        ({"stride": 0}, "stride"),
        ({"replace": "mean"}, "grey"),
        ({"score": "loss"}, "logit"),
    ],
)
def test_options_that_cannot_work_are_named(model, options, word):
    with pytest.raises(ConfigError, match=word):
        attribute(model, torch.rand(1, 3, 32, 32), 0, method="occlusion", **options)
