"""Running statistics of batch norm in several processes: those of the first, as in checkpoints."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch.nn.parallel import DistributedDataParallel


def share_running_statistics(model: pl.LightningModule) -> None:
    """Give every process the buffers of the first, once, before a validation of the training.

    DDP would send them before each forward pass, also in validation, where processes may have
    different numbers of batches and the last ones would wait for nobody. In training nothing reads
    them, so that it no longer does.

    Args:
        model: attached to a trainer; every process of it calls this at the same time.
    """
    trainer = model.trainer
    if trainer.world_size == 1:
        return
    wrapped = trainer.strategy.model
    if isinstance(wrapped, DistributedDataParallel):
        # The older and the newer name that torch has for it.
        for name in ("broadcast_buffers", "forward_sync_buffers"):
            setattr(wrapped, name, False)
    for buffer in model.buffers():
        torch.distributed.broadcast(buffer, src=0)
