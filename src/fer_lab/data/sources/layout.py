"""What sources share: finding the folder, checking paths and codes, setting rows aside."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.progress import track
from fer_lab.errors import DataError, near_miss

_log = logging.getLogger(__name__)

# Parts of a path that name nothing, and several separators in a row.
_IDLE_PARTS = r"/(?:\.?/)+"


def find_root(root: str | os.PathLike[str] | None, title: str, expected: str) -> Path:
    """The dataset's folder as an absolute path.

    Args:
        root: as the user gave it; ``~`` is expanded.
        title: the dataset's name, for the message.
        expected: the files of its layout, for the message.

    Raises:
        DataError: when it is not given or not there.
    """
    hint = folder_advice(expected)
    if root is None or not str(root):
        raise DataError(
            f"{title} not found: its folder is not set", where="dataset.root", hint=hint
        )
    folder = Path(os.path.abspath(Path(root).expanduser()))  # noqa: PTH100 (keeps symlinks)
    if not folder.is_dir():
        near = near_miss(folder.name, folder_names(folder.parent))
        meant = f"; did you mean {folder.parent / near}?" if near else ""
        raise DataError(
            f"{title} not found{meant}",
            where=f"{folder} is no folder",
            hint=hint,
        )
    return folder


def folder_advice(expected: str) -> str:
    """How a dataset's folder is set, and what must be in it."""
    return (
        "set the folder by `dataset.root=…` (beside other datasets `dataset.sources.NAME.root=…`); "
        f"expected in it: {expected}"
    )


def not_its_layout(title: str, missing: Sequence[str], folder: Path, expected: str) -> DataError:
    """The error of a folder in which some of a dataset's files are not found."""
    named = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
    return DataError(
        f"this is not {title}'s layout: {named} not found",
        where=folder,
        hint=folder_advice(expected),
    )


def normal_paths(paths: pd.Series) -> pd.Series:
    """Paths as lists write them, each in one spelling: ``./1//a.jpg`` is ``1/a.jpg``."""
    return (
        paths.str.strip()
        .str.replace("\\", "/", regex=False)
        .str.replace(_IDLE_PARTS, "/", regex=True)
        .str.replace(r"^(?:\./)+", "", regex=True)
    )


def base_names(paths: pd.Series) -> pd.Series:
    """The file names at the ends of normal paths."""
    return paths.str.replace(r"^.*/", "", regex=True)


def unsafe_paths(paths: pd.Series) -> NDArray[np.bool_]:
    """Which normal paths would leave the dataset's folder: absolute, with ``..``, or empty."""
    pattern = r"^$|^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)|\x00"
    return paths.str.contains(pattern, regex=True).to_numpy(dtype=bool)


def existing_files(folder: Path, paths: pd.Series) -> NDArray[np.bool_]:
    """Which of the relative paths are files below ``folder``; lists every folder once."""
    there: list[pd.Series] = []
    parents = paths.str.replace(r"/?[^/]*$", "", regex=True).unique()
    for parent in track(parents, total=len(parents), description="looking for images"):
        names = pd.Series(file_names(folder / parent), dtype="str")
        there.append(f"{parent}/" + names if parent else names)
    if not there:
        return np.zeros(len(paths), dtype=bool)
    return paths.isin(pd.concat(there)).to_numpy()


def file_names(folder: Path) -> list[str]:
    """The files directly in a folder, none where there is no such folder."""
    return [entry.name for entry in _entries(folder) if _is(entry, os.DirEntry.is_file)]


def folder_names(folder: Path) -> list[str]:
    """The folders directly in a folder, in order; without hidden ones and such as ``__MACOSX``."""
    return sorted(
        entry.name
        for entry in _entries(folder)
        if not entry.name.startswith((".", "__")) and _is(entry, os.DirEntry.is_dir)
    )


def say_closed(error: OSError) -> None:
    """Warn of a folder that is there and cannot be listed: what is in it is missing."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        _log.warning(
            "a folder cannot be listed, and what is in it is missing: %s (%s)",
            error.filename,
            error.strerror,
        )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        say_closed(error)
        return []


def _is(entry: os.DirEntry[str], kind: Callable[[os.DirEntry[str]], bool]) -> bool:
    try:
        return kind(entry)
    except OSError:  # a symbolic link that leads to itself
        return False


def numbers(cells: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Text as numbers.

    Returns:
        The numbers (NaN where a cell is empty or no number), and which cells are neither empty
        nor a finite number.
    """
    stripped = cells.str.strip()
    values = pd.to_numeric(stripped, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return values, ~np.isfinite(values) & (stripped != "").to_numpy()


def known_codes(
    cells: pd.Series, codes: Mapping[int, str], *, name: str, place: str
) -> NDArray[np.int64]:
    """Text as codes of a published map; a code it does not have means that the map is wrong.

    An empty cell is -1: it says nothing of the map, and its row is to be set aside.

    Args:
        cells: the codes as text; the index says where each stands.
        codes: the meaning of every code.
        name: what the codes are for, for the message.
        place: what stands before the index, for the message (``…/training.csv, line ``).

    Raises:
        DataError: naming the first code that is not in the map, and its place.
    """
    empty = (cells.str.strip() == "").to_numpy(dtype=bool)
    values, _ = numbers(cells)
    wrong = ~empty & ~np.isin(values, list(codes))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{cells.iloc[first]!r} is no code for {name} ({int(wrong.sum())} such rows)",
            where=f"{place}{cells.index[first]}",
            hint="codes: " + ", ".join(f"{code} {meaning}" for code, meaning in codes.items()),
        )
    return np.where(empty, -1, values).astype(np.int64)


