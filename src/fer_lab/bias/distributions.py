"""Counts by group and label as probability distributions, many tables at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Variant = Literal["equation", "published"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Distributions:
    """Counts and the distributions they give, groups without samples marked.

    Attributes:
        counts: ``[..., G, L]``.
        present: which groups have samples, ``[..., G]``.
        group: p(a), ``[..., G]``.
        label: p(y), ``[..., L]``.
        joint: p(y, a), ``[..., G, L]``.
        given: p(y|a), likewise; 0 for absent groups.
        published: whether the reconstruction is wanted.
    """

    counts: Floats
    present: NDArray[np.bool_]
    group: Floats
    label: Floats
    joint: Floats
    given: Floats
    published: bool

    @property
    def labels(self) -> int:
        """Number of labels n, whether they occur or not."""
        return int(self.counts.shape[-1])

    @property
    def groups(self) -> NDArray[np.int64]:
        """How many groups have samples, ``[...]``."""
        return np.asarray(self.present.sum(-1))

    @property
    def shares(self) -> Floats:
        """What the variant takes for the label distribution of each group, ``[..., G, L]``."""
        return self.joint if self.published else self.given

    def mean(self, values: Floats) -> Floats:
        """Mean over the groups that have samples, of ``[..., G]``; NaN if there is none."""
        return divide(np.where(self.present, values, 0.0).sum(-1), self.groups, np.nan)

    def pairwise_mean(self, distance: Callable[[Floats, Floats], Floats]) -> Floats:
        """Mean of a distance of two label distributions over unordered pairs of groups."""
        total = np.zeros(self.counts.shape[:-2])
        for first in range(self.counts.shape[-2] - 1):
            rest = slice(first + 1, None)
            apart = distance(self.shares[..., first : first + 1, :], self.shares[..., rest, :])
            both = self.present[..., first : first + 1] & self.present[..., rest]
            total += np.where(both, apart, 0.0).sum(-1)
        return divide(total, self.groups * (self.groups - 1) / 2, np.nan)

    def compared(self, values: Floats) -> Floats:
        """The values, NaN for tables of fewer than two groups."""
        return np.where(self.groups < 2, np.nan, values)


def distributions(
    counts: ArrayLike, variant: Variant = "equation", batched: bool = False
) -> Distributions:
    """The distributions of checked counts ``[..., groups, labels]``; 2-D only unless batched.

    Raises:
        ValueError: if counts are negative or not finite, have another shape or fewer than two
            labels, or the variant is not known.
    """
    if variant not in get_args(Variant):
        raise ValueError(f"variant={variant!r}: use equation or published")
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim < 2 or (table.ndim > 2 and not batched) or table.shape[-1] < 2:
        raise ValueError(
            f"counts must be [groups, labels] with at least two labels, not {table.shape}"
        )
    if not (np.isfinite(table) & (table >= 0)).all():
        raise ValueError("counts must be finite and not negative")
    sizes = table.sum(-1)
    total = sizes.sum(-1)
    return Distributions(
        counts=table,
        present=sizes > 0,
        group=divide(sizes, total[..., None], 0.0),
        # From the counts: adding up p(y, a) may miss 1, and a lone label would seem uncertain.
        label=divide(table.sum(-2), total[..., None], 0.0),
        joint=divide(table, total[..., None, None], 0.0),
        given=divide(table, sizes[..., None], 0.0),
        published=variant == "published",
    )


def divide(numerator: Any, denominator: Any, otherwise: float) -> Floats:
    """The quotient, and ``otherwise`` where the denominator is 0."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    quotient = np.full(shape, otherwise)
    np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator) != 0)
    return quotient
