"""Do two groups, or two runs, differ in how hot the regions are? Differences with their noise.

Works on the tidy table of ``explain.summary`` (``explanations/region_ior.parquet``). The summaries
are FaceX's; intervals and tests are added here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError, DataError
from fer_lab.metrics.permutation import chunks

Numbers = NDArray[np.float64]

COMPARED: Final = ("lift", "ior")
COLUMNS: Final = (
    "figure", "region", "first", "second", "difference", "low", "high", "p", "p_holm",
    "present_first", "present_second",
)  # fmt: skip

# The tables hold 32 bits: equal differences of other images differ in their last ones.
_TIE: Final = 1e-6


class _Images(NamedTuple):
    """Figures of each image, NaN where its region is absent, and the unit it is drawn with."""

    figures: Numbers  # [N, 2 · R]
    unit: NDArray[np.int64]  # [N]


def group_differences(
    table: pd.DataFrame,
    groups: pd.Series,
    first: str,
    second: str,
    *,
    subjects: pd.Series | None = None,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Difference of two groups' means in each region, over the images where it is present.

    The p-value is that of a permutation test: were the groups' names dealt at random, how often
    would the means be at least as far apart, in either direction? All images that a subject has
    in one group stay together. It tests that the groups do not differ at all, spread included.

    Args:
        table: columns ``id``, ``region``, ``lift`` and ``ior`` at least, as
            ``explain.summary.tidy`` makes them. All-zero maps (no lift) are left out.
        groups: name of each image's group, indexed by id; images of other groups, of none or not
            in ``groups`` are left out.
        first: a group; differences are ``first - second``.
        second: the group it is compared with.
        subjects: indexed by id; images of one subject are drawn together. A missing name stands
            for a subject of its own. None: every image is independent.
        samples: bootstrap draws, and permutations.
        level: coverage of the intervals, in (0, 1).
        seed: the same seed gives the same intervals and p-values.

    Returns:
        One row for each figure (``lift``, then ``ior``) and region of the vocabulary:

        - ``figure``, ``region``;
        - ``first``, ``second``: means over the images with the region; NaN without one;
        - ``difference``: ``first - second``; NaN if the region is absent in either group;
        - ``low``, ``high``: percentile bootstrap interval over images (over subjects);
        - ``p``: two-sided, never 0; NaN with the interval where a group has the region in
          fewer than two subjects (images without a subject count as one each);
        - ``p_holm``: Holm's correction over the regions of the same figure that have a p;
        - ``present_first``, ``present_second``: images with the region, of each group.

    Raises:
        ConfigError: for a group without images, or level or samples that make no sense.
        DataError: for a table without its columns, with a region that is none, or with two rows
            of one image and region.
    """
    _check(samples, level)
    if first == second:
        raise ConfigError(f"{first!r} is compared with itself", where="first, second")
    _refuse_repeated(groups, "groups")
    images, ids = _images(table, subjects)
    group = pd.Series(ids).map(groups).to_numpy(dtype=object)
    for name in (first, second):
        if not (group == name).any():
            known = sorted({str(each) for each in group if isinstance(each, str)})
            raise ConfigError(
                f"no explained image is in the group {name!r}",
                where="first, second",
                hint=f"groups of these images: {', '.join(known) or 'none'}",
            )
    chosen = (group == first) | (group == second)
    images = _Images(images.figures[chosen], _renumbered(images.unit[chosen]))
    member = group[chosen] == first
    sums = [_sums(images, member), _sums(images, ~member)]
    present = [each.present.sum(0) for each in sums]
    means = [_mean(each.total.sum(0), count) for each, count in zip(sums, present, strict=True)]
    rng = np.random.default_rng(seed)
    draws = np.concatenate(
        [
            _mean(w @ sums[0].total, w @ sums[0].present)
            - _mean(w @ sums[1].total, w @ sums[1].present)
            for w in _weights(int(images.unit.max()) + 1, samples, rng)
        ]
    )
    piece = _renumbered(2 * images.unit + member)
    pieces = _sums(_Images(images.figures, piece), np.ones(len(piece), dtype=bool))
    in_first = np.zeros(len(pieces.total))
    in_first[piece[member]] = 1
    null = []
    for size in chunks(samples, 2 * len(in_first)):
        dealt = rng.permuted(np.tile(in_first, (size, 1)), axis=1)
        null.append(
            _mean(dealt @ pieces.total, dealt @ pieces.present)
            - _mean((1 - dealt) @ pieces.total, (1 - dealt) @ pieces.present)
        )
    enough = np.minimum(*((each.present > 0).sum(0) for each in sums)) >= 2
    return _document(
        means, means[0] - means[1], present, enough, draws, np.concatenate(null), level
    )


