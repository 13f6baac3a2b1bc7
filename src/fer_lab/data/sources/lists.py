"""Lists as text: CSV files with a line of names, and lines of words between blanks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from fer_lab.data.progress import track
from fer_lab.errors import DataError

_CHUNK = 50_000


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
    except UnicodeDecodeError as error:
        raise no_text(path, error) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(
            f"{path.name} is no list of comma-separated values: {str(error).strip()}", where=path
        ) from error


def read_words(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a list of words between blanks, every word as text; the index is the line in the file.

    The first column takes what the others leave, so that a file name there may have blanks.

    Args:
        path: the file.
        columns: a name for each word of a line.

    Returns:
        One row a line that is not blank; words that a short line lacks are the empty text.

    Raises:
        DataError: when the file is missing or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", where=path) from error
    except UnicodeDecodeError as error:
        raise no_text(path, error) from error
    lines = pd.Series(text.split("\n"), dtype="str").str.strip()
    lines.index = lines.index + 1
    lines = lines[lines != ""]
    words = lines.str.rsplit(n=len(columns) - 1, expand=True).reindex(columns=range(len(columns)))
    words.columns = pd.Index(list(columns))
    return words.fillna("").astype("str")


def no_text(path: Path, error: UnicodeDecodeError) -> DataError:
    """The error of a list in another encoding than UTF-8, or of a file that is no list."""
    return DataError(f"{path.name} is no text: {error}", where=path, hint="save it as UTF-8")
