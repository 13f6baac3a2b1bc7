"""AffectNet's npy release: cropped images, each with four small arrays beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.sources.layout import ArrayRows, file_names, known_codes
from fer_lab.data.threads import map_in_threads

Value = TypeVar("Value")

_SUFFIXES = (".jpg", ".jpeg", ".png")
_POINT_NUMBERS = 136
_MAGIC = b"\x93NUMPY\x01\x00"
_MOST_BYTES = 1 << 16

_log = logging.getLogger(__name__)


def read_folders(
    root: Path, folders: Mapping[str, str], codes: Mapping[int, str], unwanted: Sequence[int]
) -> tuple[pd.DataFrame, dict[str, NDArray[np.float32]]]:
    """Read the annotations of every image of every set.

    Args:
        root: the folder that holds the sets.
        folders: the split of each set's images.
        codes: the meaning of every expression code.
        unwanted: codes of no expression, to be set aside.

    Returns:
        One row an image (``image``, ``code``, ``split``, ``valence``, ``arousal``, ``landmarks``,
        and the ``reason`` to set it aside or the empty text), and the array that ``landmarks``
        points into.

    Raises:
        DataError: for an expression code that is not in the map.
    """
    points = ArrayRows(68, 2)
    tables = [
        _read_set(root, name, split, codes, unwanted, points) for name, split in folders.items()
    ]
    return pd.concat(tables, ignore_index=True), {"landmarks": points.array()}


def _read_set(
    root: Path,
    name: str,
    split: str,
    codes: Mapping[int, str],
    unwanted: Sequence[int],
    points: ArrayRows,
) -> pd.DataFrame:
    annotations = root / name / "annotations"
    there = set(file_names(annotations))
    images = {
        stem: file
        for file in sorted(file_names(root / name / "images"))
        for stem, dot, suffix in [file.rpartition(".")]
        if (dot + suffix).lower() in _SUFFIXES
    }
    labelled = {file.removesuffix("_exp.npy") for file in there if file.endswith("_exp.npy")}
    keys = sorted(images.keys() | labelled, key=lambda key: (len(key), key))
    table = pd.DataFrame(
        {
            "image": [f"{name}/images/{images.get(key, key)}" for key in keys],
            "code": np.int64(-1),
            "split": split,
            "reason": "",
            "valence": np.nan,
            "arousal": np.nan,
        }
    )
    has_image = np.array([key in images for key in keys], dtype=bool)
    has_label = np.array([key in labelled for key in keys], dtype=bool)
    reason = np.where(has_image, np.where(has_label, "", "annotation missing"), "image missing")
    reason = reason.astype(object)

    def read_all(
        suffix: str, rows: NDArray[np.int64], convert: Callable[[NDArray[Any]], Value]
    ) -> Iterator[tuple[int, Value]]:
        """One kind of annotation of some rows; those that cannot be read are noted and left out."""
        rows = rows[[f"{keys[row]}_{suffix}.npy" in there for row in rows]]
        files = [annotations / f"{keys[row]}_{suffix}.npy" for row in rows]
        values = map_in_threads(
            lambda file: _try_read(file, convert), files, description=f"reading {name} {suffix}"
        )
        for row, file, value in zip(rows, files, values, strict=True):
            if isinstance(value, Exception):
                reason[row] = "annotation unreadable"
                _log.warning("an annotation is unreadable: %s (%s)", file, value)
            else:
                yield int(row), value

    expressions = dict(read_all("exp", np.flatnonzero(reason == ""), _text))
    cells = pd.Series(
        expressions.values(), [f"{keys[row]}_exp.npy" for row in expressions], dtype="str"
    )
    table.loc[list(expressions), "code"] = known_codes(
        cells, codes, name="an expression", place=f"{annotations}/"
    )
    for code in unwanted:
        reason[table["code"] == code] = f"expression {codes[code]}"
    wanted = np.flatnonzero(reason == "")
    for column, suffix in (("valence", "val"), ("arousal", "aro")):
        found = dict(read_all(suffix, wanted, _number))
        table.loc[list(found), column] = list(found.values())
    landmarks = dict(read_all("lnd", wanted, _points))
    owners = np.zeros(len(table), dtype=bool)
    owners[list(landmarks)] = True
    table["landmarks"] = points.add(np.array(list(landmarks.values())), owners)
    table["reason"] = pd.Series(reason, dtype="str")
    return table


def _try_read(
    file: Path, convert: Callable[[NDArray[Any]], Value]
) -> Value | OSError | ValueError | SyntaxError:
    """The content of a file, or why it cannot be read."""
    try:
        return convert(_read_array(file))
    except (OSError, ValueError, SyntaxError) as error:
        return error


def _read_array(file: Path) -> NDArray[Any]:
    """What ``np.load(file, allow_pickle=False)`` gives, several times as fast for small files.

    Raises:
        ValueError: for anything but a small array of plain numbers or text.
    """
    with file.open("rb") as opened:
        content = opened.read(_MOST_BYTES)
    if not content.startswith(_MAGIC) or len(content) == _MOST_BYTES:
        raise ValueError("no npy file of a few numbers")
    end = len(_MAGIC) + 2 + int.from_bytes(content[len(_MAGIC) :][:2], "little")
    dtype, shape, order = _header(content[:end])
    return np.frombuffer(content, dtype, offset=end).reshape(shape, order=order)


@lru_cache(maxsize=256)
def _header(content: bytes) -> tuple[np.dtype[Any], tuple[int, ...], Literal["C", "F"]]:
    stream = BytesIO(content[len(_MAGIC) :])
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        raise ValueError("a pickled object, which is never loaded")
    return dtype, shape, "F" if fortran_order else "C"


def _text(array: NDArray[Any]) -> str:
    value = array.item()
    text = value.decode("ascii") if isinstance(value, bytes) else str(value)
    if not text.strip():
        raise ValueError("an empty text")
    return text


def _number(array: NDArray[Any]) -> float:
    return float(_text(array))


def _points(array: NDArray[Any]) -> NDArray[np.float32]:
    points = np.asarray(array, dtype=np.float32).reshape(-1)
    if points.shape != (_POINT_NUMBERS,) or not np.isfinite(points).all():
        raise ValueError(f"not 68 points: shape {array.shape}")
    return points
