"""The studies' models: their heads, recipes, layers to explain and frozen parts."""

from __future__ import annotations

import logging

import pytest
import timm
import torch
from hydra.utils import get_class
from pytorch_lightning import Callback
from torch import nn

from fer_lab import models
from fer_lab.data.augment import Augment
from fer_lab.data.expansion import Expansion
from fer_lab.data.splitting.selection import plain
from fer_lab.errors import ConfigError
from fer_lab.models.optimization import build_optimizer
from tests.models.batches import batch, loader, trainer
from tests.models.configured import CLASSES, built, configured, count, options_of

# Models of timm that are trained in a study.
EVERY = (
    *("efficientnet_b0", "inception_v3", "mobilenet_v1", "resnet50", "resnet50_transfer"),
    *("vgg16", "vgg16_bn", "vit_b16", "vit_tiny", "xception"),
)
FROZEN = ("conv1", "bn1", "layer1", "layer2", "layer3")


def test_inception_is_torchvisions_without_the_auxiliary_classifier():
    norms = 2 * 128 + 2 * 768
    auxiliary = 768 * 128 + 128 * 768 * 5 * 5 + norms + 768 * 1000 + 1000
    assert count(built("inception_v3", "meta", num_classes=1000)) == 27_161_264 - auxiliary


def test_the_transfer_head_and_what_learns_are_as_wide_as_described():
    head = 2 * 2048 + (2048 + 1) * 256 + (256 + 1) * 7
    # Three bottlenecks of 1×1, 3×3 and 1×1, the first with a projection; a batch norm each.
    width, out, before = 512, 2048, 1024
    inner = 9 * width * width + width * out + 2 * (2 * width + out)
    stage = before * width + 2 * out * width + 3 * inner + before * out + 2 * out
    model = built("resnet50_transfer", "meta", num_classes=7)
    assert count(model, trained=True) == stage + head
    assert count(model) == 25_557_032 - (2048 + 1) * 1000 + head
    assert [type(part).__name__ for part in model.backbone.fc] == [
        *("BatchNorm1d", "Linear", "ReLU", "Dropout", "Linear")
    ]


def test_the_vgg_classifier_is_that_of_the_study():
    model = built("vgg16", "meta", num_classes=7)
    found = [*model.backbone.pre_logits.modules(), *model.backbone.head.modules()]
    layers = [m.weight.shape[0] for m in found if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert layers == [4096, 4096, 7]
    assert [m.p for m in found if isinstance(m, nn.Dropout)] == [0.5, 0.5]


ADAM = {"name": "adam", "weight_decay": 0.0}
RECIPES = {
    # METHODS as composed: class, optimizer, image, batch, validation batch, epochs, weights.
    "model=mobilenet_v1": ("MobileNetV1", {**ADAM, "lr": 1e-3}, 224, 64, None, 30, "random"),
    "model=resnet50": ("ResNet50", {**ADAM, "lr": 1e-3}, 224, 64, None, 30, "random"),
    "model=xception": ("Xception", {**ADAM, "lr": 1e-3}, 224, 64, None, 30, "random"),
    "model=efficientnet_b0": ("EfficientNetB0", {**ADAM, "lr": 1e-3}, 224, 64, None, 30, "random"),
    "model=inception_v3": ("InceptionV3", {**ADAM, "lr": 1e-3}, 224, 64, None, 30, "random"),
    "model=vit_b16": ("ViTB16", {**ADAM, "lr": 1e-5}, 224, 64, None, 30, "random"),
    "recipe=gender_split": ("InceptionV3", {**ADAM, "lr": 1e-4}, 224, 128, 32, 1, "imagenet"),
    "recipe=intensity": (
        *("VGG16", {"name": "adamw", "lr": 1e-4, "weight_decay": 1e-3}),
        *(224, 32, None, 150, "imagenet"),
    ),
    "model=vgg16_bn recipe=intensity": (
        *("VGG16BN", {"name": "adamw", "lr": 1e-4, "weight_decay": 1e-3}),
        *(224, 32, None, 150, "imagenet"),
    ),
    "model=resnet50_transfer": (
        *("ResNet50Transfer", {**ADAM, "lr": 1e-5}, 224, 128, None, 10, "imagenet"),
    ),
}


@pytest.mark.parametrize("words", RECIPES)
def test_recipes_are_the_studies(words):
    cfg = configured(*words.split())
    data = cfg.data
    found = (cfg.model.optimizer, data.image_size, data.batch_size, data.eval_batch_size)
    name, *expected = RECIPES[words]
    assert get_class(cfg.model._target_) is getattr(models, name)
    assert [*found, cfg.trainer.max_epochs, cfg.model.weights] == expected


def test_the_intensity_recipe_trains_a_new_classifier_on_frozen_convolutions():
    recipe = {key: v for key, v in options_of("recipe=intensity").items() if key != "_target_"}
    model = built("vgg16", "meta", **{**recipe, "num_classes": 7, "weights": "random"})
    assert model.new_classifier
    assert count(model, trained=True) == (7 * 7 * 512 + 1 + 4096 + 1) * 4096 + (4096 + 1) * 7


def test_the_transfer_recipe_lowers_its_rate_on_a_plateau_and_changes_images():
    cfg = configured("model=resnet50_transfer", "augment=olate_transfer")
    assert cfg.model.scheduler == {"name": "plateau", "monitor": "val/loss", "patience": 3}
    assert tuple(cfg.model.frozen) == FROZEN == models.ResNet50Transfer.frozen
    assert Augment.of(plain(cfg.data.augment)) == Augment(
        flip=0.5, rotation=10, zoom=0.1, brightness=0.1, contrast=0.1, erasing=0.5
    )


def test_the_gender_recipe_expands_its_training_set_unless_another_augmentation_is_chosen():
    study = Augment.of(plain(configured("recipe=gender_split").data.augment))
    assert study.expand == Expansion(gamma=(0.5, 1, 1.5, 2), shift=(-4, 0, 4))
    assert study == Augment(expand=study.expand)
    chosen = configured("recipe=gender_split", "augment=standard").data.augment
    assert not Augment.of(plain(chosen)).expand.active
    assert not Augment.of(plain(configured().data.augment)).expand.active


@pytest.mark.parametrize("name", EVERY)
def test_models_take_images_of_their_own_size(name):
    model = built(name, "meta").eval()
    side = model.image_size
    assert model(torch.empty(2, 3, side, side, device="meta")).shape == (2, CLASSES)
    published = timm.get_pretrained_cfg(model.architecture)
    assert (side, model.mean, model.std) == (
        *(published.input_size[-1], published.mean, published.std),
    )


def sides(model: nn.Module) -> dict[str, int]:
    """The side of each stage's map, measured."""
    found: dict[str, int] = {}
    for path, _ in model.stages:

        def look(_module, _inputs, output, path=path):
            cells = output.shape[1] - 1
            found[path] = int(cells**0.5) if output.ndim == 3 else output.shape[-1]

        model.get_submodule(path).register_forward_hook(look)
    model.eval()(torch.empty(1, 3, model.image_size, model.image_size, device="meta"))
    return found


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("efficientnet_b0", [64, 99, 112, 193, 224]),
        ("inception_v3", [75, 91, 138, 139, 150, 224, 266, 267, 299]),
        ("resnet50_transfer", [56, 97, 112, 224]),
        ("vgg16", [32, 50, 55, 56, 111, 112, 150, 224, 299]),
        ("vgg16_bn", [48, 112, 224]),
        ("vit_b16", [112, 224]),
        ("vit_tiny", [112, 160, 224]),
    ],
)
def test_the_explained_layer_is_the_last_fine_one(name, sizes):
    for size in sizes:
        model = built(name, "meta", image_size=size)
        fine = [path for path, side in sides(model).items() if side >= 7]
        assert model.attribution_layer == fine[-1], size


