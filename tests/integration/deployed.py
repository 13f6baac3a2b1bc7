"""A run with a checkpoint, made up in a moment, for what works with trained models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image
from pytorch_lightning import Trainer

from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.models import BaselineCNN
from tests.report.fabricated import CLASSES, write_run

SIZE = 48


def composed(task: str, *overrides: str) -> DictConfig:
    """The configuration of a task as the command line composes it."""
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose(task, list(overrides))


def write_trained(folder: Path) -> BaselineCNN:
    """A run's folder with an audit of made-up predictions and a model of random weights."""
    write_run(folder, samples=600, explained=False, epochs=0)
    torch.manual_seed(0)
    model = BaselineCNN(num_classes=7, classes=list(CLASSES), image_size=SIZE)
    # Random weights answer the same to every image; such a head does not.
    seen = np.stack([picture(seed) for seed in range(10)]).astype(np.float32) / 255
    head = model.eval().backbone.head
    with torch.no_grad():
        logits = model(torch.from_numpy(seen).movedim(3, 1))
        scale = 2 / logits.std(dim=0)
        head.weight.mul_(scale[:, None])
        head.bias.sub_(logits.mean(dim=0)).mul_(scale)
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", barebones=True)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "checkpoints" / "best.ckpt")
    return model


def probabilities(model: BaselineCNN, image: np.ndarray) -> np.ndarray:
    """Of one image ``[H, W, 3]`` uint8 that has the model's size, the long way round."""
    assert image.shape == (SIZE, SIZE, 3)
    x = torch.tensor(image.astype(np.float64) / 255, dtype=torch.float32)
    with torch.no_grad():
        logits = model(x.movedim(2, 0)[None])[0].double().numpy()
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


def picture(seed: int, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """A picture of coloured blocks, uint8 ``[height, width, 3]``."""
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3))
    return blocks.astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def save(image: np.ndarray, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)
    return path
