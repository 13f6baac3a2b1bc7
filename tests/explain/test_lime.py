from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances
from torch import nn

from fer_lab.errors import ConfigError
from fer_lab.explain import attribute
from fer_lab.explain.attribution.lime import local_weights, superpixel_weights
from fer_lab.explain.attribution.superpixels import superpixels
from fer_lab.models import BaselineCNN
from tests.models.batches import batch


class LinearInSuperpixels(nn.Module):
    """The logit of class 1 is a weighted sum over superpixels that are not grey."""

    def __init__(self, index: torch.Tensor, weights: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("amount", weights[index] / torch.bincount(index.flatten())[index])
        self.seen: list[torch.Tensor] = []

    def forward(self, image):
        shown = (image != 0.5).any(1)
        self.seen.append(shown)
        total = (shown * self.amount).sum((1, 2))
        return torch.stack([-total, total], dim=1)


@pytest.fixture
def image():
    return torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(4))


def linear(image: torch.Tensor) -> tuple[LinearInSuperpixels, torch.Tensor, torch.Tensor]:
    index = torch.from_numpy(superpixels(image[0], 12, 20.0))
    count = int(index.max()) + 1
    weights = torch.randn(count, generator=torch.Generator().manual_seed(1))
    return LinearInSuperpixels(index, weights), index, weights


def test_weights_of_a_model_linear_in_its_superpixels_are_recovered(image):
    model, index, weights = linear(image)
    found = superpixel_weights(
        model, image, torch.tensor([1]), segments=12, replace="grey", score="logit"
    )
    assert torch.equal(found.segments[0], index)
    assert (found.weights[0] - weights).abs().max() < 1e-3
    against = superpixel_weights(
        model, image, torch.tensor([0]), segments=12, replace="grey", score="logit"
    )
    torch.testing.assert_close(against.weights[0], -found.weights[0])


def test_the_map_is_the_positive_weights_scaled(image):
    model, index, weights = linear(image)
    heat = attribute(
        model, image, 1, method="lime", segments=12, replace="grey", score="logit", ridge=1e-6
    )
    expected = weights.clamp(min=0)[index] / weights.max()
    torch.testing.assert_close(heat[0], expected, rtol=1e-4, atol=1e-4)


def test_the_mask_is_the_most_positive_superpixels(image):
    model, index, weights = linear(image)
    options = {"method": "lime", "segments": 12, "replace": "grey", "score": "logit"}
    largest = set(weights.argsort(descending=True)[:3].tolist())
    mask = attribute(model, image, 1, top=3, **options)[0]
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert set(index[mask > 0].tolist()) == largest
    everything = attribute(model, image, 1, top=99, **options)[0]
    assert set(index[everything > 0].tolist()) == set((weights > 0).nonzero().flatten().tolist())


def test_regression_equals_scikit_learns_with_the_packages_kernel():
    generator = np.random.default_rng(0)
    shown, score = generator.random((80, 9)) < 0.5, generator.random(80)
    shown[3] = False  # its cosine distance to the whole image is 1
    distance = pairwise_distances(shown.astype(float), np.ones((1, 9)), metric="cosine").ravel()
    kernel = np.sqrt(np.exp(-(distance**2) / 0.25**2))
    reference = Ridge(alpha=1.0).fit(shown, score, sample_weight=kernel)
    np.testing.assert_allclose(local_weights(shown, score, 0.25, 1.0), reference.coef_, atol=1e-9)


def test_two_models_see_the_same_superpixels_and_hide_the_same(image):
    one, _, _ = linear(image)
    other = LinearInSuperpixels(torch.zeros(40, 40, dtype=torch.long), torch.ones(1))
    for model in (one, other):
        attribute(model, image, 1, method="lime", ids=["face-7"], replace="grey", samples=48)
    assert len(one.seen) == len(other.seen) > 1
    assert all(torch.equal(a, b) for a, b in zip(one.seen, other.seen, strict=True))


def test_an_id_and_the_seed_decide_what_is_hidden(image):
    def hidden(**options):
        model, _, _ = linear(image)
        attribute(model, image, 1, method="lime", replace="grey", samples=16, **options)
        return torch.cat(model.seen)

    assert torch.equal(hidden(ids=["a"]), hidden(ids=["a"]))
    assert torch.equal(hidden(), hidden())
    assert not torch.equal(hidden(ids=["a"]), hidden(ids=["b"]))
    assert not torch.equal(hidden(ids=["a"]), hidden(ids=["a"], seed=1))
    assert torch.equal(hidden(ids=["a"], batch_size=5), hidden(ids=["a"]))


def test_weights_do_not_depend_on_the_rest_of_the_batch():
    torch.manual_seed(0)
    model = BaselineCNN(image_size=32).eval()
    images, ids = batch(4, size=32)["image"], ["a", "b", "c", "d"]
    options = {"segments": 12, "samples": 40}
    together = superpixel_weights(model, images, ids=ids, **options)
    for number in (3, 1):
        alone = superpixel_weights(model, images[number : number + 1], ids=[ids[number]], **options)
        assert torch.equal(alone.weights[0], together.weights[number])


def test_the_design_is_closer_to_many_samples_than_as_many_coins():
    torch.manual_seed(1)
    model = BaselineCNN(image_size=32).eval()
    image = batch(1, size=32, seed=3)["image"]
    target = torch.tensor([0])

    def weights(samples, seed):
        found = superpixel_weights(
            model, image, target, ids=["x"], segments=20, samples=samples, seed=seed
        )
        return found.weights[0].double().numpy(), found.segments[0]

    many, index = weights(6000, 99)
    balanced = np.mean([np.square(weights(128, seed)[0] - many).mean() for seed in range(8)])

    coins = []
    for seed in range(8):
        shown = np.random.default_rng(seed).random((128, len(many))) < 0.5
        seen = torch.from_numpy(shown)[:, index][:, None]
        flat = torch.stack(
            [
                torch.stack([image[0, c][index == k].mean() for k in range(len(many))])
                for c in range(3)
            ]
        )[:, index]
        with torch.no_grad():
            score = model(torch.where(seen, image, flat)).softmax(1)[:, 0].double().numpy()
        coins.append(np.square(local_weights(shown, score, 0.25, 0.01) - many).mean())
    assert balanced < 0.7 * np.mean(coins)


@pytest.mark.parametrize(
    "options",
    [
        {"segments": 0},
        {"samples": 2.5},
        {"top": 0},
        {"replace": "mauve"},
        {"score": "loss"},
        {"ridge": 0},
        {"kernel_width": "wide"},
    ],
)
def test_options_that_cannot_work_are_named(image, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        attribute(linear(image)[0], image, 1, method="lime", **options)
