"""Any CSV or parquet table of images: its columns and labels are mapped by options.

Features: what its columns hold, of label, split, id, subject, gender, age (groups or years), race,
intensity, region mask, face box and any further attribute. Classes: the expressions its labels are
mapped to. Splits: its own; without any, every row is ``train``, and validation and test sets are
drawn from these. Guide: ``docs/own_data.md``. Citation: that of the data.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.ages import cut_years
from fer_lab.data.manifest import Assets
from fer_lab.data.schema import ATTRIBUTE_PREFIX
from fer_lab.data.sources.layout import (
    ArrayRows,
    existing_files,
    find_root,
    kept_rows,
    normal_paths,
    numbers,
    set_aside,
    set_aside_missing,
    set_aside_repeated,
    unsafe_paths,
)
from fer_lab.data.sources.own import (
    EXPRESSION_WORDS,
    GENDER_WORDS,
    SET_ASIDE,
    SPLIT_WORDS,
    age_bins,
    group_names,
    translated,
)
from fer_lab.data.sources.table_file import EXPECTED, own_columns, read_parts, table_file
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import ConfigError

TITLE = "the table"

_NUMBERS = ("age_years", "intensity")
_MOST_AGE_GROUPS = 20

_log = logging.getLogger(__name__)


def read(
    root: str | os.PathLike[str] | None,
    *,
    file: str | os.PathLike[str] | None = None,
    title: str = "table",
    columns: Mapping[str, str | Sequence[str] | None] | None = None,
    labels: Mapping[str, str | None] | None = None,
    splits: Mapping[str, str | None] | None = None,
    genders: Mapping[str, str | None] | None = None,
    attributes: Sequence[str] = (),
    box_format: Literal["xywh", "xyxy"] = "xywh",
    demographics_source: str = "annotated",
) -> pd.DataFrame:
    """Read a table with one row a face.

    Rows whose image is not there, whose path leaves the folder, or which have a number that is
    none are set aside and counted in ``Assets.dropped``. Without a column ``id`` the image's path
    is the key; of equal rows the first is kept, and several boxes in one image are several faces,
    which drawn splits keep together (``scene``, unless the table says it).

    Args:
        root: the folder that image paths are relative to.
        file: the table, in ``root`` or anywhere; None takes the only one in ``root``.
        title: the dataset's name in predictions and reports.
        columns: the table's name for ``path``, ``label``, ``split``, ``id``, ``subject``,
            ``scene``, ``gender``, ``age``, ``age_years``, ``race``, ``intensity``, ``mask_path``,
            and its four names for ``box``. A column not renamed is used where it is there
            (``path`` and ``label`` must be), null leaves one out.
        labels: the expression of each label (``{0: happy, joy: happy}``); null sets its rows
            aside. Names of expressions need no mapping.
        splits: ``train``, ``val`` or ``test`` by word, likewise.
        genders: ``female``, ``male`` or ``unknown`` by word, likewise.
        attributes: further columns, each kept as ``attribute_<name>``; empty cells are unknown.
        box_format: ``xywh`` (left, top, width, height) or ``xyxy`` (left, top, right, bottom),
            in pixels.
        demographics_source: ``annotated``, or the name of the model that inferred them.

    Raises:
        DataError: for a missing folder, file or column, an unknown label, split or gender (naming
            its row and the mapping), or when no row can be used.
        ConfigError: for an option that cannot work.
    """
    folder = find_root(root, TITLE, EXPECTED)
    path = table_file(folder, file)
    own = own_columns(columns)
    boxes = own.pop("box")
    if box_format not in ("xywh", "xyxy"):
        raise ConfigError(
            f"{box_format!r} is no form of a box",
            where="dataset.box_format",
            hint="use xywh or xyxy",
        )
    words = {
        "label": (EXPRESSION_WORDS, labels, "an expression"),
        "split": (SPLIT_WORDS, splits, "a split"),
        "gender": (GENDER_WORDS, genders, "a gender"),
    }
    box_rows = ArrayRows(4)
    parts = []
    for part in read_parts(path, own, boxes, attributes):
        place = f"{path}, {'line' if path.suffix.lower() == '.csv' else 'row'} "
        table = part.rename(columns={f"own {key}": key for key in own}).assign(reason="")
        for key, (known, mapping, kind) in words.items():
            if key in table:
                table[f"raw {key}"] = table[key]
                table[key] = translated(
                    table[key], known, mapping, name=kind, place=place, option=f"dataset.{key}s"
                )
        parts.append(_typed(table, folder, boxes, box_format, box_rows, place))
    table = pd.concat(parts, ignore_index=True)
    if "id" not in table:
        set_aside_repeated(table, ["key"], "label")
    set_aside_missing(table, folder, "path")
    kept, aside = kept_rows(table, f"the table {path.name}", f"images below {folder}", EXPECTED)
    dropped = Counter(aside)
    frame = _frame(kept, folder, title, attributes, demographics_source, dropped)
    frame.attrs["assets"] = Assets(
        arrays={"box": box_rows.array()} if boxes else None,
        dropped=+dropped,
        roots={title: str(folder)},
    )
    return frame


def _typed(
    table: pd.DataFrame,
    folder: Path,
    boxes: object,
    box_format: str,
    box_rows: ArrayRows,
    place: str,
) -> pd.DataFrame:
    """Paths brought to one form, numbers as numbers, and the reasons to set rows aside."""
    table["path"] = normal_paths(table["path"]).str.removeprefix(f"{folder.as_posix()}/")
    for label in table.loc[table["label"] == SET_ASIDE, "raw label"].unique():
        set_aside(table, (table["raw label"] == label).to_numpy(), f"label {label} set aside")
    for key in ("split", "gender"):
        if key in table:
            away = (table[key] == SET_ASIDE).to_numpy()
            set_aside(table, away, f"{key} set aside")
    set_aside(table, unsafe_paths(table["path"]), "path outside the folder of images")
    malformed = np.zeros(len(table), dtype=bool)
    for key in _NUMBERS:
        if key in table:
            table[key], wrong = numbers(table[key])
            malformed |= wrong
    if "age_years" in table:
        malformed |= (table["age_years"] < 0).to_numpy()
    if "id" in table:
        table["id"] = table["id"].str.strip()
        malformed |= (table["id"] == "").to_numpy()
    table["key"] = table["path"]
    if boxes:
        cells = [f"box {n}" for n in range(4)]
        read = [numbers(table[cell]) for cell in cells]
        box = np.stack([values for values, _ in read], axis=1)
        if box_format == "xyxy":
            box[:, 2:] -= box[:, :2]
        has_box = np.isfinite(box).all(axis=1)
        empty = (table[cells].apply(lambda column: column.str.strip()) == "").all(axis=1)
        malformed |= ~empty.to_numpy() & (~has_box | ~(box[:, 2:] > 0).all(axis=1))
        has_box &= ~malformed
        table["box"] = box_rows.add(box[has_box], has_box)
        table["key"] = (
            table["path"]
            + "#"
            + table[cells[0]].str.cat(table[cells[1:]], sep=",").where(has_box, "")
        )
    for row in table.index[malformed & (table["reason"] == "").to_numpy()][:3]:
        _log.warning("a malformed row is set aside: %s%s", place, row)
    set_aside(table, malformed, "malformed row")
    return table


def _frame(
    kept: pd.DataFrame,
    folder: Path,
    title: str,
    attributes: Sequence[str],
    source: str,
    dropped: Counter[str],
) -> pd.DataFrame:
    """The manifest of the rows kept."""
    face = kept.groupby("path").cumcount().astype("str")
    key = kept["id"] if "id" in kept else kept["path"] + ("#" + face).where(face != "0", "")
    frame = pd.DataFrame(
        {
            "id": f"{title}/" + key,
            "dataset": pd.Categorical([title] * len(kept)),
            "path": f"{folder}{os.sep}" + kept["path"],
            "label": kept["label"],
            "split": kept.get("split", "train"),
        }
    )
    for each in ("subject", "scene"):
        if each in kept:
            frame[each] = kept[each].str.strip().replace({"": pd.NA})
    if "scene" not in kept and kept["path"].duplicated().any():
        frame["scene"] = kept["path"]
    if "gender" in kept:
        frame["gender"] = kept["gender"]
    if "age" in kept:
        frame["age"] = _own_ages(kept["age"])
    elif "age_years" in kept:
        frame["age"] = cut_years(kept["age_years"].to_numpy(dtype=np.float64))
    if "race" in kept:
        frame["race"] = group_names(kept["race"]).replace({"": UNKNOWN})
    for each in ("gender", "age", "race"):
        if each in frame:
            frame[f"{each}_source"] = source
    for each in ("box", "age_years"):
        if each in kept:
            frame[each] = kept[each]
    if "intensity" in kept:
        frame["intensity"] = kept["intensity"].astype("float32")
    if "mask_path" in kept:
        frame["mask_path"], absent = _masks(kept["mask_path"], folder)
        dropped["region mask missing"] = absent
    for each in attributes:
        cells = kept[ATTRIBUTE_PREFIX + each].str.strip()
        truth = cells.str.lower().map({"true": "yes", "false": "no", "": ""})
        cells = truth if truth.notna().all() else cells
        frame[ATTRIBUTE_PREFIX + each] = cells.replace({"": UNKNOWN})
    return frame


def _own_ages(cells: pd.Series) -> pd.Categorical[str]:
    """The table's own age groups; a column of years is not taken for one."""
    if cells.nunique() > _MOST_AGE_GROUPS and not numbers(cells)[1].any():
        raise ConfigError(
            f"the column of ages has {cells.nunique()} different numbers",
            where="dataset.columns.age",
            hint="if these are years: `dataset.columns.age_years=… dataset.columns.age=null`",
        )
    return age_bins(cells)


def _masks(cells: pd.Series, folder: Path) -> tuple[pd.Series, int]:
    """Region masks as absolute paths, None where there is none, and how many are missing."""
    paths = normal_paths(cells)
    named = (paths != "").to_numpy()
    there: NDArray[np.bool_] = named & ~unsafe_paths(paths)
    there[there] = existing_files(folder, paths[there])
    return (f"{folder}{os.sep}" + paths).where(there), int((named & ~there).sum())
