"""Small batches in memory, and a trainer that writes nothing."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader


def batch(count: int, size: int = 16, classes: int = 7, seed: int = 0, **more: Any) -> dict:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, classes, (count,), generator=generator)
    image = torch.rand(count, 3, size, size, generator=generator)
    return {"image": image, "label": label, **more}


def loader(*batches: dict) -> DataLoader:
    return DataLoader(list(batches), batch_size=None)


def trainer(**options: Any) -> Trainer:
    return Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            **options,
        }
    )
