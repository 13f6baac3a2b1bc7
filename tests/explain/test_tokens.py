from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from captum.attr import LayerGradCam

from fer_lab.errors import ConfigError
from fer_lab.explain import attribute, explain_prediction, grid_of
from fer_lab.explain.attribution.tokens import as_map, tokens_of
from fer_lab.models import TimmClassifier

VISION = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def vision():
    torch.manual_seed(0)
    model = TimmClassifier(7, name=VISION, image_size=112).eval()
    with torch.no_grad():  # weights as timm starts them attend to every place alike
        for parameter in model.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)
    return model


@pytest.fixture
def image():
    return torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))


def tokens_and_gradient(model, layer, image, target):
    """By an ordinary backward pass through everything."""
    held = {}

    def keep(_module, _inputs, output):
        output.retain_grad()
        held["tokens"] = output

    handle = model.get_submodule(layer).register_forward_hook(keep)
    model(image)[:, target].sum().backward()
    handle.remove()
    found = held["tokens"].detach(), held["tokens"].grad.detach()
    model.zero_grad(set_to_none=True)
    return found


def by_hand(tokens: torch.Tensor, side: int) -> torch.Tensor:
    """``[N, 1 + side², K]`` to ``[N, K, side, side]``, one token at a time."""
    maps = torch.zeros(len(tokens), tokens.shape[2], side, side)
    for place in range(side * side):
        maps[:, :, place // side, place % side] = tokens[:, 1 + place]
    return maps


REFERENCES = {
    "gradcam": lambda a, g: (a * g.mean((2, 3), keepdim=True)).sum(1),
    "hirescam": lambda a, g: (a * g).sum(1),
    "layercam": lambda a, g: (a * g.clamp(min=0)).sum(1),
    "gradcam_plus_plus": lambda a, g: (
        a * (g.clamp(min=0) / (2 + g * a.sum((2, 3), keepdim=True))).sum((2, 3), keepdim=True)
    ).sum(1),
}


def enlarged(heat: torch.Tensor, size: int) -> torch.Tensor:
    large = F.interpolate(heat.relu()[:, None], size=(size, size), mode="bilinear")[:, 0]
    low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    return (large - low) / (high - low)


@pytest.mark.parametrize("layer", ["backbone.blocks.11.norm1", "backbone.blocks.5"])
@pytest.mark.parametrize("method", sorted(REFERENCES))
def test_maps_of_tokens_equal_a_reshape_by_hand(vision, image, method, layer):
    tokens, gradient = tokens_and_gradient(vision, layer, image, 3)
    heat = REFERENCES[method](by_hand(tokens, 7), by_hand(gradient, 7))
    found = attribute(vision, image, 3, method=method, layer=layer)
    torch.testing.assert_close(found, enlarged(heat, 112), atol=2e-3, rtol=1e-2)


def test_captums_layer_gradcam_takes_channels_for_places(vision, image):
    layer = vision.get_submodule("backbone.blocks.10")
    wrong = LayerGradCam(vision, layer).attribute(image, target=3, relu_attributions=True)
    # One value for each of 192 channels: a sum over tokens, weighted by a mean over channels.
    assert wrong.shape == (2, 1, 192)


def test_a_vision_transformer_states_the_norm_inside_its_last_block(vision, image):
    assert vision.attribution_layer == "backbone.blocks.11.norm1"
    assert grid_of(vision) == (7, 7)
    found = explain_prediction(vision, image)
    assert found.grid == (7, 7)
    assert (found.attribution.amax((1, 2)) > 0.99).all()


def test_after_the_last_block_only_the_class_token_is_read(vision, image):
    with pytest.raises(ConfigError, match="only the class token is read"):
        attribute(vision, image, 0, layer="backbone.blocks.11")


def test_before_a_normalisation_activation_times_gradient_cancels(vision, image):
    tokens, gradient = tokens_and_gradient(vision, "backbone.blocks.10", image, 3)
    products = (tokens * gradient)[:, 1:]
    assert products.sum(2).abs().max() < 1e-5 * products.abs().sum(2).max()
    with pytest.raises(ConfigError, match="sums to zero"):
        attribute(vision, image, 3, method="hirescam", layer="backbone.blocks.10")
    assert attribute(vision, image, 3, layer="backbone.blocks.10").amax() > 0.99


def test_where_all_tokens_are_averaged_the_last_block_is_explained(image):
    torch.manual_seed(0)
    tower = timm.create_model(
        VISION, num_classes=4, img_size=112, global_pool="avg", class_token=False
    ).eval()
    found = attribute(tower, image, 1, layer="blocks.11")
    assert found.shape == (2, 112, 112)


def test_a_clip_tower_keeps_its_class_token_and_is_explained(image):
    torch.manual_seed(0)
    tower = timm.models.VisionTransformer(
        img_size=112,
        patch_size=16,
        embed_dim=48,
        depth=3,
        num_heads=3,
        num_classes=5,
        pre_norm=True,
        norm_layer=torch.nn.LayerNorm,
        reg_tokens=4,
    ).eval()
    assert attribute(tower, image, 1, layer="blocks.1").shape == (2, 112, 112)
    assert grid_of(tower, "blocks.1", image_size=112) == (7, 7)


def test_a_grid_of_tokens_under_seven_is_refused():
    model = TimmClassifier(7, name=VISION, image_size=96)
    with pytest.raises(ConfigError, match="use larger images"):
        attribute(model, torch.rand(1, 3, 96, 96), 0)
    with pytest.raises(ConfigError, match="6×6"):
        attribute(model, torch.rand(1, 3, 96, 96), 0, layer="backbone.blocks.3")


@pytest.mark.parametrize(
    ("tokens", "size", "prefix", "grid"),
    [
        (197, (224, 224), 1, (14, 14)),
        (196, (224, 224), 0, (14, 14)),
        (198, (224, 224), 2, (14, 14)),
        (261, (224, 224), 5, (16, 16)),
        (50, (112, 112), 1, (7, 7)),
        (1 + 14 * 7, (224, 112), 1, (14, 7)),
    ],
)
def test_the_number_of_tokens_says_how_they_divide(tokens, size, prefix, grid):
    assert tokens_of(tokens, size) == (prefix, grid)


def test_places_run_row_by_row_after_the_prefix():
    tokens = torch.arange(2 * 51 * 3.0).view(2, 51, 3)
    division = tokens_of(51, (112, 112))
    assert division.prefix == 2
    torch.testing.assert_close(as_map(tokens, division), by_hand(tokens[:, 1:], 7))
