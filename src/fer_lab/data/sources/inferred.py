"""Gender, age and race that a model inferred, joined onto a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.ages import cut_years
from fer_lab.data.manifest import DEMOGRAPHICS, NO_SOURCE
from fer_lab.data.sources.external_rows import (
    Annotated,
    Files,
    annotation_rows,
    face_positions,
    refuse_several,
    unmatched_rows,
)
from fer_lab.data.sources.layout import numbers
from fer_lab.data.sources.own import (
    GENDER_WORDS,
    age_bins,
    group_names,
    translated,
)
from fer_lab.data.vocabulary import AGE_GROUPS, GENDERS, UNKNOWN
from fer_lab.errors import DataError


def demographics(
    manifest: pd.DataFrame,
    *,
    file: Files,
    columns: Mapping[str, str | None] | None = None,
    source: str = "inferred",
    attributes: Sequence[str] | None = None,
    replace: bool = False,
    option: str = "annotations",
) -> Annotated:
    """Join gender, age and race that a model inferred.

    Ages that are all numbers are years, and cut into the vocabulary's groups; others are groups of
    the model's own.

    Args:
        manifest: the faces.
        file: CSV files, one row a face.
        columns: names of ``path`` (``image_path``), ``dataset``, ``gender``, ``age`` and ``race``
            where they differ. A row with a dataset speaks of its faces only.
        source: the model's name, shown wherever the groups are.
        attributes: which to take; by default those that the files have.
        replace: whether what a dataset knows itself gives way; without it that is an error.
        option: where the user set this, for messages.
    """
    usual = {"path": "image_path", "dataset": "dataset", **{name: name for name in DEMOGRAPHICS}}
    table = annotation_rows(file, usual, columns, ["path", *(attributes or [])], option)
    wanted = [name for name in attributes or DEMOGRAPHICS if name in table]
    if not wanted or set(wanted) - set(DEMOGRAPHICS):
        raise DataError(
            "there is no gender, age or race to take",
            where=f"{option}: {', '.join(map(str, attributes or [])) or 'the files have none'}",
            hint=f"name the columns: `columns: {{gender: …}}`; attributes: {list(DEMOGRAPHICS)}",
        )
    position = face_positions(manifest, table, option)
    refuse_several(manifest, table, position, option)
    found = position >= 0
    rows = position[found]
    names = manifest["dataset"].astype("str")
    spoken = names.isin(names.iloc[rows].unique()).to_numpy()
    annotated = manifest.copy()
    for name in wanted:
        _refuse_other_source(manifest, name, spoken, option, replace=replace)
        values, years = _groups(name, table[name], table["place"])
        if years is not None:
            kept = manifest.get("age_years", pd.Series(np.nan, manifest.index)).to_numpy(float)
            kept = np.where(spoken, np.nan, kept)
            kept[rows] = years[found]
            annotated["age_years"] = kept
        column = manifest[name].astype("object").to_numpy().copy()
        column[spoken] = UNKNOWN
        column[rows] = values.astype("object").to_numpy()[found]
        annotated[name] = _categorical(name, pd.Series(column, manifest.index, dtype="str"))
        sources = manifest[f"{name}_source"].astype("object").to_numpy().copy()
        sources[spoken] = NO_SOURCE
        sources[rows] = source
        annotated[f"{name}_source"] = pd.Series(sources, manifest.index, dtype="str")
    return Annotated(annotated, unmatched_rows("demographics", table, position), {})


def _refuse_other_source(
    manifest: pd.DataFrame,
    name: str,
    spoken: NDArray[np.bool_],
    option: str,
    *,
    replace: bool,
) -> None:
    """What a model inferred does not hide what is known from elsewhere."""
    known = spoken & (manifest[f"{name}_source"] != NO_SOURCE).to_numpy()
    if known.any() and not replace:
        datasets = " and ".join(map(str, manifest["dataset"][known].unique()))
        there = " and ".join(sorted(manifest[f"{name}_source"][known].unique()))
        raise DataError(
            f"{name} of {datasets} is known already ({there})",
            where=option,
            hint=f"leave it out (`attributes: […]` without {name}), or `replace: true`",
        )


def _groups(
    name: str, cells: pd.Series, places: pd.Series
) -> tuple[pd.Series, NDArray[np.float64] | None]:
    """Cells as groups, and as years where they are ages in years."""
    if name == "gender":
        cells = pd.Series(cells.to_numpy(), pd.Index(places), dtype="str")
        groups = translated(
            cells, GENDER_WORDS, None, name="a gender", place="", option="annotations"
        )
        return groups, None
    if name == "race":
        return group_names(cells).replace({"": UNKNOWN}), None
    years, wrong = numbers(cells)
    if len(years) and not wrong.any() and np.isfinite(years).any():
        return pd.Series(cut_years(years), cells.index), years
    return pd.Series(age_bins(cells), cells.index), None


def _categorical(name: str, column: pd.Series) -> pd.Series | pd.Categorical[str]:
    """Groups in their order; text is ordered when the manifest is validated."""
    if name == "gender":
        return pd.Categorical(column, categories=[*GENDERS, UNKNOWN])
    if name == "age" and not set(column.unique()) <= {*AGE_GROUPS, UNKNOWN}:
        return age_bins(column)
    return column
