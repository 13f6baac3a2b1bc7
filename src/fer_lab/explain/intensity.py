"""Intensity of an expression from relevance: ten bins of relevance, three ranks, their validation.

Source: the intensity study (LRP ranking). Its ranks say little about intensity on faces where the
truth is known (docs/intensity.md); ``intensity_scores`` has estimators that say more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_lab.data.vocabulary import INTENSITY_RANKS, UNKNOWN

Scaling = Literal["signed", "positive"]
Rule = Literal["counts", "mean_scores"]

# Of ten bins: the first to the fifth, the fourth to the eighth, the sixth to the tenth.
_GROUPS = (slice(0, 5), slice(3, 8), slice(5, 10))
_BINS = 10
_ONE_SIDED = 0.95


def histogram(relevance: Tensor, bins: int = _BINS, scaling: Scaling = "signed") -> Tensor:
    """How many values of each image's relevance fall into each of equal half-open bins of [0, 1).

    Relevance is stretched per image from its minimum to its maximum. The maximum becomes 1.0, which
    no half-open bin holds: an image of H·W·3 values gives H·W·3 − 1 counts, as published, where one
    value alone is the maximum.

    The study's text keeps positive relevance only (``positive``), which puts nearly everything into
    the first bin; its tables count all values, which is a stretch of signed relevance (``signed``).
    What arrives at the image depends on the rules of
    :func:`fer_lab.explain.attribution.lrp.relevance_of`: ``epsilon_gamma_box`` and
    ``epsilon_alpha2_beta1`` let negative relevance arrive; ``epsilon_plus_flat`` does so only
    behind several dense layers, and gives the colours of a pixel one value.

    Args:
        relevance: float ``[N, ...]``, usually ``[N, 3, H, W]``.
        bins: number of bins.
        scaling: ``signed`` or ``positive``.

    Returns:
        int64 ``[N, bins]``; all zero where relevance is constant or not finite, which has no
        histogram.

    Raises:
        ValueError: for another scaling.

    >>> histogram(torch.tensor([[0.0, 0.04, 0.5, 1.0]]), bins=2)
    tensor([[2, 1]])
    """
    if scaling not in ("signed", "positive"):
        raise ValueError(f"scaling is 'signed' or 'positive', not {scaling!r}")
    values = relevance.flatten(1)
    values = values if values.dtype == torch.float64 else values.float()
    if scaling == "positive":
        values = values.clamp_min(0)
    low, high = values.aminmax(dim=1, keepdim=True)
    spread = high - low
    # What is NaN reaches no edge.
    values = (values - low) / torch.where((spread > 0) & spread.isfinite(), spread, torch.nan)
    edges = [edge / bins for edge in range(bins)]
    # Summing into int64 at once would take thirty times as long.
    reaching = [(values >= edge).sum(1, dtype=torch.int32) for edge in [*edges, 1.0]]
    return -torch.stack(reaching, dim=1).long().diff(dim=1)


def rank(histogram: Tensor, rule: Rule = "counts") -> list[str | None]:
    """Which of three overlapping groups of bins an image's relevance lies in most.

    m1 = bins 1–5, m2 = bins 4–8, m3 = bins 6–10; the largest gives ``minimal``, ``average`` or
    ``strong``, of equal ones the lower.

    The study's text defines m1 to m3 as the mean scores of their bins, which says ``strong`` for
    every image with a value in bin 9 or 10 (``mean_scores``, of the bins' centres); its tables are
    sums of counts (``counts``).

    Args:
        histogram: counts ``[N, 10]``.
        rule: ``counts`` or ``mean_scores``.

    Returns:
        A rank for each image; None where the histogram is empty.

    Raises:
        ValueError: for another number of bins, or another rule.

    >>> rank(torch.tensor([[9, 0, 0, 0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0, 0, 0, 9]]))
    ['minimal', 'strong']
    """
    if histogram.ndim != 2 or histogram.shape[1] != _BINS:
        raise ValueError(f"ranks need counts [N, {_BINS}], not {list(histogram.shape)}")
    if rule not in ("counts", "mean_scores"):
        raise ValueError(f"rule is 'counts' or 'mean_scores', not {rule!r}")
    counts = histogram.double()
    sums = torch.stack([counts[:, group].sum(1) for group in _GROUPS], dim=1)
    if rule == "mean_scores":
        centres = (torch.arange(_BINS, device=counts.device, dtype=counts.dtype) + 0.5) / _BINS
        scores = counts * centres
        totals = torch.stack([scores[:, group].sum(1) for group in _GROUPS], dim=1)
        sums = torch.where(sums > 0, totals / sums, 0)
    # argmax takes the first of equal values, which is the lower rank.
    chosen = torch.where(counts.sum(1) > 0, sums.argmax(1), -1)
    return [INTENSITY_RANKS[code] if code >= 0 else None for code in chosen.tolist()]


def rankable(label: Sequence[str], prediction: Sequence[str]) -> NDArray[np.bool_]:
    """Which faces the study ranks: correctly predicted ones whose expression is not neutral.

    Args:
        label: names of the true expressions, N.
        prediction: names of the predicted ones, N.
    """
    truth = np.asarray(label, dtype=object)
    ranked: NDArray[np.bool_] = (truth == np.asarray(prediction, dtype=object)) & (
        truth != "neutral"
    )
    return ranked


def validate(
    ranks: Sequence[str | None], truth: Sequence[str | None], expressions: Sequence[str]
) -> dict[str, Any]:
    """Compare ranks with what annotators, or a known truth, say.

    Annotators' votes come as the column ``intensity_rank`` that annotations of the kind
    ``intensity`` give, with ``ties: unknown`` so that a tie decides nothing.

    Args:
        ranks: estimated, N; None where there is none.
        truth: N; ``unknown`` or None where the annotators did not decide.
        expressions: of each face, N.

    Returns:
        What is known over all faces, and the same ``by_expression``:

        - ``samples``: faces with a rank and a truth; ``undefined`` have no rank, ``undecided``
          have one but no truth.
        - ``confusion``: counts 3 × 3, rows true, columns estimated, in the order of ``ranks``.
        - ``accuracy``, and ``constant``: that of the best answer that is the same for all.
        - ``precision``, ``recall``, ``f1``, ``support``: of each rank.
        - ``distribution``: share of each rank among all that have one; ``warning``: what to know
          when one has more than 95 %, else None.

        Figures without a case are None.

    Raises:
        ValueError: for lengths that differ, or a rank that there is not.

    Source: the intensity study, its tables of validation.
    """
    if not len(ranks) == len(truth) == len(expressions):
        raise ValueError(
            f"{len(ranks)} ranks, {len(truth)} truths and {len(expressions)} expressions"
        )
    estimated, actual = _codes(ranks), _codes(truth)
    shown = np.asarray(expressions, dtype=object)
    by_expression = {
        str(name): _validation(estimated[shown == name], actual[shown == name])
        for name in dict.fromkeys(expressions)
    }
    return {
        "ranks": list(INTENSITY_RANKS),
        **_validation(estimated, actual),
        "by_expression": by_expression,
    }


def _codes(ranks: Sequence[str | None]) -> NDArray[np.int64]:
    """Position in ``INTENSITY_RANKS``, -1 for none."""
    names = pd.Series(list(ranks), dtype=object)
    wrong = names[~names.isin([*INTENSITY_RANKS, UNKNOWN]) & names.notna()]
    if len(wrong):
        raise ValueError(f"{wrong.iloc[0]!r} is not a rank: use {', '.join(INTENSITY_RANKS)}")
    return pd.Index(INTENSITY_RANKS).get_indexer(pd.Index(names))


def _validation(estimated: NDArray[np.int64], actual: NDArray[np.int64]) -> dict[str, Any]:
    ranked = estimated >= 0
    judged = ranked & (actual >= 0)
    size = len(INTENSITY_RANKS)
    cells = actual[judged] * size + estimated[judged]
    confusion = np.bincount(cells, minlength=size**2).reshape(size, size)
    found = np.bincount(estimated[ranked], minlength=size)
    hits, true, said = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    samples = int(judged.sum())
    return {
        "samples": samples,
        "undefined": int((~ranked).sum()),
        "undecided": int((ranked & (actual < 0)).sum()),
        "confusion": confusion.tolist(),
        "accuracy": _ratio(hits.sum(), samples),
        "constant": _ratio(true.max(), samples),
        "precision": _by_rank(hits, said),
        "recall": _by_rank(hits, true),
        "f1": _by_rank(2 * hits, true + said),
        "support": dict(zip(INTENSITY_RANKS, true.tolist(), strict=True)),
        "distribution": _by_rank(found, np.full(size, found.sum())),
        "warning": _warning(found),
    }


def _warning(found: NDArray[np.int64]) -> str | None:
    total = int(found.sum())
    if not total or found.max() <= _ONE_SIDED * total:
        return None
    most = INTENSITY_RANKS[int(found.argmax())]
    return (
        f"{found.max() / total:.1%} of the faces are ranked {most}: such ranks hardly tell faces "
        "apart, whatever their accuracy"
    )


def _by_rank(part: NDArray[np.int64], whole: NDArray[np.int64]) -> dict[str, float | None]:
    return {name: _ratio(*each) for name, *each in zip(INTENSITY_RANKS, part, whole, strict=True)}


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
