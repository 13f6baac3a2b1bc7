from __future__ import annotations

import warnings

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from captum.attr import LayerGradCam
from torch import nn

from fer_lab.errors import ConfigError
from fer_lab.explain import attribute, explain_prediction, grid_of
from fer_lab.explain.regions import intersection_over_region
from fer_lab.models import BaselineCNN, TimmClassifier
from tests.explain.condition import condition
from tests.models.batches import batch


class Pooled(nn.Module):
    """Convolutions, an activation that works in place, global pooling, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.activation = nn.ReLU(inplace=True)
        self.more = nn.Conv2d(12, 20, 3, padding=1)
        self.head = nn.Linear(20, 5)

    def forward(self, image):
        maps = self.more(self.activation(self.features(image)))
        return self.head(maps.mean((2, 3)))


def scaled(heat: torch.Tensor, size: int) -> torch.Tensor:
    """ReLU, enlargement and scaling, one image at a time."""
    maps = []
    for one in heat.relu():
        large = F.interpolate(one[None, None], size=(size, size), mode="bilinear")[0, 0]
        spread = large.max() - large.min()
        maps.append((large - large.min()) / spread if spread > 0 else torch.zeros_like(large))
    return torch.stack(maps)


def full_backward(model: nn.Module, layer: str, image: torch.Tensor, target: int):
    """Activation and gradient of a layer by an ordinary backward pass through everything."""
    held = {}

    def keep(_module, _inputs, output):
        held["maps"] = output
        return output * 1  # what follows may work in place

    handle = model.get_submodule(layer).register_forward_hook(keep)
    model.zero_grad()
    logits = model(image)
    handle.remove()
    held["maps"].retain_grad()
    logits[:, target].sum().backward()
    found = held["maps"].detach(), held["maps"].grad.detach()
    model.zero_grad(set_to_none=True)
    return found


@pytest.fixture
def pooled():
    torch.manual_seed(1)
    return Pooled().eval()


@pytest.fixture
def baseline():
    torch.manual_seed(2)
    return BaselineCNN(image_size=32).eval()


def resnet() -> TimmClassifier:
    torch.manual_seed(3)
    model = TimmClassifier(name="resnet18", image_size=64).eval()
    for module in model.modules():  # timm starts the last one of each block at zero
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


@pytest.mark.parametrize("layer", ["features", "more"])
def test_gradcam_equals_captum(pooled, layer):
    image, target = torch.rand(4, 3, 24, 24), torch.tensor([0, 4, 2, 2])
    # A copy without in-place operations: captum's gradient hooks do not allow them.
    other = Pooled().eval()
    other.load_state_dict(pooled.state_dict())
    other.activation.inplace = False
    module = other.get_submodule(layer)
    reference = LayerGradCam(other, module).attribute(image, target, relu_attributions=True)
    found = attribute(pooled, image, target, method="gradcam", layer=layer)
    torch.testing.assert_close(found, scaled(reference[:, 0].detach(), 24), atol=1e-5, rtol=1e-4)


def gradcam_plus_plus_heat(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Eqs. 10 and 19 as printed, one channel and place at a time, for the score exp(logit)."""
    heat = torch.zeros(activation.shape[0], *activation.shape[2:], dtype=torch.float64)
    for n, (maps, slopes) in enumerate(zip(activation.double(), gradient.double(), strict=True)):
        for values, slope in zip(maps, slopes, strict=True):
            weight = 0.0
            for row in slope.tolist():
                for g in row:
                    below = 2 * g**2 + float(values.sum()) * g**3
                    weight += (g**2 / below if below else 0) * max(g, 0)
            heat[n] += weight * values
    return heat.float()


REFERENCES = {
    "gradcam": lambda a, g: (a * g.mean((2, 3), keepdim=True)).sum(1),
    "hirescam": lambda a, g: (a * g).sum(1),
    "gradcam_plus_plus": gradcam_plus_plus_heat,
    "layercam": lambda a, g: (a * g.clamp(min=0)).sum(1),
}


