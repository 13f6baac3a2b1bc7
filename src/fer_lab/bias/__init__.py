"""Bias of a dataset: measures over counts by group and label, correlations, the whole audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fer_lab.bias.correlations import (
    four_way_matrix,
    joint_matrix,
    macro_correlation,
    micro_correlation,
)
from fer_lab.bias.measures import (
    MEASURES,
    ZERO_AT_INDEPENDENCE,
    conditional_entropy_bias,
    group_normalized_mutual_information,
    jensen_shannon_divergence,
    normalized_label_skewness,
    normalized_shannon_entropy,
    sparsity_index,
    wasserstein_distance,
)

if TYPE_CHECKING:
    from fer_lab.bias.document import dataset_bias as dataset_bias

__all__ = [
    "MEASURES",
    "ZERO_AT_INDEPENDENCE",
    "conditional_entropy_bias",
    "dataset_bias",
    "four_way_matrix",
    "group_normalized_mutual_information",
    "jensen_shannon_divergence",
    "joint_matrix",
    "macro_correlation",
    "micro_correlation",
    "normalized_label_skewness",
    "normalized_shannon_entropy",
    "sparsity_index",
    "wasserstein_distance",
]


def __getattr__(name: str) -> Any:
    """Import the audit when it is first used: the measures alone need no torch."""
    if name == "dataset_bias":
        from fer_lab.bias.document import dataset_bias

        return dataset_bias
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
