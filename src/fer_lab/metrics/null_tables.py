"""Fairness figures when the groups of the samples, or of whole subjects, are permuted.

The groups of all attributes move together, so that attributes that go together still do; they
move among samples that have the same attributes known, so that unknown stays where it is and a
model worse on people it knows nothing of does not widen the null of the others. Where samples of
a subject depend on each other, the groups of whole subjects are permuted (over all labels, for
every metric); attributes that vary within subjects are permuted by samples, apart from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_lab.metrics.calibration import CONFIDENCE_BINS
from fer_lab.metrics.cells import Cells, Integers, as_tensor, distinct
from fer_lab.metrics.headline import (
    Figures,
    Floors,
    Variants,
    aggregated,
    calibration_gap,
    metric_values,
    overall_bias,
)
from fer_lab.metrics.permutation import chunks, deal, permuted_tables

# Counts dealt in the time that it takes to shuffle a sample, about.
_DEALT_PER_SAMPLE = 1


class PermutedTables(NamedTuple):
    """Tables of one attribute's known groups after permuting, ``[S, G, …]`` each."""

    within: Tensor
    overall: Tensor
    calibration: Tensor | None


def null_figures(
    cells: Cells,
    samples: int,
    rng: np.random.Generator,
    floors: Mapping[str, Floors],
    variants: Variants,
) -> Figures:
    """Draws of every figure that has a null, ``[samples]`` each, by the names of `headline`."""
    varying = varying_attributes(cells)
    by_subject = [name for name in cells.groups if cells.clustered and name not in varying]
    by_sample = [name for name in cells.groups if name not in by_subject]
    joint = len(distinct(*cells.group.T, np.zeros_like(cells.label))[1])
    dealt = joint * len(cells.classes) ** 2 <= _DEALT_PER_SAMPLE * int(cells.samples.sum())
    permute = _permuted_samples if dealt else _shuffled_samples
    parts: list[Figures] = []
    # Twice the confusions and the bins of all lines.
    width = sum(cells.slots) * (2 * len(cells.classes) ** 2 + 3 * CONFIDENCE_BINS)
    for size in chunks(samples, width):
        tables: dict[str, PermutedTables] = {}
        if by_sample:
            tables |= permute(cells, by_sample, size, rng)
        if by_subject:
            tables |= _permuted_subjects(cells, by_subject, size, rng)
        drawn: Figures = {}
        for name in cells.groups:
            table = tables[name]
            values = metric_values(table.within, table.overall, floors[name], variants)
            drawn |= aggregated(name, values)
            if table.calibration is not None:
                drawn[f"fairness/{name}/calibration_gap"] = calibration_gap(
                    table.calibration, floors[name].total
                )
        parts.append(drawn | overall_bias(drawn, list(cells.groups), torch.zeros(size).double()))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def varying_attributes(cells: Cells) -> list[str]:
    """Attributes that are not the same for all samples of a unit."""
    first = np.zeros(len(cells.copies), dtype=np.int64)
    first[cells.unit[::-1]] = np.arange(len(cells.unit))[::-1]
    differs = (cells.group != cells.group[first[cells.unit]]).any(axis=0)
    return [name for name, changes in zip(cells.groups, differs, strict=True) if changes]


def _permuted_samples(
    cells: Cells, attributes: Sequence[str], size: int, rng: np.random.Generator
) -> dict[str, PermutedTables]:
    """Permute the joint groups among samples, stratum by stratum; only counts are drawn."""
    classes = len(cells.classes)
    group, known = _groups_of(cells, attributes)
    place = cells.label * classes + cells.prediction
    within = _empty(cells, attributes, size, (classes, classes))
    overall = _empty(cells, attributes, size, (classes, classes))
    bins = _empty(cells, attributes, size, (CONFIDENCE_BINS, 3))
    for rows, joint, first in _strata(group, known):
        members = _members(cells, attributes, group[rows][first])
        table = np.bincount(
            joint * classes**2 + place[rows],
            weights=cells.samples[rows],
            minlength=len(first) * classes**2,
        ).reshape(len(first), classes, classes)
        drawn = list(permuted_tables(torch.from_numpy(table).long(), size, rng))
        for sums, kind in ((within, 0), (overall, 1)):
            _add(sums, members, torch.cat([pair[kind] for pair in drawn]))
        if cells.confidence_bin is not None:
            _add(bins, members, _permuted_bins(cells, rows, joint, size, rng))
    return {
        name: PermutedTables(
            within[name],
            overall[name],
            bins[name] if cells.confidence_bin is not None else None,
        )
        for name in attributes
    }


