"""Made-up ``metrics/<split>.json``: what made-up predictions amount to, by plain numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

SOURCES = {"gender": ("synthetic", False), "age": ("synthetic", False), "race": ("fairface", True)}
METRICS = ("equalized_odds", "equal_opportunity", "demographic_parity", "treatment_equality")
MIN_COUNT = 30

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def metrics(
    rng: np.random.Generator,
    faces: pd.DataFrame,
    split: str,
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """The facts of one split; intervals and nulls from a few dozen draws."""
    label, guess = (
        pd.Categorical(faces[column], categories=list(classes)).codes.astype(np.int64)
        for column in ("label", "prediction")
    )
    codes = {
        attribute: pd.Categorical(faces[attribute], categories=[*names, "unknown"]).codes
        for attribute, names in groups.items()
    }
    n = len(classes)
    whole = tabulate(np.zeros_like(label), label, guess, 1, n)[0]
    attributes: dict[str, Any] = {}
    for attribute, names in groups.items():
        group = codes[attribute].astype(np.int64)
        table = tabulate(group, label, guess, len(names) + 1, n)
        attributes[attribute] = _attribute(rng, table, group, label, guess, names, classes)
        source, inferred = SOURCES.get(attribute, ("annotated", False))
        attributes[attribute] |= {"source": source, "inferred": inferred}
    worst = min(
        ({"attribute": a, **part["worst_group"]} for a, part in attributes.items()),
        key=lambda entry: entry["accuracy"],
    )
    first, second = next(iter(groups)), list(groups)[-1]
    pairs = faces[(faces[first] != "unknown") & (faces[second] != "unknown")]
    hit = (pairs["label"] == pairs["prediction"]).groupby([pairs[first], pairs[second]])
    crossed = {
        f"{a}×{b}": {"count": int(size), "accuracy": float(share)}
        for (a, b), size, share in zip(hit.size().index, hit.size(), hit.mean(), strict=True)
    }
    lowest = min(crossed, key=lambda key: crossed[key]["accuracy"])
    return {
        "split": split,
        "samples": len(faces),
        "classes": list(classes),
        "collapsed": len(set(guess)) <= 2,
        "min_count": MIN_COUNT,
        "level": 0.95,
        "resamples": 40,
        "accuracy": _share(np.trace(whole), whole.sum()),
        "mean_class_accuracy": _share(float(np.mean(_recall(whole))) * whole.sum(), whole.sum()),
        "f1_macro": _share(float(np.mean(_f1(whole))) * whole.sum(), whole.sum()),
        "f1_weighted": _share(float(_f1(whole) @ whole.sum(1)), whole.sum()),
        "per_class": {
            name: {
                "precision": _or_none(whole[i, i], whole[:, i].sum()),
                "recall": _or_none(whole[i, i], whole[i].sum()),
                "f1": float(_f1(whole)[i]),
                "count": int(whole[i].sum()),
            }
            for i, name in enumerate(classes)
        },
        "confusion": whole.tolist(),
        "worst_group": worst,
        "attributes": attributes,
        "intersections": {
            f"{first}×{second}": {
                "groups": crossed,
                "worst_group": {"group": lowest, **crossed[lowest]},
            }
        },
        "bias": _mean([part["bias"] for part in attributes.values()]),
    }


def tabulate(group: Counts, label: Counts, guess: Counts, k: int, n: int) -> Counts:
    """The group confusion [k, n, n]."""
    flat = (group * n + label) * n + guess
    return np.bincount(flat, minlength=k * n * n).reshape(k, n, n)


def gaps(table: Counts) -> dict[str, Floats]:
    """Per metric the range over groups, per expression; NaN where fewer than two have the rate."""
    total = table.sum((1, 2))[:, None]
    hit = np.diagonal(table, axis1=1, axis2=2)
    positive, called = table.sum(2), table.sum(1)
    missed, false = positive - hit, called - hit

    def gap(part: Counts, whole: Counts) -> Floats:
        rate = np.where(whole >= MIN_COUNT, part / np.maximum(whole, 1), np.nan)
        enough = (~np.isnan(rate)).sum(0) >= 2
        low, high = np.nan_to_num(rate, nan=np.inf).min(0), np.nan_to_num(rate, nan=-np.inf).max(0)
        return np.where(enough, high - low, np.nan)

    recall = gap(hit, positive)
    return {
        "equalized_odds": np.fmax(recall, gap(false, total - positive)),
        "equal_opportunity": recall,
        "demographic_parity": gap(called, np.broadcast_to(total, called.shape)),
        "treatment_equality": gap(missed, missed + false),
    }


def _attribute(
    rng: np.random.Generator,
    table: Counts,
    group: Counts,
    label: Counts,
    guess: Counts,
    names: Sequence[str],
    classes: Sequence[str],
) -> dict[str, Any]:
    k, n = len(names), len(classes)
    found = gaps(table[:k])
    shuffled, resampled = [], []
    for _ in range(40):
        order = np.lexsort((rng.random(len(label)), label))
        permuted = np.empty_like(group)
        permuted[np.argsort(label, kind="stable")] = group[order]
        shuffled.append(gaps(tabulate(permuted, label, guess, k + 1, n)[:k]))
        rows = rng.integers(len(label), size=len(label))
        resampled.append(gaps(tabulate(group[rows], label[rows], guess[rows], k + 1, n)[:k]))
    few = [
        {"group": names[g], "expression": classes[c], "count": int(table[g, c].sum())}
        for g in range(k)
        for c in range(n)
        if table[g, c].sum() < MIN_COUNT
    ]
    measured = {
        metric: {
            **_gap(
                _largest(found[metric]),
                [_largest(draw[metric]) for draw in shuffled],
                [_largest(draw[metric]) for draw in resampled],
            ),
            "per_expression": {
                name: None if np.isnan(v) else float(v)
                for name, v in zip(classes, found[metric], strict=True)
            },
            "left_out": [] if metric == "demographic_parity" else few,
        }
        for metric in METRICS
    }
    parts = {}
    for g, name in enumerate((*names, "unknown")):
        if name == "unknown" and not table[g].sum():
            continue
        parts[name] = {
            "count": int(table[g].sum()),
            "accuracy": _share(np.trace(table[g]), table[g].sum()),
            "f1_macro": float(np.mean(_f1(table[g]))),
            "f1_weighted": float(np.mean(_f1(table[g]))),
            "confusion": table[g].tolist(),
        }
    large = {name: parts[name] for name in names if parts[name]["count"] >= MIN_COUNT} or parts
    worst = min(large, key=lambda name: large[name]["accuracy"]["value"] or 0)
    per_expression = measured["demographic_parity"]["per_expression"]
    difference = {
        "value": measured["demographic_parity"]["value"],
        "per_expression": per_expression,
    }
    return {
        "groups": parts,
        "metrics": measured,
        "dpd": difference,
        "eod": difference,
        "bias": _mean(list(measured.values())),
        "worst_group": {
            "group": worst,
            "accuracy": parts[worst]["accuracy"]["value"],
            "count": parts[worst]["count"],
        },
    }


def _gap(value: float | None, null: list[Any], draws: list[Any]) -> dict[str, Any]:
    names = ("value", "low", "high", "null_mean", "null_p95", "p", "excess")
    chance = np.array([draw for draw in null if draw is not None])
    again = np.array([draw for draw in draws if draw is not None])
    if value is None or not len(chance) or not len(again):
        return dict.fromkeys(names)
    low, high = 2 * value - np.quantile(again, [0.975, 0.025])
    p = (1 + (chance >= value).sum()) / (1 + len(chance))
    low, high = max(0.0, min(low, value)), min(1.0, max(high, value))
    numbers = (value, low, high, chance.mean(), np.quantile(chance, 0.95), p, value - chance.mean())
    return dict(zip(names, map(float, numbers), strict=True))


def _largest(values: Floats) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmax(values))


def _mean(parts: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("value", "low", "high", "null_mean", "null_p95", "p", "excess")
    columns = {name: [part[name] for part in parts if part[name] is not None] for name in names}
    return {name: float(np.mean(column)) if column else None for name, column in columns.items()}


def _share(hits: float, total: int) -> dict[str, float | None]:
    if not total:
        return {"value": None, "low": None, "high": None}
    value = float(hits / total)
    half = 1.96 * (value * (1 - value) / total) ** 0.5
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half)}


def _or_none(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _recall(table: Counts) -> Floats:
    recall: Floats = np.diagonal(table) / np.maximum(table.sum(1), 1)
    return recall


def _f1(table: Counts) -> Floats:
    f1: Floats = 2 * np.diagonal(table) / np.maximum(table.sum(0) + table.sum(1), 1)
    return f1