def refuse_codes(cells: pd.Series, codes: Mapping[str, str], *, name: str, place: str) -> None:
    """Check text against the words of a published map; another word means that the map is wrong.

    Args:
        cells: the words; the index says where each stands.
        codes: the meaning of every word.
        name: what the words are for, for the message.
        place: what stands before the index, for the message (``…/labels.csv, line ``).

    Raises:
        DataError: naming the first word that is not in the map, and its place.
    """
    wrong = ~cells.isin(list(codes))
    if wrong.any():
        raise DataError(
            f"{cells[wrong].iloc[0]!r} is no code for {name}",
            where=f"{place}{wrong.index[wrong][0]}",
            hint="codes: " + ", ".join(f"{code} {meaning}" for code, meaning in codes.items()),
        )


def set_aside(table: pd.DataFrame, rows: NDArray[np.bool_], reason: str) -> None:
    """Note in the column ``reason`` why rows are left out, of those that have no reason yet."""
    table["reason"] = table["reason"].mask(rows & (table["reason"] == "").to_numpy(), reason)


def set_aside_repeated(table: pd.DataFrame, keys: Sequence[str], label: str | None = None) -> None:
    """Set rows aside that have the keys of a row above them; rows set aside before do not count.

    Args:
        table: one row a line, changed in place.
        keys: columns that tell rows apart.
        label: a column whose other value is a reason of its own.
    """
    usable = (table["reason"] == "").to_numpy()
    rows = table[usable]
    again, same = np.zeros((2, len(table)), dtype=bool)
    again[usable] = rows.duplicated(list(keys))
    same[usable] = rows.duplicated([*keys, label]) if label else again[usable]
    set_aside(table, same, "listed twice, kept once")
    set_aside(table, again, "listed again with another label, first kept")


def set_aside_missing(table: pd.DataFrame, folder: Path, column: str = "image") -> None:
    """Set rows aside whose image is no file below ``folder``, in place."""
    missing = (table["reason"] == "").to_numpy(copy=True)
    missing[missing] = ~existing_files(folder, table[column][missing])
    set_aside(table, missing, "image missing")


def kept_rows(
    table: pd.DataFrame, title: str, place: object, expected: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows without a ``reason``, renumbered, and how many have each reason.

    Args:
        table: one row an image.
        title: the dataset's name, for the message.
        place: where its images lie, for the message.
        expected: the files of its layout, for the message.

    Raises:
        DataError: when no row is left.
    """
    reasons = table["reason"].to_numpy(dtype=object)
    dropped = dict(Counter(str(reason) for reason in reasons if reason))
    kept = table[np.asarray(reasons == "", dtype=bool)].reset_index(drop=True)
    if kept.empty:
        counts = "; ".join(f"{reason}: {count}" for reason, count in dropped.items())
        raise DataError(
            f"none of the {len(table)} rows of {title} can be used ({counts})"
            if dropped
            else f"there is no image of {title}",
            where=place,
            hint=folder_advice(expected),
        )
    return kept.drop(columns="reason"), dropped


class ArrayRows:
    """Collects the rows of an array beside a manifest.

    Args:
        shape: of one row.
    """

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self.length = 0
        self._parts: list[NDArray[np.float32]] = []

    def add(self, values: NDArray[np.floating], owners: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Take the rows of those that have one, ``[owners.sum(), *shape]``.

        Returns:
            For each of ``owners`` its row in the array, -1 where it has none.
        """
        rows = np.where(owners, np.cumsum(owners) - 1 + self.length, -1)
        self._parts.append(values.astype(np.float32).reshape(-1, *self.shape))
        self.length += len(self._parts[-1])
        return rows

    def array(self) -> NDArray[np.float32]:
        """All rows taken, ``[M, *shape]`` float32."""
        return np.concatenate([np.empty((0, *self.shape), dtype=np.float32), *self._parts])
