"""CLIP: the tower under a head, and zero-shot against open_clip's own two towers."""

from __future__ import annotations

import json
import logging

import open_clip
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

from fer_lab.errors import ConfigError
from fer_lab.explain import attribute, grid_of
from fer_lab.models import clip_weights
from fer_lab.models.checkpoints import load_checkpoint
from fer_lab.models.clip import CLIPB16, CLIPZeroShot
from fer_lab.models.exporting import exported_program, with_probabilities
from tests.models.batches import batch, loader, trainer
from tests.models.patches import assert_the_deciding_patch_is_explained

SMALL = "fer-lab-test-clip"
CLASSES = ["happy", "surprise", "anger"]
SIDE = 112
PUBLISHED = {"tower": 86.2e6, "both": 149.6e6}  # Radford et al. 2021; open_clip's model profile


class SmallTower(CLIPB16):
    architecture = SMALL
    image_size = SIDE


class SmallZeroShot(CLIPZeroShot):
    architecture = SMALL
    image_size = SIDE


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory):
    """The small architecture, known to open_clip by name."""
    config = {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": SIDE,
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 16,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 2,
        },
    }
    file = tmp_path_factory.mktemp("configs") / f"{SMALL}.json"
    file.write_text(json.dumps(config))
    open_clip.add_model_config(file)
    assert SMALL in open_clip.list_models()


@pytest.fixture(scope="module")
def published(small, tmp_path_factory):
    """Both towers with random weights, and a file of them."""
    torch.manual_seed(0)
    model = open_clip.CLIP(**open_clip.get_model_config(SMALL), quick_gelu=True).eval()
    with torch.no_grad():  # far enough apart to see which expression is which
        model.positional_embedding.mul_(20)
        model.token_embedding.weight.mul_(20)
        model.logit_scale.fill_(3.0)
    file = tmp_path_factory.mktemp("weights") / "clip.pt"
    torch.save({f"module.{name}": tensor for name, tensor in model.state_dict().items()}, file)
    return model, str(file)


@pytest.fixture
def image():
    return torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def normalised(image):
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD).view(3, 1, 1)
    return (image - mean) / std


def test_the_head_takes_what_open_clip_encodes(published, image):
    clip, file = published
    model = SmallTower(3, weights=file).eval()
    expected = F.linear(
        clip.encode_image(normalised(image)), model.backbone.head.weight, model.backbone.head.bias
    )
    torch.testing.assert_close(model(image), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "templates", [["a photo of a {expression} face"], ["{expression}", "a {expression} person"]]
)
def test_zero_shot_equals_open_clips_own_classifier(published, image, templates):
    clip, file = published
    model = SmallZeroShot(3, classes=CLASSES, weights=file, templates=templates).eval()
    text = open_clip.build_zero_shot_classifier(
        clip,
        open_clip.get_tokenizer(SMALL),
        ["happy", "surprised", "angry"],
        [template.replace("{expression}", "{}") for template in templates],
    )
    with torch.no_grad():
        feature = clip.encode_image(normalised(image), normalize=True)
        expected = clip.logit_scale.exp() * feature @ text
        logits = model(image)
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-4)
    assert expected.std(1).min() > 0.01
    # Of one template, also by open_clip's own logits of images and texts.
    if len(templates) == 1:
        words = [templates[0].format(expression=w) for w in ("happy", "surprised", "angry")]
        direct, _ = clip.get_logits(normalised(image), open_clip.tokenize(words))
        torch.testing.assert_close(logits, direct.detach(), atol=1e-3, rtol=1e-4)


def test_words_of_classes_can_be_chosen():
    words = {"anger": "furious"}
    model = SmallZeroShot(3, classes=CLASSES, words=words, templates="{expression}!")
    assert model.prompts == [["happy!"], ["surprised!"], ["furious!"]]


def test_quick_gelu_is_that_of_the_weights(published, image):
    assert clip_weights.quick_gelu_of("ViT-B-16", "openai")
    assert not clip_weights.quick_gelu_of("ViT-B-16", "laion2b_s34b_b88k")
    assert clip_weights.quick_gelu_of("ViT-B-16", "ViT-B-16.safetensors")
    clip, file = published
    other = open_clip.CLIP(**open_clip.get_model_config(SMALL), quick_gelu=False).eval()
    other.load_state_dict(clip.state_dict())
    for quick, right in ((True, clip), (False, other)):
        tower = SmallTower(3, weights=file, quick_gelu=quick).eval().backbone.visual
        with torch.no_grad():
            torch.testing.assert_close(tower(image), right.visual(image), atol=1e-4, rtol=1e-4)
    assert (clip.visual(image) - other.visual(image)).abs().max() > 1e-3


class Modes(Callback):
    def on_after_backward(self, trainer, pl_module):
        self.reached = {n for n, p in pl_module.named_parameters() if p.grad is not None}
        self.training = {n for n, m in pl_module.named_modules() if m.training}


HEAD = {"backbone.head.weight", "backbone.head.bias"}


