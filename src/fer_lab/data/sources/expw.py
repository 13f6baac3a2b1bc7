"""ExpW, the Expression in-the-Wild dataset: faces in photographs from an image search.

Features: face boxes; a photograph may show several faces, each is a row. Classes: anger,
disgust, fear, happy, sad, surprise, neutral. Splits: none is published (91,793 faces); every row
is ``train``, and validation and test sets are drawn from these by photograph (``scene``), so that
the faces of one stay together.

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
    find_root,
    kept_rows,
    known_codes,
    normal_paths,
    not_its_layout,
    numbers,
    set_aside,
    set_aside_missing,
    set_aside_repeated,
    unsafe_paths,
)
from fer_lab.data.sources.lists import read_words

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


def read(root: str | os.PathLike[str] | None) -> pd.DataFrame:
    """Read ExpW.

    Rows without a photograph, malformed, with a box of no area, listed twice or with a path that
    leaves the folder are set aside and counted in ``Assets.dropped``.

    Args:
        root: folder of the dataset (``EXPECTED`` says what is in it).

    Returns:
        The manifest, with ``box``, the detector's ``confidence`` and the photograph as ``scene``;
        a face is known by its photograph and its number there: ``expw/name.jpg#0``.

    Raises:
        DataError: for a missing folder or file, an unknown code, or when no face is left.
    """
    folder = find_root(root, TITLE, EXPECTED)
    path, images = folder / "label" / "label.lst", folder / "image" / "origin"
    missing = [name for name, there in _parts(path, images).items() if not there]
    if missing:
        raise not_its_layout(TITLE, missing, folder, EXPECTED)
    table, boxes = _read_list(path, images)
    kept, dropped = kept_rows(table, TITLE, f"{path}, with images below {images}", EXPECTED)
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + kept["image"] + "#" + kept["face"],
            "dataset": pd.Categorical([NAME] * len(kept)),
            "path": f"{images}{os.sep}" + kept["image"],
            "label": kept["code"].map(EXPRESSION_CODES),
            "split": "train",
            "scene": kept["image"],
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
    table["code"] = known_codes(
        words["expression"], EXPRESSION_CODES, name="an expression", place=f"{path}, line "
    )
    malformed = (table["code"] < 0).to_numpy(copy=True)
    edges: dict[str, NDArray[np.float64]] = {}
    for name in (*EDGES, "confidence"):
        edges[name], _ = numbers(words[name])
        malformed |= ~np.isfinite(edges[name])
    table["confidence"] = edges["confidence"]
    for line in words.index[malformed][:3]:
        _log.warning("a malformed row is set aside: %s, line %s", path, line)
    set_aside(table, malformed, "malformed row")
    set_aside(table, unsafe_paths(table["image"]), "path outside the folder of images")
    width, height = edges["right"] - edges["left"], edges["bottom"] - edges["top"]
    set_aside(table, ~((width > 0) & (height > 0)), "box without an area")
    set_aside_repeated(table, ["image", "face"], "code")
    set_aside_missing(table, images)
    boxes = ArrayRows(4)
    corner = np.stack([edges["left"], edges["top"], width, height], axis=1)
    has_box = (table["reason"] == "").to_numpy()
    table["box"] = boxes.add(corner[has_box], has_box)
    return table, boxes.array()
