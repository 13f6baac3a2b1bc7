"""Datamodules, ready, with their batches, as one of several processes or under a trainer."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

from fer_lab.data.datamodule import FaceDataModule
from fer_lab.data.dataset import Batch

Make = Callable[..., FaceDataModule]


def ready(data: FaceDataModule) -> FaceDataModule:
    data.prepare_data()
    data.setup()
    return data


def indices(loader: DataLoader[Batch]) -> list[int]:
    return [row for batch in loader for row in batch["index"].tolist()]


def trainer(**options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )


def as_process(data: FaceDataModule, rank: int, world: int, **changed: Any) -> FaceDataModule:
    """Make a datamodule believe it runs as one of several processes."""
    connector = SimpleNamespace(use_distributed_sampler=changed.pop("shared_out", False))
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=rank,
        world_size=world,
        num_devices=world,
        current_epoch=0,
        training=False,
        fit_loop=SimpleNamespace(restarting=False),
        _accelerator_connector=connector,
        **changed,
    )
    return data
