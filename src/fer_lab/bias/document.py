"""The audit of a dataset: every measure of every attribute with its interval and its null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
import torch

from fer_lab.bias.codes import CodedRows, Codes, code_rows
from fer_lab.bias.distributions import Floats, Variant
from fer_lab.bias.measures import MEASURES, all_measures
from fer_lab.bias.resampling import permuted_counts, resampled_counts, subject_codes
from fer_lab.errors import ConfigError
from fer_lab.metrics.resampling import Interval, Null, intervals, nulls


def dataset_bias(
    frame: pd.DataFrame,
    *,
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    variant: Variant = "equation",
    per_label: bool = False,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Bias of a dataset by every attribute, ready for JSON (None where undefined).

    Args:
        frame: a manifest, or any table with ``label`` and the attributes' columns. Rows whose
            label is not in ``classes`` are left out; rows of one ``subject`` are drawn together.
        classes: the labels, in their order.
        groups: the groups of each attribute, in their order; other values are unknown.
        variant: ``"equation"``, or ``"published"`` (see `fer_lab.bias.measures`).
        per_label: divide the Jensen-Shannon divergence by the number of labels, as the study does.
        resamples: number of bootstrap draws, and of permutations.
        level: coverage of the intervals, in (0, 1).
        seed: the same seed gives the same document.

    Returns:
        ``samples``, ``left_out``, ``classes``, ``variant``, ``per_label``, ``resamples``,
        ``level``, ``resampled_by`` (``sample`` or ``subject``); ``attributes``: for each how many
        rows are ``known`` and ``unknown``, ``groups`` (rows of each), ``counts`` (groups ×
        labels), ``measures`` and ``bias``, their mean; ``measures`` averaged over the attributes;
        and ``bias``, the mean of these. Each figure has ``value``, ``low``, ``high`` and, from
        dealing the groups to the rows at random, ``null_mean``, ``null_p95``, ``p`` and
        ``excess``. Undefined values are left out of means.

    Raises:
        ConfigError: if no attribute is given, or the table has no column for one.
        ValueError: for fewer than two classes, an unknown variant, or draws or a level that make
            no sense.

    Source: Hosseini et al., "Faces of Fairness", 2025.

    >>> faces = pd.DataFrame({"label": ["happy", "sad"] * 4, "gender": ["female", "male"] * 4})
    >>> audit = dataset_bias(faces, classes=["happy", "sad"],
    ...                      groups={"gender": ["female", "male"]}, resamples=100)
    >>> audit["attributes"]["gender"]["measures"]["jensen_shannon_divergence"]["value"]
    1.0
    """
    if not groups:
        raise ConfigError(
            "no attribute to audit", where="attributes", hint="name at least one, such as gender"
        )
    coded = code_rows(frame, classes, groups)
    subject = subject_codes(frame, coded)
    observed = np.stack([all_measures(coded.counts(name), variant, per_label) for name in groups])
    drawn = _bootstrap(coded, subject, variant, per_label, resamples, seed)
    permuted = _permutations(coded, subject, variant, per_label, resamples, seed)
    figures = _figures(
        _with_means(observed[None])[0], _with_means(drawn), _with_means(permuted), level
    )
    *by_attribute, overall = figures
    return {
        "samples": len(coded.rows),
        "left_out": coded.left_out,
        "classes": list(coded.classes),
        "variant": variant,
        "per_label": per_label,
        "resamples": resamples,
        "level": level,
        "resampled_by": "subject" if (subject >= 0).any() else "sample",
        "attributes": {
            name: _attribute(coded, name, rows)
            for name, rows in zip(coded.groups, by_attribute, strict=True)
        },
        "measures": dict(zip(MEASURES, overall, strict=False)),
        "bias": overall[-1],
    }


def _bootstrap(
    coded: CodedRows, subject: Codes, variant: Variant, per_label: bool, samples: int, seed: int
) -> Floats:
    """The measures of resampled tables, ``[draws, attributes, measures]``."""
    rng = np.random.default_rng([seed, 0])
    return np.concatenate(
        [
            np.stack([all_measures(part, variant, per_label) for part in chunk.values()], axis=1)
            for chunk in resampled_counts(coded, subject, samples, rng)
        ]
    )


def _permutations(
    coded: CodedRows, subject: Codes, variant: Variant, per_label: bool, samples: int, seed: int
) -> Floats:
    """The measures of permuted tables, each attribute for itself, as `_bootstrap`."""
    by_attribute = []
    for number, name in enumerate(coded.groups):
        rng = np.random.default_rng([seed, 1 + number])
        chunks = permuted_counts(coded, name, subject, samples, rng)
        by_attribute.append([all_measures(chunk, variant, per_label) for chunk in chunks])
    return np.stack([np.concatenate(chunks) for chunks in by_attribute], axis=1)


def _with_means(values: Floats) -> Floats:
    """Append the mean over attributes as a row, then that over measures as a column."""
    rows = np.concatenate([values, _mean(values, 1)], axis=1)
    return np.concatenate([rows, _mean(rows, 2)], axis=2)


def _mean(values: Floats, axis: int) -> Floats:
    """Mean along an axis that stays, NaN left out."""
    return torch.from_numpy(values).nanmean(axis, keepdim=True).numpy()


def _figures(
    values: Floats, drawn: Floats, permuted: Floats, level: float
) -> list[list[dict[str, float | None]]]:
    """A figure for each value ``[rows, columns]``, from draws ``[draws, rows, columns]``."""
    flat = torch.from_numpy(values.reshape(-1))
    found = [
        _figure(interval, null)
        for interval, null in zip(
            intervals(flat, torch.from_numpy(drawn.reshape(len(drawn), -1)), level),
            nulls(flat, torch.from_numpy(permuted.reshape(len(permuted), -1))),
            strict=True,
        )
    ]
    width = values.shape[1]
    return [found[start : start + width] for start in range(0, len(found), width)]


def _figure(interval: Interval, null: Null) -> dict[str, float | None]:
    numbers = {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "null_mean": null.mean,
        "null_p95": null.p95,
        "p": null.p,
        "excess": null.excess,
    }
    return {name: number if isfinite(number) else None for name, number in numbers.items()}


def _attribute(
    coded: CodedRows, name: str, figures: Sequence[dict[str, float | None]]
) -> dict[str, Any]:
    counts = coded.counts(name)
    known = int(counts.sum())
    return {
        "known": known,
        "unknown": len(coded.rows) - known,
        "groups": dict(zip(coded.groups[name], counts.sum(1).tolist(), strict=True)),
        "counts": counts.tolist(),
        "measures": dict(zip(MEASURES, figures, strict=False)),
        "bias": figures[-1],
    }
