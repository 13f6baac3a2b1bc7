"""Where it looks, what it is composed of, and what it refuses."""

from __future__ import annotations

import inspect

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf

from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.errors import ConfigError
from fer_lab.explain import attribute, grid_of
from fer_lab.models import CEPrompt
from tests.models.ceprompt.small import (
    CLASSES,
    SIDE,
    WIDTH,
    shaken,
    small,
)
from tests.models.patches import assert_the_deciding_patch_is_explained


def test_it_is_explained_at_the_patches_that_the_last_block_reads(published, image):
    model = shaken(small(weights=published[1], prompt_tokens=3)).train()
    assert model.attribution_layer == "backbone.image.patches"
    for _stage in range(2):
        assert grid_of(model) == (7, 7)
        for method in ("gradcam", "hirescam"):
            heat = attribute(model, image, 0, method=method)
            assert heat.shape == (4, SIDE, SIDE)
            assert heat.isfinite().all()
            assert (heat.flatten(1).std(1) > 0).any()
        with pytest.raises(ConfigError, match="relevance"):
            attribute(model, image, 0, method="lrp")
        assert model.backbone.training
        model.backbone.begin_distilling()


def one_patch_decides(model):
    """Class 1 for red patches: the last block averages normalised tokens over the image."""
    network, visual = model.backbone, model.backbone.image.visual
    block = visual.transformer.resblocks[-1]
    with torch.no_grad():
        for name, parameter in network.image.named_parameters():
            if "ln_" not in name:
                parameter.zero_()
        # Red less green, and its negative, so that a normalisation over channels keeps it.
        visual.conv1.weight[0, 0], visual.conv1.weight[0, 1] = 1 / 256, -1 / 256
        visual.conv1.weight[1] = -visual.conv1.weight[0]
        visual.positional_embedding[:, 2:] = torch.linspace(-0.1, 0.1, WIDTH - 2)
        block.attn.in_proj_weight[2 * WIDTH :] = torch.eye(WIDTH)
        block.attn.out_proj.weight.copy_(torch.eye(WIDTH))
        visual.proj[0, 0] = 1
        network.head.weight.zero_()
        network.head.weight[1, 0] = 1
        # Learned tokens that would outshine every patch.
        for projection in network.prompts.projections:
            projection.bias[0], projection.bias[1] = 5, -5
    network.begin_distilling()
    return model.eval()


# With 15 learned tokens 65 are read, which one that counts them would take for 8×8 and one.
@pytest.mark.parametrize(("place", "learned"), [((0, 0), 2), ((2, 5), 1), ((6, 3), 15)])
def test_the_patch_that_decides_is_what_is_explained(place, learned):
    torch.manual_seed(0)
    template = "a " * 15 + "{expression}"
    model = one_patch_decides(small(prompt_tokens=learned, template=template))
    assert_the_deciding_patch_is_explained(model, place, SIDE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": None}, "names of classes"),
        ({"template": "a photo of a face"}, "write {expression}"),
        ({"template": "{expression} face"}, "0 stand before(.|\n)*lengthen model.template"),
        ({"prompt_tokens": 4}, "4 tokens are to be learned, and 3 stand"),
        ({"template": "very " * 80 + "{expression}"}, "has 82 tokens(.|\n)*77"),
        ({"words": {"angre": "angry"}}, "did you mean 'anger'"),
        ({"prompt_tokens": 0}, "model.prompt_tokens"),
        ({"prompt_depth": 4}, "4 is not a whole number from 1 to 3"),
        ({"top_patches": 50}, "from 1 to 49"),
        ({"local_share": 1.5}, "from 0 to 1"),
        ({"tuned_blocks": 5}, "from 0 to 4"),
        ({"prompt_epochs": 1.5}, "1.5 is not a whole number of 0 or more"),
        ({"distillation": float("inf")}, "model.distillation"),
        ({"temperature": 0}, "a temperature is positive"),
        ({"image_size": 100}, "multiple of 16"),
        ({"weights": "missing.pt"}, "no such weights file"),
    ],
)
def test_what_cannot_work_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        small(**options)


def test_weights_of_the_image_tower_alone_are_refused(published, tmp_path):
    visual = {n: t for n, t in published[0].state_dict().items() if n.startswith("visual.")}
    torch.save(visual, tmp_path / "visual.pt")
    with pytest.raises(ConfigError, match=r"is missing(.|\n)*CEPrompt need both"):
        small(weights=str(tmp_path / "visual.pt"))


def test_images_of_another_size_are_refused():
    with pytest.raises(ConfigError, match="takes images of 112 px, not 64×64"):
        small()(torch.rand(1, 3, 64, 64))


def test_it_is_composed_with_the_benchmarks_recipe():
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        composed = compose("train", ["model=ceprompt"])
    recipe = OmegaConf.to_container(composed.recipe)
    assert recipe == {"image_size": 224, "batch_size": 64, "max_epochs": 5}
    options = OmegaConf.to_container(composed.model)
    assert options["optimizer"] == {"name": "adam", "lr": 0.001, "weight_decay": 0.0}
    assert get_class(options.pop("_target_")) is CEPrompt
    # What the configuration says is what the class does by itself.
    own = {
        name: parameter.default
        for function in (CEPrompt.__init__, CEPrompt.build)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in ("weights", "quick_gelu")
    }
    assert {name: options[name] for name in own} == {**own, "words": {}}
    with torch.device("meta"):
        CEPrompt(3, **{**options, "weights": "random", "classes": CLASSES})
