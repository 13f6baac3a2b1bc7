from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fer_lab.errors import ConfigError
from fer_lab.explain import attribute, explain_prediction
from fer_lab.explain.attribution import METHODS, check, options_of
from fer_lab.explain.regions import intersection_over_region
from fer_lab.models import BaselineCNN, TimmClassifier
from tests.explain.condition import condition
from tests.models.batches import batch, loader, trainer

SMALL = {
    "lime": {"segments": 9, "samples": 24},
    "integrated_gradients": {"steps": 8},
    "occlusion": {"window": 16, "stride": 16},
}

every_method = pytest.mark.parametrize("method", sorted(METHODS))
pytestmark = pytest.mark.filterwarnings("ignore:.*averages gradients over space")


@pytest.fixture
def baseline():
    torch.manual_seed(2)
    return BaselineCNN(image_size=32).eval()


def resnet() -> TimmClassifier:
    torch.manual_seed(3)
    model = TimmClassifier(name="resnet18", image_size=64)
    for module in model.modules():  # timm starts the last one of each block at zero
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


@every_method
def test_maps_have_the_images_size_and_span_zero_to_one(baseline, method):
    image = batch(5, size=32)["image"]
    found = explain_prediction(baseline, image, method=method, **SMALL.get(method, {}))
    assert found.attribution.shape == (5, 32, 32)
    assert not found.attribution.requires_grad
    flat = found.attribution.flatten(1)
    torch.testing.assert_close(flat.amin(1), torch.zeros(5))
    torch.testing.assert_close(flat.amax(1), torch.ones(5))
    with torch.no_grad():
        torch.testing.assert_close(found.logits, baseline(image), rtol=1e-4, atol=1e-5)


@every_method
def test_the_model_is_left_as_it_was(method):
    model = resnet().train()
    model.backbone.bn1.eval()
    model.backbone.conv1.requires_grad_(False)
    image = batch(2, size=64)["image"]
    before = condition(model)
    attribute(model, image, 0, method=method, **SMALL.get(method, {}))
    assert condition(model) == before
    with torch.inference_mode():
        inside = condition(model)
        explain_prediction(model, image, method=method, **SMALL.get(method, {}))
        assert condition(model) == inside


@every_method
def test_the_model_is_left_as_it_was_after_an_error(baseline, method):
    baseline.train()
    before = condition(baseline)
    with pytest.raises((RuntimeError, IndexError, AssertionError)):
        attribute(baseline, batch(2, size=32)["image"], 99, method=method, **SMALL.get(method, {}))
    assert condition(baseline) == before


@every_method
def test_gradients_of_a_training_in_progress_survive(baseline, method):
    baseline.train()
    sample = batch(4, size=32)
    baseline.training_step(sample, 0).backward()
    grads = [p.grad.clone() for p in baseline.parameters()]
    explain_prediction(baseline, sample["image"], method=method, **SMALL.get(method, {}))
    assert all(torch.equal(a, p.grad) for a, p in zip(grads, baseline.parameters(), strict=True))


@every_method
def test_inference_mode_gives_the_same_maps_as_usable_tensors(baseline, method):
    image = batch(3, size=32)["image"]
    outside = attribute(baseline, image, 2, method=method, **SMALL.get(method, {}))
    with torch.inference_mode():
        target = torch.full((3,), 2)
        inside = attribute(baseline, image * 1.0, target, method=method, **SMALL.get(method, {}))
        assert intersection_over_region(inside, torch.zeros(3, 32, 32)).shape == (3, 19)
    torch.testing.assert_close(inside, outside, rtol=1e-4, atol=1e-5)


