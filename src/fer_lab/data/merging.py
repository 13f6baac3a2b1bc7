"""Bring the attributes of different datasets to common groups, then merge the manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer_lab.data.ages import age_range, age_ranges, cut_years
from fer_lab.data.manifest import NO_SOURCE, attribute_column, group_values, merge
from fer_lab.data.schema import PREFERRED_ORDER
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import ConfigError, DataError, near_miss

# Groups by dataset's own code, by dataset, by attribute; a list cuts ages to these groups.
Harmonise = Mapping[str, Mapping[str, Mapping[str, str] | Sequence[str]] | Sequence[str]]

_AGES = "data.harmonise.age"


def harmonised(
    manifests: Sequence[pd.DataFrame],
    table: Harmonise | None = None,
    *,
    datasets: Sequence[str] = (),
) -> tuple[pd.DataFrame, list[str]]:
    """Merge manifests after their attributes have been brought to common groups.

    A table says which group each code of a dataset becomes::

        {"race": {"rafdb": {"caucasian": "white", "african_american": "black"}},
         "age": ["0-15", "16-32", "33-53", "54+"]}

    A code outside its table becomes ``unknown`` and is counted. A list in place of tables (for
    all datasets, or for one) cuts ``age_years`` to these groups; where the years of a face are
    not known, an age code becomes the group that it lies in, and ``unknown`` where it lies in
    more than one: nothing is guessed. A dataset without a table keeps its own groups, and the
    tables of others may name no group that it does not have; ``{"gender": {}}`` says that groups
    of one name are the same although one dataset's are annotated and another's inferred.

    Args:
        manifests: validated manifests, one or more.
        table: the tables by attribute and dataset; None changes nothing.
        datasets: names of further datasets that a table may speak of without their being here.

    Returns:
        The merged manifest, and what became unknown, in words.

    Raises:
        ConfigError: for an attribute, dataset, code or group that does not exist.
        DataError: when an attribute without a table has different groups or sources.
    """
    parts = [manifest.copy() for manifest in manifests]
    notes: list[str] = []
    agreed: list[str] = []
    for attribute, tables in (table or {}).items():
        if not any(_has(part, attribute) for part in parts):
            attribute_column(parts[0], attribute)
        column = next(attribute_column(part, attribute) for part in parts if _has(part, attribute))
        agreed.append(column)
        there = {_name(part): part for part in parts if _has(part, attribute)}
        rules = _rules(attribute, tables, [_name(part) for part in parts], datasets)
        found = [_apply(there[name], column, name, rules[name]) for name in rules if name in there]
        notes += [note for each in found for note in each]
        own = _kept_groups(attribute, column, there, set(rules))
        _put_in_order(column, list(there.values()), own or PREFERRED_ORDER.get(column, ()))
    return merge(parts, agreed=agreed), notes


def _rules(
    attribute: str, tables: Any, here: Sequence[str], datasets: Sequence[str]
) -> dict[str, Mapping[str, str] | Sequence[str]]:
    """What to do with an attribute in each dataset."""
    place = f"data.harmonise.{attribute}"
    if _is_list(tables):
        rules = dict.fromkeys(here, tables)
    elif isinstance(tables, Mapping):
        rules = dict(tables)
    else:
        raise ConfigError(
            f"{attribute} is harmonised by no table",
            where=f"{place}={tables!r}",
            hint="give a table of groups by code for each dataset, or a list of age groups",
        )
    for dataset, rule in rules.items():
        if dataset not in here and dataset not in datasets:
            near = near_miss(dataset, [*here, *datasets])
            raise ConfigError(
                f"no dataset {dataset!r}" + (f"; did you mean {near!r}?" if near else ""),
                where=place,
                hint=f"datasets here: {', '.join(here)}",
            )
        if _is_list(rule):
            if attribute != "age":
                raise ConfigError(
                    f"only ages are cut to a list of groups, not {attribute}",
                    where=f"{place}.{dataset}" if isinstance(tables, Mapping) else place,
                    hint="give a table of groups by code",
                )
            age_ranges(rule, place)
        elif not isinstance(rule, Mapping):
            raise ConfigError(
                f"{rule!r} is no table of groups by code",
                where=f"{place}.{dataset}",
                hint="{caucasian: white, …}",
            )
    return rules


def _apply(
    part: pd.DataFrame, column: str, dataset: str, rule: Mapping[str, str] | Sequence[str]
) -> list[str]:
    """Replace a dataset's codes in place; returns what became unknown."""
    before = part[column].astype("str")
    if isinstance(rule, Mapping) and (before == UNKNOWN).all():
        return []
    if isinstance(rule, Mapping):
        codes = group_values(part, column)
        for code in rule:
            if str(code) not in (*codes, UNKNOWN):
                near = near_miss(str(code), codes)
                raise ConfigError(
                    f"{column} of {dataset} is never {str(code)!r}"
                    + (f"; did you mean {near!r}?" if near else ""),
                    where=f"data.harmonise.{column}.{dataset}",
                    hint=f"codes there: {', '.join(codes)}",
                )
        groups = list(dict.fromkeys(str(group) for group in rule.values()))
        after = before.map({str(code): str(group) for code, group in rule.items()})
    else:
        groups = [str(group) for group in rule]
        after = _cut(part, before, groups)
    after = after.fillna(UNKNOWN)
    groups = [*(group for group in groups if group != UNKNOWN), UNKNOWN]
    part[column] = pd.Categorical(after, categories=groups)
    lost = before[(before != UNKNOWN) & (after == UNKNOWN)].value_counts()
    if len(lost) == 0:
        return []
    counted = ", ".join(f"{code} ({count})" for code, count in sorted(lost.items()))
    return [f"{column} of {dataset} becomes unknown where it was {counted}"]


