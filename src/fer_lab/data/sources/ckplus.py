"""CK+, the Extended Cohn-Kanade dataset: posed expressions filmed from neutral to their peak.

Features: the person shown (``subject``: S005, …), except in the CSV form, which does not say.
Classes: neutral, happy, sad, surprise, fear, disgust, anger, contempt. Forms: the sequences as
published (593 of 123 people, 327 of them with an emotion), ``CK+48`` (the last three images of
those 327, cropped to 48 × 48 pixels, in a folder an emotion: 981, none neutral), and
``ckextended.csv`` (920 rows: 593 neutral images and 327 peaks, 48 × 48 grey values each).
Splits: none are published; every row is ``train``, and validation and test sets are drawn from
these, by subject where it is known. In the CSV form a drawn split has the same people on both
sides (so has the file's column ``Usage``, which is not read).

Citation: Lucey, Cohn, Kanade, Saragih, Ambadar, Matthews, "The Extended Cohn-Kanade Dataset
(CK+): A complete dataset for action unit and emotion-specified expression", CVPR Workshops, 2010.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from fer_lab.data.manifest import Assets
from fer_lab.data.sources.layout import (
    base_names,
    find_root,
    kept_rows,
    known_codes,
    not_its_layout,
    refuse_codes,
    set_aside,
)
from fer_lab.data.sources.named_images import OTHER_NAME, files_below, named_images
from fer_lab.data.sources.pixel_csv import WRONG_PIXELS, read_pixel_csv
from fer_lab.errors import ConfigError

NAME = "ckplus"
TITLE = "CK+"

EXPRESSION_CODES = {
    0: "neutral",
    1: "anger",
    2: "contempt",
    3: "disgust",
    4: "fear",
    5: "happy",
    6: "sad",
    7: "surprise",
}
FOLDER_CODES = {
    "anger": "anger",
    "contempt": "contempt",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprise",
}
CSV_CODES = {
    0: "anger",
    1: "disgust",
    2: "fear",
    3: "happy",
    4: "sad",
    5: "surprise",
    6: "neutral",
    7: "contempt",
}

RELEASES = ("sequences", "folders", "csv")
IMAGES = ("cohn-kanade-images", "extended-cohn-kanade-images")
EMOTIONS = ("Emotion", "Emotion_labels")
CSV_FILE = "ckextended.csv"
EXPECTED = (
    "cohn-kanade-images/S005/001/S005_001_00000011.png, … with"
    " Emotion/S005/001/S005_001_00000011_emotion.txt, …, the sequences;"
    " or CK+48/anger/S010_004_00000017.png, …, the folders; or ckextended.csv"
)

NO_EMOTION = "sequence without an emotion"
UNREADABLE = "emotion of a sequence unreadable"
SEVERAL = "sequence with several emotions"
NO_IMAGES = "emotion of a sequence without images"
TOO_SHORT = "sequence of one image"
SEVERAL_FOLDERS = "image in the folders of several emotions"

_log = logging.getLogger(__name__)

_PATTERN = r"(?P<subject>S[0-9]+)_(?P<sequence>[0-9]+)_(?P<number>[0-9]+)"


def read(
    root: str | os.PathLike[str] | None,
    *,
    release: Literal["auto", "sequences", "folders", "csv"] = "auto",
    peak_frames: int = 3,
    cache_dir: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read one of the three forms of CK+.

    Features: subject. Classes: eight. Splits: all ``train``, to be drawn by subject. Citation:
    Lucey et al. 2010 (in full above).

    Of a sequence with an emotion, the last images have it and the first is neutral; those
    between are not read. Sequences without an emotion, and what is malformed, are set aside and
    counted in ``Assets.dropped``.

    Args:
        root: folder of the dataset.
        release: which form; ``auto`` looks at the folder.
        peak_frames: how many images at the end of a sequence have its emotion.
        cache_dir: where the CSV form's pixels are unpacked; ``FER_LAB_CACHE`` or
            ``~/.cache/fer_lab`` by default.

    Raises:
        DataError: for a missing folder or file, an unknown code or folder of an emotion, or
            when no image is left.
        ConfigError: for another release, a folder that holds several, or no frames at the peak.
    """
    folder = find_root(root, TITLE, EXPECTED)
    if peak_frames < 1:
        raise ConfigError(
            f"peak_frames={peak_frames} leaves no image of an expression",
            where="dataset.sources.ckplus.peak_frames",
            hint="choose a number from 1; 3 is usual",
        )
    chosen, place = _release(folder, release)
    if chosen == "csv":
        frame, beside = _read_csv(place, cache_dir)
    else:
        if chosen == "folders":
            table, dropped = _read_folders(place), Counter[str]()
        else:
            table, dropped = _read_sequences(place, _one_of(folder, EMOTIONS), peak_frames)
        kept, reasons = kept_rows(table, TITLE, place, EXPECTED)
        dropped.update(reasons)
        frame = pd.DataFrame(
            {
                "id": f"{NAME}/" + kept["name"],
                "path": f"{place}{os.sep}" + kept["image"],
                "label": kept["label"],
                "subject": kept["subject"],
            }
        )
        beside = Assets(dropped=dropped)
    frame["dataset"] = pd.Categorical([NAME] * len(frame))
    frame["split"] = "train"
    beside.roots[NAME] = str(folder)
    frame.attrs["assets"] = beside
    return frame


