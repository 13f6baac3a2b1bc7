"""The group confusion as a metric that adds up over batches and processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from fer_lab.metrics.functional import group_confusion


class GroupConfusion(Metric):
    """Counts by group, true class and predicted class, summed over batches and processes.

    Args:
        num_classes: number of classes C.
        num_groups: number of groups G.
        **kwargs: what `torchmetrics.Metric` takes.

    ``update(prediction, label, group)`` takes integers ``[B]``; samples of group -1 are ignored.
    ``compute()`` gives int64 ``[G, C, C]``, what `fer_lab.metrics.functional` is about.

    >>> metric = GroupConfusion(num_classes=2, num_groups=2)
    >>> metric.update(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([1, 1]))
    >>> metric.compute().tolist()
    [[[0, 0], [0, 0]], [[1, 1], [0, 0]]]
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    confusion: Tensor

    def __init__(self, num_classes: int, num_groups: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.num_groups = num_groups
        empty = torch.zeros(num_groups, num_classes, num_classes, dtype=torch.int64)
        self.add_state("confusion", default=empty, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, label: Tensor, group: Tensor) -> None:
        """Add a batch; see `fer_lab.metrics.functional.group_confusion` for the arguments."""
        self.confusion += group_confusion(
            prediction, label, group, self.num_classes, self.num_groups
        )

    def compute(self) -> Tensor:
        """The counts so far, int64 ``[G, C, C]``."""
        return self.confusion
