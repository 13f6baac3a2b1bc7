"""Images in a folder per class, with or without a folder per split above them.

Features: none but the label. Classes: the expressions that the folders are named after or mapped
to. Splits: ``<split>/<class>/`` by name; of ``<class>/`` alone a test set is drawn. Guide:
``docs/own_data.md``. Citation: that of the data.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping

import pandas as pd

from fer_lab.data.manifest import Assets
from fer_lab.data.sources.folders import class_folders
from fer_lab.data.sources.layout import find_root, normal_paths
from fer_lab.data.sources.own import (
    EXPRESSION_WORDS,
    SET_ASIDE,
    SPLIT_WORDS,
    nothing_left,
    translated,
    with_test_rows,
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
    test_fraction: float = 0.2,
    seed: int = 1,
) -> pd.DataFrame:
    """Read ``<class>/<image>`` or ``<split>/<class>/<image>``.

    Args:
        root: the folder that holds them. Folders are splits when all of them are named as such
            (train, training, val, valid, validation, test, testing).
        title: the dataset's name in predictions and reports.
        labels: the expression of each folder (``{joy: happy}``); null sets its images aside.
            Names of expressions need no mapping.
        test_fraction: share of the images drawn for testing where no folder is a split.
        seed: of that draw.

    Raises:
        DataError: for a missing folder, a folder that is no class, splits beside classes, or when
            there is no image.
        ConfigError: for a label or a fraction that cannot work.
    """
    folder = find_root(root, TITLE, EXPECTED)
    below = sorted(
        path.name for path in folder.iterdir() if path.name[0] not in "._" and path.is_dir()
    )
    splits = {each: SPLIT_WORDS[each.lower()] for each in below if each.lower() in SPLIT_WORDS}
    if splits and len(splits) < len(below):
        others = [each for each in below if each not in splits]
        raise DataError(
            "some folders are splits and some are not",
            where=f"{folder}: {', '.join(splits)} beside {', '.join(others[:10])}",
            hint=f"expected: {EXPECTED}",
        )
    table = class_folders(folder, splits or {".": "train"})
    table["image"] = normal_paths(table["image"])
    table.index = pd.Index(normal_paths(table["place"]))
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
    aside = (table["label"] == SET_ASIDE).to_numpy(dtype=bool)
    dropped = Counter(f"label {each} set aside" for each in table["folder"][aside])
    kept = table[~aside].reset_index(drop=True)
    if kept.empty:
        there = ", ".join(below[:10]) or "no folder"
        error = nothing_left(TITLE, len(table), dropped, f"{folder}: {there}")
        raise DataError(error.what, where=error.where, hint=f"expected: {EXPECTED}")
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
    if splits:
        return frame
    return with_test_rows(frame, test_fraction, seed, "dataset.test_fraction")
