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
    return weighted_mean(losses, weight)


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """``Σ w·v / Σ w``; the mean without weights, 0 when all are 0.

    Args:
        values: ``[B]``.
        weight: not negative, ``[B]``; all equal when None.

    Returns:
        A scalar.
    """
    if weight is None:
        return values.mean()
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(values.dtype).tiny)


def mixed_cross_entropy(
    logits: Tensor,
    label: Tensor,
    second_label: Tensor,
    second_share: Tensor,
    weights: tuple[Tensor, Tensor] | None = None,
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean cross-entropy of images with two faces, each label by the share of its face.

    With shares 1 - s and s and weights w and v the mean is
    ``Σ ((1 - s)·w·l + s·v·l₂) / Σ ((1 - s)·w + s·v)``: a face carries its own weight into the image
    that it is mixed into, so that a group counts as much as without mixing.

    Args:
        logits: ``[B, C]``.
        label: class indices of the first faces, int64 ``[B]``.
        second_label: those of the second ones, int64 ``[B]``.
        second_share: share of the second faces in their images, in [0, 1], ``[B]``.
        weights: of the first and of the second faces' samples, not negative, ``[B]`` each; all
            equal when None.
        label_smoothing: share of either target spread over all classes, in [0, 1).

    Returns:
        A scalar.

    Source: Zhang et al. 2018, Eq. 2; Yun et al. 2019, Eq. 1. Weights are ours.
    """
    shares = torch.cat([1 - second_share, second_share])
    if weights is not None:
        shares = shares * torch.cat(weights)
    labels = torch.cat([label, second_label])
    return cross_entropy(logits.repeat(2, 1), labels, shares, label_smoothing=label_smoothing)
