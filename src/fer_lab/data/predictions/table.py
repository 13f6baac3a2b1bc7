"""The columns of a table of predictions: under the names that are promised, with their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.sources.lists import read_list
from fer_lab.errors import ConfigError, DataError, near_miss

PROBABILITY = "prob_"
SOURCE = "_source"

# Columns with a meaning of their own, which are groups only where they are asked for.
RESERVED = ("id", "dataset", "label", "prediction", "subject", "fold", "split", "path", "scene")

_ROWS_NAMED = 5


@dataclass(frozen=True)
class Table:
    """A file's columns under our names.

    Attributes:
        frame: the table; its index is the line in a CSV file, the row from 1 on in another.
        path: the file.
    """

    frame: pd.DataFrame
    path: Path

    @property
    def names(self) -> list[str]:
        """The columns."""
        return [str(name) for name in self.frame.columns]

    def place(self, rows: NDArray[np.bool_], column: str | None = None) -> str:
        """Where in the file rows stand, in words.

        Args:
            rows: which, ``[N]``.
            column: of which they are about.
        """
        numbers = self.frame.index[rows]
        unit = "line" if self.path.suffix.lower() == ".csv" else "row"
        named = ", ".join(map(str, numbers[:_ROWS_NAMED]))
        more = ", …" if len(numbers) > _ROWS_NAMED else ""
        about = f", column {column}" if column else ""
        return f"{self.path}{about}, {unit}{'s' if len(numbers) > 1 else ''} {named}{more}"


def read_table(path: Path, columns: Mapping[str, str | None] | None = None) -> Table:
    """Read a CSV file (every cell as text) or a parquet file (with its types).

    Args:
        path: the file.
        columns: the file's name for a column of another name; None leaves one out.

    Raises:
        DataError: for a file that is missing, empty or cannot be read, or a column it lacks.
        ConfigError: for another kind of file.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise ConfigError(
            f"{path.name} is neither .csv nor .parquet",
            where=path,
            hint="save the predictions as one of them (docs/predictions.md lists the columns)",
        )
    if not path.is_file():
        raise DataError("there is no such file", where=path.absolute())
    frame = _read_csv(path) if suffix == ".csv" else _read_parquet(path)
    table = Table(frame, path)
    if frame.empty:
        raise DataError("the table has no rows", where=path)
    if not columns:
        return table
    for own in columns.values():
        if own is not None and own not in frame:
            raise missing_column(table, own, option="columns")
    taken = {own for own in columns.values() if own is not None}
    left_out = [name for name in columns if name in frame and name not in taken]
    renamed = {own: name for name, own in columns.items() if own is not None}
    return Table(frame.drop(columns=left_out).rename(columns=renamed), path)


def missing_column(table: Table, name: str, option: str | None = None) -> DataError:
    """The error of a table without a column, with the one that was probably meant."""
    there = table.names
    near = near_miss(name, there)
    meant = f"; did you mean {near!r}?" if near else ""
    way = f"columns={{{name}: {near or '…'}}} names it"
    if option is not None:
        way = f"see {option}"
    elif name == "prediction":
        way += "; columns prob_<class> do as well"
    return DataError(
        f"{table.path.name} has no column {name}{meant}",
        where=f"{table.path}, which has {', '.join(column[:40] for column in there)}",
        hint=way,
    )


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        header = pd.read_csv(path, nrows=0, encoding="utf-8-sig", index_col=False)
        names = [str(name).strip() for name in header.columns]
    except (OSError, ValueError):
        names = []
    # What is wrong with a file that has no readable first line is said there.
    parts = list(read_list(path, names))
    return pd.concat(parts) if parts else pd.DataFrame(columns=names)


def _read_parquet(path: Path) -> pd.DataFrame:
    from pyarrow import ArrowException, parquet

    try:
        frame: pd.DataFrame = parquet.read_table(path).to_pandas()
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error}", where=path) from error
    except (ArrowException, ValueError, KeyError, TypeError) as error:  # its metadata, too
        raise DataError(f"{path.name} is no parquet file: {error}", where=path) from error
    frame = frame.reset_index(drop=isinstance(frame.index, pd.RangeIndex))
    frame.columns = [str(name) for name in frame.columns]
    frame.index = frame.index + 1
    return frame
