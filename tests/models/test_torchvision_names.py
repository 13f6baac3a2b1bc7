"""Files with torchvision's names give the answers of torchvision's own networks."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from fer_lab import models
from fer_lab.errors import ConfigError
from fer_lab.models.torchvision_names import from_torchvision
from tests.models.batches import trainer

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# torchvision changes ImageNet's statistics to these inside its Inception.
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# By torchvision's name: ours, a small size, and the statistics of torchvision's images.
NETWORKS = {
    "efficientnet_b0": ("EfficientNetB0", 64, IMAGENET),
    "inception_v3": ("InceptionV3", 96, HALF),
    "resnet50": ("ResNet50", 64, IMAGENET),
    "vgg16": ("VGG16", 64, IMAGENET),
    "vgg16_bn": ("VGG16BN", 64, IMAGENET),
    "vit_b_16": ("ViTB16", 224, IMAGENET),
}
HEAVY = ("vgg16", "vgg16_bn", "vit_b_16")


def theirs(name: str, classes: int = 5) -> nn.Module:
    options = {"init_weights": False} if name == "inception_v3" else {}
    return getattr(torchvision.models, name)(num_classes=classes, **options)


def normalised(image, mean, std):
    return (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def lively(network: nn.Module, images) -> nn.Module:
    """In evaluation mode, with answers that depend on the image and on every weight."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    network.eval()
    for module in network.modules():
        module.train(isinstance(module, nn.BatchNorm2d))
    with torch.no_grad():
        network(images)
    return network.eval()


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in HEAVY else []) for n in NETWORKS]
)
@pytest.mark.filterwarnings("ignore")
def test_logits_are_torchvisions(name, tmp_path):
    torch.manual_seed(0)
    ours, side, statistics = NETWORKS[name]
    image = torch.rand(4, 3, side, side)
    network = lively(theirs(name), normalised(image, *statistics))
    # As a program that trains several devices would keep it, beside its own.
    state = {f"module.{n}": tensor for n, tensor in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    model = getattr(models, ours)(5, weights=str(tmp_path / "weights.pth"), image_size=side).eval()
    (tmp_path / "weights.pth").unlink()
    # In double precision: random weights blow up what single precision rounds away.
    image = image.double()
    with torch.no_grad():
        expected = network.double()(normalised(image, *statistics))
        found = model.double()(image)
    assert expected.std(0).min() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_name_has_its_place(name):
    with torch.device("meta"):
        given = theirs(name).state_dict()
        own = getattr(models, NETWORKS[name][0])(5, image_size=NETWORKS[name][1]).backbone
        found = from_torchvision(given, own)
    shapes = {n: t.shape for n, t in found.items() if not n.startswith("AuxLogits.")}
    assert shapes == {n: t.shape for n, t in own.state_dict().items()}


def test_older_names_of_the_transformers_layers_are_known():
    older = {"mlp.0": "mlp.linear_1", "mlp.3": "mlp.linear_2"}
    with torch.device("meta"):
        given = theirs("vit_b_16").state_dict()
        for new, old in older.items():
            given = {n.replace(new, old): tensor for n, tensor in given.items()}
        backbone = models.ViTB16(5).backbone
        assert set(from_torchvision(given, backbone)) == set(backbone.state_dict())


def test_the_transfer_head_comes_on_torchvisions_convolutions(tmp_path):
    torch.manual_seed(0)
    network = theirs("resnet50", classes=1000)
    torch.save(network.state_dict(), tmp_path / "resnet50.pth")
    model = models.ResNet50Transfer(5, weights=str(tmp_path / "resnet50.pth"))
    assert torch.equal(model.backbone.layer4[2].conv3.weight, network.layer4[2].conv3.weight)
    assert model.backbone.fc.logits.weight.shape == (5, 256)


def test_what_timm_names_stays_as_it_is():
    with torch.device("meta"):
        for ours, side, _ in NETWORKS.values():
            backbone = getattr(models, ours)(5, image_size=side).backbone
            state = backbone.state_dict()
            assert from_torchvision(state, backbone) == state


@pytest.mark.parametrize(
    ("theirs_name", "ours", "said"),
    [
        ("mobilenet_v2", models.EfficientNetB0, r"blocks\.0\.0\.conv_dw\.weight is missing"),
        ("resnet18", models.EfficientNetB0, r"conv_stem\.weight is missing"),
        ("efficientnet_b1", models.EfficientNetB0, "is not in the model"),
        ("mobilenet_v2", models.MobileNetV1, r"features\.0\.0\.weight is not in the model"),
    ],
)
def test_other_networks_of_torchvision_are_refused(theirs_name, ours, said, tmp_path):
    torch.save(theirs(theirs_name).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=said):
        ours(5, weights=str(tmp_path / "weights.pth"), image_size=64)


def test_a_transformer_without_its_first_layer_is_refused(tmp_path):
    with torch.device("meta"):
        names = list(theirs("vit_b_16").state_dict())
    state = {n: torch.ones(1) for n in names}
    file = str(tmp_path / "weights.pth")
    for first in (None, torch.ones(768, 1, 16, 16)):
        changed = {n: t for n, t in state.items() if n != "conv_proj.weight"}
        changed |= {} if first is None else {"conv_proj.weight": first}
        torch.save(changed, file)
        with torch.device("meta"), pytest.raises(ConfigError, match=r"another architecture"):
            models.ViTB16(5, weights=file)


def test_a_checkpoint_of_a_model_with_such_weights_is_like_any(tmp_path):
    torch.manual_seed(0)
    torch.save(theirs("efficientnet_b0").state_dict(), tmp_path / "weights.pth")
    model = models.EfficientNetB0(5, weights=str(tmp_path / "weights.pth"), image_size=64)
    run = trainer()
    run.strategy.connect(model)
    run.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    again = models.EfficientNetB0(5, weights=str(tmp_path / "model.ckpt"), image_size=64)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(again.eval()(image), model.eval()(image))
