"""Tables of predictions, ours or any program's: read, checked and brought to one form.

Guide: ``docs/predictions.md``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.predictions.classes import (
    as_classes,
    chosen_classes,
    class_words,
    probabilities,
)
from fer_lab.data.predictions.groups import ANNOTATED, attribute_names, groups_of, source_of
from fer_lab.data.predictions.table import (
    PROBABILITY,
    SOURCE,
    Table,
    missing_column,
    read_table,
)
from fer_lab.data.schema import DEMOGRAPHICS
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import DataError


@dataclass(frozen=True)
class Predictions:
    """Predictions in one form.

    Attributes:
        frame: ``id`` (text), ``label`` and ``prediction`` (categorical over ``classes``),
            ``prob_<class>`` (float32) where they are known, each attribute (categorical, with
            ``unknown`` last) and its ``<attribute>_source``, and ``dataset``, ``subject`` and
            ``fold`` where they are there.
        classes: names of the classes, in their order.
        groups: the attributes and their groups, without ``unknown``.
        sources: where each attribute comes from: ``annotated``, or what inferred it.
        warnings: what the figures will lack, and what was noticed.
    """

    frame: pd.DataFrame
    classes: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    sources: dict[str, str]
    warnings: tuple[str, ...] = ()


def read_prediction_file(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str | None] | None = None,
    labels: Mapping[Any, str] | None = None,
    classes: int | Sequence[str] | None = None,
    attributes: Sequence[str] | None = None,
    demographics_source: str = ANNOTATED,
) -> Predictions:
    """Read a table with one row a sample.

    Args:
        path: a ``.csv`` or ``.parquet`` file.
        columns: the file's name for a column of another name (``{"label": "truth"}``); None
            leaves one out.
        labels: the class of each word in the file (``{0: "happy", "joy": "happy"}``).
        classes: 6, 7, 8 expressions, or names of any classes; by default those of the
            probabilities, of categorical labels, or the labels found.
        attributes: whose groups are told apart; by default gender, age, race and every other
            column of text with at most 20 different values.
        demographics_source: ``annotated``, or what inferred gender, age and race, for those
            without a column ``<attribute>_source``.

    Raises:
        DataError: for a file that cannot be read, a missing column, a class that is not known,
            an empty cell, an id that comes twice, or probabilities that are none; naming rows.
        ConfigError: for an option that cannot work.
    """
    table = read_table(Path(path).expanduser(), columns)
    words = {str(key): str(value) for key, value in (labels or {}).items()}
    read: dict[str, Any] = {"id": _ids(table)}
    warnings: list[str] = []
    if "id" not in table.frame:
        warnings.append("there is no column id: samples are known by their row")
    if "dataset" in table.frame:
        read["dataset"] = table.frame["dataset"].astype("str").to_numpy()
    chosen = _read_classes(table, words, classes, read, warnings)
    for name in ("subject", "fold"):
        if name in table.frame and table.frame[name].notna().any():
            read[name] = table.frame[name].to_numpy()
    groups = _read_groups(table, attributes, read, warnings)
    frame = pd.DataFrame(read)
    default = dict.fromkeys(DEMOGRAPHICS, demographics_source)
    sources = {name: source_of(frame, name, default.get(name, ANNOTATED)) for name in groups}
    return Predictions(frame, chosen, groups, sources, tuple(warnings))


def _read_classes(
    table: Table,
    words: Mapping[str, str],
    classes: int | Sequence[str] | None,
    read: dict[str, Any],
    warnings: list[str],
) -> tuple[str, ...]:
    """Put labels, predictions and probabilities into ``read``; returns the classes."""
    own = {
        name.removeprefix(PROBABILITY): name for name in table.names if name.startswith(PROBABILITY)
    }
    columns = {words.get(name, name): column for name, column in own.items()}
    if "label" not in table.frame:
        raise missing_column(table, "label")
    if "prediction" not in table.frame and not columns:
        raise missing_column(table, "prediction")
    there = [name for name in ("label", "prediction") if name in table.frame]
    named = {name: class_words(table, name, words) for name in there}
    chosen = chosen_classes(table, classes, named, list(columns))
    for name, cells in named.items():
        read[name] = as_classes(table, cells, chosen, name)
    if not columns:
        return chosen
    shares = probabilities(table, columns, chosen)
    likeliest = shares.argmax(axis=1)
    if "prediction" not in named:
        read["prediction"] = pd.Categorical.from_codes(likeliest, categories=pd.Index(chosen))
    differing = int((read["prediction"].codes != likeliest).sum())
    if differing:
        warnings.append(
            f"in {differing:,} rows the prediction is not the class of the highest probability: "
            "the column prediction counts"
        )
    read |= {f"{PROBABILITY}{name}": shares[:, place] for place, name in enumerate(chosen)}
    return chosen


def _read_groups(
    table: Table, asked: Sequence[str] | None, read: dict[str, Any], warnings: list[str]
) -> dict[str, tuple[str, ...]]:
    """Put attributes and their sources into ``read``; returns the groups."""
    groups: dict[str, tuple[str, ...]] = {}
    for name in attribute_names(table, asked):
        column = groups_of(table, name)
        found = tuple(str(group) for group in column.categories if group != UNKNOWN)
        if not column.isin(found).any():
            warnings.append(f"{name} is not known for any sample: it is not audited")
            continue
        groups[name], read[name] = found, column
        if f"{name}{SOURCE}" in table.frame:
            read[f"{name}{SOURCE}"] = table.frame[f"{name}{SOURCE}"].to_numpy()
    return groups


def own_predictions(frame: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> Predictions:
    """Predictions that this program has just written, as `read_prediction_file` would read them.

    Args:
        frame: the table, with categorical ``label`` and attributes.
        groups: the attributes and their groups.
    """
    classes = tuple(map(str, frame["label"].cat.categories))
    sources = {name: source_of(frame, name, ANNOTATED) for name in groups}
    return Predictions(
        frame, classes, {name: tuple(names) for name, names in groups.items()}, sources
    )


def _ids(table: Table) -> NDArray[np.object_]:
    if "id" not in table.frame:
        return np.array([str(row) for row in table.frame.index], dtype=object)
    text = table.frame["id"].astype("str").str.strip()
    empty = (table.frame["id"].isna() | (text == "")).to_numpy()
    if empty.any():
        raise DataError(f"id is empty in {int(empty.sum()):,} rows", where=table.place(empty, "id"))
    repeated = text.duplicated(keep=False).to_numpy()
    if repeated.any():
        first = text[repeated].iloc[0]
        raise DataError(
            f"{text[repeated].nunique():,} ids stand in more than one row, {first} for one",
            where=table.place((text == first).to_numpy(), "id"),
            hint="every sample needs an id of its own; columns.id=null counts rows in its place",
        )
    return text.to_numpy(dtype=object)