def _shuffled_samples(
    cells: Cells, attributes: Sequence[str], size: int, rng: np.random.Generator
) -> dict[str, PermutedTables]:
    """What `_permuted_samples` draws, sample by sample: cheaper for many small joint groups.

    Both permutations follow one order of the samples, label by label and over all.
    """
    rows = np.repeat(np.arange(len(cells.label)), cells.samples)
    group, known = _groups_of(cells, attributes)
    lines, label, squared = group[rows], cells.label[rows], len(cells.classes) ** 2
    place, weight, width = _entries(cells)
    place, share = place[rows], (weight.reshape(place.shape) / cells.count[:, None])[rows]
    strata = [members for members, _, _ in _strata(lines, known[rows])]
    by_label = [members[label[members].argsort(kind="stable")] for members in strata]
    counts = {name: len(cells.groups[name]) + 1 for name in attributes}
    within = {name: np.zeros((size, count, squared)) for name, count in counts.items()}
    overall = {name: np.zeros((size, count, width)) for name, count in counts.items()}
    anywhere, inside = np.arange(len(rows)), np.arange(len(rows))
    for draw in range(size):
        for members, ordered in zip(strata, by_label, strict=True):
            anywhere[members] = moved = rng.permutation(members)
            inside[ordered] = moved[label[moved].argsort(kind="stable")]
        drawn, weights = place[anywhere], share[anywhere].ravel()
        for column, (name, count) in enumerate(counts.items()):
            line = lines[:, column]
            code = (line[:, None] * width + drawn).ravel()
            overall[name][draw] = np.bincount(code, weights, count * width).reshape(count, width)
            code = line * squared + place[inside, 0]
            within[name][draw] = np.bincount(code, minlength=count * squared).reshape(count, -1)
    found = {}
    for name in attributes:
        tables = _split(cells, overall[name][:, :-1])
        kept = as_tensor(within[name][:, :-1]).reshape(tables.overall.shape)
        found[name] = tables._replace(within=kept)
    return found


def _permuted_bins(
    cells: Cells, rows: Integers, joint: Integers, size: int, rng: np.random.Generator
) -> Tensor:
    """Calibration totals ``[S, J, bins, 3]`` after permuting joint groups over all samples."""
    assert cells.confidence_bin is not None
    assert cells.confidence is not None
    counts = cells.samples[rows].astype(float)
    right = (cells.label == cells.prediction)[rows]
    kind = cells.confidence_bin[rows] * 2 + right
    kinds = 2 * CONFIDENCE_BINS
    seen = np.bincount(kind, weights=counts, minlength=kinds).astype(np.int64)
    summed = np.bincount(kind, weights=counts * cells.confidence[rows], minlength=kinds)
    mean = summed / np.maximum(seen, 1)
    hands = np.bincount(joint, weights=counts).astype(np.int64)
    dealt = deal(rng, np.broadcast_to(seen, (size, kinds)), hands)
    dealt = dealt.reshape(size, len(hands), CONFIDENCE_BINS, 2)
    confidence = (dealt * mean.reshape(CONFIDENCE_BINS, 2)).sum(-1)
    return as_tensor(np.stack([dealt.sum(-1), dealt[..., 1], confidence], axis=-1))


