"""A split's metrics as flat tables, for programs that draw and sort."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from fer_lab.report.run import Facts
from fer_lab.report.tables import gap_rows


def attribute_name(attribute: str, facts: Mapping[str, object]) -> str:
    """An attribute's name, which says so where nobody annotated it.

    >>> attribute_name("gender", {"inferred": True})
    'gender (inferred)'
    """
    return f"{attribute} (inferred)" if facts.get("inferred") else attribute


def group_frame(facts: Facts) -> pd.DataFrame:
    """A row for each attribute and group: samples, accuracy with its interval, F1."""
    return pd.DataFrame(
        [
            {
                "attribute": attribute_name(attribute, part),
                "group": group,
                "samples": found["count"],
                "accuracy": found["accuracy"]["value"],
                "low": found["accuracy"]["low"],
                "high": found["accuracy"]["high"],
                "f1_macro": found["f1_macro"],
                "f1_weighted": found["f1_weighted"],
            }
            for attribute, part in facts["attributes"].items()
            for group, found in part["groups"].items()
        ]
    )


def gap_frame(facts: Facts) -> pd.DataFrame:
    """A row for each attribute and metric: the gap with its interval and its null."""
    numbers = ("value", "low", "high", "null_mean", "null_p95", "excess", "p")
    return pd.DataFrame(
        [
            {
                "attribute": attribute_name(attribute, part),
                "metric": row.title,
                **{name: row.facts[name] for name in numbers},
                "largest_in": row.worst,
            }
            for attribute, part in facts["attributes"].items()
            for row in gap_rows(part, facts["min_count"])
        ]
    )


def confusion_frame(facts: Facts) -> pd.DataFrame:
    """A row for each attribute, group, true and predicted class: the samples counted."""
    classes = facts["classes"]
    return pd.DataFrame(
        [
            {
                "attribute": attribute_name(attribute, part),
                "group": group,
                "true": true,
                "predicted": predicted,
                "samples": samples,
            }
            for attribute, part in facts["attributes"].items()
            for group, found in part["groups"].items()
            for true, row in zip(classes, found["confusion"], strict=True)
            for predicted, samples in zip(classes, row, strict=True)
        ]
    )
