"""Rows of annotations in files beside a dataset, and the faces of its manifest they speak of."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import assets
from fer_lab.data.sources.annotations import place_rows, several_rows
from fer_lab.data.sources.layout import base_names, normal_paths
from fer_lab.data.sources.lists import read_list
from fer_lab.errors import ConfigError, DataError

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Annotated:
    """A manifest with annotations joined onto it.

    Attributes:
        manifest: with more columns; the same rows.
        unmatched: ``kind``, ``place`` and ``path`` of what speaks of no face.
        counts: what else there is to know, by reason.
    """

    manifest: pd.DataFrame
    unmatched: pd.DataFrame
    counts: dict[str, int]


def annotation_rows(
    file: Files,
    usual: Mapping[str, str],
    columns: Mapping[str, str | None] | None,
    needed: Sequence[str],
    option: str,
) -> pd.DataFrame:
    """The rows of CSV files as text, under the keys of ``usual``, with their ``place``."""
    wrong = [key for key in columns or {} if key not in usual]
    if wrong:
        raise ConfigError(
            f"columns has no {wrong[0]!r}", where=option, hint=f"it names {', '.join(usual)}"
        )
    names = {key: name for key, name in {**usual, **(columns or {})}.items() if name is not None}
    must = [name for key, name in names.items() if key in needed or name != usual[key]]
    parts = []
    for each in [file] if isinstance(file, str | os.PathLike) else list(file):
        path = Path(each).expanduser()
        others = [name for name in names.values() if name not in must]
        for part in read_list(
            path, must, optional=others, hint=f"name them: `columns` of {option}"
        ):
            here = {key: part[name] for key, name in names.items() if name in part}
            place = f"{path}, line " + part.index.astype("str")
            parts.append(pd.DataFrame(here).assign(place=place))
    table = pd.concat(parts) if parts else pd.DataFrame(columns=[*names, "place"], dtype="str")
    table.index = pd.Index(table["place"])
    table["path"] = normal_paths(table["path"])
    return table.fillna("")


def face_positions(
    manifest: pd.DataFrame, table: pd.DataFrame, option: str, *, stems: bool = False
) -> NDArray[np.int64]:
    """The face that each row speaks of, -1 for none.

    Args:
        manifest: the faces.
        table: the rows: ``path``, ``place`` and, where they say so, ``dataset``.
        option: where the user set this, for messages.
        stems: whether the rows leave out the images' suffixes.
    """
    whole = normal_paths(manifest["path"])
    relative = whole
    rows = table.assign(path=table["path"])
    for root in assets(manifest).roots.values():
        prefix = Path(root).as_posix() + "/"
        relative = relative.str.removeprefix(prefix)
        rows["path"] = rows["path"].str.removeprefix(prefix)
    own = manifest["id"].str.replace(r"^[^/]*/", "", regex=True)
    keys = [manifest["id"], own, relative, whole]
    names = base_names(relative)
    if stems:
        suffix = r"\.[A-Za-z0-9]+$"
        keys += [key.str.replace(suffix, "", regex=True) for key in keys]
        names = names.str.replace(suffix, "", regex=True)
    if "dataset" not in rows or not len(rows):
        return place_rows(keys, names, rows.reset_index(drop=True), option, "faces")
    position = np.full(len(rows), -1, dtype=np.int64)
    rows = rows.reset_index(drop=True)
    named = rows["dataset"].str.strip().str.lower()
    own_names = manifest["dataset"].astype("str").str.lower()
    for dataset in named.unique():
        part = rows[named == dataset]
        mine = ((own_names == dataset) | (dataset == "")).to_numpy()
        faces = np.flatnonzero(mine)
        here = [key[mine] for key in keys]
        found = place_rows(here, names[mine], part, option, "faces")
        position[part.index] = np.where(found < 0, -1, faces[found] if len(faces) else -1)
    return position


def refuse_several(
    manifest: pd.DataFrame, table: pd.DataFrame, position: NDArray[np.int64], option: str
) -> None:
    """One row a face."""
    places = table["place"].to_numpy(dtype=object)
    twice = several_rows(position, pd.RangeIndex(len(table)))
    if twice is not None:
        face, rows = twice
        raise DataError(
            f"{manifest['id'].iloc[face]} is spoken of {len(rows)} times",
            where=f"{'; '.join(map(str, places[rows[:3]]))} ({option})",
            hint="one row or file a face: remove the others, or give ids",
        )


def unmatched_rows(kind: str, table: pd.DataFrame, position: NDArray[np.int64]) -> pd.DataFrame:
    """What speaks of no face."""
    rows = table.loc[(position < 0), ["place", "path"]].reset_index(drop=True)
    rows.insert(0, "kind", kind)
    return rows.astype("str")
