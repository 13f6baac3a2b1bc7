"""What sources share: finding the folder, reading its lists, checking the paths they name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.progress import track
from fer_lab.errors import DataError

_CHUNK = 50_000


def find_root(root: str | os.PathLike[str] | None, title: str, expected: str) -> Path:
    """The dataset's folder as an absolute path.

    Args:
        root: as the user gave it; ``~`` is expanded.
        title: the dataset's name, for the message.
        expected: the files of its layout, for the message.

    Raises:
        DataError: when it is not given or not there.
    """
    hint = f"set the folder by `dataset.root=…`; expected in it: {expected}"
    if root is None or not str(root):
        raise DataError(
            f"{title} not found: its folder is not set", where="dataset.root", hint=hint
        )
    folder = Path(os.path.abspath(Path(root).expanduser()))  # noqa: PTH100 (keeps symlinks)
    if not folder.is_dir():
        raise DataError(f"{title} not found", where=f"{folder} is no folder", hint=hint)
    return folder


def read_list(
    path: Path,
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    hint: str | None = None,
    rows: int | None = None,
) -> Iterator[pd.DataFrame]:
    """Read a CSV list in parts, every cell as text; the index is the line in the file.

    Args:
        path: the file; its first line names the columns.
        columns: those that must be there; of the others only the ``optional`` are given.
        optional: those given where they are there.
        hint: what to do when one is missing.
        rows: how many a part has at most; 50,000 by default.

    Yields:
        Parts of the file; an empty cell is the empty text.

    Raises:
        DataError: when the file is missing or is no CSV, lacks a column, or a line has too many
            cells.
    """
    rows = rows or _CHUNK
    try:
        with path.open("rb") as file:
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(2**24), b""))
        header = pd.read_csv(path, nrows=0, encoding="utf-8-sig", index_col=False)
        found = {str(name).strip(): str(name) for name in header.columns}
        missing = [name for name in columns if name not in found]
        if missing:
            raise DataError(
                f"{path.name} has no column {', '.join(missing)}",
                where=f"{path}, which has {', '.join(name[:40] for name in found)}",
                hint=hint or f"the layout has {', '.join(columns)}",
            )
        wanted = [*columns, *(name for name in optional if name in found)]
        parts = pd.read_csv(
            path,
            dtype="str",
            keep_default_na=False,
            encoding="utf-8-sig",
            chunksize=rows,
            skip_blank_lines=False,
        )
        total = lines // rows + 1
        for part in track(parts, total=total, description=f"reading {path.name}"):
            if not isinstance(part.index, pd.RangeIndex):
                raise DataError(
                    f"{path.name} has lines with more cells than its first line has names",
                    where=f"{path}, line 2",
                )
            part = part.fillna("")
            part.columns = part.columns.str.strip()
            part.index = part.index + 2
            yield part.loc[(part != "").any(axis=1), wanted]
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", where=path) from error
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(
            f"{path.name} is no list of comma-separated values: {str(error).strip()}", where=path
        ) from error


def normal_paths(paths: pd.Series) -> pd.Series:
    """Paths as lists write them, with forward slashes and without a leading ``./``."""
    return (
        paths.str.strip()
        .str.replace("\\", "/", regex=False)
        .str.replace(r"^(\./)+", "", regex=True)
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
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if _is_file(entry)]
    except OSError:
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
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

    Args:
        cells: the codes as text; the index says where each stands.
        codes: the meaning of every code.
        name: what the codes are for, for the message.
        place: what stands before the index, for the message (``…/training.csv, line ``).

    Raises:
        DataError: naming the first code that is not in the map, and its place.
    """
    values, _ = numbers(cells)
    wrong = ~np.isin(values, list(codes))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{cells.iloc[first]!r} is no code for {name} ({int(wrong.sum())} such rows)",
            where=f"{place}{cells.index[first]}",
            hint="codes: " + ", ".join(f"{code} {meaning}" for code, meaning in codes.items()),
        )
    return values.astype(np.int64)


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
