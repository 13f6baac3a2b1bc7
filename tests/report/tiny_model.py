"""A model small enough to save and load in a test."""

from __future__ import annotations

import torch
from pytorch_lightning import LightningModule


class TinyModel(LightningModule):
    def __init__(self, num_classes: int = 7, weights: str = "random"):
        super().__init__()
        self.save_hyperparameters()
        if weights != "random":
            raise RuntimeError("pretrained weights were fetched")
        self.layer = torch.nn.Linear(3, num_classes)


class NoModel:
    pass
