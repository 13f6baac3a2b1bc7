"""Which rows of a manifest a run learns from, watches and is tested on, and whom it audits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import NO_SOURCE, attribute_column, group_values
from fer_lab.data.splits import where
from fer_lab.data.vocabulary import GENDERS, UNKNOWN
from fer_lab.errors import ConfigError, DataError, near_miss

Rows = NDArray[np.int64]

_TITLES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class Split:
    """Whom a model learns from, or is tested on.

    Attributes:
        name: of the option, used in messages and in a run's name.
        where: wanted values by attribute; None takes any.
        val_fraction: share of the training rows drawn for validation where a dataset has none.
        seed: of that draw and of the images explained.
    """

    name: str = "mixed"
    where: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    val_fraction: float = 0.1
    seed: int = 1

    @classmethod
    def of(cls, value: Split | str | Mapping[str, Any], option: str = "split") -> Split:
        """A split from ``mixed``, a gender, its options, or itself.

        Raises:
            ConfigError: for another name or an unknown option.
        """
        if isinstance(value, Split):
            return value
        if isinstance(value, str):
            if value not in ("mixed", *GENDERS):
                raise ConfigError(
                    f"no split {value!r}",
                    where=option,
                    hint=f"use mixed, {', '.join(GENDERS)}, or "
                    '{"name": "black", "where": {"race": ["black"]}}',
                )
            return cls(name=value, where={} if value == "mixed" else {"gender": [value]})
        known = [each.name for each in fields(cls)]
        for name in value:
            if name not in known:
                near = near_miss(str(name), known)
                raise ConfigError(
                    f"a split has no option {name!r}"
                    + (f"; did you mean {near!r}?" if near else ""),
                    where=option,
                    hint=f"options: {', '.join(known)}",
                )
        options = {"name": "custom", **value}
        options["where"] = options.get("where") or {}
        return cls(**options)

    def __str__(self) -> str:
        wanted = {name: values for name, values in self.where.items() if values is not None}
        return ", ".join(f"{name}={values}" for name, values in wanted.items()) or "any row"


@dataclass(frozen=True)
class Selection:
    """The rows of a run.

    Attributes:
        manifest: the rows kept, numbered anew.
        kept: the row that each had before, ``[N]``.
        train: rows to learn from.
        val: rows to watch, of every group.
        test: rows to test on.
        monitored: whether a row passes the filter of those learnt from, ``[N]``.
        groups: the audited attributes and their groups.
        sources_of: where the audited attributes come from.
        dropped: rows set aside, by reason.
        warnings: what the figures will lack.
    """

    manifest: pd.DataFrame
    kept: Rows
    train: Rows
    val: Rows
    test: Rows
    monitored: NDArray[np.bool_]
    groups: dict[str, tuple[str, ...]]
    sources_of: dict[str, str]
    dropped: dict[str, int]
    warnings: list[str]


def select(
    manifest: pd.DataFrame,
    good: NDArray[np.bool_],
    *,
    classes: Sequence[str],
    attributes: Sequence[str],
    split: Split,
    test_split: Split,
) -> Selection:
    """Choose rows by class and split.

    ``split`` filters training and what is monitored in validation; validation itself keeps
    every group, or a gap between groups could not show.

    Args:
        manifest: all rows, with a validation set where they can have one.
        good: which of them can be read, ``[N]``.
        classes: the expressions to tell apart.
        attributes: what is audited; one of which nothing is known is left out, with a warning.
        split: whom the model learns from.
        test_split: whom it is tested on.

    Raises:
        ConfigError: for an attribute or a value that the manifest does not have.
        DataError: when a split has rows and its filter leaves none.
    """
    in_classes = manifest["label"].isin(classes).to_numpy()
    left_out = manifest.loc[~in_classes, "label"].value_counts()
    dropped = {f"label {name} not among the classes": int(n) for name, n in left_out.items()}
    kept = np.flatnonzero(good & in_classes).astype(np.int64)
    if len(kept) == 0:
        raise DataError(
            f"none of the {len(manifest)} rows is left",
            where=f"classes {', '.join(classes)}",
            hint=f"{int((~good).sum())} files are unreadable, "
            f"{int((~in_classes).sum())} rows have other labels",
        )
    rows = manifest.iloc[kept].reset_index(drop=True)
    monitored = where(rows, split.where)
    tested = where(rows, test_split.where)
    groups, sources_of, warnings = _audited(rows, attributes)
    train = _rows(rows, "train", monitored, groups, "split", split)
    _rows(rows, "val", monitored, groups, "split", split)
    val = np.flatnonzero((rows["split"] == "val").to_numpy()).astype(np.int64)
    return Selection(
        manifest=rows,
        kept=kept,
        train=train,
        val=val,
        test=_rows(rows, "test", tested, groups, "test_split", test_split),
        monitored=monitored,
        groups=groups,
        sources_of=sources_of,
        dropped=dropped,
        warnings=warnings + _absent(rows.iloc[val], groups),
    )


def plain(value: Any) -> Any:
    """Mappings and sequences of any library (OmegaConf's, for one) as dict and list."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    return value


def _rows(
    manifest: pd.DataFrame,
    name: str,
    passes: NDArray[np.bool_],
    groups: Mapping[str, Sequence[str]],
    option: str,
    split: Split,
) -> Rows:
    """The rows of a split that pass a filter."""
    there = (manifest["split"] == name).to_numpy()
    if there.any() and not (there & passes).any():
        attributes = dict.fromkeys([*groups, *(k for k, v in split.where.items() if v is not None)])
        counted = "; ".join(
            f"{attribute} {', '.join(f'{group} {count}' for group, count in counts.items())}"
            for attribute in attributes
            if len(counts := _counts(manifest[there], attribute))
        )
        raise DataError(
            f"{option}={split.name} leaves none of the {int(there.sum())} {_TITLES[name]} rows",
            where=f"{option}.where: {split}",
            hint=f"choose among the {_TITLES[name]} rows: {counted}",
        )
    return np.flatnonzero(there & passes).astype(np.int64)


def _counts(manifest: pd.DataFrame, attribute: str) -> dict[str, int]:
    counts = manifest[attribute_column(manifest, attribute)].value_counts(sort=False)
    return {str(group): int(count) for group, count in counts.items() if count}


def _audited(
    manifest: pd.DataFrame, attributes: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str], list[str]]:
    """Groups and source of each attribute of which anything is known, and what is not."""
    groups: dict[str, tuple[str, ...]] = {}
    sources: dict[str, str] = {}
    warnings: list[str] = []
    for attribute in attributes:
        column = attribute_column(manifest, attribute)
        if (manifest[column] == UNKNOWN).all():
            warnings.append(f"{attribute} is not known for any face: it is not audited")
            continue
        groups[attribute] = group_values(manifest, attribute)
        source = f"{column}_source"
        named = sorted(set(manifest[source]) - {NO_SOURCE}) if source in manifest else []
        sources[attribute] = " and ".join(named) or "annotated"
    return groups, sources, warnings


def _absent(validation: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Groups that validation has nobody of."""
    if len(validation) == 0:
        return []
    warnings = []
    for attribute, names in groups.items():
        counts = _counts(validation, attribute)
        missing = [name for name in names if name not in counts]
        if missing:
            warnings.append(
                f"nobody in validation is of {attribute} {', '.join(missing)}: "
                "figures of these groups are missing there"
            )
    return warnings
