"""The whole fairness report from nothing but a table of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from fer_lab.metrics.attribute_columns import Attributes
from fer_lab.metrics.breakdown import Breakdown
from fer_lab.metrics.document import document, scalars
from fer_lab.metrics.functional import Combine, Reduction
from fer_lab.metrics.headline import Variants
from fer_lab.metrics.inferred import adjusted_section
from fer_lab.metrics.prediction_table import counted, read_predictions
from fer_lab.metrics.rates import Balance


def audit_predictions(
    frame: pd.DataFrame,
    *,
    attributes: Attributes = None,
    classes: Sequence[str] | None = None,
    intersections: Sequence[Sequence[str]] | None = None,
    min_count: int = 30,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    combine: Combine = "worst",
    reduction: Reduction = "range",
    balance: Balance = "share",
    inference: Mapping[str, ArrayLike] | None = None,
) -> dict[str, Any]:
    """Accuracy, fairness and calibration of predictions, with intervals, nulls and counts.

    Args:
        frame: one row a sample: ``id``, ``label``, ``prediction`` (names); optionally
            ``prob_<class>`` (else no calibration), a column of names per attribute (missing and
            ``unknown`` are the same) and ``subject``: where its values repeat, intervals draw
            whole subjects again and nulls permute their groups.
        attributes: columns to audit, or ``{column: its groups}``; None for all that hold names.
        classes: names of the expressions; None for those that occur. Labels that are none of
            them are set aside and counted.
        intersections: attributes to cross, each of two names or more; None for all pairs and the
            product of all.
        min_count: smallest denominator with which a group enters a gap or is the worst group.
        resamples: number of bootstrap draws, and of permutations.
        level: coverage of the intervals, in (0, 1).
        seed: the same seed gives the same document.
        combine: how the two gaps of equalized odds are joined.
        reduction: how groups are compared.
        balance: which balance of errors treatment equality compares.
        inference: for attributes that a model inferred, its counts or shares of true (rows) and
            inferred groups (columns), in the order of the attribute's groups: adds how far each
            gap would move, see `fer_lab.metrics.inferred.adjusted_gaps`.

    Returns:
        What ``metrics/<split>.json`` holds, ready for JSON (None where undefined).

    Raises:
        DataError: for a table that cannot be read, see `read_predictions`.
        ConfigError: for an attribute or intersection that does not exist.

    >>> frame = pd.DataFrame({"id": ["a", "b", "c", "d"], "label": ["happy", "sad"] * 2,
    ...                       "prediction": ["happy", "sad", "happy", "happy"],
    ...                       "gender": ["female", "female", "male", "male"]})
    >>> report = audit_predictions(frame, min_count=1, resamples=20)
    >>> report["attributes"]["gender"]["metrics"]["equal_opportunity"]["value"]
    1.0
    """
    table = read_predictions(frame, attributes=attributes, classes=classes)
    variants = Variants(combine, reduction, balance)
    breakdown = Breakdown(counted([table])[0], min_count, variants)
    found = document(breakdown, resamples, level, seed, intersections)
    found["set_aside"] = dict(table.set_aside)
    found["messages"] = [*table.messages, *found["messages"]]
    for attribute, matrix in (inference or {}).items():
        section = adjusted_section(breakdown, attribute, matrix)
        found["attributes"][attribute]["adjusted"] = section
    return found


def prediction_scalars(
    frame: pd.DataFrame,
    *,
    attributes: Attributes = None,
    classes: Sequence[str] | None = None,
    min_count: int = 30,
    combine: Combine = "worst",
    reduction: Reduction = "range",
    balance: Balance = "share",
) -> dict[str, float]:
    """The headline figures alone, without resampling; NaN where undefined.

    Arguments are those of `audit_predictions`, names those of `FairnessReport.compute`, with
    ``calibration_error`` and ``fairness/<attribute>/calibration_gap`` where there are
    probabilities.
    """
    table = read_predictions(frame, attributes=attributes, classes=classes)
    breakdown = Breakdown(counted([table])[0], min_count, Variants(combine, reduction, balance))
    return {name: value.item() for name, value in scalars(breakdown).items()}
