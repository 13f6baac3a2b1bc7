"""Loss and accuracy of an epoch as exact sums, gathered without waiting for the device."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from fer_lab.errors import TrainingDivergedError


class TrainingFigures:
    """Running loss and accuracy of one training epoch, and the watch for a loss that is no number.

    Per step only references to device scalars are kept; a look fetches all of them in one transfer.
    """

    def __init__(self) -> None:
        self._epoch = -1
        self._pending: list[tuple[int, int, Tensor, Tensor]] = []
        self._sums = [0.0, 0.0, 0.0]
        self.latest = float("nan")

    def add(self, *, epoch: int, batch: int, size: int, loss: Tensor, correct: Tensor) -> None:
        """Keep one step's figures.

        Args:
            epoch: counted from 0; figures of another epoch are forgotten.
            batch: number of the batch in the epoch.
            size: samples in the batch.
            loss: mean loss of the batch, a scalar on any device.
            correct: right predictions of the batch, a scalar on any device.
        """
        if epoch != self._epoch:
            self.reset(epoch)
        self._pending.append((batch, size, loss.detach(), correct))

    def reset(self, epoch: int = -1) -> None:
        """Forget everything."""
        self._epoch, self._pending, self._sums = epoch, [], [0.0, 0.0, 0.0]

    def look(self) -> None:
        """Fetch what is pending.

        Raises:
            TrainingDivergedError: naming the epoch and the first batch whose loss is not finite.
        """
        if not self._pending:
            return
        batches, sizes, losses, correct = zip(*self._pending, strict=True)
        self._pending = []
        values = torch.stack([torch.stack(losses).float(), torch.stack(correct).float()]).cpu()
        finite = values[0].isfinite()
        if not finite.all():
            first = int(finite.logical_not().int().argmax())
            raise TrainingDivergedError(
                f"the loss became {values[0, first].item():g}",
                where=f"epoch {self._epoch}, batch {batches[first]} (both counted from 0)",
                hint="lower model.optimizer.lr, set trainer.gradient_clip_val=1, "
                "or look for broken images and weights",
            )
        # One after the other: however often one looks, the sums are the same to the last bit.
        for size, mean, right in zip(sizes, *values.tolist(), strict=True):
            self._sums[0] += mean * size
            self._sums[1] += right
            self._sums[2] += size
        self.latest = float(values[0, -1])

    def sums(self) -> list[float]:
        """Sum of losses, right predictions and samples so far, after a look."""
        self.look()
        return list(self._sums)

    def state_dict(self, trainer: pl.Trainer) -> dict[str, Any]:
        """The sums so far of each process, for a checkpoint in the middle of an epoch.

        Every process must call this: the first one writes the checkpoint.
        """
        own = torch.tensor(self.sums(), dtype=torch.float64)
        return {"sums": of_each_process(own, trainer).tolist(), "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any], trainer: pl.Trainer) -> None:
        """Go on from this process's sums in a checkpoint."""
        self.reset(int(state["epoch"]))
        for own in state["sums"][trainer.global_rank :][:1]:
            self._sums = [float(value) for value in own]


class EvaluationFigures:
    """Sums over a validation or test epoch: loss over the monitored rows, accuracy over all."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, *, loss: Tensor, correct: Tensor, monitored: Tensor | None) -> None:
        """Add one batch.

        Args:
            loss: per sample, ``[B]``.
            correct: whether the prediction is right, bool ``[B]``.
            monitored: whose loss counts, bool ``[B]``; all when None.
        """
        every = loss.new_tensor(float(len(loss)))
        if monitored is None:
            total, count = loss.sum(), every
        else:
            total, count = loss.where(monitored, 0.0).sum(), monitored.sum()
        self._parts.append(torch.stack([total, count.to(loss), correct.sum().to(loss), every]))

    def compute(self, trainer: pl.Trainer) -> tuple[Tensor, Tensor, bool]:
        """Mean loss, accuracy (both NaN without a sample), and whether any loss was counted.

        Under several processes the sums are added once here, so that the means are those of the
        whole set however unevenly it was shared out.
        """
        parts, self._parts = self._parts, []
        sums = torch.stack(parts).cpu().double().sum(0) if parts else torch.zeros(4).double()
        sums = _over_processes(sums, trainer)
        return sums[0] / sums[1], sums[2] / sums[3], bool(sums[1] > 0)

    def reset(self) -> None:
        """Forget everything."""
        self._parts = []


def training_means(figures: TrainingFigures, trainer: pl.Trainer) -> tuple[Tensor, Tensor]:
    """Mean loss and accuracy of the training epoch over all processes."""
    loss, correct, count = _over_processes(
        torch.tensor(figures.sums(), dtype=torch.float64), trainer
    )
    return loss / count, correct / count


def of_each_process(own: Tensor, trainer: pl.Trainer) -> Tensor:
    """What every process has, on the CPU: ``[world, …]`` of a tensor ``[…]`` of the same shape.

    Every process must call this.
    """
    if trainer.world_size == 1:
        return own.cpu()[None]
    gathered = trainer.strategy.all_gather(own.to(trainer.strategy.root_device))
    assert isinstance(gathered, Tensor)
    return gathered.cpu()


def _over_processes(sums: Tensor, trainer: pl.Trainer) -> Tensor:
    if trainer.world_size == 1:
        return sums
    total = trainer.strategy.reduce(sums.to(trainer.strategy.root_device), reduce_op="sum")
    assert isinstance(total, Tensor)
    return total.cpu()