def _cut(part: pd.DataFrame, codes: pd.Series, groups: Sequence[str]) -> pd.Series:
    """The age group of every row, from its years or else from the range that its code is."""
    ranges = age_ranges(groups, _AGES)
    within: dict[str, str] = {}
    for code in codes.unique():
        years = age_range(code)
        for group, (low, high) in zip(groups, ranges, strict=True):
            if years is not None and low <= years[0] and years[1] <= high:
                within[code] = group
    cut = codes.map(within)
    if "age_years" in part:
        known = part["age_years"].to_numpy(dtype=np.float64, na_value=np.nan)
        by_years = pd.Series(cut_years(known, groups, where=_AGES), part.index).astype("str")
        cut = by_years.where(~np.isnan(known), cut)
        if (part["age_source"] == NO_SOURCE).all():
            part["age_source"] = np.where(np.isnan(known), NO_SOURCE, "annotated")
    return cut


def _kept_groups(
    attribute: str, column: str, there: Mapping[str, pd.DataFrame], ruled: set[str]
) -> tuple[str, ...]:
    """The groups of datasets without a table: all have the same, and tables lead into these."""
    kept = {
        name: group_values(part, column)
        for name, part in there.items()
        if name not in ruled and (part[column] != UNKNOWN).any()
    }
    if not kept:
        return ()
    first, own = next(iter(kept.items()))
    for name, groups in kept.items():
        if set(groups) != set(own):
            raise DataError(
                f"{attribute} has different groups in datasets without a table",
                where=f"{first}: {', '.join(own)}; {name}: {', '.join(groups)}",
                hint=f"name tables for them in data.harmonise.{attribute}",
            )
    for name in there.keys() & ruled:
        strange = [group for group in group_values(there[name], column) if group not in own]
        if strange:
            near = near_miss(strange[0], own)
            raise ConfigError(
                f"{attribute} {strange[0]!r} is no group of {first}, which has no table"
                + (f"; did you mean {near!r}?" if near else ""),
                where=f"data.harmonise.{attribute}.{name}",
                hint=f"groups of {first}: {', '.join(own)}",
            )
    return own


def _put_in_order(column: str, parts: Sequence[pd.DataFrame], first: Sequence[str]) -> None:
    """Give all parts the groups of any of them, in the common order, in place."""
    told = [part for part in parts if (part[column] != UNKNOWN).any()]
    found = dict.fromkeys(group for part in told for group in group_values(part, column))
    groups = [*(group for group in first if group in found), *found]
    for part in told:
        part[column] = part[column].cat.set_categories([*dict.fromkeys(groups), UNKNOWN])


def _has(part: pd.DataFrame, attribute: str) -> bool:
    try:
        attribute_column(part, attribute)
    except ConfigError:
        return False
    return True


def _name(part: pd.DataFrame) -> str:
    return "+".join(str(name) for name in part["dataset"].unique())


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
