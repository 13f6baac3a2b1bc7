"""A CEPrompt of a few narrow layers, and what its tests do with it."""

from __future__ import annotations

import open_clip
import torch

from fer_lab.models import CEPrompt
from tests.models.batches import batch

SMALL = "fer-lab-test-ceprompt"
CLASSES = ["happy", "surprise", "anger"]
SIDE, PATCH, PLACES = 112, 16, 49
WIDTH, TEXT_WIDTH, EMBEDDING, HEADS = 32, 16, 24, 2
LAYERS, TEXT_LAYERS, DEPTH = 4, 3, 2
RATE = {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}


class SmallPrompt(CEPrompt):
    architecture = SMALL
    image_size = SIDE


def small(**options) -> SmallPrompt:
    given = {"classes": CLASSES, "prompt_depth": DEPTH, "prompt_epochs": 1, **options}
    return SmallPrompt(3, **given)


def batches(count: int = 2, size: int = 8) -> list[dict]:
    return [batch(size, SIDE, 3, seed=seed) for seed in range(count)]


def normalised(image):
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD).view(3, 1, 1)
    return (image - mean) / std


def shaken(model):
    """Parameters that learn, moved so that none is as it began."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def parts(model, *names):
    return {n for n, _ in model.named_parameters() if n.startswith(tuple(names))}
