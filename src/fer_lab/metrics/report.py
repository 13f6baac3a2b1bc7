"""The whole fairness report of a classifier from one summed table, over batches and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from fer_lab.errors import ConfigError
from fer_lab.metrics.breakdown import Breakdown
from fer_lab.metrics.cells import joint_cells
from fer_lab.metrics.document import document, scalars
from fer_lab.metrics.functional import group_confusion
from fer_lab.metrics.headline import Variants

# Combinations of all attributes the state may hold: 8 MB with seven classes.
_LARGEST_PRODUCT = 20_000


class FairnessReport(Metric):
    """Accuracy and fairness by every attribute and intersection, DDP-safe: one summed state.

    Args:
        classes: names of the expressions, in the order of their indices.
        groups: ``{attribute: names of its groups}``, in the order of their indices.
        min_count: smallest denominator with which a group enters a gap or is the worst group.
        variants: which form of the four metrics; the study's by default.
        **kwargs: what `torchmetrics.Metric` takes.

    The state counts samples over the product of all attributes, each with a slot for unknown.
    Unknown groups count in the figures over all samples and in a line of their own, never in a
    gap.

    Raises:
        ConfigError: if the attributes have too many combinations.

    >>> report = FairnessReport(["happy", "sad"], {"gender": ["female", "male"]}, min_count=1)
    >>> report.update(torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1, 0, 1]),
    ...               {"gender": torch.tensor([0, 0, 1, 1])})
    >>> figures = report.compute()
    >>> figures["accuracy"].item(), figures["fairness/gender/equal_opportunity"].item()
    (0.75, 1.0)
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    confusion: Tensor

    def __init__(
        self,
        classes: Sequence[str],
        groups: Mapping[str, Sequence[str]],
        min_count: int = 30,
        variants: Variants | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.classes = tuple(classes)
        self.groups = {attribute: tuple(names) for attribute, names in groups.items()}
        self.min_count = min_count
        self.variants = variants or Variants()
        slots = prod(len(names) + 1 for names in self.groups.values())
        if slots > _LARGEST_PRODUCT:
            listed = ", ".join(f"{name} ({len(names)})" for name, names in self.groups.items())
            raise ConfigError(
                f"the audited attributes have {slots:,} combinations of groups,"
                f" at most {_LARGEST_PRODUCT:,} fit: {listed}",
                where="attributes",
                hint="audit fewer attributes at once, or coarser groups",
            )
        empty = torch.zeros(slots, len(self.classes), len(self.classes), dtype=torch.int64)
        self.add_state("confusion", default=empty, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, label: Tensor, group: Mapping[str, Tensor]) -> None:
        """Add a batch.

        Args:
            prediction: predicted class, integers ``[B]``.
            label: true class, integers ``[B]``.
            group: group by attribute, integers ``[B]`` each; -1 is unknown.

        Raises:
            KeyError: if an attribute of the report is missing.
            ValueError: if lengths differ or a value is out of range (checked on the CPU only).
        """
        joint = torch.zeros_like(label, dtype=torch.int64)
        for attribute, names in self.groups.items():
            values = group[attribute]
            size = len(names)
            if values.shape != label.shape:
                raise ValueError(
                    f"{attribute} has shape {tuple(values.shape)}, label {tuple(label.shape)}"
                )
            if values.device.type == "cpu" and (values >= size).any():
                raise ValueError(f"{attribute} holds {values.max()}: expected -1 to {size - 1}")
            joint = joint * (size + 1) + torch.where(values < 0, size, values)
        self.confusion += group_confusion(
            prediction, label, joint, len(self.classes), len(self.confusion)
        )

    def compute(self) -> dict[str, Tensor]:
        """All headline figures as float64 scalars on the CPU, by stable names; NaN if undefined.

        ``fairness/<attribute>/<metric>`` is the largest over expressions,
        ``fairness/<attribute>/bias`` the mean of the four, ``fairness/bias`` that over
        attributes; ``dpd`` and ``eod`` are means over expressions. ``fairness/undefined`` counts
        the values skipped on the way, ``collapsed`` is 1 for a model that predicts two classes
        or fewer (one, if there are only two): its small gaps mean nothing.
        """
        return scalars(self._breakdown())

    def report(self, samples: int = 1000, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
        """Everything, with intervals, nulls and counts, ready for JSON (None where undefined).

        Under DDP every process must call it, as `compute`.

        Args:
            samples: number of bootstrap draws, and of permutations.
            level: coverage of the intervals.
            seed: the same seed gives the same report.

        Returns:
            The content of ``metrics/<split>.json`` but for the split and the origin of the
            attributes, which a table of counts does not know.
        """
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            should_sync=self._to_sync,
            should_unsync=self._should_unsync,
        ):
            breakdown = self._breakdown()
        return document(breakdown, samples, level, seed)

    def _breakdown(self) -> Breakdown:
        cells = joint_cells(self.confusion, self.classes, self.groups)
        return Breakdown(cells, self.min_count, self.variants)
