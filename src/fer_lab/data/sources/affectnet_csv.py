"""AffectNet's CSV release: lists of paths with a box, landmarks and labels in every line."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.sources.layout import (
    ArrayRows,
    known_codes,
    normal_paths,
    numbers,
    set_aside,
    set_aside_missing,
    set_aside_repeated,
    unsafe_paths,
)
from fer_lab.data.sources.lists import read_list

BOX = ("face_x", "face_y", "face_width", "face_height")
COLUMNS = (
    "subDirectory_filePath",
    *BOX,
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)

_POINT_NUMBERS = 136
_AT_ONCE = 5_000

_log = logging.getLogger(__name__)


def read_lists(
    lists: Mapping[Path, str], images: Path, codes: Mapping[int, str], unwanted: Sequence[int]
) -> tuple[pd.DataFrame, dict[str, NDArray[np.float32]]]:
    """Read the lists and look which of their images are there.

    Args:
        lists: the split of each list's rows.
        images: the folder that the paths are relative to.
        codes: the meaning of every expression code.
        unwanted: codes of no expression, to be set aside.

    Returns:
        One row an image (``image``, ``code``, ``split``, ``valence``, ``arousal``, ``box``,
        ``landmarks``, and the ``reason`` to set it aside or the empty text), and the arrays that
        ``box`` and ``landmarks`` point into.

    Raises:
        DataError: for a list that cannot be read, lacks a column or has an unknown code.
    """
    boxes, points = ArrayRows(4), ArrayRows(68, 2)
    # The test list comes first: an image that stands in both is tested on, not trained on.
    order = sorted(lists, key=lambda path: lists[path] != "test")
    table = pd.concat(
        [
            _read_part(part, path, lists[path], codes, unwanted, boxes, points)
            for path in order
            for part in read_list(path, COLUMNS)
        ],
        ignore_index=True,
    )
    set_aside_repeated(table, ["image"], "code")
    set_aside_missing(table, images)
    return table, {"box": boxes.array(), "landmarks": points.array()}


def _read_part(
    part: pd.DataFrame,
    path: Path,
    split: str,
    codes: Mapping[int, str],
    unwanted: Sequence[int],
    boxes: ArrayRows,
    points: ArrayRows,
) -> pd.DataFrame:
    """Some lines of a list, checked and typed."""
    table = pd.DataFrame(
        {
            "image": normal_paths(part["subDirectory_filePath"]),
            "code": known_codes(
                part["expression"], codes, name="an expression", place=f"{path}, line "
            ),
            "split": split,
            "reason": "",
        }
    )
    for code in unwanted:
        set_aside(table, (table["code"] == code).to_numpy(), f"expression {codes[code]}")
    set_aside(table, unsafe_paths(table["image"]), "path outside the folder of images")
    malformed = (table["code"] < 0).to_numpy(copy=True)
    box = np.empty((len(part), len(BOX)))
    for place, name in enumerate(BOX):
        box[:, place], wrong = numbers(part[name])
        malformed |= wrong
    for name in ("valence", "arousal"):
        table[name], wrong = numbers(part[name])
        malformed |= wrong
    texts = part["facial_landmarks"].where(table["reason"] == "", "")
    landmarks, known, wrong = _landmarks(texts)
    malformed |= wrong
    for line in part.index[malformed & (table["reason"] == "").to_numpy()][:3]:
        _log.warning("a malformed row is set aside: %s, line %s", path, line)
    set_aside(table, malformed, "malformed row")
    has_box = np.isfinite(box).all(axis=1) & (box[:, BOX.index("face_width")] >= 0)
    table["box"] = boxes.add(box[has_box], has_box)
    table["landmarks"] = points.add(landmarks, known)
    return table


def _landmarks(
    cells: pd.Series,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Texts of 68 ``x;y`` pairs as numbers.

    Returns:
        The numbers of the rows that have them ``[K, 136]``, which rows these are, and which are
        malformed: neither 136 numbers, nor empty, nor a single number as a sentinel.
    """
    texts = cells.to_numpy(dtype=object)
    known = np.array([text.count(";") == _POINT_NUMBERS - 1 for text in texts], dtype=bool)
    malformed = np.zeros(len(cells), dtype=bool)
    _, malformed[~known] = numbers(cells[~known])
    texts = texts[known]
    parsed = np.empty((len(texts), _POINT_NUMBERS), dtype=np.float32)
    for start in range(0, len(texts), _AT_ONCE):
        several = texts[start : start + _AT_ONCE]
        values = _parse(";".join(several))
        if len(values) != len(several) * _POINT_NUMBERS:
            rows = [_parse(text) for text in several]
            values = np.concatenate(
                [
                    row if len(row) == _POINT_NUMBERS else np.full(_POINT_NUMBERS, np.nan)
                    for row in rows
                ]
            )
        parsed[start : start + _AT_ONCE] = values.reshape(-1, _POINT_NUMBERS)
    whole = np.isfinite(parsed).all(axis=1)
    malformed[known] |= ~whole
    known[known] = whole
    return parsed[whole], known, malformed


def _parse(text: str) -> NDArray[np.float64]:
    """The numbers of a ``;``-joined text; fewer, or none, when one of them is not a number."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text, sep=";")
        except (DeprecationWarning, ValueError):
            return np.empty(0)