@pytest.mark.parametrize("name", ["efficientnet_b0", "inception_v3", "resnet50_transfer"])
def test_what_is_explained_at_the_models_own_size_is_what_is_pooled(name):
    model = built(name, "meta").eval()
    pooled = []
    layer = model.get_submodule(model.attribution_layer)
    layer.register_forward_hook(lambda _module, _inputs, output: pooled.append(output))
    model.backbone.global_pool.register_forward_hook(
        lambda _module, inputs, _output: pooled.append(inputs[0])
    )
    model(torch.empty(1, 3, model.image_size, model.image_size, device="meta"))
    assert pooled[0] is pooled[1]


def test_a_head_that_depends_on_place_is_explained_by_hirescam():
    assert built("vgg16", "meta").attribution_method == "hirescam"
    assert built("inception_v3", "meta").attribution_method == "gradcam"


def normed(model: nn.Module, frozen: bool) -> dict[str, torch.Tensor]:
    """Statistics of the batch norms that are frozen, or of the others."""
    return {
        name: value.clone()
        for name, value in model.backbone.named_buffers()
        if name.endswith("running_mean") and name.startswith(FROZEN) == frozen
    }


@pytest.mark.filterwarnings("ignore:.*in eval mode")
def test_frozen_parts_stay_as_they_were_and_have_no_optimizer_state():
    torch.manual_seed(0)
    model = built("resnet50_transfer", image_size=32)
    frozen, learning = normed(model, frozen=True), normed(model, frozen=False)
    modes = []

    class Modes(Callback):
        def on_train_batch_start(self, trainer, pl_module, *_):
            modes.append({n: m.training for n, m in pl_module.backbone.named_modules() if n})

    data = loader(batch(4, size=32, classes=CLASSES))
    run = trainer(max_epochs=2, callbacks=[Modes()])
    run.fit(model, data, data)
    # The second epoch comes after a validation, which puts modes back.
    assert modes[0] == modes[1] == {n: not n.startswith(FROZEN) for n in modes[0]}
    assert all(torch.equal(value, frozen[n]) for n, value in normed(model, True).items())
    assert not any(torch.equal(value, learning[n]) for n, value in normed(model, False).items())
    state = run.optimizers[0].state
    assert {id(p) for p in state} == {id(p) for p in model.parameters() if p.requires_grad}
    assert sum(p.numel() for p in state) == count(model, trained=True)


