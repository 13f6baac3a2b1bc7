"""Calibration: how far the confidence of predictions is from their accuracy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CONFIDENCE_BINS = 15


def confidence_bins(
    confidence: NDArray[np.floating], bins: int = CONFIDENCE_BINS
) -> NDArray[np.int64]:
    """The bin of each confidence: equal widths, closed above, 0 in the first.

    Args:
        confidence: probability given to the predicted class, ``[n]`` in [0, 1].
        bins: how many.

    >>> confidence_bins(np.array([0.0, 0.5, 0.51, 1.0]), bins=2).tolist()
    [0, 0, 1, 1]
    """
    edges = np.linspace(0, 1, bins + 1)
    found: NDArray[np.int64] = np.searchsorted(edges, confidence, side="left") - 1
    return found.clip(0, bins - 1)


def binned_calibration_error(totals: Tensor) -> Tensor:
    """Expected calibration error from totals per bin.

    Args:
        totals: number of samples, of right predictions, and sum of the confidences, per bin;
            shape ``[..., bins, 3]``.

    Returns:
        float64 ``[...]`` in [0, 1]; NaN without samples.
    """
    totals = totals.double()
    off = (totals[..., 1] - totals[..., 2]).abs().sum(-1)
    return off / totals[..., 0].sum(-1)


def calibration_error(confidence: Tensor, correct: Tensor, bins: int = CONFIDENCE_BINS) -> Tensor:
    """Expected calibration error (ECE): ``Σ_b n_b / n · |accuracy_b - confidence_b|``.

    Args:
        confidence: probability given to the predicted class, ``[n]`` in [0, 1].
        correct: whether the prediction is right, ``[n]``.
        bins: number of bins of equal width.

    Returns:
        A float64 scalar in [0, 1]; NaN without samples.

    Source: Naeini et al. 2015; Guo et al. 2017, Eq. 3 (there with 15 bins).

    >>> calibration_error(torch.tensor([0.75, 0.75]), torch.tensor([True, False])).item()
    0.25
    """
    values = confidence.detach().cpu().double()
    place = torch.from_numpy(confidence_bins(values.numpy(), bins))
    columns = torch.stack([torch.ones_like(values), correct.cpu().double(), values], dim=-1)
    return binned_calibration_error(
        torch.zeros(bins, 3, dtype=torch.float64).index_add_(0, place, columns)
    )