def _permuted_subjects(
    cells: Cells, attributes: Sequence[str], size: int, rng: np.random.Generator
) -> dict[str, PermutedTables]:
    """Permute the joint groups of subjects; a subject keeps its samples."""
    group, _ = _groups_of(cells, attributes)
    per_unit = np.zeros((len(cells.copies), len(attributes)), dtype=np.int64)
    per_unit[cells.unit] = group
    sizes = np.array([len(cells.groups[name]) for name in attributes])
    strata = [rows for rows, _, _ in _strata(per_unit, per_unit < sizes)]
    place, weight, width = _entries(cells)
    sums = {
        name: np.zeros((size, count + 1, width))
        for name, count in zip(attributes, sizes, strict=True)
    }
    for draw in range(size):
        permuted = per_unit.copy()
        for rows in strata:
            permuted[rows] = per_unit[rng.permutation(rows)]
        for column, name in enumerate(attributes):
            lines = permuted[cells.unit, column]
            code = (lines[:, None] * width + place).ravel()
            total = np.bincount(code, weights=weight, minlength=sums[name][draw].size)
            sums[name][draw] = total.reshape(-1, width)
    return {name: _split(cells, table[:, :-1]) for name, table in sums.items()}


def _entries(cells: Cells) -> tuple[Integers, NDArray[np.float64], int]:
    """Where in a group's totals each row counts, how much (flat), and the totals' length."""
    size = len(cells.classes)
    places = [cells.label * size + cells.prediction]
    weights = [cells.count.astype(float)]
    width = size**2
    if cells.confidence_bin is not None and cells.confidence is not None:
        right = cells.label == cells.prediction
        for column, share in enumerate((1.0, right, cells.confidence)):
            places.append(width + cells.confidence_bin * 3 + column)
            weights.append(cells.count * share)
        width += CONFIDENCE_BINS * 3
    return np.stack(places, axis=1), np.stack(weights, axis=1).ravel(), width


def _split(cells: Cells, totals: NDArray[np.float64]) -> PermutedTables:
    size = len(cells.classes)
    counts, bins = np.split(totals, [size**2], axis=-1)
    table = as_tensor(counts.reshape(*counts.shape[:-1], size, size))
    if cells.confidence_bin is None:
        return PermutedTables(table, table, None)
    return PermutedTables(
        table, table, as_tensor(bins.reshape(*bins.shape[:-1], CONFIDENCE_BINS, 3))
    )


def _groups_of(cells: Cells, attributes: Sequence[str]) -> tuple[Integers, NDArray[np.bool_]]:
    """Groups of the chosen attributes by row, and whether they are known, ``[K, A]`` each."""
    axes = [list(cells.groups).index(name) for name in attributes]
    group = cells.group[:, axes]
    return group, group < np.array([len(cells.groups[name]) for name in attributes])


def _strata(
    group: Integers, known: NDArray[np.bool_]
) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Rows with the same attributes known, the joint group of each, and a first row of each."""
    pattern = known @ (1 << np.arange(known.shape[1]))
    for value in np.unique(pattern):
        rows = np.flatnonzero(pattern == value)
        joint, first = distinct(*group[rows].T)
        yield rows, joint, first


def _members(cells: Cells, attributes: Sequence[str], group: Integers) -> dict[str, Tensor]:
    """Which joint groups make up each known group, ``{attribute: [G, J]}`` of 0 and 1."""
    return {
        name: as_tensor(np.arange(len(cells.groups[name]))[:, None] == group[:, column])
        for column, name in enumerate(attributes)
    }


def _empty(
    cells: Cells, attributes: Sequence[str], size: int, shape: tuple[int, int]
) -> dict[str, Tensor]:
    return {
        name: torch.zeros(size, len(cells.groups[name]), *shape, dtype=torch.float64)
        for name in attributes
    }


def _add(sums: Mapping[str, Tensor], members: Mapping[str, Tensor], joint: Tensor) -> None:
    """Add the joint groups' tables ``[S, J, …]`` to those of each attribute."""
    flat = joint.double().flatten(2)
    for name, matrix in members.items():
        sums[name] += (matrix @ flat).reshape(sums[name].shape)
