"""Groups that are crossings of several attributes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod
from typing import Any

from fer_lab.errors import ConfigError, near_miss
from fer_lab.metrics.breakdown import LISTED_WHOLE, Breakdown
from fer_lab.metrics.entries import DIFFERENCES, number, worst_group
from fer_lab.metrics.rates import accuracy, f1_score


def crossed(
    breakdown: Breakdown, named: Sequence[Sequence[str]] | None
) -> tuple[list[tuple[str, ...]], list[str]]:
    """The intersections to list, and what to say of those that are not.

    Raises:
        ConfigError: when a named one does not hold two audited attributes or more.
    """
    attributes = list(breakdown.groups)
    if named is not None:
        return [_checked(members, attributes) for members in named], []
    every = [*combinations(attributes, 2), tuple(attributes)] if len(attributes) > 1 else []
    chosen, messages = [], []
    for members in dict.fromkeys(every):
        size = prod(len(breakdown.groups[attribute]) for attribute in members)
        if size <= LISTED_WHOLE:
            chosen.append(members)
        else:
            messages.append(
                f"{'×'.join(members)} has {size} groups and is not listed unless it is asked for"
            )
    return chosen, messages


def _checked(members: Sequence[str], attributes: Sequence[str]) -> tuple[str, ...]:
    wrong = [name for name in members if name not in attributes]
    if isinstance(members, str) or wrong or len(set(members)) != len(members) or len(members) < 2:
        near = near_miss(wrong[0], attributes) if wrong else None
        raise ConfigError(
            f"not an intersection of audited attributes: {members!r}"
            + (f"; did you mean {near!r}?" if near else ""),
            where="intersections",
            hint=f"list two or more of {', '.join(attributes)}, such as [[gender, race]]",
        )
    return tuple(members)


def intersection(breakdown: Breakdown, members: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, F1, DPD and EOD over the combinations of groups of some attributes."""
    names, table = breakdown.intersection(members)
    floor = breakdown.min_count
    return {
        "groups": {
            name: {
                "count": int(counts.sum()),
                "accuracy": number(accuracy(counts)),
                "f1_macro": number(f1_score(counts, "macro")),
                "f1_weighted": number(f1_score(counts, "weighted")),
            }
            for name, counts in zip(names, table, strict=True)
        },
        **{name: number(measure(table, "macro", floor)) for name, measure in DIFFERENCES.items()},
        "worst_group": worst_group(names, table, floor),
    }
