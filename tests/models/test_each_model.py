"""Every option of ``model``: its size, a step on faces, a checkpoint, an explanation, an export."""

from __future__ import annotations

import gc
from typing import NamedTuple

import onnxruntime
import open_clip
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hydra.utils import get_class
from pytorch_lightning import Callback
from torch import nn

from fer_lab import models
from fer_lab.configuration import group_options
from fer_lab.data import SyntheticDataModule
from fer_lab.errors import ConfigError
from fer_lab.explain import attribute, explain_prediction, grid_of
from fer_lab.explain.attribution.lrp import conservation
from fer_lab.models.catalogue import CATALOGUE, entry_of
from fer_lab.models.checkpoints import load_checkpoint
from fer_lab.models.exporting import TOLERANCE, exported_program, save_program, with_probabilities
from tests.models.batches import loader, trainer
from tests.models.configured import CLASSES, built, count, options_of, recipe_of


class Case(NamedTuple):
    """How a model is tested.

    Attributes:
        small: the smallest side at which it still has a grid of 7×7 to explain, or little more.
        heavy: whether a step at that side is too slow for every day, too.
        options: that make it small.
    """

    small: int
    heavy: bool = False
    options: dict = {}  # noqa: RUF012


CASES = {
    "baseline_cnn": Case(24),
    "ceprompt": Case(112, heavy=True),
    "clip_b16": Case(112, heavy=True),
    "clip_zero_shot": Case(112, heavy=True),
    "efficientnet_b0": Case(64),
    "inception_v3": Case(96),
    "mobilenet_v1": Case(64),
    "poster": Case(112, options={"size": "small"}),
    "resnet50": Case(64),
    "resnet50_transfer": Case(64),
    "timm": Case(64),
    "vgg16": Case(32, heavy=True),
    "vgg16_bn": Case(32, heavy=True),
    "vit_b16": Case(112, heavy=True),
    "vit_tiny": Case(112),
    "xception": Case(96),
}
ASKED = "vision_language"  # at a server, and nowhere else
ENTRIES = {name: entry_of(get_class(options_of(f"model={name}")["_target_"])) for name in CASES}
LIGHT = {name for name, case in CASES.items() if not case.heavy}


def every_day(names=CASES, light=LIGHT):
    """Names as parameters of a test, slow where they are heavy."""
    marks = {True: (), False: (pytest.mark.slow,)}
    return [pytest.param(name, marks=marks[name in light]) for name in sorted(names)]


@pytest.fixture(autouse=True)
def _memory(request):
    """Models of half a gigabyte go before the next comes."""
    yield
    if request.node.get_closest_marker("slow"):
        gc.collect()


@pytest.fixture(scope="module")
def faces():
    """Eight synthetic faces at 224 px, as a loader gives them."""
    data = SyntheticDataModule(
        train=8, val=8, test=8, image_size=224, batch_size=8, classes=CLASSES, num_workers=0
    )
    data.prepare_data()
    data.setup("fit")
    return next(iter(data.train_dataloader()))


def of_size(faces: dict, size: int) -> dict:
    image = faces["image"].float() / 255  # bytes, until they are on the device
    small = F.interpolate(image, size=(size, size), mode="bilinear", antialias=True)
    return {"image": small.clamp(0, 1), "label": faces["label"]}


def test_every_model_is_tested_and_catalogued():
    assert sorted({*CASES, ASKED}) == sorted(group_options()["model"])
    assert all(entry is not None for entry in ENTRIES.values())
    assert sorted(CATALOGUE) == sorted(name for name in models.__all__ if name != "Classifier")


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.published])
def test_parameter_counts_are_the_published_ones(name):
    published = ENTRIES[name].published
    model = built(name, "meta", num_classes=published.classes)
    counted = count(model) + sum(published.left_out.values())
    assert counted == pytest.approx(published.parameters, rel=0.01)


def test_the_text_tower_is_what_zero_shot_leaves_out():
    with torch.device("meta"):
        both = open_clip.CLIP(**open_clip.get_model_config("ViT-B-16"))
    left_out = ENTRIES["clip_zero_shot"].published.left_out
    assert left_out == {"text tower": count(both) - count(both.visual)}


class Gradients(Callback):
    """Keeps which parameters the first backward pass has reached."""

    reached: set[str] = set()  # noqa: RUF012

    def on_after_backward(self, trainer, pl_module):
        self.reached = {n for n, p in pl_module.named_parameters() if p.grad is not None}


def step_checkpoint_explanation(model, sample, folder):
    """One step of a trainer on faces, a checkpoint of it, and where the loaded model looks."""
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    before = {n: p.double().sum().item() for n, p in model.named_parameters()}
    gradients = Gradients()
    fit = trainer(max_steps=1, callbacks=[gradients])
    fit.fit(model, loader(sample))
    after = {n: p.double().sum().item() for n, p in model.named_parameters()}
    # What is reached without being trained, or the reverse, would stop processes that share it.
    assert gradients.reached == trained
    assert {n for n in after if after[n] != before[n]} <= trained
    assert any(after[n] != before[n] for n in trained) or not trained

    path = folder / "model.ckpt"
    fit.save_checkpoint(path, weights_only=True)
    fit.strategy.optimizers = []  # a gigabyte of some
    model.zero_grad(set_to_none=True)
    loaded = load_checkpoint(path)
    path.unlink()
    assert type(loaded) is type(model)
    assert dict(loaded.hparams) == dict(model.hparams)
    with torch.inference_mode():
        logits = model.eval()(sample["image"])
        assert logits.shape == (8, CLASSES)
        assert torch.equal(loaded(sample["image"]), logits)

    image, side = sample["image"][:2], model.image_size
    maps = [attribute(loaded, image, target, method="auto") for target in range(CLASSES)]
    assert {heat.shape for heat in maps} == {(2, side, side)}
    assert all(heat.isfinite().all() for heat in maps)
    # Nothing speaks for some classes after one step, but something does for others.
    assert any((heat.amax((1, 2)) > 0.99).any() for heat in maps)
    assert not all(torch.equal(heat, maps[0]) for heat in maps)
    assert min(grid_of(loaded)) >= 7


