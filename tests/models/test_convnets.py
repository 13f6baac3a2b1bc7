from __future__ import annotations

import pytest
import timm
import torch

from fer_lab.errors import ConfigError
from fer_lab.explain import grid_of
from fer_lab.models import (
    VGG16,
    BaselineCNN,
    EfficientNetB0,
    InceptionV3,
    MobileNetV1,
    ResNet50,
    TimmClassifier,
    Xception,
)
from tests.models.batches import batch


def test_the_baseline_is_as_wide_as_described():
    convolutions = 3 * 9 * 32 + 32 + 32 * 9 * 64 + 64 + 64 * 9 * 128 + 128
    dense = 128 * 8 * 8 * 128 + 128 + 128 * 7 + 7
    assert sum(p.numel() for p in BaselineCNN().parameters()) == convolutions + dense


@pytest.mark.parametrize(
    ("backbone", "size", "layer", "grid"),
    [
        (BaselineCNN, None, "backbone.relu3", (16, 16)),
        (BaselineCNN, 24, "backbone.relu2", (12, 12)),
        (MobileNetV1, None, "backbone.blocks.4", (7, 7)),
        (ResNet50, None, "backbone.layer4", (7, 7)),
        (ResNet50, 112, "backbone.layer3", (7, 7)),
        (Xception, None, "backbone.act4", (10, 10)),
        (Xception, 224, "backbone.act4", (7, 7)),
        # Its first convolutions have no padding: 49 / 8 would give 7.
        (Xception, 49, "backbone.block2.rep.0", (11, 11)),
    ],
)
def test_the_explained_layer_is_the_last_fine_one(backbone, size, layer, grid):
    model = backbone(image_size=size)
    assert model.attribution_layer == layer
    assert grid_of(model) == grid


def test_timm_models_bring_their_own_input_size_and_normalisation():
    model = TimmClassifier(name="legacy_xception")
    assert model.image_size == 299
    assert model.mean == (0.5, 0.5, 0.5)
    assert TimmClassifier(name="resnet18").mean == (0.485, 0.456, 0.406)


def test_xception_is_normalised_as_its_published_weights_are():
    published = timm.get_pretrained_cfg("legacy_xception")
    assert (Xception.mean, Xception.std) == (published.mean, published.std)
    assert Xception.image_size == published.input_size[-1]


def test_xception_loads_a_local_file_of_imagenet_weights_but_for_the_head(tmp_path):
    torch.manual_seed(0)
    published = timm.create_model("legacy_xception", num_classes=1000).state_dict()
    torch.save(published, tmp_path / "xception.pth")
    model = Xception(num_classes=7, weights=str(tmp_path / "xception.pth"))
    own = model.backbone.state_dict()
    assert own["fc.weight"].shape == (7, 2048)
    assert all(torch.equal(own[n], t) for n, t in published.items() if not n.startswith("fc."))


def test_an_unknown_timm_model_names_a_near_one():
    with pytest.raises(ConfigError, match="resnet18"):
        TimmClassifier(name="resnet_18")


def test_an_image_size_the_baseline_cannot_take_is_refused():
    with pytest.raises(ConfigError, match="multiple of 8"):
        BaselineCNN(image_size=50)
    with pytest.raises(ConfigError, match="takes images of 64 px, not 48×48"):
        BaselineCNN()(torch.rand(1, 3, 48, 48))


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("convnext_tiny", 16, r"convnext_tiny cannot take images of 16 px(.|\n)*published for 224"),
        ("maxvit_tiny_tf_224", 112, "cannot take images of 112 px: height .28. must be divisible"),
        ("resnet18", 0, "cannot take images of 0 px"),
    ],
)
def test_an_image_size_that_a_model_of_timm_cannot_take_is_refused(name, size, said):
    with torch.device("meta"), pytest.raises(ConfigError, match=said):
        TimmClassifier(name=name, image_size=size)


def test_trying_an_image_size_leaves_the_model_as_it_was():
    torch.manual_seed(0)
    tried = TimmClassifier(name="resnet18", image_size=64)
    torch.manual_seed(0)
    untried = timm.create_model("resnet18", num_classes=7)
    assert tried.backbone.layer1.training
    for name, value in untried.state_dict().items():
        assert torch.equal(tried.backbone.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("backbone", "options", "side", "said"),
    [
        (VGG16, {}, 16, "at least 32 px"),
        (InceptionV3, {}, 64, "at least 75 px"),
        (Xception, {}, 6, "at least 7 px"),
        (TimmClassifier, {"name": "vit_tiny_patch16_224"}, 112, "takes images of 224 px"),
    ],
)
def test_images_of_a_size_that_a_built_model_cannot_take_are_refused(backbone, options, side, said):
    with torch.device("meta"), pytest.raises(ConfigError, match=said):
        backbone(**options).eval()(torch.empty(1, 3, side, side))


def test_a_misspelt_option_is_refused():
    with pytest.raises(TypeError, match="drop_out"):
        BaselineCNN(drop_out=0.1)


def test_no_spatial_layer_is_fine_enough_at_a_tiny_size():
    with pytest.raises(ConfigError, match="7×7"):
        _ = MobileNetV1(image_size=8).attribution_layer


@pytest.mark.parametrize("model_class", [MobileNetV1, EfficientNetB0, InceptionV3])
def test_a_new_head_begins_near_chance(model_class):
    torch.manual_seed(0)
    model = model_class(7, image_size=96).train()
    with torch.no_grad():
        logits = model(batch(16, size=96)["image"])
    assert logits.std() < 0.6
    head = model.backbone.get_submodule(model.head)
    assert head.weight.abs().max() <= 1 / head.in_features**0.5
