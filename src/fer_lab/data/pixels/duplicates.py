"""Images that are there twice: perceptual hashes, groups of duplicates, leaks between splits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.pixels.look_alikes import RADIUS, Hashes, look_alikes

# Height and width of the grey picture that is hashed: a multiple of the 8 and 9 cells in it.
SIDE: Final = 72

# A picture with less contrast (standard deviation in grey levels) shows nothing to compare.
_FLAT = 2.0


def perceptual_hash(grey: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Two 64-bit hashes that are the same, or nearly so, when an image is merely stored anew.

    The first says of 8 rows of 9 cells whether a cell is brighter than the one on its left, the
    second whether each of the 63 lowest frequencies (discrete cosine transform, without the
    mean) lies above their median. Neither changes when the image is resized, re-compressed,
    or moderately brighter or of more contrast; both change when it is mirrored, rotated or
    cropped.

    Args:
        grey: uint8 ``[72, 72]``.

    Returns:
        The hashes, or None for a picture of one colour.
    """
    picture = grey.astype(np.float64)
    if picture.std() < _FLAT:
        return None
    cells = picture.reshape(8, SIDE // 8, 9, SIDE // 9).mean(axis=(1, 3))
    waves = _waves()
    spectrum = (waves @ picture @ waves.T).ravel()
    spectrum[0] = np.median(spectrum[1:])
    return _number(cells[:, 1:] > cells[:, :-1]), _number(spectrum > spectrum[0])


def find_duplicates(
    contents: Sequence[str] | pd.Series,
    hashes: Hashes,
    hashed: NDArray[np.bool_],
    radius: int = RADIUS,
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Groups of images with the same content, and of images that look the same.

    A group of the second kind is closed (what is near to one member is a member) and holds at
    least two different contents.

    Args:
        contents: what is equal for images of the same bytes, ``[N]``.
        hashes: uint64 ``[N, 2]`` of :func:`perceptual_hash`.
        hashed: which images have a hash, ``[N]``.
        radius: bits that may differ in each of the two.

    Returns:
        ``row`` (of the arguments), ``kind`` (``exact`` or ``near``), ``group`` (numbered from 1
        through both kinds) and ``distance`` (bits of 128 to the nearest other content in the
        group; 0 for ``exact``), one line for each image and kind. And which images resemble so
        many that they were not compared with all of these, ``[N]`` (see
        :func:`~fer_lab.data.pixels.look_alikes.look_alikes`).
    """
    content, _ = pd.factorize(pd.Series(contents))
    copies = np.bincount(content, minlength=1)
    same = np.flatnonzero(copies[content] > 1)
    exact = _table(same, content[same], np.zeros(len(same), dtype=np.int64), "exact")
    # One image of each content, then one content of each hash: what is there a thousand times
    # is compared once.
    rows = np.flatnonzero(hashed)
    rows = rows[np.unique(content[rows], return_index=True)[1]]
    unique, look = np.unique(hashes[rows], axis=0, return_inverse=True)
    look = look.ravel()
    part, nearest, crowded = look_alikes(unique, radius)
    nearest[np.bincount(look, minlength=len(unique)) > 1] = 0
    group_of = np.full(copies.size, -1)
    group_of[content[rows]] = part[look]
    distance_of = np.zeros(copies.size, dtype=np.int64)
    distance_of[content[rows]] = nearest[look]
    crowded_of = np.zeros(copies.size, dtype=bool)
    crowded_of[content[rows]] = crowded[look]
    contents_in = np.bincount(part[look], minlength=1)
    group = group_of[content]
    alike = np.flatnonzero((group >= 0) & (contents_in[group] > 1))
    near = _table(alike, group[alike], distance_of[content[alike]], "near")
    near["group"] += exact["group"].max() if len(exact) else 0
    return pd.concat([exact, near], ignore_index=True), crowded_of[content]


def leakage(table: pd.DataFrame) -> pd.DataFrame:
    """How many images have a double in another split.

    Args:
        table: of :func:`find_duplicates`, with the ``split`` of each image.

    Returns:
        ``kind``, ``split``, ``other`` and ``images`` (of ``split`` that have a double in
        ``other``), test before validation, for what is above 0.
    """
    order = ["test", "val", "train"]
    there = pd.crosstab([table["kind"], table["group"]], table["split"].astype("str"))
    there = there.reindex(columns=order, fill_value=0)
    lines = [
        {"kind": kind, "split": split, "other": other, "images": int(part[split][shared].sum())}
        for kind, part in there.groupby(level="kind", sort=True)
        for place, split in enumerate(order)
        for other in reversed(order[place + 1 :])
        if (shared := (part[split] > 0) & (part[other] > 0)).any()
    ]
    return pd.DataFrame(lines, columns=["kind", "split", "other", "images"])


@cache
def _waves() -> NDArray[np.float64]:
    """The 8 longest waves of the cosine transform, ``[8, 72]``."""
    place = np.arange(SIDE) + 0.5
    return np.asarray(np.cos(np.pi / SIDE * np.arange(8)[:, None] * place))


def _number(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _table(
    rows: NDArray[np.int64],
    groups: NDArray[np.int64],
    distances: NDArray[np.int64],
    kind: Literal["exact", "near"],
) -> pd.DataFrame:
    """Lines of one kind, group by group in the order of their first rows."""
    number, _ = pd.factorize(groups)
    table = pd.DataFrame({"row": rows, "kind": kind, "group": number + 1, "distance": distances})
    return table.sort_values(["group", "row"], ignore_index=True)