@pytest.mark.filterwarnings("ignore")
def test_of_a_frozen_tower_the_head_alone_learns(published, tmp_path, image):
    model = SmallTower(3, classes=CLASSES, weights=published[1])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = Modes()
    fit = trainer(max_steps=2, callbacks=[modes])
    fit.fit(model, loader(*(batch(8, SIDE, 3, seed=seed) for seed in range(2))))
    assert modes.reached == HEAD
    assert modes.training == {"", "backbone", "backbone.head"}
    after = model.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == HEAD
    fit.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    loaded = load_checkpoint(tmp_path / "model.ckpt")
    assert dict(loaded.hparams) == dict(model.hparams)
    assert torch.equal(loaded(image), model.eval()(image))


@pytest.mark.filterwarnings("ignore")
def test_a_tower_without_frozen_parts_learns_in_all_of_them():
    model = SmallTower(3, frozen=[])
    modes = Modes()
    trainer(max_steps=1, callbacks=[modes]).fit(model, loader(batch(4, SIDE, 3)))
    assert modes.reached == {name for name, _ in model.named_parameters()}


@pytest.mark.filterwarnings("ignore")
def test_fitting_zero_shot_changes_nothing_and_leaves_a_checkpoint(
    published, tmp_path, image, monkeypatch
):
    model = SmallZeroShot(3, classes=CLASSES, weights=published[1], templates=["{expression}"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept = ModelCheckpoint(tmp_path, filename="best", monitor="val/loss")
    data = loader(*(batch(4, SIDE, 3, seed=seed) for seed in range(3)))
    fit = trainer(max_epochs=1, callbacks=[kept], enable_checkpointing=True)
    fit.fit(model, data, data)
    assert fit.num_training_batches == 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(m.training for m in model.backbone.visual.modules())
    found = fit.test(model, data, verbose=False)[0]
    each = [F.cross_entropy(model(b["image"]), b["label"]).item() for b in data]
    assert found["test/loss"] == pytest.approx(sum(each) / 3, rel=1e-4)

    def refuse(*_args, **_options):
        raise AssertionError("a text tower was built")

    monkeypatch.setattr(open_clip, "CLIP", refuse)
    monkeypatch.setattr(open_clip, "get_tokenizer", refuse)
    loaded = load_checkpoint(tmp_path / "best.ckpt")
    assert dict(loaded.hparams) == dict(model.hparams)
    assert torch.equal(loaded(image), model.eval()(image))
    assert set(loaded.state_dict()) == set(before)
    assert not any("token_embedding" in name for name in before)


def test_zero_shot_is_not_trained_on_several_processes_but_evaluated():
    model = SmallZeroShot(3, classes=CLASSES)
    model.trainer = trainer(strategy="ddp_spawn", devices=2)
    with pytest.raises(ConfigError, match=r"nothing to train(.|\n)*fer-lab evaluate"):
        model.setup("fit")
    for stage in ("validate", "test", "predict"):
        model.setup(stage)


def one_patch_decides(model):
    """Class 1 for red patches: the block averages normalised tokens over the image."""
    visual = model.backbone.visual
    visual.transformer.resblocks = visual.transformer.resblocks[:1]
    block = visual.transformer.resblocks[0]
    width = visual.class_embedding.numel()
    with torch.no_grad():
        for name, parameter in visual.named_parameters():
            if "ln_" not in name:
                parameter.zero_()
        # Red less green, and its negative, so that a normalisation over channels keeps it.
        visual.conv1.weight[0, 0], visual.conv1.weight[0, 1] = 1 / 256, -1 / 256
        visual.conv1.weight[1] = -visual.conv1.weight[0]
        visual.positional_embedding[:, 2:] = torch.linspace(-0.1, 0.1, width - 2)
        block.attn.in_proj_weight[2 * width :] = torch.eye(width)
        block.attn.out_proj.weight.copy_(torch.eye(width))
        visual.proj[0, 0] = 1
        model.backbone.head.weight.zero_()
        model.backbone.head.weight[1, 0] = 1
    return model.eval()


@pytest.mark.parametrize("place", [(0, 0), (2, 5), (6, 3)])
def test_the_patch_that_decides_is_what_is_explained(place):
    torch.manual_seed(0)
    model = one_patch_decides(SmallTower(3))
    assert model.attribution_layer == "backbone.visual.transformer.resblocks.0.ln_1"
    assert_the_deciding_patch_is_explained(model, place, SIDE)


def test_it_is_explained_at_the_last_blocks_first_norm(published, image):
    for model in (
        SmallTower(3, weights=published[1]),
        SmallZeroShot(3, classes=CLASSES, weights=published[1]),
    ):
        assert model.attribution_layer == "backbone.visual.transformer.resblocks.1.ln_1"
        assert grid_of(model) == (7, 7)
        assert attribute(model, image, 0, method="auto").shape == (4, SIDE, SIDE)
        with pytest.raises(ConfigError, match="relevance"):
            attribute(model, image, 0, method="lrp")


def test_position_embeddings_fit_another_size(published):
    model = SmallTower(3, weights=published[1], image_size=224)
    own = model.backbone.visual.positional_embedding.detach()
    given = published[0].visual.positional_embedding.detach()
    assert own.shape == (1 + 14 * 14, 32)
    assert torch.equal(own[0], given[0])
    assert own[1:].mean(0) == pytest.approx(given[1:].mean(0), abs=0.02)


def test_a_trained_model_is_given_as_weights(published, tmp_path, image):
    model = SmallTower(3, weights=published[1])
    torch.save({"state_dict": model.state_dict()}, tmp_path / "own.ckpt")
    again = SmallTower(3, weights=str(tmp_path / "own.ckpt"))
    assert torch.equal(again.eval()(image), model.eval()(image))
    # Of another number of classes, all but the head.
    other = SmallTower(5, weights=str(tmp_path / "own.ckpt"))
    assert torch.equal(other.backbone.visual.proj, model.backbone.visual.proj)


def test_weights_that_do_not_fit_are_refused(published, tmp_path):
    clip, _ = published
    whole = clip.state_dict()
    deeper = {n.replace("resblocks.1", "resblocks.2"): t for n, t in whole.items()}
    text = {name: tensor for name, tensor in whole.items() if not name.startswith("visual.")}
    visual = {name: tensor for name, tensor in whole.items() if name.startswith("visual.")}
    for name, content in {"deeper": deeper, "text": text, "visual": visual}.items():
        torch.save(content, tmp_path / name)
    with pytest.raises(ConfigError, match=r"resblocks\.1\.\S+ is missing"):
        SmallTower(3, weights=str(tmp_path / "deeper"))
    with pytest.raises(ConfigError, match="no image tower"):
        SmallTower(3, weights=str(tmp_path / "text"))
    SmallTower(3, weights=str(tmp_path / "visual"))
    with pytest.raises(ConfigError, match=r"is missing(.|\n)*both of its towers"):
        SmallZeroShot(3, classes=CLASSES, weights=str(tmp_path / "visual"))
    (tmp_path / "broken").write_bytes(b"no weights")
    with pytest.raises(ConfigError, match="no readable file of weights"):
        SmallTower(3, weights=str(tmp_path / "broken"))


@pytest.mark.parametrize(
    ("weights", "said"),
    [("openia", "did you mean 'openai'"), ("missing.pt", "no such weights file(.|\n)*openai")],
)
def test_weights_that_are_nowhere_are_refused(weights, said):
    with pytest.raises(ConfigError, match=said):
        clip_weights.weights_file("ViT-B-16", weights)


def test_offline_published_weights_are_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("openai", "laion2b_s34b_b88k"):
        with pytest.raises(ConfigError, match=f"{name}.*HF_HUB_OFFLINE(.|\n)*model.weights=random"):
            clip_weights.weights_file("ViT-B-16", name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"templates": ["a face"]}, "write {expression}"),
        ({"templates": ["{expresion} face"]}, "write {expression}"),
        ({"templates": ["{expression.face}"]}, "write {expression}"),
        ({"templates": []}, "no template"),
        ({"words": {"angre": "angry"}}, "did you mean 'anger'"),
        ({"classes": None}, "names of classes"),
        ({"templates": ["very " * 80 + "{expression}"]}, "has 83 tokens(.|\n)*77"),
        ({"image_size": 100}, "multiple of 16"),
    ],
)
def test_what_cannot_be_prompted_is_refused(published, options, said):
    with pytest.raises(ConfigError, match=said):
        SmallZeroShot(3, **{"classes": CLASSES, "weights": published[1], **options})


