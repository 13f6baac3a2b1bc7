"""Which rows of a manifest a run learns from, watches and is tested on, and whom it audits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import NO_SOURCE, attribute_column, group_values
from fer_lab.data.splitting.split_options import Split
from fer_lab.data.splitting.splits import where
from fer_lab.data.splitting.subsets import equal_cells
from fer_lab.data.splitting.target import EXPRESSION, target_column
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import DataError

Rows = NDArray[np.int64]

_TITLES = {"train": "training", "val": "validation", "test": "test"}


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
        notes: what was drawn.
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
    notes: list[str]


def select(
    manifest: pd.DataFrame,
    good: NDArray[np.bool_],
    *,
    classes: Sequence[str],
    attributes: Sequence[str],
    split: Split,
    test_split: Split,
    target: str = EXPRESSION,
) -> Selection:
    """Choose rows by class and split.

    ``split`` filters training and what is monitored in validation; validation itself keeps
    every group, or a gap between groups could not show. Balanced draws are made before the
    filter, so that ``female`` and ``male`` are the halves of one balanced ``mixed``.

    Args:
        manifest: all rows, with a validation set where they can have one.
        good: which of them are of use and can be read, ``[N]``; no other is counted.
        classes: what to tell apart, values of ``label``.
        attributes: what is audited; one of which nothing is known, or which is told apart itself,
            is left out, with a warning.
        split: whom the model learns from.
        test_split: whom it is tested on.
        target: what ``label`` is, see :func:`~fer_lab.data.splitting.target.set_target`.

    Raises:
        ConfigError: for an attribute or a value that the manifest does not have.
        DataError: when a split has rows and its filter leaves none.
    """
    in_classes = manifest["label"].isin(classes).to_numpy()
    left_out = manifest.loc[good & ~in_classes, "label"].value_counts()
    dropped = {
        f"{target} unknown" if name == UNKNOWN else f"label {name} not among the classes": int(n)
        for name, n in left_out.items()
    }
    kept = np.flatnonzero(good & in_classes).astype(np.int64)
    if len(kept) == 0:
        raise DataError(
            f"none of the {len(manifest)} rows is left",
            where=f"classes {', '.join(classes)}",
            hint=f"{int((~good).sum())} rows are unreadable or in no split, "
            f"{int((good & ~in_classes).sum())} have other labels",
        )
    rows = manifest.iloc[kept].reset_index(drop=True)
    monitored = where(rows, split.where)
    tested = where(rows, test_split.where)
    groups, sources_of, warnings = _audited(rows, attributes, target_column(rows, target))
    learnt, notes = _balanced(rows, "train", split, "split")
    asked, more_notes = _balanced(rows, "test", test_split, "test_split")
    train = _rows(rows, "train", monitored & learnt, groups, "split", split)
    _rows(rows, "val", monitored, groups, "split", split)
    val = np.flatnonzero((rows["split"] == "val").to_numpy()).astype(np.int64)
    return Selection(
        manifest=rows,
        kept=kept,
        train=train,
        val=val,
        test=_rows(rows, "test", tested & asked, groups, "test_split", test_split),
        monitored=monitored,
        groups=groups,
        sources_of=sources_of,
        dropped=dropped,
        warnings=warnings + _absent(rows.iloc[val], groups),
        notes=notes + more_notes,
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


def _balanced(
    manifest: pd.DataFrame, name: str, split: Split, option: str
) -> tuple[NDArray[np.bool_], list[str]]:
    """Whether a row is in the balanced draw of its split, and that draw in words."""
    chosen = np.ones(len(manifest), dtype=bool)
    there = np.flatnonzero((manifest["split"] == name).to_numpy())
    if split.balance is None or len(there) == 0:
        return chosen, []
    drawn, rarest = equal_cells(manifest.iloc[there], split.balance, split.seed, split.match)
    chosen[:] = False
    chosen[there[drawn]] = True
    cells = " × ".join(split.balance)
    note = f"{option}.balance draws {len(drawn)} of the {len(there)} {_TITLES[name]} rows: "
    if split.match is None:
        return chosen, [f"{note}{rarest} of each {cells}, as many as the rarest has"]
    return chosen, [f"{note}as many as one {split.match} has where each {cells} has {rarest}"]


def _counts(manifest: pd.DataFrame, attribute: str) -> dict[str, int]:
    counts = manifest[attribute_column(manifest, attribute)].value_counts(sort=False)
    return {str(group): int(count) for group, count in counts.items() if count}


def _audited(
    manifest: pd.DataFrame, attributes: Sequence[str], target: str
) -> tuple[dict[str, tuple[str, ...]], dict[str, str], list[str]]:
    """Groups and source of each attribute of which anything is known, and what is not."""
    groups: dict[str, tuple[str, ...]] = {}
    sources: dict[str, str] = {}
    warnings: list[str] = []
    for attribute in attributes:
        column = attribute_column(manifest, attribute)
        if column == target:
            warnings.append(f"{attribute} is what is told apart: it is not audited")
            continue
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
