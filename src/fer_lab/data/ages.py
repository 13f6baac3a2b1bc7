"""Ages: the years that a group's name stands for, and years cut into groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.vocabulary import AGE_GROUPS, UNKNOWN
from fer_lab.errors import ConfigError

_RANGE = re.compile(
    r"(?P<low>\d+)\s*(?:[-–]\s*(?P<high>\d+)|(?P<open>\+))?|more than (?P<over>\d+)"
)


def age_range(group: str) -> tuple[float, float] | None:
    """First and last year of a group; None where its name is no range.

    >>> age_range("20-39"), age_range("70+"), age_range("more than 70"), age_range("7")
    ((20.0, 39.0), (70.0, inf), (70.0, inf), (7.0, 7.0))
    """
    match = _RANGE.fullmatch(group.strip().lower())
    if match is None:
        return None
    low = float(match["low"] or match["over"])
    if match["over"] or match["open"]:
        return low, float("inf")
    return low, float(match["high"] or low)


def age_ranges(groups: Sequence[str], where: str) -> list[tuple[float, float]]:
    """First and last year of each group; the groups follow each other.

    Raises:
        ConfigError: naming ``where``, when they do not.
    """
    ranges = [age_range(str(group)) for group in groups]
    known = [each for each in ranges if each is not None]
    ordered = all(low <= high for low, high in known) and all(
        before[1] < after[0] for before, after in pairwise(known)
    )
    if len(known) < max(1, len(ranges)) or not ordered:
        raise ConfigError(
            f"these are no age groups one after the other: {', '.join(map(str, groups))}",
            where=where,
            hint="use a list such as [0-15,16-32,33-53,54+]",
        )
    return known


def cut_years(
    years: NDArray[np.float64], groups: Sequence[str] = AGE_GROUPS, *, where: str = "age groups"
) -> pd.Categorical[str]:
    """The group of each age.

    Args:
        years: ages, ``[N]``; whole years count, 15.9 is 15. NaN is not known.
        groups: by name, one after the other (``0-15``, ``54+``).
        where: what the groups are named by, for the message.

    Returns:
        ``[N]``, ``unknown`` for an age that is not known or in none of the groups.

    Raises:
        ConfigError: for groups that do not follow each other.
    """
    whole = np.floor(years)
    chosen = np.full(len(whole), len(groups), dtype=np.int64)
    for place, (low, high) in enumerate(age_ranges(groups, where)):
        chosen[(whole >= low) & (whole <= high)] = place
    return pd.Categorical.from_codes(chosen, categories=pd.Index([*map(str, groups), UNKNOWN]))