QUIET = pytest.mark.filterwarnings(
    "ignore:.*(in eval mode|no `val_dataloader`|ReduceLROnPlateau|configure_optimizers)"
)


@QUIET
@pytest.mark.parametrize("name", every_day(LIGHT))
def test_a_step_on_small_faces_a_checkpoint_and_an_explanation(name, faces, tmp_path):
    torch.manual_seed(0)
    case = CASES[name]
    model = built(name, image_size=case.small, **case.options)
    step_checkpoint_explanation(model, of_size(faces, case.small), tmp_path)


@QUIET
@pytest.mark.parametrize("name", every_day(light={"baseline_cnn", "mobilenet_v1", "vit_tiny"}))
def test_a_step_as_its_recipe_takes_it_a_checkpoint_and_an_explanation(name, faces, tmp_path):
    torch.manual_seed(0)
    size = recipe_of(f"model={name}")["image_size"]
    step_checkpoint_explanation(built(name, image_size=size), of_size(faces, size), tmp_path)


@pytest.mark.parametrize("name", every_day())
def test_relevance_is_conserved_where_it_is_offered_and_refused_elsewhere(name):
    torch.manual_seed(0)
    case = CASES[name]
    size = case.small
    model = built(name, image_size=size, **case.options).eval()
    image = torch.rand(2, 3, size, size)
    offered = ENTRIES[name].conserves_relevance
    if offered is False:
        with pytest.raises(ConfigError, match="does not conserve relevance"):
            attribute(model, image, 0, method="lrp")
        return
    assert conservation(model, (size, size)) == pytest.approx(1, abs=0.01)
    learning = [n for n, p in model.named_parameters() if p.requires_grad]
    with torch.no_grad():  # of a random model, biases might be all that a logit comes from
        for part_name, parameter in model.named_parameters():
            if part_name.endswith("bias"):
                parameter.zero_()
    found = explain_prediction(model, image, method="lrp")
    spoken = found.logits.amax(1) > 0
    assert spoken.any()
    assert found.attribution.amax((1, 2))[spoken].tolist() == pytest.approx(
        [1.0] * int(spoken.sum())
    )
    assert found.grid == (size, size)
    assert learning == [n for n, p in model.named_parameters() if p.requires_grad]


def answering_differently(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """A model whose random weights do not answer the same to every image."""
    if isinstance(model, models.CEPrompt):
        model.backbone.begin_distilling()  # the stage whose logits are no cosines
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(images)  # statistics of batch norms, which are no identity then
        logits = model.eval()(images)
        parts = model.backbone.get_submodule(model.head).modules()
        dense = [part for part in parts if isinstance(part, nn.Linear)]
        if dense:
            # Rounding is scaled up too, so that it must not be by much.
            scale = 0.4 / logits.std(dim=0)
            dense[-1].weight.mul_(scale[:, None])
            dense[-1].bias.sub_(logits.mean(dim=0)).mul_(scale)
    return model


def lit_differently(images: torch.Tensor) -> torch.Tensor:
    """Faces in light of other colours and strengths, which any network tells apart."""
    generator = torch.Generator().manual_seed(0)
    return images * (0.1 + 0.9 * torch.rand(len(images), 3, 1, 1, generator=generator))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_exported_files_give_the_same_probabilities(name, faces, tmp_path):
    torch.manual_seed(0)
    case = CASES[name]
    images = lit_differently(of_size(faces, case.small)["image"])
    model = built(name, image_size=case.small, **case.options)
    whole = with_probabilities(answering_differently(model, images))
    # Batches of other sizes than the one that it was exported with.
    inputs = {8: images, 1: images[2:3], 3: images[3:6]}
    with torch.inference_mode():
        expected = {size: whole(each) for size, each in inputs.items()}
    assert (expected[8].amax(0) - expected[8].amin(0)).max() > 0.1
    program = exported_program(whole, case.small)
    del model, whole

    save_program(program, tmp_path / "model.pt2", "torch_export", {})
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    (tmp_path / "model.pt2").unlink()
    with torch.inference_mode():
        for size, each in inputs.items():
            torch.testing.assert_close(loaded(each), expected[size], atol=TOLERANCE, rtol=0)
    del loaded
    save_program(program, tmp_path / "model.onnx", "onnx", {})
    del program
    gc.collect()
    session = onnxruntime.InferenceSession(
        tmp_path / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (tmp_path / "model.onnx").unlink()
    (entrance,) = [each.name for each in session.get_inputs()]
    for size, each in inputs.items():
        answer = torch.from_numpy(session.run(None, {entrance: each.numpy()})[0])
        torch.testing.assert_close(answer, expected[size], atol=TOLERANCE, rtol=0)
