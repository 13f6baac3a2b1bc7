"""Intensity from the logits of a classifier that was never told of it, and ranks by terciles.

The estimators of fer_lab's own, beside the published one in ``intensity``; how far each can be
believed is measured in docs/intensity.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fer_lab.data.vocabulary import INTENSITY_RANKS
from fer_lab.explain.rank_correlation import spearman


def neutral_margin(logits: Tensor, neutral: int, target: Tensor | None = None) -> Tensor:
    """How far the logit of the explained class stands above that of neutral.

    A weak expression looks like none at all: it is neutral that it is mistaken for. The margin is
    also what relevance of the difference of the two logits sums to, up to what biases absorb.
    Averaging logits over the image and its mirror image before makes it a little better.

    Args:
        logits: ``[N, C]``.
        neutral: position of neutral among the classes.
        target: class whose intensity is asked, int64 ``[N]``; the predicted one when None.

    Returns:
        ``[N]``, unbounded; 0 where the class is neutral. Comparable within one model and one
        class only.

    >>> neutral_margin(torch.tensor([[1.0, 4.0, 2.0]]), neutral=0)
    tensor([3.])
    """
    return _chosen(logits, target) - logits[:, neutral]


def log_odds(logits: Tensor, target: Tensor | None = None) -> Tensor:
    """Log-odds of the explained class against all others: for models without a neutral class.

    Where there is a neutral class `neutral_margin` follows intensity more closely: log-odds also
    fall when the face looks like yet another expression.

    Args:
        logits: ``[N, C]``, C ≥ 2.
        target: class whose intensity is asked, int64 ``[N]``; the predicted one when None.

    Returns:
        ``[N]``, unbounded; comparable within one model and one class only.
    """
    chosen = logits.argmax(1) if target is None else target
    others = logits.scatter(1, chosen.view(-1, 1), -torch.inf)
    return _chosen(logits, target) - others.logsumexp(1)


@dataclass(frozen=True)
class Terciles:
    """Two cuts an expression: ranks of a third each on the faces they were fitted on.

    Attributes:
        cuts: the lower and the upper cut, by expression.
    """

    cuts: Mapping[str, tuple[float, float]]

    @classmethod
    def fit(cls, values: ArrayLike, expressions: Sequence[str]) -> Terciles:
        """Cuts at the terciles of each expression's values.

        On scores of validation faces and their predicted expressions this is a calibration without
        any label; on true intensities and true expressions it makes the truth to compare with.

        Args:
            values: N numbers; those that are not finite are left out.
            expressions: of the faces, N; neutral has no intensity and gets no cuts.

        Raises:
            ValueError: for lengths that differ.
        """
        numbers, names = _aligned(values, expressions)
        known = np.isfinite(numbers)
        cuts = {}
        for name in dict.fromkeys(names[known].tolist()):
            if name != "neutral":
                lower, upper = np.quantile(numbers[known & (names == name)], (1 / 3, 2 / 3))
                cuts[str(name)] = (float(lower), float(upper))
        return cls(cuts)

    def rank(self, values: ArrayLike, expressions: Sequence[str]) -> list[str | None]:
        """The rank of each value among those of its expression; a value on a cut has the lower.

        Args:
            values: N numbers.
            expressions: of the faces, N.

        Returns:
            N ranks; None for a value that is not finite, and for an expression without cuts.

        Raises:
            ValueError: for lengths that differ.
        """
        numbers, names = _aligned(values, expressions)
        codes = np.full(len(numbers), -1)
        for name, (lower, upper) in self.cuts.items():
            here = (names == name) & np.isfinite(numbers)
            codes[here] = (numbers[here] > lower).astype(int) + (numbers[here] > upper)
        return [INTENSITY_RANKS[code] if code >= 0 else None for code in codes.tolist()]


def rank_correlations(
    values: ArrayLike, intensity: ArrayLike, expressions: Sequence[str]
) -> dict[str, float]:
    """Spearman's correlation of a score with the true intensity, for each expression but neutral.

    Args:
        values: N scores; faces without a finite score or intensity are left out.
        intensity: N true intensities.
        expressions: of the faces, N.

    Returns:
        By expression in [-1, 1]; NaN where one of the two does not vary.

    Raises:
        ValueError: for lengths that differ.
    """
    numbers, names = _aligned(values, expressions)
    truth, _ = _aligned(intensity, expressions)
    known = np.isfinite(numbers) & np.isfinite(truth)
    found = {}
    for name in dict.fromkeys(names[known].tolist()):
        if name != "neutral":
            here = known & (names == name)
            pair = (torch.from_numpy(each[here])[None] for each in (numbers, truth))
            found[str(name)] = float(spearman(*pair))
    return found


def _chosen(logits: Tensor, target: Tensor | None) -> Tensor:
    chosen = logits.argmax(1) if target is None else target
    return logits.gather(1, chosen.view(-1, 1)).squeeze(1)


def _aligned(
    values: ArrayLike, expressions: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    numbers = np.asarray(values, dtype=np.float64)
    names = np.asarray(expressions, dtype=object)
    if numbers.shape != names.shape:
        raise ValueError(f"{len(numbers)} values of {len(names)} expressions")
    return numbers, names
