"""Labels of others, in files of their own, joined onto a dataset's images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.sources.layout import base_names, normal_paths, refuse_codes
from fer_lab.data.sources.lists import read_list
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import ConfigError, DataError

_DUPLICATE = {"1", "1.0", "true", "yes", "y", "x", "duplicate"}
_NO_DUPLICATE = {"", "0", "0.0", "false", "no", "n", "nan", "none"}


@dataclass(frozen=True)
class Joined:
    """What a join found.

    Attributes:
        values: one a image; ``unknown`` where no row speaks of it.
        unmatched: ``place`` and ``path`` of the rows that speak of no image.
        duplicates: rows skipped because they are marked as duplicates.
    """

    values: NDArray[np.object_]
    unmatched: pd.DataFrame
    duplicates: int


def join_labels(
    images: pd.Series,
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    columns: Mapping[str, str | None],
    codes: Mapping[str, str],
    option: str,
) -> Joined:
    """Join a label from one or more CSV files onto images.

    A row speaks of the image with its path. Where no row has an image's path, and for rows that
    give a bare file name, base names are compared.

    Args:
        images: relative paths, each once.
        files: CSV files, read one after the other.
        columns: names of the columns: ``path``, the label's (the second key), and ``duplicate``
            (None, or absent from a file under its usual name ``duplicate``: no row is marked).
        codes: the label's value by its code; upper and lower case are the same.
        option: where the user set this, for messages (``…gender_labels``).

    Raises:
        DataError: for a missing file or column, an unknown code, or a row or image with several
            matches.
    """
    (label,) = (name for name in columns if name not in ("path", "duplicate"))
    path_column, label_column = columns["path"], columns[label]
    if path_column is None or label_column is None:
        raise ConfigError(f"the columns path and {label} need names", where=option)
    listed = [files] if isinstance(files, str | os.PathLike) else list(files)
    duplicate = columns.get("duplicate")
    rows: list[pd.DataFrame] = []
    skipped = 0
    for file in listed:
        path = Path(file).expanduser()
        needed = [path_column, label_column]
        if duplicate is not None and duplicate != "duplicate":
            needed.append(duplicate)
        for part in read_list(
            path,
            needed,
            optional=["duplicate"] if duplicate == "duplicate" else [],
            hint=f"name its columns: `{option.rpartition('_')[0]}_columns.path=…`",
        ):
            marked = _marked(part, duplicate, path)
            skipped += int(marked.sum())
            part = part[~marked]
            code = part[label_column].str.strip().str.upper()
            refuse_codes(code, codes, name=label, place=f"{path}, line ")
            rows.append(
                pd.DataFrame(
                    {
                        "path": normal_paths(part[path_column]),
                        "value": code.map(codes),
                        "place": f"{path}, line " + part.index.astype("str"),
                    }
                )
            )
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["path", "place"])
    position = _positions(images, table, option)
    found = position >= 0
    values = np.full(len(images), UNKNOWN, dtype=object)
    values[position[found]] = table["value"].to_numpy(dtype=object)[found]
    unmatched = table.loc[~found, ["place", "path"]].reset_index(drop=True)
    return Joined(values, unmatched=unmatched, duplicates=skipped)


def _positions(images: pd.Series, table: pd.DataFrame, option: str) -> NDArray[np.int64]:
    """The image of every row, -1 where it has none."""
    position = place_rows([images], base_names(images), table, option, "images")
    twice = several_rows(position, table.index)
    if twice is not None:
        image, rows = twice
        raise DataError(
            f"{images.iloc[image]} has {len(rows)} labels",
            where="; ".join(table["place"][rows[:3]]),
            hint="one row an image: mark the others as duplicates"
            f" (`{option.rpartition('_')[0]}_columns.duplicate=…`) or remove them",
        )
    return position


def place_rows(
    keys: Sequence[pd.Series], names: pd.Series, table: pd.DataFrame, option: str, title: str
) -> NDArray[np.int64]:
    """Find what each row of a table of annotations speaks of.

    The keys are compared one after the other; base names only for rows that give a bare file
    name, and for all where no row has a key.

    Args:
        keys: of what may be spoken of, ``[N]`` each (ids, relative paths, …).
        names: their base names, ``[N]``.
        table: the rows, with ``path`` in normal form and their ``place``, for messages.
        option: where the user set the annotations, for messages.
        title: what is spoken of (``images``), for messages.

    Returns:
        For each row a place in the keys, -1 where none is found.

    Raises:
        DataError: for a row that speaks of several.
    """
    position = np.full(len(table), -1, dtype=np.int64)
    for key in keys:
        left = np.flatnonzero(position < 0)
        position[left] = _unambiguous(key, table.iloc[left], table["path"], option, title)
    bare = ~table["path"].str.contains("/", regex=False).to_numpy(dtype=bool)
    left = np.flatnonzero((position < 0) & (bare | ~(position >= 0).any()))
    wanted = base_names(table["path"])
    position[left] = _unambiguous(names, table.iloc[left], wanted, option, title)
    return position


def several_rows(position: NDArray[np.int64], index: pd.Index) -> tuple[int, pd.Index] | None:
    """The first place that several rows speak of, and those rows; nothing where none is."""
    matched = pd.Series(position[position >= 0], index[position >= 0])
    twice = matched[matched.duplicated(keep=False)]
    if twice.empty:
        return None
    return int(twice.iloc[0]), twice.index[twice == twice.iloc[0]]


def _unambiguous(
    keys: pd.Series, rows: pd.DataFrame, texts: pd.Series, option: str, title: str
) -> NDArray[np.int64]:
    """The place of each row's text among the keys, -1 where it is none of them."""
    wanted = texts[rows.index]
    repeated = keys.duplicated(keep=False).to_numpy()
    ambiguous = wanted.isin(keys[repeated])
    if ambiguous.any():
        name = wanted[ambiguous].iloc[0]
        raise DataError(
            f"{name} names {int((keys == name).sum())} {title}",
            where=f"{rows['place'][ambiguous.index[ambiguous][0]]} ({option})",
            hint="give the images' paths, not their base names"
            if title == "images"
            else "give ids, or a column that names the dataset",
        )
    places = np.flatnonzero(~repeated)
    nearest = pd.Index(keys[~repeated]).get_indexer(pd.Index(wanted))
    return np.where(nearest < 0, -1, places[nearest] if len(places) else -1)


def _marked(part: pd.DataFrame, column: str | None, path: Path) -> NDArray[np.bool_]:
    if column is None or column not in part:
        return np.zeros(len(part), dtype=bool)
    cells = part[column].str.strip().str.lower()
    wrong = ~cells.isin(_DUPLICATE | _NO_DUPLICATE)
    if wrong.any():
        raise DataError(
            f"{cells[wrong].iloc[0]!r} does not say whether the row is a duplicate",
            where=f"{path}, line {wrong.index[wrong][0]}, column {column}",
            hint="use 1 for a duplicate, 0 or nothing otherwise",
        )
    return cells.isin(_DUPLICATE).to_numpy()
