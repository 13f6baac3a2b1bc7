"""Smaller rates for earlier layers, and no weight decay for vectors, against other ways to them."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from timm.optim import param_groups_layer_decay
from torch import nn

from fer_lab import models
from fer_lab.errors import ConfigError
from fer_lab.models import BaselineCNN, Classifier
from fer_lab.models.layer_groups import grouped, layers_of
from fer_lab.models.optimization import build_optimizer
from tests.models.batches import batch


def rates(model: nn.Module, options: dict) -> dict[str, float]:
    """The learning rate of each parameter that learns, by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups, _ = grouped(model, options)
    found = [(names[id(each)], group["lr"]) for group in groups for each in group["params"]]
    assert len(found) == len(dict(found))
    return dict(found)


def on_paper(kind: str, **options) -> Classifier:
    """A model without numbers, of which only names and shapes are needed."""
    with torch.device("meta"):
        return getattr(models, kind)(7, **options)


def test_each_layer_has_its_share_of_the_next_ones_rate():
    found = rates(BaselineCNN(image_size=8), {"name": "sgd", "lr": 0.8, "layer_decay": 0.5})
    expected = {"conv1": 0.05, "conv2": 0.1, "conv3": 0.2, "dense": 0.4, "head": 0.8}
    assert found == {
        f"backbone.{layer}.{kind}": pytest.approx(rate)
        for layer, rate in expected.items()
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "efficientnet_b0"])
def test_rates_of_timm_models_are_those_of_timm(name):
    model = on_paper("TimmClassifier", name=name)
    by_parameter = {
        id(parameter): group["lr_scale"]
        for group in param_groups_layer_decay(model.backbone, layer_decay=0.7)
        for parameter in group["params"]
    }
    found = rates(model, {"name": "adamw", "lr": 2.0, "layer_decay": 0.7})
    assert found == {
        name: pytest.approx(2 * by_parameter[id(parameter)])
        for name, parameter in model.named_parameters()
    }


def test_a_norm_belongs_to_the_convolution_before_it():
    plain, normed = on_paper("VGG16"), on_paper("VGG16BN")
    assert max(layers_of(plain).values()) == max(layers_of(normed).values()) == 13
    found = layers_of(normed)
    assert found["backbone.features.3.weight"] == found["backbone.features.4.weight"] == 1


def test_layers_of_clip_are_its_embeddings_its_blocks_and_its_head():
    found = layers_of(on_paper("CLIPB16"))
    assert {found[f"backbone.visual.{name}"] for name in ("conv1.weight", "class_embedding")} == {0}
    for block in range(12):
        assert found[f"backbone.visual.transformer.resblocks.{block}.ln_1.weight"] == block + 1
    assert {found[f"backbone.{name}"] for name in ("visual.proj", "head.weight")} == {13}


def test_layers_of_poster_go_through_the_image_branch_and_the_fusion():
    found = layers_of(on_paper("POSTER", size="small"))
    path = ["ir_back.input_layer.0", *(f"ir_back.body.{unit}.res_layer.1" for unit in range(21))]
    path += ["ir_layer", *(f"pyramid_fuse.blocks.{n}.block_l.conv" for n in range(4))]
    path += ["head.linear"]
    assert [found[f"backbone.{name}.weight"] for name in path] == list(range(28))


@pytest.mark.parametrize("name", ["MobileNetV1", "Xception", "InceptionV3", "ResNet50Transfer"])
def test_every_parameter_of_every_model_has_a_layer(name):
    model = on_paper(name)
    found = layers_of(model)
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert set(found.values()) == set(range(max(found.values()) + 1))


def test_what_is_frozen_is_in_no_group_and_the_head_learns_at_the_full_rate():
    model = on_paper("ResNet50Transfer")
    found = rates(model, {"name": "adam", "lr": 1e-3, "layer_decay": 0.5})
    assert set(found) == {name for name, p in model.named_parameters() if p.requires_grad}
    assert found["backbone.fc.logits.weight"] == 1e-3
    assert min(found.values()) == pytest.approx(1e-3 * 0.5**3)  # the first block of layer4


def test_a_step_is_that_of_each_layer_alone():
    torch.manual_seed(0)
    model, sample = BaselineCNN(image_size=8, dropout=0.0), batch(4, size=8)
    twin = copy.deepcopy(model)
    optimizer = build_optimizer(*grouped(model, {"name": "sgd", "lr": 0.1, "layer_decay": 0.5}))
    F.cross_entropy(model(sample["image"]), sample["label"]).backward()
    optimizer.step()
    F.cross_entropy(twin(sample["image"]), sample["label"]).backward()
    for away, layer in enumerate(("head", "dense", "conv3", "conv2", "conv1")):
        for name, parameter in twin.backbone.get_submodule(layer).named_parameters():
            expected = parameter.detach() - 0.1 * 0.5**away * parameter.grad
            found = model.backbone.get_submodule(layer).get_parameter(name)
            torch.testing.assert_close(found.detach(), expected)


def test_weight_decay_spares_vectors_and_what_the_backbone_names():
    model = on_paper("TimmClassifier", name="vit_tiny_patch16_224")
    options = {"name": "adamw", "lr": 1e-3, "weight_decay": 0.05, "decay_norms": False}
    groups, rest = grouped(model, options)
    assert rest == {"name": "adamw", "lr": 1e-3, "weight_decay": 0.05}
    optimizer = build_optimizer(groups, rest)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in model.backbone.named_parameters():
        spared = parameter.ndim == 1 or name in ("pos_embed", "cls_token")
        assert decays[id(parameter)] == (0.0 if spared else 0.05), name
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}


def test_without_either_option_there_is_one_group_as_torch_makes_it():
    model = BaselineCNN(image_size=8)
    optimizer = build_optimizer(*grouped(model, {"name": "adam", "layer_decay": None}))
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]


class Twisted(Classifier):
    """A backbone that does not say where it begins."""

    image_size = 8

    def build(self) -> nn.Module:
        return nn.ModuleDict({"last": nn.Linear(4, 7), "first": nn.Linear(3, 4)})


def test_an_unknown_order_of_layers_is_refused():
    with pytest.raises(ConfigError, match="order of the layers of Twisted is not known"):
        grouped(Twisted(7), {"name": "adam", "layer_decay": 0.9})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layer_decay": 0}, r"in \(0, 1\], not 0"),
        ({"layer_decay": "slow"}, "not 'slow'"),
        ({"decay_norms": 0.5}, "true or false"),
        ({"layer_decoy": 0.5}, "no option layer_decoy"),
    ],
)
@pytest.mark.parametrize("name", ["adam", "sam"])
def test_options_that_cannot_work_are_refused(name, options, said):
    with pytest.raises(ConfigError, match=said):
        BaselineCNN(image_size=8, optimizer={"name": name, **options})
