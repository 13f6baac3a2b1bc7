"""Images in a folder per class, with or without a folder per split above them.

Features: none but the label. Classes: the expressions that the folders are named after or mapped
to. Splits: ``<split>/<class>/`` by name; images of ``<class>/`` alone are ``train``, and
validation and test sets are drawn from these. Guide: ``docs/own_data.md``. Citation: that of the
data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import pandas as pd

from fer_lab.data.manifest import Assets
from fer_lab.data.sources.folders import class_folders
from fer_lab.data.sources.layout import find_root, folder_names, kept_rows
from fer_lab.data.sources.own import (
    EXPRESSION_WORDS,
    SET_ASIDE,
    SPLIT_WORDS,
    translated,
)
from fer_lab.errors import DataError

TITLE = "the folder of classes"
EXPECTED = (
    "a folder per class (happy/, sad/ …), or train/, val/ and test/ with such folders in each"
)


def read(
    root: str | os.PathLike[str] | None,
    *,
    title: str = "folder",
    labels: Mapping[str, str | None] | None = None,
) -> pd.DataFrame:
    """Read ``<class>/<image>`` or ``<split>/<class>/<image>``.

    Args:
        root: the folder that holds them. Folders are splits when all of them are named as such
            (train, training, val, valid, validation, test, testing).
        title: the dataset's name in predictions and reports.
        labels: the expression of each folder (``{joy: happy}``); null sets its images aside.
            Names of expressions need no mapping.

    Raises:
        DataError: for a missing folder, a folder that is no class, splits beside classes, or when
            there is no image.
        ConfigError: for a label that is no expression.
    """
    folder = find_root(root, TITLE, EXPECTED)
    below = folder_names(folder)
    splits = {each: SPLIT_WORDS[each.lower()] for each in below if each.lower() in SPLIT_WORDS}
    if splits and len(splits) < len(below):
        others = [each for each in below if each not in splits]
        raise DataError(
            "some folders are splits and some are not",
            where=f"{folder}: {', '.join(splits)} beside {', '.join(others[:10])}",
            hint=f"expected: {EXPECTED}",
        )
    table = class_folders(folder, splits or {".": "train"})
    table["image"] = table["image"].str.removeprefix("./")
    table.index = pd.Index(table["place"].str.removeprefix("./"))
    names = table["folder"][~table.index.duplicated()]
    label = translated(
        names,
        EXPRESSION_WORDS,
        labels,
        name="an expression",
        place=f"{folder}{os.sep}",
        option="dataset.labels",
    )
    table["label"] = label.reindex(table.index).to_numpy()
    aside = table["label"] == SET_ASIDE
    table["reason"] = ("label " + table["folder"] + " set aside").where(aside, "")
    there = ", ".join(below[:10]) or "no folder"
    kept, dropped = kept_rows(table, TITLE, f"{folder}: {there}", EXPECTED)
    frame = pd.DataFrame(
        {
            "id": f"{title}/" + kept["image"],
            "dataset": pd.Categorical([title] * len(kept)),
            "path": f"{folder}{os.sep}" + kept["image"],
            "label": kept["label"],
            "split": kept["split"],
        }
    )
    frame.attrs["assets"] = Assets(dropped=dropped, roots={title: str(folder)})
    return frame
