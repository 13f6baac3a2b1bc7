"""The exponential moving average of the weights, evaluated and kept in place of the last ones."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from fer_lab.errors import ConfigError

# Where a checkpoint keeps the weights that training goes on from.
TRAINED = "trained_weights"

_WARMUP = 9


class WeightAverage(Callback):
    """Average the weights over the steps of the optimizer: ``a ← d·a + (1 − d)·w`` after each.

    Validations of the training see the average, whatever the order of the callbacks; checkpoints
    hold it as their weights, beside those that training goes on from; the model has it when the
    training is over. Averaged are the parameters that learn and the running statistics of batch
    norm, with the same decay; other buffers, counts and what is frozen stay as they are.

    In ``WeightAveraging`` of Lightning 2.6 a test after the training sees the weights that are not
    averaged, each step waits for the device, and counts of batch norm are averaged as well.

    Args:
        decay: ``d``, in [0, 1); None averages nothing, and leaves everything as without the
            callback.
        warmup: whether the n-th step, counted from 1, has the decay ``n / (n + 9)`` as long as that
            is smaller, so that the first weights are forgotten in short trainings too.

    Raises:
        ConfigError: for a decay outside its range; at the start, when a training that was averaged
            is resumed without.

    Source: Polyak & Juditsky 1992; the warm-up is that of TensorFlow's moving averages.
    """

    def __init__(self, decay: float | None = None, *, warmup: bool = True) -> None:
        known = isinstance(decay, (int, float)) and not isinstance(decay, bool)
        if decay is not None and not (known and 0 <= decay < 1):
            raise ConfigError(
                f"a decay is a number in [0, 1), not {decay!r}",
                where="callbacks.averaging.decay",
                hint="0.999 averages over about the last thousand steps; null averages nothing",
            )
        self.decay = decay
        self.warmup = warmup
        self.updates = 0
        self._step = 0
        self._average: dict[str, Tensor] = {}
        self._pairs: list[tuple[list[Tensor], list[Tensor]]] = []
        self._swapped = False

    def decay_at(self, update: int) -> float:
        """The decay of an update, counted from 1.

        >>> average = WeightAverage(0.9)
        >>> average.decay_at(1), average.decay_at(11), average.decay_at(500)
        (0.1, 0.55, 0.9)
        """
        assert self.decay is not None
        return min(self.decay, update / (update + _WARMUP)) if self.warmup else self.decay

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the weights there are, or with the average of the checkpoint."""
        if self.decay is None:
            return
        if not self._average:
            self.updates = 0
        current = averaged_tensors(pl_module)
        self._average = {
            name: self._average.get(name, tensor.detach()).to(tensor.device, copy=True)
            for name, tensor in current.items()
        }
        self._pairs = _by_type(self._average, current)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Know which steps were taken before."""
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average, if the batch has ended in a step of the optimizer."""
        if self.decay is None or trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        self.updates += 1
        share = 1 - self.decay_at(self.updates)
        with torch.no_grad():
            for average, current in self._pairs:
                torch._foreach_lerp_(average, current, share)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average into the model."""
        if trainer.state.fn == TrainerFn.FITTING and self._average:
            self._swap()
            # What a model derives from its weights as it leaves training mode, it derives anew.
            pl_module.train()
            pl_module.eval()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the weights that learn back, before any checkpoint is written."""
        self._put_back()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Put the weights that learn back after a validation that was broken off."""
        self._put_back()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average in the model."""
        self._swap()
        self._average, self._pairs, self._swapped = {}, [], False

    def state_dict(self) -> dict[str, Any]:
        """How many steps were averaged."""
        return {"updates": self.updates} if self._average else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.updates = int(state_dict["updates"])

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The average becomes the checkpoint's weights; those that learn stand beside them."""
        if not self._average:
            return
        weights = checkpoint["state_dict"]
        checkpoint[TRAINED] = {name: weights[name] for name in self._average}
        checkpoint["state_dict"] = {**weights, **self._average}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from the weights that learn; a later pass is over the average."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        trained = checkpoint.get(TRAINED)
        if trained is not None and self.decay is None:
            raise ConfigError(
                "the training to be resumed averages its weights",
                where="callbacks.averaging.decay=null",
                hint="leave the decay as it was, or begin a new training",
            )
        if self.decay is None or trained is None:
            return
        self._average = {name: checkpoint["state_dict"][name].clone() for name in trained}
        pl_module.load_state_dict(trained, strict=False)

    @torch.no_grad()
    def _swap(self) -> None:
        # Contents, not tensors: optimizer, DDP and captured graphs hold on to the tensors.
        for average, current in self._pairs:
            before = [tensor.clone() for tensor in current]
            torch._foreach_copy_(current, average)
            torch._foreach_copy_(average, before)
        self._swapped = not self._swapped

    def _put_back(self) -> None:
        if self._swapped:
            self._swap()


def averaged_tensors(model: LightningModule) -> dict[str, Tensor]:
    """What is averaged of a model: parameters that learn, running statistics of batch norm.

    Args:
        model: whose tensors they are, not copies.
    """
    statistics = {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, _NormBase)
        for name in ("running_mean", "running_var")
    }
    return {
        name: tensor
        for name, tensor in model.state_dict(keep_vars=True).items()
        if tensor.requires_grad or name in statistics
    }


def _by_type(
    average: dict[str, Tensor], current: dict[str, Tensor]
) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Averages and what belongs to them, in lists that one operation takes."""
    kinds: dict[tuple[torch.device, torch.dtype], list[str]] = {}
    for name, tensor in average.items():
        kinds.setdefault((tensor.device, tensor.dtype), []).append(name)
    return [
        ([average[name] for name in names], [current[name] for name in names])
        for names in kinds.values()
    ]