@pytest.mark.parametrize("method", sorted(REFERENCES))
def test_maps_equal_a_full_backward_pass(method):
    for model, layer in (
        (BaselineCNN(image_size=32).eval(), "backbone.relu2"),
        (resnet(), "backbone.layer2.1.bn2"),
        (resnet(), "backbone.layer1"),
    ):
        size = model.image_size
        image = batch(3, size=size)["image"]
        activation, gradient = full_backward(model, layer, image, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = attribute(model, image, 3, method=method, layer=layer)
        reference = scaled(REFERENCES[method](activation, gradient), size)
        torch.testing.assert_close(found, reference, atol=1e-4, rtol=1e-4)


def test_both_methods_agree_before_pooling_and_a_linear_head(pooled):
    image = torch.rand(4, 3, 24, 24)
    one, other = (
        attribute(pooled, image, 1, method=m, layer="more") for m in ("gradcam", "hirescam")
    )
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_gradcam_before_a_head_that_depends_on_place_warns(baseline):
    with pytest.warns(UserWarning, match="hirescam"):
        attribute(baseline, batch(2, size=32)["image"], 0, method="gradcam")


def test_logits_and_map_of_the_prediction_come_together(baseline):
    image = batch(6, size=32)["image"]
    found = explain_prediction(baseline, image)
    with torch.no_grad():
        logits = baseline(image)
    torch.testing.assert_close(found.logits, logits)
    assert found.grid == (8, 8)
    assert not found.attribution.requires_grad
    by_target = attribute(baseline, image, logits.argmax(1), method="hirescam")
    torch.testing.assert_close(found.attribution, by_target)


def test_every_map_spans_zero_to_one(baseline):
    maps = explain_prediction(baseline, batch(6, size=32)["image"]).attribution.flatten(1)
    torch.testing.assert_close(maps.amin(1), torch.zeros(6))
    torch.testing.assert_close(maps.amax(1), torch.ones(6))


def test_a_map_without_positive_evidence_stays_zero(pooled):
    with torch.no_grad():
        pooled.head.weight[2] = -1
        pooled.more.bias[:] = 9
    maps = attribute(pooled, torch.rand(3, 3, 24, 24), 2, layer="more")
    assert (maps == 0).all()


def test_oblong_images_keep_their_shape(pooled):
    assert attribute(pooled, torch.rand(2, 3, 20, 30), 1, layer="more").shape == (2, 20, 30)


def test_the_model_is_left_as_it_was_after_an_error(baseline):
    baseline.train()
    image = batch(2, size=32)["image"]
    before = condition(baseline)
    for layer in ("backbone.pool3", "backbone.dense", "backbone.nothing"):
        with pytest.raises(ConfigError):
            attribute(baseline, image, 0, method="hirescam", layer=layer)
        assert condition(baseline) == before
    with pytest.raises(RuntimeError):
        attribute(baseline, image, 99, method="hirescam")
    assert condition(baseline) == before


def test_a_layer_inside_the_models_own_no_grad_block_is_explained(pooled):
    class Frozen(Pooled):
        def forward(self, image):
            with torch.no_grad():
                maps = self.more(self.activation(self.features(image)))
            return self.head(maps.mean((2, 3)))

    model = Frozen().eval()
    model.load_state_dict(pooled.state_dict())
    image = torch.rand(2, 3, 24, 24)
    torch.testing.assert_close(
        attribute(model, image, 1, layer="more"), attribute(pooled, image, 1, layer="more")
    )


def test_a_coarse_layer_names_an_earlier_one(baseline):
    image = batch(2, size=32)["image"]
    with pytest.raises(ConfigError, match="4×4") as caught:
        attribute(baseline, image, 0, method="hirescam", layer="backbone.pool3")
    assert "use layer=backbone.relu3" in str(caught.value)
    with pytest.raises(ConfigError, match=r"use layer=backbone\.layer2"):
        grid_of(resnet(), "backbone.layer4")


def test_a_misspelt_layer_lists_near_ones():
    with pytest.raises(ConfigError, match=r"backbone\.layer3"):
        attribute(resnet(), batch(1, size=64)["image"], 0, layer="backbone.layer_3")


def test_a_layer_whose_output_is_no_map_is_refused(baseline):
    with pytest.raises(ConfigError, match=r"gives \[2, 128\], not a map"):
        attribute(baseline, torch.rand(2, 3, 32, 32), 0, method="hirescam", layer="backbone.dense")
    swin = timm.create_model("swin_tiny_patch4_window7_224", num_classes=3).eval()
    with pytest.raises(ConfigError, match="not a map"):
        attribute(swin, torch.rand(1, 3, 224, 224), 0, layer="layers.1")


def test_a_model_without_spatial_layer_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4))
    with pytest.raises(ConfigError, match="does not say which layer") as caught:
        attribute(model, torch.rand(1, 3, 8, 8), 0)
    assert "no spatial layer" in str(caught.value)
    with pytest.raises(ConfigError, match="no spatial layer"):
        attribute(model, torch.rand(1, 3, 8, 8), 0, layer="1")


def test_a_layer_beside_the_way_to_the_logits_is_refused():
    class Beside(Pooled):
        def __init__(self) -> None:
            super().__init__()
            self.beside = nn.Conv2d(3, 4, 1)

        def forward(self, image):
            self.beside(image)
            return super().forward(image)

    with pytest.raises(ConfigError, match="do not depend"):
        attribute(Beside(), torch.rand(1, 3, 24, 24), 0, layer="beside")


def test_a_model_that_looks_at_one_place_has_its_highest_ior_there():
    class Corner(nn.Module):
        """Says 1 when the middle of the upper right quarter is bright."""

        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 1, 1, bias=False)
            nn.init.ones_(self.convolution.weight)

        def forward(self, image):
            maps = self.convolution(image)
            seen = maps[:, 0, 4:12, 20:28].mean((1, 2))
            return torch.stack([-seen, seen], dim=1)

    regions = torch.zeros(5, 32, 32, dtype=torch.uint8)
    regions[:, 4:12, 20:28] = 3
    regions[:, 20:28, 4:12] = 7
    maps = attribute(Corner(), torch.rand(5, 3, 32, 32), 1, method="hirescam", layer="convolution")
    ior = intersection_over_region(maps, regions)
    assert (ior.nan_to_num(-1).argmax(1) == 3).all()
    assert (ior[:, 7] == 0).all()
    assert (ior[:, 0] < 0.05).all()