def run_differences(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    subjects: pd.Series | None = None,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean difference of two runs in each region, image by image.

    Only images that both runs explained count, and of them those with the region in both. The
    p-value comes from swapping the runs at random, image by image (subject by subject).

    Args:
        first: table of a run, as in `group_differences`; differences are ``first - second``.
        second: table of the run it is compared with.
        subjects: indexed by id, as in `group_differences`.
        samples: bootstrap draws, and random swaps.
        level: coverage of the intervals, in (0, 1).
        seed: the same seed gives the same intervals and p-values.

    Returns:
        The columns of `group_differences`; ``present_first`` and ``present_second`` are both the
        number of pairs.

    Raises:
        ConfigError: for level or samples that make no sense.
        DataError: for a table that `group_differences` refuses, or runs without a common image.
    """
    _check(samples, level)
    (a, ids), (b, others) = _images(first, subjects), _images(second, subjects)
    _, left, right = np.intersect1d(ids, others, assume_unique=True, return_indices=True)
    if not len(left):
        raise DataError(
            "the two runs have no explained image in common",
            where="column id",
            hint="compare runs that explained the same test set",
        )
    one, two = a.figures[left], b.figures[right]
    unpaired = np.isnan(one) | np.isnan(two)
    one[unpaired] = two[unpaired] = np.nan
    unit = _renumbered(a.unit[left])
    everyone = np.ones(len(unit), dtype=bool)
    gaps = _sums(_Images(one - two, unit), everyone)
    count = gaps.present.sum(0)
    means = [_mean(_sums(_Images(each, unit), everyone).total.sum(0), count) for each in (one, two)]
    rng = np.random.default_rng(seed)
    units = len(gaps.total)
    draws = np.concatenate(
        [_mean(w @ gaps.total, w @ gaps.present) for w in _weights(units, samples, rng)]
    )
    null = np.concatenate(
        [
            _mean(rng.choice((-1.0, 1.0), size=(size, units)) @ gaps.total, count)
            for size in chunks(samples, units)
        ]
    )
    enough = (gaps.present > 0).sum(0) >= 2
    difference = _mean(gaps.total.sum(0), count)
    return _document(means, difference, [count, count], enough, draws, null, level)


def holm(p: Sequence[float] | Numbers) -> Numbers:
    """Holm's step-down correction of p-values; NaN stays NaN and is no test.

    Source: Holm 1979.

    >>> holm([0.01, 0.04, float("nan"), 0.03]).round(3).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    corrected = np.full(len(values), np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


class _Sums(NamedTuple):
    total: Numbers  # [U, 2 · R]
    present: Numbers  # [U, 2 · R]


def _check(samples: int, level: float) -> None:
    if samples < 1 or not 0 < level < 1:
        raise ConfigError(
            f"samples={samples}, level={level}: at least one draw, and a share such as 0.95",
            where="samples, level",
        )


def _images(table: pd.DataFrame, subjects: pd.Series | None) -> tuple[_Images, NDArray[np.object_]]:
    """Explained images, their figures and units, and their ids."""
    missing = [name for name in ("id", "region", *COMPARED) if name not in table]
    if missing:
        raise DataError(
            f"the table of regions lacks {', '.join(missing)}",
            where="explanations/region_ior.parquet",
            hint="it is written by the region summaries at the end of a run",
        )
    known = table[table["lift"].notna()]
    region = pd.Index(REGIONS).get_indexer(pd.Index(known["region"].astype(str)))
    place, names = pd.factorize(known["id"].astype(str))
    twice = pd.DataFrame({"id": place, "region": region}).duplicated().to_numpy()
    for wrong, what in ((region < 0, "no region"), (twice, "a second row of its image and region")):
        if wrong.any():
            row = known.iloc[int(np.flatnonzero(wrong)[0])]
            raise DataError(
                f"{row['region']!r} is {what}",
                where=f"id {row['id']}",
                hint="the table has one row for each image and region of the vocabulary",
            )
    figures = np.full((len(names), len(COMPARED), len(REGIONS)), np.nan)
    for position, name in enumerate(COMPARED):
        figures[place, position, region] = known[name].to_numpy(dtype=np.float64)
    ids = np.asarray(names, dtype=object)
    unit = np.arange(len(ids))
    if subjects is not None:
        _refuse_repeated(subjects, "subjects")
        own = pd.Series(ids).map(subjects)
        codes = pd.factorize(own)[0].astype(np.int64)
        unit = np.where(codes < 0, len(ids) + unit, codes)
    return _Images(figures.reshape(len(ids), -1), _renumbered(unit)), ids


def _refuse_repeated(names: pd.Series, where: str) -> None:
    if not names.index.is_unique:
        raise DataError(
            f"{names.index[names.index.duplicated()][0]!r} is there twice",
            where=where,
            hint="one entry for each id",
        )


def _renumbered(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(codes, return_inverse=True)[1].ravel().astype(np.int64)


def _sums(images: _Images, member: NDArray[np.bool_]) -> _Sums:
    """Sums and counts of the members' figures in each unit; units without one have 0."""
    units = int(images.unit.max()) + 1
    figures, unit = images.figures[member], images.unit[member]
    known = ~np.isnan(figures)
    total = np.zeros((units, figures.shape[1]))
    count = np.zeros_like(total)
    np.add.at(total, unit, np.where(known, figures, 0))
    np.add.at(count, unit, known)
    return _Sums(total, count)


def _mean(total: Numbers, count: Numbers) -> Numbers:
    means: Numbers = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means


def _weights(units: int, samples: int, rng: np.random.Generator) -> Iterator[Numbers]:
    """How many times each unit is drawn, in chunks ``[S, U]``."""
    for size in chunks(samples, units):
        yield rng.multinomial(units, np.full(units, 1 / units), size=size).astype(np.float64)


def _document(
    means: Sequence[Numbers],
    difference: Numbers,
    present: Sequence[Numbers],
    enough: NDArray[np.bool_],
    draws: Numbers,
    null: Numbers,
    level: float,
) -> pd.DataFrame:
    """The columns of `group_differences` from vectors over figures and regions, ``[2 · R]``."""
    enough = enough & ~np.isnan(difference)
    low, high, p = (np.full(len(difference), np.nan) for _ in range(3))
    tails = [(1 - level) / 2, (1 + level) / 2]
    low[enough], high[enough] = np.nanquantile(draws[:, enough], tails, axis=0)
    defined = (~np.isnan(null)).sum(0)
    reached = (np.abs(null) >= np.abs(difference) - _TIE).sum(0)
    p[enough] = ((1 + reached) / (1 + defined))[enough]
    corrected = np.concatenate([holm(each) for each in p.reshape(len(COMPARED), -1)])
    values = (
        np.repeat(COMPARED, len(REGIONS)), np.tile(REGIONS, len(COMPARED)), *means, difference,
        low, high, p, corrected, *(each.astype(np.int64) for each in present),
    )  # fmt: skip
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
