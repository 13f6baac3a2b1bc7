"""The measures again as slow loops over lists, from the formulas alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

Table = Sequence[Sequence[int]]


def entropy(shares: Sequence[float], base: float = math.e) -> float:
    return -sum(p * math.log(p, base) for p in shares if p > 0)


def published(counts: Table) -> dict[str, float]:
    """The reconstruction: p(y, a) in four measures, mixed logarithms in two."""
    total = sum(map(sum, counts))
    present = [row for row in counts if sum(row)]
    joint = [[cell / total for cell in row] for row in present]
    given = [[cell / sum(row) for cell in row] for row in present]
    label = [sum(column) / total for column in zip(*counts, strict=True)]
    k, n = len(present), len(label)
    pairs = list(combinations(joint, 2))
    distance = divergence = 0.0
    for one, other in pairs:
        for p, q in zip(one, other, strict=True):
            distance += abs(p - q) / n
            for share in (p, q):
                if share:
                    divergence += share * math.log2(2 * share / (p + q)) / 2
    bits = [entropy(shares, 2) for shares in given]
    skewness = [abs(population_skewness(shares)) for shares in given]
    return {
        "wasserstein_distance": distance / len(pairs),
        "jensen_shannon_divergence": divergence / len(pairs),
        "conditional_entropy_bias": sum(
            max(0.0, 1 - entropy(shares) / entropy(label)) for shares in joint
        )
        / k,
        "sparsity_index": sum(
            abs(sum(p * p for p in shares) - 1 / n) / (1 - 1 / n) for shares in joint
        )
        / k,
        "normalized_shannon_entropy": sum(
            sum(shares) * abs(1 - h / math.log(n)) for shares, h in zip(joint, bits, strict=True)
        )
        / k,
        "normalized_label_skewness": sum(s / (1 + s) for s in skewness) / k,
        "group_normalized_mutual_information": min(1.0, math.log(k) / (sum(bits) / k)),
    }


def population_skewness(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    second = sum((value - mean) ** 2 for value in values) / len(values)
    third = sum((value - mean) ** 3 for value in values) / len(values)
    return third / second**1.5 if second > 1e-24 else 0.0
