"""Whether all groups are answered alike, or a model says less about some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SIGNIFICANT = 0.05
_DRAWS = 4000


def uneven(asked: Sequence[int], answered: Sequence[int], *, seed: int = 0) -> float | None:
    """How often groups drawn at random would be answered as unevenly as these.

    The statistic is Pearson's chi-squared; what it is compared with are draws of the same number
    of answers from all that were asked, whatever their group.

    Args:
        asked: images of each group, ``[G]``.
        answered: those of them with an answer, ``[G]``.
        seed: of the draws.

    Returns:
        A p value in (0, 1]; None where there are no two groups, or all or none were answered.
    """
    counts = np.asarray(asked, dtype=np.int64)
    there = counts > 0
    counts, found = counts[there], np.asarray(answered, dtype=np.int64)[there]
    total, said = int(counts.sum()), int(found.sum())
    if len(counts) < 2 or said in (0, total):
        return None
    generator = np.random.default_rng(seed)
    drawn = generator.multivariate_hypergeometric(counts, said, size=_DRAWS)
    expected = counts * (said / total)

    def distance(answers: np.ndarray) -> np.ndarray:
        # Of a given margin chi-squared is this sum, up to a factor.
        return np.asarray((((answers - expected) ** 2) / counts).sum(axis=-1))

    as_far = int((distance(drawn) >= distance(found) * (1 - 1e-9)).sum())
    return (1 + as_far) / (1 + _DRAWS)
