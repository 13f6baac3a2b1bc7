"""RAF-DB, the Real-world Affective Faces Database (basic expressions): photographs from the web.

Features: gender (annotated as male, female or unsure), race (three groups of its own) and age
(five bins of its own) from its files of manual attributes, whose five landmarks are not read.
Classes: surprise, fear, disgust, happy, sad, anger, neutral. Splits: training (12,271 faces) and
test (3,068); there is no validation set.

Citation: Li, Deng, Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for
Expression Recognition in the Wild", CVPR 2017.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from fer_lab.data.assets import Assets
from fer_lab.data.sources.folders import class_folders
from fer_lab.data.sources.layout import (
    file_names,
    find_root,
    kept_rows,
    known_codes,
    normal_paths,
    not_its_layout,
    set_aside,
    set_aside_missing,
    set_aside_repeated,
    unsafe_paths,
)
from fer_lab.data.sources.lists import read_list, read_words
from fer_lab.data.threads import map_in_threads
from fer_lab.data.vocabulary import GENDERS, UNKNOWN
from fer_lab.errors import ConfigError, DataError

NAME = "rafdb"
TITLE = "RAF-DB"

EXPRESSION_CODES = {
    1: "surprise",
    2: "fear",
    3: "disgust",
    4: "happy",
    5: "sad",
    6: "anger",
    7: "neutral",
}
GENDER_CODES = {0: "male", 1: "female", 2: UNKNOWN}
RACE_CODES = {0: "caucasian", 1: "african_american", 2: "asian"}
AGE_CODES = {0: "0-3", 1: "4-19", 2: "20-39", 3: "40-69", 4: "70+"}
DEMOGRAPHIC_CODES = {"gender": GENDER_CODES, "race": RACE_CODES, "age": AGE_CODES}

# The first spelling is the published one.
LISTS = ("list_patition_label.txt", "list_partition_label.txt")
FOLDERS = {"train": "train", "test": "test"}
EXPECTED = (
    f"EmoLabel/{LISTS[0]} with Image/aligned/ (or Image/original/) and Annotation/manual/; or"
    " DATASET/train/ and DATASET/test/ with folders 1 to 7, and train_labels.csv and"
    " test_labels.csv"
)

_PARENTS = ("", "basic", "RAF-DB")
_ATTRIBUTES = "_manu_attri.txt"
# Five landmarks, x and y each, stand before gender, race and age.
_LANDMARK_NUMBERS = 10

_log = logging.getLogger(__name__)


def read(
    root: str | os.PathLike[str] | None, *, images: Literal["aligned", "original"] = "aligned"
) -> pd.DataFrame:
    """Read RAF-DB from its list or from folders of expressions.

    Rows without an image, malformed, listed twice or with a path that leaves the folder are set
    aside and counted in ``Assets.dropped``. In the form in folders, the lists ``*_labels.csv``
    are checked against the folders where they are there: an image that is not in its list, or
    lies in another expression's folder, is set aside. Attribute files that are missing or
    malformed are counted, too; their faces stay, with ``unknown`` demographics.

    Args:
        root: folder of the dataset (``EXPECTED`` says what is in it).
        images: ``aligned`` faces, or the ``original`` photographs (list form only).

    Returns:
        The manifest; its ids are the same in both forms.

    Raises:
        DataError: for a missing folder or file, an unknown code, or when no image is left.
        ConfigError: for other images, or originals of the form in folders.
    """
    folder = find_root(root, TITLE, EXPECTED)
    if images not in ("aligned", "original"):
        raise ConfigError(
            f"RAF-DB has no images {images!r}",
            where="dataset.sources.rafdb.images",
            hint="choose aligned or original",
        )
    base, path = _find_list(folder)
    if path is not None:
        place = base / "Image" / images
        table = _read_list(path, place, suffix="_aligned" if images == "aligned" else "")
    else:
        place = base = _find_folders(folder)
        if images == "original":
            raise ConfigError(
                "the form of RAF-DB in folders has aligned images only",
                where=folder,
                hint="use `dataset.sources.rafdb.images=aligned`",
            )
        table = _read_folders(place)
    set_aside_repeated(table, ["stem"], "code")
    if path is not None:
        set_aside_missing(table, place)
    kept, dropped = kept_rows(table, TITLE, place, EXPECTED)
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + kept["stem"],
            "dataset": pd.Categorical([NAME] * len(kept)),
            "path": f"{place}{os.sep}" + kept["image"],
            "label": kept["code"].map(EXPRESSION_CODES),
            "split": kept["split"],
        }
    )
    annotations = next(
        (each for each in (base, folder) if (each / "Annotation" / "manual").is_dir()), None
    )
    if annotations is not None:
        demographics, lacking = _demographics(annotations / "Annotation" / "manual", kept["stem"])
        frame = pd.concat([frame, demographics], axis=1)
        dropped |= {reason: count for reason, count in lacking.items() if count}
    frame.attrs["assets"] = Assets(dropped=dropped, roots={NAME: str(folder)})
    return frame


def _read_list(path: Path, place: Path, *, suffix: str) -> pd.DataFrame:
    """The list form: one row an image, and the ``reason`` to set it aside or the empty text."""
    if not place.is_dir():
        raise DataError(
            f"RAF-DB's images not found: no Image/{place.name}",
            where=place,
            hint="choose the images that are there: `dataset.sources.rafdb.images=original`"
            if suffix
            else "choose the images that are there: `dataset.sources.rafdb.images=aligned`",
        )
    words = read_words(path, ("image", "code"))
    listed = normal_paths(words["image"])
    table = pd.DataFrame(
        {
            "stem": listed.str.replace(r"\.[^./]*$", "", regex=True),
            "image": listed.str.replace(r"(\.[^./]*)?$", rf"{suffix}\1", n=1, regex=True),
            "code": known_codes(
                words["code"], EXPRESSION_CODES, name="an expression", place=f"{path}, line "
            ),
            "split": listed.str.extract(r"^(train|test)_", expand=False).fillna(""),
            "reason": "",
        }
    )
    malformed = table["code"] < 0
    for line in words.index[malformed][:3]:
        _log.warning("a malformed row is set aside: %s, line %s", path, line)
    set_aside(table, malformed.to_numpy(), "malformed row")
    set_aside(table, unsafe_paths(listed), "path outside the folder of images")
    set_aside(table, (table["split"] == "").to_numpy(), "name begins with neither train nor test")
    return table


def _read_folders(folder: Path) -> pd.DataFrame:
    """The form in folders, checked against its lists; rows as in :func:`_read_list`."""
    table = class_folders(folder, FOLDERS)
    names = table.set_index("place")["folder"]
    table["code"] = known_codes(
        names, EXPRESSION_CODES, name="an expression", place=f"{folder}{os.sep}"
    )
    table["reason"] = ""
    parts = [
        _compared(table[table["split"] == split].reset_index(drop=True), folder, name, split)
        for name, split in FOLDERS.items()
    ]
    both = pd.concat(parts, ignore_index=True)
    both["stem"] = both["file"].str.replace(r"(_aligned)?\.[^./]*$", "", regex=True)
    return both


def _compared(table: pd.DataFrame, folder: Path, name: str, split: str) -> pd.DataFrame:
    """The images of a split with what its list says of them; the rows of no image come last."""
    path = next(
        (each for each in (folder.parent, folder) if (each / f"{name}_labels.csv").is_file()), None
    )
    if path is None:
        return table
    path = path / f"{name}_labels.csv"
    rows = pd.concat(read_list(path, ("image", "label")))
    listed = pd.DataFrame({"file": normal_paths(rows["image"])})
    listed["code"] = known_codes(
        rows["label"], EXPRESSION_CODES, name="an expression", place=f"{path}, line "
    )
    listed["reason"] = ""
    set_aside(listed, (listed["code"] < 0).to_numpy(), "malformed row")
    set_aside(listed, unsafe_paths(listed["file"]), "path outside the folder of images")
    set_aside_repeated(listed, ["file"], "code")
    known = listed[listed["reason"] == ""].set_index("file")["code"]
    set_aside(table, ~table["file"].isin(known.index).to_numpy(), "image not in its list")
    differs = table["file"].map(known) != table["code"]
    set_aside(table, differs.to_numpy(), "list and folder disagree")
    set_aside(listed, ~listed["file"].isin(table["file"]).to_numpy(), "image missing")
    unused = listed[listed["reason"] != ""].assign(split=split)
    return pd.concat([table, unused], ignore_index=True)


def _demographics(folder: Path, stems: pd.Series) -> tuple[pd.DataFrame, dict[str, int]]:
    """Gender, race and age of every image, and for how many no file says them, by reason."""
    there = set(file_names(folder))
    names = stems + _ATTRIBUTES
    has_file = names.isin(there).to_numpy()
    files = [folder / name for name in names[has_file]]
    texts = list(map_in_threads(_text, files, description="reading attributes"))
    words = pd.Series(texts, names[has_file], dtype="str").str.split()
    wanted = _LANDMARK_NUMBERS + len(DEMOGRAPHIC_CODES)
    whole = (words.map(len) == wanted).to_numpy()
    for name in words.index[~whole][:3]:
        _log.warning("an attribute file is malformed: %s", folder / name)
    known = np.flatnonzero(has_file)[whole]
    columns: dict[str, object] = {}
    for place, (attribute, codes) in enumerate(DEMOGRAPHIC_CODES.items()):
        cells = words[whole].str[_LANDMARK_NUMBERS + place].astype("str")
        found = known_codes(cells, codes, name=f"a {attribute}", place=f"{folder}{os.sep}")
        groups = list(GENDERS if attribute == "gender" else codes.values())
        values = np.full(len(stems), UNKNOWN, dtype=object)
        values[known] = pd.Series(found).map(codes).to_numpy(dtype=object)
        columns[attribute] = pd.Categorical(
            values, [*(group for group in groups if group != UNKNOWN), UNKNOWN]
        )
        columns[f"{attribute}_source"] = "annotated"
    return pd.DataFrame(columns, index=stems.index), {
        "attribute file missing, face kept": int((~has_file).sum()),
        "attribute file malformed, face kept": int((~whole).sum()),
    }


def _text(file: Path) -> str:
    """The content of a small file; what cannot be read, or is no text, is empty."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""


def _find_list(folder: Path) -> tuple[Path, Path | None]:
    """The folder that has ``EmoLabel``, and the list in it."""
    for parent in _PARENTS:
        for name in LISTS:
            if (path := folder / parent / "EmoLabel" / name).is_file():
                return folder / parent, path
    return folder, None


def _find_folders(folder: Path) -> Path:
    """The folder that has ``train`` and ``test``."""
    for place in (folder / "DATASET", folder):
        if all((place / name).is_dir() for name in FOLDERS):
            return place
    missing = [f"EmoLabel/{LISTS[0]}", "DATASET/ with train/ and test/"]
    raise not_its_layout(TITLE, missing, folder, EXPECTED)
