"""Images that are there twice: perceptual hashes, and which of many are close to each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_lab.data.progress import track

Hashes = NDArray[np.uint64]

# Height and width of the grey picture that is hashed: a multiple of the 8 and 9 cells in it.
SIDE: Final = 72
# Bits of 64, in each of the two hashes, that a re-compressed or resized copy may differ in.
RADIUS: Final = 6

# A picture with less contrast (standard deviation in grey levels) shows nothing to compare.
_FLAT = 2.0
_PAIRS_AT_ONCE = 4_000_000


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


def close_pairs(
    hashes: Hashes, radius: int = RADIUS
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every pair of images whose hashes differ in at most ``radius`` bits each.

    Hashes within ``radius`` agree in one of ``radius + 1`` bands of bits; only images that share
    a band of the first *and* one of the second are compared, which is exact and, for images
    that are not alike, far from comparing all with all.

    Args:
        hashes: uint64 ``[N, 2]``.
        radius: bits that may differ in each of the two.

    Returns:
        Pairs of rows ``[K, 2]``, the lower first, sorted; and the bits that differ in both hashes
        together ``[K]``.
    """
    size = len(hashes)
    bands = [_bands(hashes[:, part], radius + 1) for part in range(2)]
    combinations = [(i, j) for i in range(radius + 1) for j in range(radius + 1)]
    found: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for i, j in track(combinations, total=len(combinations), description="comparing images"):
        keys = bands[0][i] << np.uint64(32) | bands[1][j]
        found.append(np.unique(np.concatenate(_sharing(keys, hashes, radius))))
    numbers = np.unique(np.concatenate(found))
    pairs = np.stack(np.divmod(numbers, max(size, 1)), axis=1)
    return pairs, _differing(hashes, pairs[:, 0], pairs[:, 1]).sum(axis=1)


def find_duplicates(
    contents: Sequence[str] | pd.Series,
    hashes: Hashes,
    hashed: NDArray[np.bool_],
    radius: int = RADIUS,
) -> pd.DataFrame:
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
        group; 0 for ``exact``), one line for each image and kind.
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
    pairs, distances = close_pairs(unique, radius)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=2 * (len(unique),))
    part = connected_components(links, directed=False)[1] if len(unique) else np.empty(0, int)
    nearest = np.full(len(unique), np.iinfo(np.int64).max)
    np.minimum.at(nearest, pairs.ravel(), np.repeat(distances, 2))
    nearest[np.bincount(look.ravel(), minlength=len(unique)) > 1] = 0
    group_of = np.full(copies.size, -1)
    group_of[content[rows]] = part[look.ravel()]
    distance_of = np.zeros(copies.size, dtype=np.int64)
    distance_of[content[rows]] = nearest[look.ravel()]
    contents_in = np.bincount(part[look.ravel()], minlength=1)
    group = group_of[content]
    alike = np.flatnonzero((group >= 0) & (contents_in[group] > 1))
    near = _table(alike, group[alike], distance_of[content[alike]], "near")
    near["group"] += exact["group"].max() if len(exact) else 0
    return pd.concat([exact, near], ignore_index=True)


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


def _bands(values: Hashes, count: int) -> list[Hashes]:
    """The bits of each value, dealt out to ``count`` bands: neighbours, often alike, part."""
    bands = []
    for first in range(count):
        band = np.zeros(len(values), dtype=np.uint64)
        for bit in range(first, 64, count):
            band = band << np.uint64(1) | values >> np.uint64(bit) & np.uint64(1)
        bands.append(band)
    return bands


def _sharing(keys: Hashes, hashes: Hashes, radius: int) -> list[NDArray[np.int64]]:
    """Close pairs among the rows that share a key, each as one number ``low * N + high``."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    last = np.repeat(np.r_[starts[1:], len(order)], np.diff(np.r_[starts, len(order)]))
    place = np.arange(len(order))
    found = [np.empty(0, dtype=np.int64)]
    step = 1
    place = place[place + step < last]
    while len(place):
        for start in range(0, len(place), _PAIRS_AT_ONCE):
            part = place[start : start + _PAIRS_AT_ONCE]
            one, other = order[part], order[part + step]
            close = (_differing(hashes, one, other) <= radius).all(axis=1)
            low, high = np.minimum(one, other)[close], np.maximum(one, other)[close]
            found.append(low * len(keys) + high)
        step += 1
        place = place[place + step < last[place]]
    return found


def _differing(
    hashes: Hashes, one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many bits differ in each hash, ``[K, 2]``."""
    counts: NDArray[np.int64] = np.bitwise_count(hashes[one] ^ hashes[other]).astype(np.int64)
    return counts


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
