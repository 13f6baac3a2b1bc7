"""The columns of a manifest: which there are, what may stand in them, and the check of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_lab.data.assets import ARRAY_SHAPES, assets
from fer_lab.data.vocabulary import AGE_GROUPS, EXPRESSIONS, GENDERS, RACES, UNKNOWN
from fer_lab.errors import DataError

SPLITS = ("train", "val", "test")
REQUIRED = ("id", "dataset", "path", "label", "split")
DEMOGRAPHICS = ("gender", "age", "race")
NO_SOURCE = "none"

PREFERRED_ORDER = {"gender": GENDERS, "age": AGE_GROUPS, "race": RACES}
ATTRIBUTE_PREFIX = "attribute_"


def validate(frame: pd.DataFrame) -> pd.DataFrame:
    """Check a table and give it the manifest's types.

    Needed are ``id``, ``dataset``, ``path``, ``label`` and ``split``; an empty ``label`` becomes
    ``unknown``, for faces without an expression. A missing ``subject`` is filled with NA and
    missing demographics with ``unknown`` (source ``none``). Demographic and ``attribute_<name>``
    columns may be text or categorical (missing values become ``unknown``; a categorical keeps its
    order); truth values in ``attribute_<name>`` become no and yes. ``scene``, where it is there,
    names the photograph or video of rows that a draw must not part, as ``subject`` the person.

    Args:
        frame: the table, with :class:`Assets` in ``attrs["assets"]`` where it has any.

    Returns:
        A new frame with a ``RangeIndex``; the input is unchanged.

    Raises:
        DataError: for a missing column, an empty cell, a duplicate id, an unknown label, split
            or gender, an attribute without its source, or an array row that does not exist.
    """
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise DataError(
            f"the table has no column {', '.join(missing)}",
            where=f"columns {', '.join(map(str, frame.columns)) or '(none)'}",
            hint=f"a manifest needs {', '.join(REQUIRED)}",
        )
    checked = frame.reset_index(drop=True)
    for name in REQUIRED:
        if name != "label":
            _refuse_rows(checked, checked[name].isna(), f"{name} is empty", f"fill in {name}")
    for name in ("id", "path", "label"):
        checked[name] = checked[name].astype("str")
    checked["label"] = checked["label"].fillna(UNKNOWN)
    duplicated = checked["id"].duplicated()
    if duplicated.any():
        first = checked["id"][duplicated].iloc[0]
        rows = np.flatnonzero((checked["id"] == first).to_numpy())
        raise DataError(
            f"the id {first} stands in {len(rows)} rows"
            f" ({int(duplicated.sum())} rows repeat an id)",
            where=f"rows {', '.join(map(str, rows[:5]))}",
            hint="every face needs an id of its own, `<dataset>/<stable key>`",
        )
    _refuse_values(checked, "label", (*EXPRESSIONS, UNKNOWN))
    _refuse_values(checked, "split", SPLITS)
    checked["split"] = pd.Categorical(checked["split"], categories=list(SPLITS))
    if not isinstance(checked["dataset"].dtype, pd.CategoricalDtype):
        checked["dataset"] = pd.Categorical(checked["dataset"].astype("str"))
    subject = checked["subject"] if "subject" in checked else pd.Series(None, checked.index)
    checked["subject"] = subject.astype("str")
    if "scene" in checked:
        checked["scene"] = checked["scene"].astype("str")
    for name in DEMOGRAPHICS:
        _type_demographic(checked, name)
    for name in checked.columns:
        if str(name).startswith(ATTRIBUTE_PREFIX):
            checked[name] = as_groups(checked[name], ("no", "yes"))
    _check_array_rows(checked)
    return checked


def as_groups(column: pd.Series, preferred: Sequence[str]) -> pd.Categorical:
    """Text or categorical cells as groups, ``unknown`` last; preferred names come first."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        groups = [str(value) for value in column.cat.categories]
        column = column.cat.rename_categories(groups)
    else:
        if pd.api.types.is_bool_dtype(column.dtype):
            column = column.map({False: "no", True: "yes"})
        found = set(column.dropna().astype("str")) - {UNKNOWN}
        groups = [value for value in preferred if value in found or set(preferred) >= found]
        groups += sorted(found - set(groups))
    groups = [*(value for value in groups if value != UNKNOWN), UNKNOWN]
    values = column.astype(pd.CategoricalDtype(groups)).fillna(UNKNOWN)
    return pd.Categorical(values, categories=groups)


def _type_demographic(frame: pd.DataFrame, name: str) -> None:
    """Give a demographic column and its source their types, in place."""
    source = f"{name}_source"
    preferred = PREFERRED_ORDER[name]
    if name not in frame:
        frame[name] = pd.Categorical([UNKNOWN] * len(frame), categories=[*preferred, UNKNOWN])
        frame[source] = pd.Series(NO_SOURCE, frame.index, dtype="str")
        return
    frame[name] = as_groups(frame[name], preferred)
    if name == "gender":
        _refuse_values(frame, "gender", (*GENDERS, UNKNOWN))
    if source not in frame:
        raise DataError(
            f"{name} does not say where it comes from",
            where=f"columns {', '.join(map(str, frame.columns))}",
            hint=f"add {source}: `annotated`, `synthetic` or the name of the model",
        )
    frame[source] = frame[source].fillna(NO_SOURCE).astype("str")


def _refuse_values(frame: pd.DataFrame, name: str, known: Sequence[str]) -> None:
    column = frame[name]
    wrong = ~column.isin(known)
    if wrong.any():
        value = column[wrong].iloc[0]
        _refuse_rows(frame, wrong, f"{value!r} is not a {name}", f"known: {', '.join(known)}")


def _refuse_rows(frame: pd.DataFrame, wrong: pd.Series, what: str, hint: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        count = int(wrong.sum())
        more = f" ({count} such rows)" if count > 1 else ""
        raise DataError(f"{what}{more}", where=f"row {row} ({frame['id'][row]})", hint=hint)


def _check_array_rows(frame: pd.DataFrame) -> None:
    """Every row number points into an array of the promised shape, or is -1."""
    arrays = assets(frame).arrays
    for name, shape in ARRAY_SHAPES.items():
        if name not in frame:
            continue
        array = arrays.get(name)
        if array is not None and array.shape[1:] != shape:
            raise DataError(
                f"the array of {name} has the shape {list(array.shape)}",
                where=f"assets.arrays[{name!r}]",
                hint=f"it needs [rows, {', '.join(map(str, shape))}]",
            )
        frame[name] = frame[name].fillna(-1).astype("int64")
        length = 0 if array is None else len(array)
        outside = (frame[name] < -1) | (frame[name] >= length)
        what = f"{name} is in none of the {length} rows of its array"
        _refuse_rows(frame, outside, what, "-1 stands for none")