def test_random_weights_are_said(caplog):
    with caplog.at_level(logging.WARNING, "fer_lab"):
        SmallTower(3).on_fit_start()
    assert "frozen with random weights: visual" in caplog.text


def test_images_of_another_size_are_refused():
    with pytest.raises(ConfigError, match="takes images of 112 px, not 64×64"):
        SmallTower(3)(torch.rand(1, 3, 64, 64))


@pytest.mark.slow
def test_the_exported_tower_gives_the_same_probabilities(published, image):
    for model in (
        SmallTower(3, weights=published[1]),
        SmallZeroShot(3, classes=CLASSES, weights=published[1]),
    ):
        whole = with_probabilities(model)
        program = exported_program(whole, SIDE)
        torch.testing.assert_close(program.module()(image), whole(image), atol=1e-4, rtol=1e-4)


def test_parameter_counts_are_the_published_ones():
    with torch.device("meta"):
        tower = CLIPB16(7)
        both = open_clip.CLIP(**tower.config(quick_gelu=True))
    visual = sum(p.numel() for p in tower.backbone.visual.parameters())
    assert visual == sum(p.numel() for p in both.visual.parameters()) == 86_192_640
    assert visual == pytest.approx(PUBLISHED["tower"], rel=0.01)
    assert sum(p.numel() for p in both.parameters()) == pytest.approx(PUBLISHED["both"], rel=0.01)
    assert sum(p.numel() for p in tower.parameters() if p.requires_grad) == 513 * 7
    assert {n: p.shape for n, p in tower.backbone.visual.named_parameters()} == {
        n: p.shape for n, p in both.visual.named_parameters()
    }
