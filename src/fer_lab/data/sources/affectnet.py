"""AffectNet: photographs from the web, eight expressions, valence and arousal.

Features: face boxes, 68 landmarks, valence and arousal in [-1, 1], gender from external label
files. Classes: neutral, happy, sad, surprise, fear, disgust, anger, contempt; none, uncertain and
non-face are set aside. Splits: training (414,799 rows in the CSV release, 287,651 in the npy
release) and validation (5,500 and 3,999), which is the test set here, since no public one exists.

Citation: Mollahosseini, Hasani, Mahoor, "AffectNet: A Database for Facial Expression, Valence,
and Arousal Computing in the Wild", IEEE Transactions on Affective Computing, 2019.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import Assets
from fer_lab.data.sources import affectnet_csv, affectnet_npy
from fer_lab.data.sources.annotations import join_labels
from fer_lab.data.sources.layout import find_root, kept_rows, not_its_layout
from fer_lab.data.vocabulary import GENDERS, UNKNOWN
from fer_lab.errors import ConfigError

NAME = "affectnet"
TITLE = "AffectNet"

EXPRESSION_CODES = {
    0: "neutral",
    1: "happy",
    2: "sad",
    3: "surprise",
    4: "fear",
    5: "disgust",
    6: "anger",
    7: "contempt",
    8: "none",
    9: "uncertain",
    10: "non-face",
}
NO_EXPRESSION = (8, 9, 10)
GENDER_CODES = {"F": "female", "M": "male", "I": UNKNOWN}
GENDER_COLUMNS = {"path": "subDirectory_filePath", "gender": "gender", "duplicate": "duplicate"}

LISTS = {"training.csv": "train", "validation.csv": "test"}
FOLDERS = {"train_set": "train", "val_set": "test"}
EXPECTED = (
    "training.csv and validation.csv (there or in Manually_Annotated_file_lists/) with"
    " Manually_Annotated_Images/, the CSV release; or train_set/ and val_set/, each with"
    " images/N.jpg and annotations/N_{exp,val,aro,lnd}.npy, the npy release"
)

_PARENTS = ("", "Manually_Annotated")


def read(
    root: str | os.PathLike[str] | None,
    *,
    release: Literal["auto", "csv", "npy"] = "auto",
    gender_labels: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = "auto",
    gender_columns: Mapping[str, str | None] | None = None,
) -> pd.DataFrame:
    """Read one of AffectNet's two releases.

    Rows without an expression (codes 8 to 10), without an image, malformed or with a path that
    leaves the folder are set aside and counted in ``Assets.dropped``. A width below 0 means no
    box; valence and arousal outside [-1, 1] are NaN.

    Args:
        root: folder of the release (``EXPECTED`` says what is in it).
        release: which one; ``auto`` looks at the folder.
        gender_labels: CSV files with one row an image and gender F, M or I (undetermined);
            ``auto`` takes those in the release's folder or one below it whose own or whose
            folder's name contains "gender"; None leaves gender unknown.
        gender_columns: their columns ``path``, ``gender`` and ``duplicate``, where these differ
            from ``GENDER_COLUMNS``.

    Returns:
        The manifest: validation is ``test``, everything else ``train``.

    Raises:
        DataError: for a missing folder or file, a list without its columns, an unknown
            expression code, or when no image is left.
        ConfigError: for another release or column, or a folder that holds both releases.
    """
    folder = find_root(root, TITLE, EXPECTED)
    columns = {**GENDER_COLUMNS, **(gender_columns or {})}
    if set(columns) != set(GENDER_COLUMNS):
        raise ConfigError(
            f"gender_columns has {', '.join(set(columns) - set(GENDER_COLUMNS))}",
            where="dataset.sources.affectnet.gender_columns",
            hint=f"it names {', '.join(GENDER_COLUMNS)}",
        )
    chosen = _release(folder, release)
    images = folder if chosen == "npy" else _find(folder, "Manually_Annotated_Images") or folder
    if chosen == "npy":
        table, arrays = affectnet_npy.read_folders(folder, FOLDERS, EXPRESSION_CODES, NO_EXPRESSION)
    else:
        paths = {_find(folder, name) or folder / name: split for name, split in LISTS.items()}
        table, arrays = affectnet_csv.read_lists(paths, images, EXPRESSION_CODES, NO_EXPRESSION)
    dropped: Counter[str] = Counter()
    unmatched: pd.DataFrame | None = None
    files = _gender_files(folder) if gender_labels == "auto" else gender_labels
    if files is not None:
        listed = table["image"].drop_duplicates()
        joined = join_labels(
            listed,
            files,
            columns=columns,
            codes=GENDER_CODES,
            option="dataset.sources.affectnet.gender_labels",
        )
        genders = table["image"].map(pd.Series(joined.values, listed))
        table["gender"] = pd.Categorical(genders, [*GENDERS, UNKNOWN])
        table["gender_source"] = "annotated"
        unmatched = joined.unmatched
        unmatched.insert(0, "kind", "gender label")
        dropped["gender label of no listed image"] = len(unmatched)
        dropped["gender label marked as a duplicate"] = joined.duplicates
    kept, aside = kept_rows(table, TITLE, f"images below {images}", EXPECTED)
    dropped.update(aside)
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + kept["image"],
            "dataset": pd.Categorical([NAME] * len(kept)),
            "path": f"{images}{os.sep}" + kept["image"],
            "label": kept["code"].map(EXPRESSION_CODES),
            "split": kept["split"],
            "valence": _in_range(kept["valence"]),
            "arousal": _in_range(kept["arousal"]),
            **{name: kept[name] for name in (*arrays, "gender", "gender_source") if name in kept},
        }
    )
    frame.attrs["assets"] = Assets(
        arrays=arrays, dropped=+dropped, roots={NAME: str(folder)}, unmatched=unmatched
    )
    return frame


def _release(folder: Path, release: str) -> str:
    """Which release the folder holds."""
    if release not in ("auto", "csv", "npy"):
        raise ConfigError(
            f"AffectNet has no release {release!r}",
            where="dataset.sources.affectnet.release",
            hint="choose auto, csv or npy",
        )
    lists = [name for name in LISTS if _find(folder, name) is not None]
    sets = [name for name in FOLDERS if (folder / name).is_dir()]
    if release == "auto" and lists and sets:
        raise ConfigError(
            "the folder holds both releases of AffectNet",
            where=folder,
            hint="choose one: `dataset.sources.affectnet.release=csv` or `npy`",
        )
    chosen = release if release != "auto" else "csv" if lists or not sets else "npy"
    there, needed = (lists, LISTS) if chosen == "csv" else (sets, FOLDERS)
    missing = [name for name in needed if name not in there]
    if missing:
        raise not_its_layout(TITLE, missing, folder, EXPECTED)
    return chosen


def _find(folder: Path, name: str) -> Path | None:
    """A list or the folder of images, at one of the places where copies of AffectNet have it."""
    for parent in _PARENTS:
        for place in ("", "Manually_Annotated_file_lists"):
            if (path := folder / parent / place / name).exists():
                return path
    return None


def _in_range(values: pd.Series) -> NDArray[np.float32]:
    """Valence or arousal; what lies outside [-1, 1] is a sentinel."""
    numbers = values.to_numpy(dtype=np.float32)
    return np.where(np.abs(numbers) <= 1, numbers, np.float32("nan"))


def _gender_files(folder: Path) -> list[Path] | None:
    """CSV files of gender labels that lie in the release's folder, if any do."""
    here = (path for path in folder.glob("*.csv") if "gender" in path.stem.lower())
    below = (
        path
        for path in folder.glob("*/*.csv")
        if "gender" in f"{path.parent.name}/{path.stem}".lower()
    )
    return sorted({*here, *below}) or None
