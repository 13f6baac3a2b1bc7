"""Which of many images look alike, from hashes of 2 × 64 bits, with bounded work and memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_lab.data.progress import track

Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]

# Bits of 64, in each of the two hashes, that a re-compressed or resized copy may differ in.
RADIUS: Final = 6
NO_OTHER: Final = np.iinfo(np.int64).max

# What all comparisons may cost: less than a minute for half a million images, whatever they are.
_BUDGET = 2_000_000_000
# What a pair within the radius costs, next to one that is not.
_COST_OF_CLOSE = 8
_PAIRS_AT_ONCE = 4_000_000


class LookAlikes(NamedTuple):
    """Images that look alike.

    Attributes:
        part: group of each image, ``[N]``; what is near to one member is a member.
        nearest: bits of 128 to the image most alike among those within the radius, ``[N]``;
            `NO_OTHER` where there is none.
        crowded: which images were not compared with all candidates, since these are too many,
            ``[N]``; the groups of these may be incomplete.
    """

    part: Rows
    nearest: Rows
    crowded: NDArray[np.bool_]


class _Close(NamedTuple):
    """Pairs within the radius, in which no image is twice first nor twice second.

    Attributes:
        one: the first of each pair.
        other: the second.
        distance: bits of 128 that differ.
        cost: what finding them has cost.
    """

    one: Rows
    other: Rows
    distance: Rows
    cost: int


def look_alikes(hashes: Hashes, radius: int = RADIUS, *, budget: int = _BUDGET) -> LookAlikes:
    """Group images whose hashes differ in at most ``radius`` bits each.

    Hashes within ``radius`` agree in one of ``radius + 1`` bands of bits; only images that share
    a band of the first *and* one of the second are candidates, which is exact and, for images
    that are not alike, far from comparing all with all. Where very many share their bands
    (thousands of nearly empty pictures), each is compared with those next in the order of the
    hashes, as far as the budget goes, and marked.

    Args:
        hashes: uint64 ``[N, 2]``, all different.
        radius: bits that may differ in each of the two.
        budget: how many pairs may be compared; each within the radius counts several times. Each
            image is compared with one of every band at least.
    """
    count = len(hashes)
    # Within a band, like images stand next to each other.
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    hashes = hashes[order]
    part = np.arange(count)
    nearest = np.full(count, NO_OTHER)
    crowded = np.zeros(count, dtype=bool)
    bands = [_bands(hashes[:, half], radius + 1) for half in range(2)]
    combinations = [(i, j) for i in range(radius + 1) for j in range(radius + 1)]
    links: list[Rows] = []
    waiting = 0
    tracked = track(combinations, total=len(combinations), description="comparing images")
    for number, (i, j) in enumerate(tracked):
        keys = bands[0][i] << np.uint64(32) | bands[1][j]
        share = budget // (len(combinations) - number)
        for close in _sharing(keys, hashes, radius, share, crowded):
            budget -= close.cost
            nearest[close.one] = np.minimum(nearest[close.one], close.distance)
            nearest[close.other] = np.minimum(nearest[close.other], close.distance)
            apart = part[close.one] != part[close.other]
            links.append(np.stack([part[close.one[apart]], part[close.other[apart]]]))
            waiting += links[-1].shape[1]
            if waiting > count:
                part, links, waiting = _joined(part, links), [], 0
    back = np.argsort(order)
    return LookAlikes(_joined(part, links)[back], nearest[back], crowded[back])


def _joined(part: Rows, links: list[Rows]) -> Rows:
    """The groups after those that are linked have become one."""
    if not links:
        return part
    ends = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(ends.shape[1], dtype=bool), tuple(ends)), shape=2 * (len(part),))
    return np.asarray(connected_components(graph, directed=False)[1][part], dtype=np.int64)


def _bands(values: Hashes, count: int) -> list[Hashes]:
    """The bits of each value, dealt out to ``count`` bands, those that tell most apart first.

    So each band tells images about equally well apart, though some bits are nearly the same in
    all images.
    """
    shares = [
        (values >> np.uint64(bit) & np.uint64(1)).mean() if len(values) else 0 for bit in range(64)
    ]
    order = np.argsort(np.abs(np.array(shares) - 0.5), kind="stable").tolist()
    bands = []
    for first in range(count):
        band = np.zeros(len(values), dtype=np.uint64)
        # As many as the upper half of a key has room for.
        for bit in order[first::count][:32]:
            band = band << np.uint64(1) | values >> np.uint64(bit) & np.uint64(1)
        bands.append(band)
    return bands


def _sharing(
    keys: Hashes, hashes: Hashes, radius: int, budget: int, crowded: NDArray[np.bool_]
) -> Iterator[_Close]:
    """Close pairs among the rows that share a key; marks those that are not all compared."""
    order = np.argsort(keys, kind="stable")
    ordered, first, second = keys[order], hashes[order, 0], hashes[order, 1]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], len(order)]
    last = np.repeat(ends, ends - starts)
    place = np.arange(len(order))
    step = 1
    place = place[place + step < last]
    while len(place):
        if step > 1 and len(place) > budget:
            crowded[order[place]] = crowded[order[place + step]] = True
            return
        for start in range(0, len(place), _PAIRS_AT_ONCE):
            one = place[start : start + _PAIRS_AT_ONCE]
            cost = len(one)
            bits = np.bitwise_count(first[one] ^ first[one + step])
            near = bits <= radius
            one, bits = one[near], bits[near]
            more = np.bitwise_count(second[one] ^ second[one + step])
            near = more <= radius
            one = one[near]
            distance = bits[near].astype(np.int64) + more[near]
            cost += _COST_OF_CLOSE * len(one)
            budget -= cost
            yield _Close(order[one], order[one + step], distance, cost)
        step += 1
        place = place[place + step < last[place]]
