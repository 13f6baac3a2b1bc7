"""What a table of predictions tells apart: the classes, the words for them, probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.predictions.table import PROBABILITY, Table
from fer_lab.data.sources.layout import numbers
from fer_lab.data.vocabulary import EXPRESSIONS, expression_classes
from fer_lab.errors import ConfigError, DataError, near_miss

# Sums of probabilities that other programs round may be this far from 1.
_SUM_TOLERANCE = 1e-3

_SHOWN = 5


def class_words(table: Table, name: str, renamed: Mapping[str, str]) -> pd.Series:
    """The cells of a column of classes as names; none is empty."""
    column = table.frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        known = [str(value) for value in column.cat.categories]
        if not column.isna().any() and not renamed:
            return column.cat.rename_categories(known)
    text = column.astype("str").str.strip()
    text = text.str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)
    empty = (column.isna() | (text == "")).to_numpy()
    if empty.any():
        raise DataError(
            f"{name} is empty in {int(empty.sum()):,} of {len(text):,} rows",
            where=table.place(empty, name),
            hint="every sample needs one; leave out the rows that have none",
        )
    return text.replace(renamed) if renamed else text


def chosen_classes(
    table: Table,
    asked: int | Sequence[str] | None,
    words: Mapping[str, pd.Series],
    with_probability: Sequence[str],
) -> tuple[str, ...]:
    """The classes and their order."""
    if isinstance(asked, int):
        return expression_classes(asked)
    if asked is not None:
        names = tuple(dict.fromkeys(map(str, asked)))
        if len(names) < 2:
            raise ConfigError("fewer than two classes", where=f"classes={list(asked)}")
        return names
    if with_probability:
        return _in_order(with_probability)
    if isinstance(words["label"].dtype, pd.CategoricalDtype):
        return tuple(map(str, words["label"].cat.categories))
    found = sorted({str(word) for column in words.values() for word in column.unique()})
    if any(name in EXPRESSIONS for name in found):
        found = [name for name in found if name in EXPRESSIONS]
    if len(found) < 2:
        raise DataError(
            f"there is only one class: {', '.join(found)}",
            where=table.path,
            hint="name all the classes: classes=7, or classes=[happy,sad]",
        )
    return _in_order(found)


def _in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Expressions in the vocabulary's order, other classes as they come."""
    if all(name in EXPRESSIONS for name in names):
        return tuple(name for name in EXPRESSIONS if name in names)
    return tuple(names)


def as_classes(
    table: Table, words: pd.Series, classes: Sequence[str], name: str
) -> pd.Categorical[str]:
    """A column's words over the classes.

    Raises:
        DataError: for words that are no class, with their counts and rows.
    """
    wrong = ~words.isin(classes).to_numpy()
    if wrong.any():
        counts = words[wrong].astype("str").value_counts()
        listed = ", ".join(f"{word} ({count:,})" for word, count in counts.head(_SHOWN).items())
        more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
        first = str(counts.index[0])
        near = near_miss(first, classes) or classes[0]
        raise DataError(
            f"{int(wrong.sum()):,} of {len(words):,} rows have a {name} that is not among the "
            f"classes: {listed}{more}",
            where=table.place(wrong, name),
            hint=f"the classes are {', '.join(classes)}; say what a word means by "
            f"labels={{{first}: {near}}}, or name the classes by classes=[…]",
        )
    return pd.Categorical(words.astype("str"), categories=pd.Index(classes))


def probabilities(
    table: Table, columns: Mapping[str, str], classes: Sequence[str]
) -> NDArray[np.float32]:
    """Probabilities in the order of the classes, ``[N, C]``."""
    foreign = [name for name in columns if name not in classes]
    absent = [name for name in classes if name not in columns]
    if foreign or absent:
        lacking = f"no column {PROBABILITY}{absent[0]}" if absent else ""
        beside = f"{columns[foreign[0]]} is of no class" if foreign else ""
        raise DataError(
            " and ".join(part for part in (lacking, beside) if part),
            where=f"{table.path}, which has {', '.join(columns.values())}",
            hint="name the classes by classes=[…], the columns by "
            f"columns={{{PROBABILITY}{classes[0]}: …}}, or leave the probabilities out",
        )
    shares = np.empty((len(table.frame), len(classes)), dtype=np.float64)
    for place, name in enumerate(classes):
        column = table.frame[columns[name]]
        if pd.api.types.is_numeric_dtype(column.dtype):
            shares[:, place] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            shares[:, place] = numbers(column.fillna("").astype("str"))[0]
        wrong = ~np.isfinite(shares[:, place])
        if wrong.any():
            raise DataError(
                f"{columns[name]} is no number in {int(wrong.sum()):,} of {len(wrong):,} rows",
                where=table.place(wrong, columns[name]),
                hint="NaN often comes from a model that diverged; leave out such rows",
            )
    sums = shares.sum(axis=1)
    outside = (shares < -_SUM_TOLERANCE).any(axis=1) | (np.abs(sums - 1) > _SUM_TOLERANCE)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise DataError(
            f"the probabilities of {int(outside.sum()):,} of {len(outside):,} rows do not add up "
            f"to 1, the first to {sums[first]:.4g}",
            where=table.place(outside),
            hint="they must lie in [0, 1] and add up to 1; logits need a softmax first",
        )
    return shares.astype(np.float32)
