"""Cross-entropy per sample and its weighted mean."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def sample_cross_entropy(logits: Tensor, label: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of each sample, in nats.

    Args:
        logits: ``[B, C]``.
        label: class indices, int64 ``[B]``.
        label_smoothing: share of the target spread over all classes, in [0, 1).

    Returns:
        ``[B]``, not negative.
    """
    return F.cross_entropy(logits, label, reduction="none", label_smoothing=label_smoothing)


def cross_entropy(
    logits: Tensor, label: Tensor, weight: Tensor | None = None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy of a batch, weighted per sample.

    The mean is ``Σ w·l / Σ w``, so that only ratios of weights matter and the step size does not
    depend on how many heavy samples a batch drew; a batch whose weights are all 0 has loss 0.

    Args:
        logits: ``[B, C]``.
        label: class indices, int64 ``[B]``.
        weight: not negative, ``[B]``; all equal when None.
        label_smoothing: share of the target spread over all classes, in [0, 1).

    Returns:
        A scalar.

    >>> logits = torch.tensor([[0.0, 0.0], [9.0, -9.0]])
    >>> round(float(cross_entropy(logits, torch.tensor([0, 0]), torch.tensor([1.0, 0.0]))), 4)
    0.6931
    """
    if weight is None:
        return F.cross_entropy(logits, label, label_smoothing=label_smoothing)
    losses = sample_cross_entropy(logits, label, label_smoothing=label_smoothing)
    total = weight.sum().clamp_min(torch.finfo(losses.dtype).tiny)
    return (losses * weight).sum() / total
