"""The file behind a table of users' own: which it is, its columns by their names, as text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from fer_lab.data.schema import ATTRIBUTE_PREFIX
from fer_lab.data.sources.lists import read_list
from fer_lab.errors import ConfigError, DataError, near_miss

NEEDED = ("path", "label")
OPTIONAL = (
    "split",
    "id",
    "subject",
    "scene",
    "gender",
    "age",
    "age_years",
    "race",
    "intensity",
    "mask_path",
)
EXPECTED = "a .csv or .parquet file with one row a face; the images it names are relative to it"

Names = Mapping[str, str | Sequence[str] | None]


def table_file(folder: Path, file: str | os.PathLike[str] | None) -> Path:
    """The table: where the option says, or the only one in the folder."""
    if file is not None:
        path = folder / Path(file).expanduser()
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise ConfigError(
                f"{path.name} is neither .csv nor .parquet", where="dataset.file", hint=EXPECTED
            )
        return path
    there = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".parquet"))
    if len(there) != 1:
        found = ", ".join(path.name for path in there[:10]) or "none"
        raise DataError(
            f"{'several tables' if there else 'no table'} in the folder",
            where=f"{folder}: {found}",
            hint="name the table: `dataset.file=labels.csv`",
        )
    return there[0]


def own_columns(
    columns: Mapping[str, str | Sequence[str] | None] | None,
) -> dict[str, str | Sequence[str] | None]:
    """The table's own names, each column's name where the user gives no other."""
    known: dict[str, str | Sequence[str] | None] = {key: key for key in (*NEEDED, *OPTIONAL)}
    known["box"] = None
    for key in columns or {}:
        if key not in known:
            near = near_miss(key, known)
            raise ConfigError(
                f"columns has no {key!r}" + (f"; did you mean {near!r}?" if near else ""),
                where=f"dataset.columns.{key}",
                hint=f"it names {', '.join(known)}; others are named in `dataset.attributes`",
            )
    chosen = {**known, **(columns or {})}
    for key in NEEDED:
        if chosen[key] is None:
            raise ConfigError(f"the column {key} needs a name", where=f"dataset.columns.{key}")
    box = chosen["box"]
    if box is not None and (isinstance(box, str) or len(box) != 4):
        raise ConfigError(
            "a box needs the names of four columns",
            where="dataset.columns.box",
            hint="for example [x,y,width,height]",
        )
    return chosen


def read_parts(
    path: Path,
    own: Mapping[str, str | Sequence[str] | None],
    boxes: str | Sequence[str] | None,
    attributes: Sequence[str],
) -> Iterator[pd.DataFrame]:
    """Parts of the table as text, under ``own <key>``, ``box <n>`` and ``attribute_<name>``."""
    names = {f"own {key}": str(name) for key, name in own.items() if name is not None}
    optional = {key: names[f"own {key}"] for key in OPTIONAL if names.get(f"own {key}") == key}
    for key in optional:
        del names[f"own {key}"]
    names |= {f"box {n}": name for n, name in enumerate(boxes or ())}
    names |= {ATTRIBUTE_PREFIX + name: name for name in attributes}
    needed = list(dict.fromkeys(names.values()))
    hint = "name the table's columns: `dataset.columns.path=…`, `dataset.attributes=[…]`"
    if path.suffix.lower() == ".csv":
        wanted = [name for name in optional.values() if name not in needed]
        parts = read_list(path, needed, optional=wanted, hint=hint)
    else:
        parts = iter([_read_parquet(path, needed, list(optional.values()), hint)])
    for part in parts:
        names_here = names | {f"own {k}": v for k, v in optional.items() if v in part}
        yield pd.DataFrame({key: part[name] for key, name in names_here.items()})


def _read_parquet(
    path: Path, needed: Sequence[str], optional: Sequence[str], hint: str
) -> pd.DataFrame:
    """Columns of a parquet file as text; an empty cell is the empty text, the first row is 1."""
    from pyarrow import ArrowException, parquet

    try:
        there = [str(name) for name in parquet.read_schema(path).names]
        missing = [name for name in needed if name not in there]
        if missing:
            raise DataError(
                f"{path.name} has no column {', '.join(missing)}",
                where=f"{path}, which has {', '.join(name[:40] for name in there)}",
                hint=hint,
            )
        wanted = list(dict.fromkeys([*needed, *(name for name in optional if name in there)]))
        frame = parquet.read_table(path, columns=wanted).to_pandas(ignore_metadata=True)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error}", where=path) from error
    except (ArrowException, ValueError, KeyError, TypeError) as error:  # its metadata, too
        raise DataError(f"{path.name} is no parquet file: {error}", where=path) from error
    frame.index = frame.index + 1
    return pd.DataFrame(
        {
            name: column.astype("object").where(column.notna(), "").astype("str")
            for name, column in frame.items()
        }
    )
