"""Random draws that depend on the seed and the epoch alone, in an interrupted training too."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fer_lab.models.epoch_figures import of_each_process

_RANK_STRIDE = 1_000_003
_EPOCH_STRIDE = 7_919

# Where a checkpoint keeps the states of torch's generators.
_GENERATORS = "generators"


class EpochSeed(Callback):
    """Seed torch at each epoch's start, so that a resumed run draws what an unbroken one draws.

    Shuffling and augmentation have counters of their own; this covers what draws from torch's
    generators, dropout above all. Processes of one job draw differently. Checkpoints hold the
    generators' states, as tensors, from which a training goes on in the middle of an epoch.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._states: dict[str, Tensor] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._states = {}
        torch.manual_seed(
            self.seed
            + _EPOCH_STRIDE * (trainer.current_epoch + 1)
            + _RANK_STRIDE * trainer.global_rank
        )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Go on from a checkpoint's states, if this is the first batch after one."""
        if not self._states:
            return
        for kind, states in self._states.items():
            # A copy: torch 2.14 crashes on a state that begins within a larger tensor.
            own = states[trainer.global_rank].clone()
            if kind == "cpu":
                torch.set_rng_state(own)
            elif pl_module.device.type == kind:
                torch.cuda.set_rng_state(own, pl_module.device)
        self._states = {}

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the states of all processes, uint8 ``[world, …]`` by the kind of device."""
        states = {"cpu": torch.get_rng_state()}
        if pl_module.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(pl_module.device)
        checkpoint[_GENERATORS] = {
            kind: of_each_process(state, trainer) for kind, state in states.items()
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the states until the next batch; an epoch that begins does not need them."""
        self._states = checkpoint.get(_GENERATORS, {})
