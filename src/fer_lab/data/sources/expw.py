"""ExpW, the Expression in-the-Wild dataset: faces in photographs from an image search.

Features: face boxes; a photograph may show several faces, each is a row. Classes: anger,
disgust, fear, happy, sad, surprise, neutral. Splits: none is published (91,793 faces); a tenth of
the photographs is drawn for testing, with all of their faces.

Citation: Zhang, Luo, Loy, Tang, "From Facial Expression Recognition to Interpersonal Relation
Prediction", International Journal of Computer Vision, 2018.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import Assets
from fer_lab.data.sources.layout import (
    ArrayRows,
    existing_files,
    find_root,
    known_codes,
    normal_paths,
    numbers,
    set_aside,
    unsafe_paths,
)
from fer_lab.data.sources.lines import read_words
from fer_lab.data.sources.named_images import kept_images
from fer_lab.errors import ConfigError, DataError

NAME = "expw"
TITLE = "ExpW"

EXPRESSION_CODES = {
    0: "anger",
    1: "disgust",
    2: "fear",
    3: "happy",
    4: "sad",
    5: "surprise",
    6: "neutral",
}
# The published order: top comes before left, and the box ends with corners, not with sizes.
EDGES = ("top", "left", "right", "bottom")
COLUMNS = ("image", "face", *EDGES, "confidence", "expression")
EXPECTED = "label/label.lst, and the photographs in image/origin/"

_log = logging.getLogger(__name__)


def read(
    root: str | os.PathLike[str] | None, *, test_fraction: float = 0.1, seed: int = 1
) -> pd.DataFrame:
    """Read ExpW.

    Rows without a photograph, malformed, with a box of no area, listed twice or with a path that
    leaves the folder are set aside and counted in ``Assets.dropped``.

    Args:
        root: folder of the dataset (``EXPECTED`` says what is in it).
        test_fraction: share of the photographs to draw for testing, in [0, 1).
        seed: another seed draws other photographs.

    Returns:
        The manifest, with ``box`` and the detector's ``confidence``; a face is known by its
        photograph and its number there: ``expw/name.jpg#0``. There is no validation set.

    Raises:
        DataError: for a missing folder or file, an unknown code, or when no face is left.
        ConfigError: for a fraction outside [0, 1).
    """
    if not 0 <= test_fraction < 1:
        raise ConfigError(
            f"test_fraction={test_fraction} is no share of the photographs",
            where="dataset.sources.expw.test_fraction",
            hint="choose a number from 0 up to, but not including, 1",
        )
    folder = find_root(root, TITLE, EXPECTED)
    path, images = folder / "label" / "label.lst", folder / "image" / "origin"
    missing = [name for name, there in _parts(path, images).items() if not there]
    if missing:
        raise DataError(
            f"this is not ExpW's layout: {' and '.join(missing)} not found",
            where=folder,
            hint=f"set the folder by `dataset.root=…`; expected in it: {EXPECTED}",
        )
    table, boxes = _read_list(path, images)
    kept, dropped = kept_images(table, TITLE, images, EXPECTED)
    tested = _drawn(kept["image"], test_fraction, seed)
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + kept["image"] + "#" + kept["face"],
            "dataset": pd.Categorical([NAME] * len(kept)),
            "path": f"{images}{os.sep}" + kept["image"],
            "label": kept["code"].map(EXPRESSION_CODES),
            "split": np.where(tested, "test", "train"),
            "box": kept["box"],
            "confidence": kept["confidence"].astype(np.float32),
        }
    )
    frame.attrs["assets"] = Assets(
        arrays={"box": boxes}, dropped=dropped, roots={NAME: str(folder)}
    )
    return frame


def _parts(path: Path, images: Path) -> dict[str, bool]:
    return {"label/label.lst": path.is_file(), "image/origin/": images.is_dir()}


def _read_list(path: Path, images: Path) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """One row a face, with the reason to set it aside or the empty text, and the boxes."""
    words = read_words(path, COLUMNS)
    table = pd.DataFrame(
        {"image": normal_paths(words["image"]), "face": words["face"].str.strip(), "reason": ""}
    )
    malformed = (words["expression"] == "").to_numpy(copy=True)
    edges: dict[str, NDArray[np.float64]] = {}
    for name in (*EDGES, "confidence"):
        edges[name], _ = numbers(words[name])
        malformed |= ~np.isfinite(edges[name])
    table["confidence"] = edges["confidence"]
    for line in words.index[malformed][:3]:
        _log.warning("a malformed row is set aside: %s, line %s", path, line)
    table["code"] = np.int64(-1)
    table.loc[~malformed, "code"] = known_codes(
        words["expression"][~malformed],
        EXPRESSION_CODES,
        name="an expression",
        place=f"{path}, line ",
    )
    set_aside(table, malformed, "malformed row")
    set_aside(table, unsafe_paths(table["image"]), "path outside the folder of images")
    width, height = edges["right"] - edges["left"], edges["bottom"] - edges["top"]
    set_aside(table, ~((width > 0) & (height > 0)), "box without an area")
    twice = table[["image", "face"]].duplicated().to_numpy()
    set_aside(table, twice, "listed twice, kept once")
    listed = (table["reason"] == "").to_numpy()
    absent = listed.copy()
    absent[listed] = ~existing_files(images, table["image"][listed])
    set_aside(table, absent, "image missing")
    boxes = ArrayRows(4)
    corner = np.stack([edges["left"], edges["top"], width, height], axis=1)
    has_box = (table["reason"] == "").to_numpy()
    table["box"] = boxes.add(corner[has_box], has_box)
    return table, boxes.array()


def _drawn(images: pd.Series, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which rows are of the photographs drawn: those whose names have the smallest hashes."""
    names = images.drop_duplicates()
    key = f"{seed:016d}"[-16:]
    hashes = pd.util.hash_pandas_object(names, index=False, hash_key=key).to_numpy()
    count = round(fraction * len(names))
    if fraction > 0 and len(names) > 1:
        count = max(count, 1)
    return images.isin(names.iloc[np.argsort(hashes)[:count]]).to_numpy()
