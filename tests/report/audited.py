"""Makes audits of made-up datasets, small and in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer_lab.data.side_by_side import Side
from fer_lab.data.vocabulary import AGE_GROUPS, EXPRESSIONS, GENDERS, RACES, UNKNOWN
from fer_lab.report.audit.facts import Audit, audit_of

CLASSES = EXPRESSIONS[:7]
GROUPS: dict[str, tuple[str, ...]] = {"gender": GENDERS, "age": AGE_GROUPS, "race": RACES}


def side(
    name: str,
    *,
    samples: int = 400,
    classes: Sequence[str] = CLASSES,
    groups: Mapping[str, Sequence[str]] = GROUPS,
    known: Sequence[str] | None = None,
    sources: Mapping[str, str] | None = None,
    **facts: Any,
) -> Side:
    """A dataset whose labels and groups are drawn at random, a tenth of the groups unknown."""
    rng = np.random.default_rng(len(name))
    rows = pd.DataFrame(
        {
            "id": [f"{name}/{number}" for number in range(samples)],
            "label": rng.choice(list(classes), samples),
            "subject": pd.Series([None] * samples, dtype="str"),
        }
    )
    told = list(groups) if known is None else list(known)
    for attribute, names in groups.items():
        values = rng.choice(list(names), samples)
        hidden = rng.random(samples) < (0.1 if attribute in told else 2)
        column = np.where(hidden, UNKNOWN, values)
        rows[attribute] = pd.Categorical(column, categories=[*names, UNKNOWN])
    return Side(
        name=name,
        rows=rows,
        classes=tuple(classes),
        groups={attribute: tuple(groups[attribute]) for attribute in told},
        sources_of={attribute: (sources or {}).get(attribute, "annotated") for attribute in told},
        absent={a: f"not known for any face of {name}" for a in groups if a not in told},
        **facts,
    )


def audited(*sides: Side, **facts: Any) -> Audit:
    """An audit of them with few resamples."""
    attributes = [name for name in sides[0].rows if name not in ("id", "label", "subject")]
    usual = {
        "name": "audit",
        "rows": "all",
        "filter": "any row",
        "target": "expression",
        "attributes": attributes,
        "variant": "equation",
        "resamples": 20,
        "level": 0.95,
        "seed": 1,
    }
    return audit_of(sides, usual | facts)