@every_method
def test_it_works_in_the_middle_of_a_trainers_validation(baseline, method):
    maps = []

    class Explained(BaselineCNN):
        def validation_step(self, batch):
            output = super().validation_step(batch)
            assert torch.is_inference_mode_enabled()
            options = SMALL.get(method, {})
            maps.append(explain_prediction(self, batch["image"], method=method, **options))
            torch.testing.assert_close(maps[0].logits, output["logits"], rtol=1e-4, atol=1e-5)
            return output

    model = Explained(image_size=32)
    model.load_state_dict(baseline.state_dict())
    sample = batch(4, size=32)
    trainer().validate(model, loader(sample), verbose=False)
    after = explain_prediction(baseline, sample["image"], method=method, **SMALL.get(method, {}))
    torch.testing.assert_close(maps[0].attribution, after.attribution, rtol=1e-4, atol=1e-5)


@every_method
def test_a_map_depends_on_its_image_alone(baseline, method):
    image, target = batch(5, size=32)["image"], torch.tensor([3, 0, 1, 6, 2])
    together = attribute(baseline, image, target, method=method, **SMALL.get(method, {}))
    again = attribute(baseline, image, target, method=method, **SMALL.get(method, {}))
    assert torch.equal(together, again)
    turned = attribute(
        baseline, image.flip(0)[:3], target.flip(0)[:3], method=method, **SMALL.get(method, {})
    )
    torch.testing.assert_close(turned, together.flip(0)[:3], rtol=1e-3, atol=1e-4)


def test_an_unknown_method_is_refused(baseline):
    with pytest.raises(ConfigError, match="hirescam"):
        attribute(baseline, torch.rand(1, 3, 32, 32), 0, method="grad-cam")


@every_method
def test_an_unknown_option_names_those_of_the_method(baseline, method):
    with pytest.raises(ConfigError, match=f"{method} has no option 'colour'") as caught:
        attribute(baseline, torch.rand(1, 3, 32, 32), 0, method=method, colour=1)
    assert all(option in str(caught.value) for option in options_of(method))


def test_a_misspelt_option_names_the_near_one(baseline):
    with pytest.raises(ConfigError, match="did you mean 'samples'"):
        attribute(baseline, torch.rand(1, 3, 32, 32), 0, method="lime", sample=9)


def test_a_check_refuses_before_anything_is_explained(baseline):
    check(baseline, "auto", image_size=32)
    for method, options, word in (
        ("hirescam", {"layer": "backbone.relu9"}, r"backbone\.relu3"),
        ("lime", {"sample": 9}, "samples"),
        ("lime", {"replace": "pink"}, "grey"),
        ("occlusion", {"window": 99}, "window"),
        ("integrated_gradients", {"steps": 0}, "steps"),
        ("lrp", {"composite": "epsilon"}, "epsilon_plus_flat"),
    ):
        with pytest.raises(ConfigError, match=word):
            check(baseline, method, image_size=32, **options)
    vision = TimmClassifier(name="vit_tiny_patch16_224", image_size=112)
    with pytest.raises(ConfigError, match="conserve"):
        check(vision, "lrp", image_size=112)


def test_no_images_give_no_maps(baseline):
    for method in ("hirescam", "lime", "occlusion", "integrated_gradients"):
        maps = explain_prediction(
            baseline, torch.zeros(0, 3, 32, 32), method=method, **SMALL.get(method, {})
        ).attribution
        assert maps.shape == (0, 32, 32)


def test_every_perturbing_method_finds_the_corner_that_a_model_looks_at():
    class Corner(nn.Module):
        """Says 1 when the upper right quarter is bright."""

        def forward(self, image):
            seen = image[:, :, :16, 16:].mean((1, 2, 3))
            return torch.stack([-seen, seen], dim=1)

    generator = torch.Generator().manual_seed(0)
    image = 0.6 + 0.4 * torch.rand(4, 3, 32, 32, generator=generator)
    options = {
        "lime": {"segments": 16, "samples": 64, "replace": "black", "compactness": 99},
        "occlusion": {"window": 4, "replace": "black"},
        "integrated_gradients": {"steps": 4},
    }
    for method, chosen in options.items():
        maps = attribute(Corner(), image, 1, method=method, **chosen)
        inside = maps[:, :16, 16:].sum((1, 2)) / maps.sum((1, 2))
        assert (inside > 0.7).all(), method
        assert np.isfinite(maps.numpy()).all()
