"""Weights, gradients and the optimizer's state in shards, one a process (fully sharded, FSDP)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytorch_lightning as pl
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.trainer.states import TrainerFn
from torch.distributed.fsdp import FSDPModule, fully_shard


class Sharded(ModelParallelStrategy):
    """Each process keeps a share of weights, gradients and optimizer state, and sees own images.

    Training steps gather a block's weights when its turn comes. Validations gather all of them
    once, so that passes are those of a whole model: without collectives, whatever the number of
    batches, and open to attribution. Checkpoints hold whole weights, as those of any training.

    Lightning's ``FSDPStrategy`` wraps modules, which changes their paths, gathers in every forward
    pass, where processes with fewer batches would be waited for for ever, and needs a GPU.

    Args:
        blocks: names of classes whose modules are gathered one by one; what is in none of them is
            gathered as one. They must be called as modules, not taken apart.
        minutes: after which processes that wait for each other give up.
    """

    def __init__(self, blocks: Sequence[str] = (), *, minutes: float = 30.0) -> None:
        super().__init__(
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
            timeout=timedelta(minutes=minutes),
        )
        self.blocks = tuple(blocks)

    def setup_environment(self) -> None:
        """Let every process have its own images."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def setup(self, trainer: pl.Trainer) -> None:
        """Shard the model of a training; another pass has it as it is.

        Lightning's own calls a hook of the model for this, and moves none to its device.
        """
        assert self.model is not None
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.model_to_device()
        if trainer.state.fn == TrainerFn.FITTING:
            mesh = self.device_mesh["data_parallel"]
            for module in [*self.model.modules()][:0:-1]:
                if type(module).__name__ in self.blocks:
                    fully_shard(module, mesh=mesh)
            fully_shard(self.model, mesh=mesh)
            self.setup_optimizers(trainer)
        self.barrier()
        self.setup_precision_plugin()

    def on_validation_start(self) -> None:
        """Gather the weights for a pass."""
        for module in self._shards():
            module.set_reshard_after_forward(False, recurse=False)
            module.set_reshard_after_backward(False, recurse=False)
            module.set_requires_gradient_sync(False, recurse=False)
            module.unshard()

    def on_validation_end(self) -> None:
        """Let go of what belongs to other processes."""
        for module in self._shards():
            module.set_reshard_after_forward(True, recurse=False)
            module.set_reshard_after_backward(True, recurse=False)
            module.set_requires_gradient_sync(True, recurse=False)
            module.reshard()

    def on_test_start(self) -> None:
        """As before a validation."""
        self.on_validation_start()

    def on_test_end(self) -> None:
        """As after a validation."""
        self.on_validation_end()

    def _shards(self) -> list[FSDPModule]:
        assert self.model is not None
        return [module for module in self.model.modules() if isinstance(module, FSDPModule)]