def test_training_mode_leaves_frozen_parts_in_evaluation():
    model = models.TimmClassifier(3, name="resnet18", image_size=32, frozen=["bn1", "layer1"])
    model.eval().train()
    assert model.training
    assert model.backbone.layer2.training
    assert not model.backbone.bn1.training
    assert not any(part.training for part in model.backbone.layer1.modules())
    optimizer = build_optimizer(model.parameters(), {"name": "adam"})
    held = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert held == count(model, trained=True) < count(model)


@pytest.mark.parametrize(
    ("frozen", "said"),
    [
        (["layer5"], "no module 'layer5'.*layer4"),
        (["features"], "no module 'features'.*conv1, bn1"),
        ([""], "no module ''"),
        ("layer5", "no module 'layer5'"),
        (["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"], "nothing is left"),
    ],
)
def test_what_cannot_be_frozen_is_refused(frozen, said):
    with pytest.raises(ConfigError, match=f"(?s){said}"), torch.device("meta"):
        models.TimmClassifier(3, name="resnet18", frozen=frozen)


@pytest.mark.parametrize("known", [False, True])
def test_freezing_what_has_learned_nothing_is_said(known, caplog):
    model = models.TimmClassifier(3, name="resnet18", image_size=32, frozen=["conv1"])
    if known:
        model.on_load_checkpoint({})
    with caplog.at_level(logging.WARNING, "fer_lab"):
        model.on_fit_start()
    assert ("frozen with random weights: conv1" in caplog.text) is not known


def test_published_weights_come_under_the_transfer_head(monkeypatch):
    torch.manual_seed(0)
    published = timm.create_model("resnet50", num_classes=CLASSES)
    expected = {n: t.clone() for n, t in published.state_dict().items() if "fc." not in n}
    asked = []

    def fetch(name, **arguments):
        asked.append((name, arguments))
        return published

    monkeypatch.setattr("fer_lab.models.timm_backbone.imagenet_model", fetch)
    model = built("resnet50_transfer", weights="imagenet", image_size=64)
    assert asked == [("resnet50", {"num_classes": CLASSES})]
    own = model.backbone.state_dict()
    assert all(torch.equal(own[n], tensor) for n, tensor in expected.items())
    assert {n for n in own if n not in expected} == {
        *(f"fc.norm.{n}" for n in ("weight", "bias", "running_mean", "running_var")),
        *("fc.norm.num_batches_tracked", "fc.dense.weight", "fc.dense.bias"),
        *("fc.logits.weight", "fc.logits.bias"),
    }
    assert not model.backbone.layer3[0].conv1.weight.requires_grad


@pytest.mark.parametrize("new", [False, True])
def test_of_given_weights_the_new_classifier_keeps_the_convolutions_alone(monkeypatch, new):
    def load(backbone, path, *, head, classes):
        assert (path, head, classes) == ("vgg.pth", "head.fc", None)
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.fill_(2.0)

    monkeypatch.setattr("fer_lab.models.classifier.load_file", load)
    torch.manual_seed(0)
    model = models.VGG16(7, weights="vgg.pth", new_classifier=new)
    parts = [model.backbone.pre_logits.fc1, model.backbone.pre_logits.fc2, model.backbone.head.fc]
    assert all((p == 2).all() for p in model.backbone.features.parameters())
    for part in parts:
        drawn = part.weight.detach().flatten()[:100_000]
        assert drawn.std().item() == pytest.approx(0.01 if new else 0, rel=0.02)
        assert (part.bias == (0 if new else 2)).all()


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("inception_v3", 74, "at least 75 px"),
        ("vgg16", 31, "at least 32 px"),
        ("vgg16_bn", 16, "at least 32 px"),
        ("vit_tiny", 100, "multiple of 16"),
        ("vit_b16", 8, "multiple of 16"),
    ],
)
def test_an_image_size_that_a_model_cannot_take_is_refused(name, size, said):
    with pytest.raises(ConfigError, match=f"cannot take images of {size} px(.|\n)*{said}"):
        built(name, "meta", image_size=size)


@pytest.mark.parametrize(("name", "size"), [("inception_v3", 75), ("vgg16", 32), ("vit_tiny", 16)])
def test_the_smallest_size_works(name, size):
    model = built(name, "meta", image_size=size).eval()
    assert model(torch.empty(1, 3, size, size, device="meta")).shape == (1, CLASSES)


def test_a_transformer_says_which_size_it_takes():
    model = built("vit_tiny", "meta", image_size=112)
    with pytest.raises(ConfigError, match="takes images of 112 px, not 64×64"):
        model(torch.empty(1, 3, 64, 64, device="meta"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_train_with_frozen_parts():
    torch.manual_seed(0)
    model = built("resnet50_transfer", image_size=32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = loader(*(batch(4, size=32, classes=CLASSES, seed=seed) for seed in range(4)))
    # The second step of each process fails where a parameter without gradient is waited for.
    run = trainer(max_steps=2, strategy="ddp_spawn", devices=2, use_distributed_sampler=False)
    run.fit(model, data)
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert not any(name.removeprefix("backbone.").startswith(FROZEN) for name in changed)
