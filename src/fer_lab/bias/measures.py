"""Seven measures of how unevenly labels are spread over demographic groups.

Source: Hosseini et al., "Faces of Fairness", 2025. Each is a function of counts by group and
label, in [0, 1]. The four in `ZERO_AT_INDEPENDENCE` compare groups with each other; the other
three measure uneven labels inside groups, and are not 0 for an attribute that means nothing.

The table printed with the equations does not follow from them. ``variant="published"`` is a
reconstruction inferred from its numbers; it is there to be compared with that table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr, rel_entr

from fer_lab.bias.distributions import Distributions, Floats, Variant, distributions, divide


def wasserstein_distance(counts: ArrayLike, variant: Variant = "equation") -> float:
    """Mean difference of two groups' label shares, averaged over labels and pairs of groups.

    Named as in the study, which takes it of the shares label by label: half of it, times the
    number of labels n, is the total variation. The largest value is 2/n.

    Args:
        counts: samples by group and label, shape ``[groups, labels]``; empty groups are left out.
        variant: ``"equation"`` compares p(y|a); ``"published"`` compares p(y, a).

    Returns:
        A value in [0, 1]; 0 when all groups have the same labels, NaN for fewer than two groups.

    Raises:
        ValueError: if counts are negative or not finite, or fewer than two labels are given.

    Source: Hosseini et al. 2025, WD.

    >>> round(wasserstein_distance([[8, 2], [2, 8]]), 3)
    0.6
    """
    return float(_wasserstein(distributions(counts, variant)))


def jensen_shannon_divergence(
    counts: ArrayLike, variant: Variant = "equation", per_label: bool = False
) -> float:
    """Jensen-Shannon divergence (base 2) of two groups' labels, averaged over pairs of groups.

    Args:
        counts: samples by group and label, shape ``[groups, labels]``; empty groups are left out.
        variant: ``"equation"`` compares p(y|a); ``"published"`` compares p(y, a).
        per_label: divide by the number of labels, as the study does.

    Returns:
        A value in [0, 1]; 0 when all groups have the same labels, NaN for fewer than two groups.

    Raises:
        ValueError: if counts are negative or not finite, or fewer than two labels are given.

    Source: Hosseini et al. 2025, JSD.

    >>> jensen_shannon_divergence([[5, 0], [0, 5]])
    1.0
    """
    return float(_jensen_shannon(distributions(counts, variant), per_label))


def conditional_entropy_bias(counts: ArrayLike, variant: Variant = "equation") -> float:
    """How much less is open about the label once the group is known, averaged over groups.

    A group whose labels are more even than those of all samples counts as 0.

    Args:
        counts: samples by group and label, shape ``[groups, labels]``; empty groups are left out.
        variant: ``"equation"`` takes the entropy of p(y|a); ``"published"`` sums
            ``-p log p`` over p(y, a).

    Returns:
        A value in [0, 1]; 0 when all groups have the same labels (also when there is only one
        label), NaN for fewer than two groups.

    Raises:
        ValueError: if counts are negative or not finite, or fewer than two labels are given.

    Source: Hosseini et al. 2025, CEBI.

    >>> conditional_entropy_bias([[5, 0], [0, 5]])
    1.0
    """
    return float(_conditional_entropy(distributions(counts, variant)))


def sparsity_index(counts: ArrayLike, variant: Variant = "equation") -> float:
    """Concentration of the labels inside each group, averaged over groups.

    Args:
        counts: samples by group and label, shape ``[groups, labels]``; empty groups are left out.
        variant: ``"equation"`` squares p(y|a); ``"published"`` squares p(y, a) and takes the
            absolute value, since the difference is then below 0 for nearly all data.

    Returns:
        A value in [0, 1]; by the equation 0 when every group has all labels equally often, 1 when
        each has one label. NaN without samples.

    Raises:
        ValueError: if counts are negative or not finite, or fewer than two labels are given.

    Source: Hosseini et al. 2025, SI.

    >>> sparsity_index([[5, 5], [3, 3]]), sparsity_index([[5, 0], [3, 0]])
    (0.0, 1.0)
    """
    return float(_sparsity(distributions(counts, variant)))


def normalized_shannon_entropy(counts: ArrayLike, variant: Variant = "equation") -> float:
    """What each group's entropy lacks to that of even labels, weighted by group size.

    As printed, the weighted sum is divided by the number of groups k: the largest value is 1/k.

    Args:
        counts: samples by group and label, shape ``[groups, labels]``; empty groups are left out.
        variant: ``"equation"`` uses one base; ``"published"`` divides bits by a natural logarithm.

    Returns:
        A value in [0, 1]; by the equation 0 when every group has all labels equally often. NaN
        without samples.

    Raises:
        ValueError: if counts are negative or not finite, or fewer than two labels are given.

    Source: Hosseini et al. 2025, NSE.

    >>> normalized_shannon_entropy([[5, 0], [3, 0]])
    0.5
    """
    return float(_shannon_entropy(distributions(counts, variant)))


def normalized_label_skewness(counts: ArrayLike, variant: Variant = "equation") -> float:
    """Skewness ``|S| / (1 + |S|)`` of each group's label shares, averaged over groups.

    ``S`` is the population skewness of the shares of the n labels: it is 0 for labels that are
    uneven in a symmetric way.

    Args:
        counts: samples by group and label, shape ``[groups, labels]``; empty groups are left out.
        variant: both variants are alike.

    Returns:
        A value in [0, 1]. NaN without samples.

    Raises:
        ValueError: if counts are negative or not finite, or fewer than two labels are given.

    Source: Hosseini et al. 2025, NLS.

    >>> round(normalized_label_skewness([[10, 0, 0], [1, 2, 3]]), 4)
    0.2071
    """
    return float(_label_skewness(distributions(counts, variant)))


def group_normalized_mutual_information(counts: ArrayLike, variant: Variant = "equation") -> float:
    """Mutual information of label and group over the geometric mean of their entropies.

    Args:
        counts: samples by group and label, shape ``[groups, labels]``; empty groups are left out.
        variant: ``"published"`` is ``ln k`` over the groups' mean label entropy in bits, which
            does not depend on how label and group go together; at most 1.

    Returns:
        A value in [0, 1]; by the equation 0 when label and group are independent (also when there
        is only one label). NaN for fewer than two groups.

    Raises:
        ValueError: if counts are negative or not finite, or fewer than two labels are given.

    Source: Hosseini et al. 2025, GNMI.

    >>> group_normalized_mutual_information([[5, 0], [0, 5]])
    1.0
    """
    return float(_mutual_information(distributions(counts, variant)))


# Shares as even as rounding allows have a spread below this: they have no skewness.
_EVEN = 1e-12

MEASURES: Mapping[str, Callable[..., float]] = {
    measure.__name__: measure
    for measure in (
        wasserstein_distance,
        jensen_shannon_divergence,
        conditional_entropy_bias,
        sparsity_index,
        normalized_shannon_entropy,
        normalized_label_skewness,
        group_normalized_mutual_information,
    )
}

ZERO_AT_INDEPENDENCE = frozenset(
    {
        "wasserstein_distance",
        "jensen_shannon_divergence",
        "conditional_entropy_bias",
        "group_normalized_mutual_information",
    }
)


def all_measures(
    counts: ArrayLike, variant: Variant = "equation", per_label: bool = False
) -> Floats:
    """All of `MEASURES` for many tables at once.

    Args:
        counts: samples by group and label, shape ``[..., groups, labels]``.
        variant: ``"equation"`` or ``"published"``.
        per_label: see `jensen_shannon_divergence`.

    Returns:
        The measures in the order of `MEASURES`, shape ``[..., 7]``.

    Raises:
        ValueError: as each of them does.
    """
    tables = distributions(counts, variant, batched=True)
    values = [
        _wasserstein(tables),
        _jensen_shannon(tables, per_label),
        _conditional_entropy(tables),
        _sparsity(tables),
        _shannon_entropy(tables),
        _label_skewness(tables),
        _mutual_information(tables),
    ]
    return np.stack(values, axis=-1)


def _wasserstein(tables: Distributions) -> Floats:
    return tables.pairwise_mean(lambda one, other: np.abs(one - other).mean(-1))


def _jensen_shannon(tables: Distributions, per_label: bool) -> Floats:
    def divergence(one: Floats, other: Floats) -> Floats:
        middle = (one + other) / 2
        nats = (rel_entr(one, middle) + rel_entr(other, middle)).sum(-1) / 2
        return np.asarray(nats / np.log(2))

    return _bounded(tables.pairwise_mean(divergence)) / (tables.labels if per_label else 1)


def _conditional_entropy(tables: Distributions) -> Floats:
    whole = _entropy(tables.label)[..., None]
    left = divide(_entropy(tables.shares), whole, 1.0)
    return tables.compared(tables.mean(_bounded(1 - left)))


def _sparsity(tables: Distributions) -> Floats:
    even = 1 / tables.labels
    excess = ((tables.shares**2).sum(-1) - even) / (1 - even)
    return tables.mean(_bounded(np.abs(excess) if tables.published else excess))


def _shannon_entropy(tables: Distributions) -> Floats:
    bits = np.log(2) if tables.published else 1.0
    entropy = _entropy(tables.given) / bits
    return _bounded(tables.mean(tables.group * np.abs(1 - entropy / np.log(tables.labels))))


def _label_skewness(tables: Distributions) -> Floats:
    apart = tables.given - 1 / tables.labels
    spread = np.sqrt((apart**2).mean(-1))
    spread[spread < _EVEN] = 0.0
    skewness = np.abs((divide(apart, spread[..., None], 0.0) ** 3).mean(-1))
    return tables.mean(skewness / (1 + skewness))


def _mutual_information(tables: Distributions) -> Floats:
    if tables.published:
        bits = tables.mean(_entropy(tables.given)) / np.log(2)
        return tables.compared(_bounded(divide(np.log(np.maximum(tables.groups, 1)), bits, 1.0)))
    independent = tables.group[..., None] * tables.label[..., None, :]
    shared = rel_entr(tables.joint, independent).sum((-2, -1))
    entropies = np.sqrt(_entropy(tables.label) * _entropy(tables.group))
    return tables.compared(_bounded(divide(shared, entropies, 0.0)))


def _entropy(shares: Floats) -> Floats:
    """``-sum p ln p`` over the last axis."""
    return np.asarray(entr(shares).sum(-1))


def _bounded(values: Floats) -> Floats:
    """Values within [0, 1], which they leave by rounding or where the variant says so."""
    return np.clip(values, 0.0, 1.0)