def _release(folder: Path, release: str) -> tuple[str, Path]:
    """Which form the folder holds, and where its images are."""
    if release not in ("auto", *RELEASES):
        raise ConfigError(
            f"CK+ has no release {release!r}",
            where="dataset.sources.ckplus.release",
            hint=f"choose auto, {', '.join(RELEASES)}",
        )
    inner = folder / "CK+48"
    candidates = {
        "sequences": _one_of(folder, IMAGES),
        "folders": inner if inner.is_dir() else folder if (folder / "anger").is_dir() else None,
        "csv": folder / CSV_FILE if (folder / CSV_FILE).is_file() else None,
    }
    found = {name: place for name, place in candidates.items() if place is not None}
    if release == "auto" and len(found) > 1:
        raise ConfigError(
            f"the folder holds several forms of CK+: {', '.join(found)}",
            where=folder,
            hint=f"choose one: `dataset.sources.ckplus.release={next(iter(found))}`",
        )
    chosen = next(iter(found), "") if release == "auto" else release
    if chosen not in found:
        what = {"sequences": IMAGES[0], "folders": "CK+48", "csv": CSV_FILE}
        missing = [what[chosen]] if chosen else list(what.values())
        raise not_its_layout(TITLE, missing, folder, EXPECTED)
    return chosen, found[chosen]


def _one_of(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _read_sequences(
    images: Path, emotions: Path | None, peak_frames: int
) -> tuple[pd.DataFrame, Counter[str]]:
    """The first and last images of the sequences, and how many sequences are set aside."""
    if emotions is None:
        raise not_its_layout(TITLE, [EMOTIONS[0]], images.parent, EXPECTED)
    table = named_images(images, _PATTERN)
    named = table["reason"] == ""
    frames = table[named].assign(
        sequence=table["subject"] + "_" + table["sequence"], number=table["number"].astype("str")
    )
    frames = frames.iloc[np.lexsort((frames["number"].str.zfill(12), frames["sequence"]))]
    of_sequence = frames.groupby("sequence")["number"]
    first = of_sequence.cumcount() == 0
    peak = ~first & (of_sequence.cumcount(ascending=False) < peak_frames)
    lengths = of_sequence.size()
    labels = _emotions(emotions)
    reasons = labels["reason"].reindex(lengths.index).fillna(NO_EMOTION)
    reasons = reasons.mask((reasons == "") & (lengths == 1), TOO_SHORT)
    dropped = Counter(str(reason) for reason in reasons if reason)
    dropped[NO_IMAGES] = int((~labels.index.isin(lengths.index)).sum())
    usable = frames["sequence"].map(reasons) == ""
    expression = frames["sequence"].map(labels["label"]).mask(first, "neutral")
    chosen = frames.assign(label=expression)[usable & (first | peak)]
    return pd.concat([chosen, table[~named].assign(label="")]), +dropped


def _emotions(folder: Path) -> pd.DataFrame:
    """The ``label`` of each sequence, or the ``reason`` why it has none; indexed by sequence."""
    files = pd.Series(files_below(folder, [".txt"]), dtype="str")
    words = base_names(files).str.extract(rf"(?i)^{_PATTERN}_emotion\.txt$")
    files, words = files[words["subject"].notna()], words.dropna()
    table = pd.DataFrame(
        {"sequence": words["subject"].str.upper() + "_" + words["sequence"], "label": ""}
    ).astype("str")
    table["reason"] = pd.Series("", table.index, dtype="str")
    texts = pd.Series([_text(folder / name) for name in files], index=table.index, dtype="str")
    values = pd.to_numeric(texts, errors="coerce")
    read = np.isfinite(values.to_numpy(dtype=np.float64))
    codes = known_codes(
        texts[read].set_axis(files[read]),
        EXPRESSION_CODES,
        name="an emotion",
        place=f"{folder}{os.sep}",
    )
    table.loc[read, "label"] = [EXPRESSION_CODES[code] for code in codes.tolist()]
    set_aside(table, ~read, UNREADABLE)
    set_aside(table, table["sequence"].duplicated(keep=False).to_numpy(), SEVERAL)
    for name in files[table["reason"] != ""][:3]:
        _log.warning("no emotion is read from %s", folder / name)
    return table.drop_duplicates("sequence").set_index("sequence")


def _text(path: Path) -> str:
    """The content of a small file, empty where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(100).strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _read_folders(images: Path) -> pd.DataFrame:
    """The images of CK+48, with the expression of their folder."""
    table = named_images(images, _PATTERN)
    # An image in the folders of two emotions shows neither for certain.
    folders = table["image"].str.extract(r"^(?:.*/)?([^/]+)/[^/]*$")[0].fillna("").str.lower()
    named = table["reason"] != OTHER_NAME
    refuse_codes(
        folders[named], FOLDER_CODES, name="a folder of an emotion", place=f"{images}{os.sep}"
    )
    table["label"] = folders.map(FOLDER_CODES).fillna("")
    several = table[named].groupby("name")["label"].transform("nunique") > 1
    table.loc[several.index[several], "reason"] = SEVERAL_FOLDERS
    return table


def _read_csv(path: Path, cache_dir: str | os.PathLike[str] | None) -> tuple[pd.DataFrame, Assets]:
    """The rows of ``ckextended.csv``, their pixels unpacked."""
    content = read_pixel_csv(path, ["emotion"], cache_dir=cache_dir)
    codes = known_codes(
        content.rows["emotion"], CSV_CODES, name="an emotion", place=f"{path}, line "
    )
    table = pd.DataFrame(
        {
            "id": f"{NAME}/" + content.paths,
            "path": content.paths,
            "label": pd.Series(codes, content.rows.index).map(CSV_CODES),
            "reason": "",
        }
    )
    set_aside(table, codes < 0, "malformed row")
    set_aside(table, content.wrong, WRONG_PIXELS)
    frame, dropped = kept_rows(table, TITLE, path, EXPECTED)
    return frame, Assets(readers={NAME: content.reader}, dropped=dropped)
