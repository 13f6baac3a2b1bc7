"""The small architecture, weights of both of its towers, and images."""

from __future__ import annotations

import json

import open_clip
import pytest
import torch

from tests.models.ceprompt.small import (
    EMBEDDING,
    HEADS,
    LAYERS,
    PATCH,
    SIDE,
    SMALL,
    TEXT_LAYERS,
    TEXT_WIDTH,
    WIDTH,
)


@pytest.fixture(scope="session", autouse=True)
def architecture(tmp_path_factory):
    """The small architecture, known to open_clip by name."""
    vision = {"image_size": SIDE, "layers": LAYERS, "width": WIDTH, "head_width": WIDTH // HEADS}
    text = {"context_length": 77, "vocab_size": 49408, "width": TEXT_WIDTH, "heads": HEADS}
    config = {
        "embed_dim": EMBEDDING,
        "vision_cfg": {**vision, "patch_size": PATCH},
        "text_cfg": {**text, "layers": TEXT_LAYERS},
    }
    file = tmp_path_factory.mktemp("configs") / f"{SMALL}.json"
    file.write_text(json.dumps(config))
    open_clip.add_model_config(file)


@pytest.fixture(scope="session")
def published(architecture, tmp_path_factory):
    """Both towers with random weights, and a file of them."""
    torch.manual_seed(0)
    clip = open_clip.CLIP(**open_clip.get_model_config(SMALL), quick_gelu=True).eval()
    with torch.no_grad():  # far enough apart to see which expression is which
        clip.positional_embedding.mul_(20)
        clip.token_embedding.weight.mul_(20)
    file = tmp_path_factory.mktemp("weights") / "clip.pt"
    torch.save(clip.state_dict(), file)
    return clip, str(file)


@pytest.fixture
def image():
    return torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
