"""A trainer that runs callbacks and says nothing."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, Trainer


def quiet_trainer(*callbacks: Callback, **options: Any) -> Trainer:
    """On the CPU, without checkpoints, bars and sanity checks."""
    return Trainer(
        **{"accelerator": "cpu", "logger": False, **options},
        callbacks=list(callbacks),
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
