"""A labelled dataset drawn again, as counts by group and label.

Rows of one subject are not independent: where a subject has several, they are drawn together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import random_table

from fer_lab.bias.codes import CodedRows, Codes
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.metrics.cells import distinct
from fer_lab.metrics.permutation import chunks
from fer_lab.metrics.resampling import bootstrap_tables


def subject_codes(frame: pd.DataFrame, coded: CodedRows) -> Codes:
    """The subject of each coded row, ``[N]``; -1 where unknown or in no other coded row.

    Subjects of different datasets are different people, whatever their names.
    """
    if "subject" not in frame:
        return np.full(len(coded.rows), -1)
    rows = frame.iloc[coded.rows]
    subject = rows["subject"].astype("str").replace(["", UNKNOWN], None)
    names = [subject, *([rows["dataset"].astype("str")] if "dataset" in rows else [])]
    codes, _ = distinct(*(1 + pd.factorize(name)[0].astype(np.int64) for name in names))
    shared = np.bincount(codes)[codes] > 1
    return np.where(subject.notna() & shared, codes, -1)


def resampled_counts(
    coded: CodedRows, subject: Codes, samples: int, rng: np.random.Generator
) -> Iterator[dict[str, NDArray[np.float64]]]:
    """Bootstrap draws of the joint table over all attributes and the label, in chunks.

    Args:
        coded: the rows.
        subject: see `subject_codes`.
        samples: number of draws in all.
        rng: where the draws come from.

    Yields:
        ``{attribute: counts [draws, groups, labels]}``; all attributes of one draw belong to the
        same rows.
    """
    cells, _ = distinct(*(group + 1 for group in coded.group.values()), coded.label)
    row, unit, multiplicity = _units(cells, subject)
    profiles = {
        attribute: _profiles(coded, attribute, row, unit, len(multiplicity))
        for attribute in coded.groups
    }
    for drawn in bootstrap_tables(torch.from_numpy(multiplicity), samples, rng):
        weights = drawn.numpy().astype(np.float64)
        yield {
            attribute: (weights @ profile).reshape(
                len(weights), len(coded.groups[attribute]), len(coded.classes)
            )
            for attribute, profile in profiles.items()
        }


def permuted_counts(
    coded: CodedRows, attribute: str, subject: Codes, samples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Counts after the known groups of an attribute are dealt to the rows at random, in chunks.

    All rows that a subject has in one group get one group.

    Args:
        coded: the rows.
        attribute: the attribute.
        subject: see `subject_codes`.
        samples: number of permutations in all.
        rng: where the draws come from.

    Yields:
        Counts ``[draws, groups, labels]``.
    """
    names, classes = coded.groups[attribute], coded.classes
    known = np.flatnonzero(coded.group[attribute] >= 0)
    group, label = coded.group[attribute][known], coded.label[known]
    if not len(known):
        yield np.zeros((samples, len(names), len(classes)))
        return
    piece = np.where(subject[known] < 0, -1, subject[known] * len(names) + group)
    row, unit, multiplicity = _units(group * len(classes) + label, piece)
    profiles = np.zeros((len(multiplicity), len(classes)))
    np.add.at(profiles, (unit, label[row]), 1)
    group_of_unit = np.empty(len(multiplicity), dtype=np.int64)
    group_of_unit[unit] = group[row]
    # Units of one profile are alike: only how many of each a group gets is drawn.
    profiles, kind = np.unique(profiles, axis=0, return_inverse=True)
    table = np.zeros((len(names), len(profiles)), dtype=np.int64)
    np.add.at(table, (group_of_unit, kind.ravel()), multiplicity)
    permuted = random_table(table.sum(1), table.sum(0))
    for size in chunks(samples, table.size):
        yield permuted.rvs(size, random_state=rng).reshape(size, *table.shape) @ profiles


def _units(cells: Codes, subject: Codes) -> tuple[Codes, Codes, Codes]:
    """What is drawn as one: a row without a subject, or all rows of a subject.

    Rows without a subject are alike when they are in the same cell, and stand for one unit that
    there is many times.

    Args:
        cells: everything that matters of each row, as one number, ``[N]``.
        subject: -1 for none, ``[N]``.

    Returns:
        Representative rows ``[R]``, the unit of each ``[R]``, and how many times there is each
        unit ``[U]``.
    """
    alone, together = np.flatnonzero(subject < 0), np.flatnonzero(subject >= 0)
    _, first, repeats = np.unique(cells[alone], return_index=True, return_counts=True)
    subjects, member = np.unique(subject[together], return_inverse=True)
    return (
        np.concatenate([alone[first], together]),
        np.concatenate([np.arange(len(first)), len(first) + member.ravel()]),
        np.concatenate([repeats, np.ones(len(subjects), dtype=np.int64)]),
    )


def _profiles(
    coded: CodedRows, attribute: str, row: Codes, unit: Codes, units: int
) -> NDArray[np.float64]:
    """How many rows each unit has by group and label, ``[units, groups · labels]``."""
    group = coded.group[attribute][row]
    known = group >= 0
    width = len(coded.groups[attribute]) * len(coded.classes)
    place = group[known] * len(coded.classes) + coded.label[row[known]]
    counts = np.bincount(unit[known] * width + place, minlength=units * width)
    return counts.reshape(units, width).astype(np.float64)
