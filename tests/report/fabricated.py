"""Writes a whole run folder of made-up facts, in the form that runs leave behind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lab.data.vocabulary import AGE_GROUPS, EXPRESSIONS, GENDERS, RACES, REGIONS
from fer_lab.files import write_json

CLASSES = EXPRESSIONS[:7]
GROUPS: dict[str, tuple[str, ...]] = {"gender": GENDERS, "age": AGE_GROUPS, "race": RACES}
SOURCES = {"gender": ("synthetic", False), "age": ("synthetic", False), "race": ("fairface", True)}
METRICS = ("equalized_odds", "equal_opportunity", "demographic_parity", "treatment_equality")
MIN_COUNT = 30

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def write_run(
    folder: Path,
    *,
    classes: Sequence[str] = CLASSES,
    groups: Mapping[str, Sequence[str]] = GROUPS,
    splits: Sequence[str] = ("val", "test"),
    samples: int = 1500,
    explained: bool = True,
    epochs: int = 8,
    collapsed: bool = False,
    seed: int = 1,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Write the folder; ``record`` overrides entries of run.json."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    summary: dict[str, float | None] = {}
    for split in splits:
        faces = predictions(rng, samples, classes, groups, collapsed)
        (folder / "predictions").mkdir(exist_ok=True)
        faces.to_parquet(folder / "predictions" / f"{split}.parquet")
        facts = metrics(rng, faces, split, classes, groups)
        write_json(folder / "metrics" / f"{split}.json", facts)
        summary |= {
            "accuracy": facts["accuracy"]["value"],
            "fairness/bias": facts["bias"]["value"],
            "worst_group_accuracy": facts["worst_group"]["accuracy"],
        }
    if epochs:
        (folder / "metrics").mkdir(exist_ok=True)
        history(rng, epochs, groups).to_csv(folder / "metrics" / "history.csv", index=False)
    if explained:
        explanations(rng, folder / "explanations", groups)
    _configuration(folder)
    write_json(folder / "run.json", _record(classes, groups, samples, summary) | dict(record or {}))
    return folder


def predictions(
    rng: np.random.Generator,
    samples: int,
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    collapsed: bool,
) -> pd.DataFrame:
    """Faces whose last group of every attribute is recognised less well, as sad or second class."""
    label = rng.integers(len(classes), size=samples)
    columns: dict[str, Any] = {}
    accuracy = np.full(samples, 0.9) - 0.06 * (label % 3)
    for attribute, names in groups.items():
        share = np.linspace(2, 1, len(names))
        group = rng.choice(len(names), size=samples, p=share / share.sum())
        accuracy -= 0.1 * (group == len(names) - 1)
        values = np.array([*names, "unknown"], dtype=object)[
            np.where(rng.random(samples) < 0.02, len(names), group)
        ]
        columns[attribute] = values
    wrong = np.where(
        rng.random(samples) < 0.5, min(2, len(classes) - 1), (label + 1) % len(classes)
    )
    guess = np.where(rng.random(samples) < accuracy, label, wrong)
    if collapsed:
        guess = np.zeros_like(guess)
    logits = rng.normal(size=(samples, len(classes)))
    logits[np.arange(samples), guess] = logits.max(1) + rng.exponential(2, samples)
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    names = np.array(classes, dtype=object)
    frame = pd.DataFrame(
        {
            "id": [f"synthetic/{i:05d}" for i in range(samples)],
            "dataset": "synthetic",
            "label": names[label],
            "prediction": names[guess],
            **{f"prob_{name}": share[:, i].astype(np.float32) for i, name in enumerate(classes)},
            **columns,
        }
    )
    frame["fold"] = pd.array([pd.NA] * samples, dtype="Int64")
    return frame


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


def history(
    rng: np.random.Generator, epochs: int, groups: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Curves that fall and rise as they do."""
    epoch = np.arange(epochs)
    learnt = 1 - np.exp(-(epoch + 1) / 3)

    def curve(start: float, end: float) -> Floats:
        noisy: Floats = start + (end - start) * learnt + rng.normal(0, 0.01, epochs)
        return noisy

    columns = {
        "epoch": epoch,
        "train/loss": curve(1.9, 0.3),
        "train/accuracy": curve(0.2, 0.95),
        "val/loss": curve(1.9, 0.45),
        "val/accuracy": curve(0.2, 0.88),
        "val/mean_class_accuracy": curve(0.2, 0.87),
        "val/worst_group_accuracy": curve(0.1, 0.74),
        "val/fairness/bias": curve(0.3, 0.14),
    }
    columns |= {
        f"val/fairness/{name}/bias": curve(0.35, 0.1 + 0.04 * i) for i, name in enumerate(groups)
    }
    return pd.DataFrame(columns)


def explanations(
    rng: np.random.Generator, folder: Path, groups: Mapping[str, Sequence[str]], faces: int = 120
) -> None:
    """A model that looks at the mouth, and at the brows of one group; few wear hat or necklace."""
    folder.mkdir(parents=True, exist_ok=True)
    weight = {"mouth": 2.4, "u_lip": 2.2, "l_lip": 2.0, "l_brow": 1.7, "r_brow": 1.6, "nose": 1.2}
    rare = {"eye_g": 0.3, "hat": 0.1, "neck_l": 0.0, "ear_r": 0.2, "mouth": 0.6}
    members = {
        attribute: rng.choice(list(names), size=faces) for attribute, names in groups.items()
    }
    attribute, first = next((attribute, names[0]) for attribute, names in groups.items())
    rows = []
    for face in range(faces):
        heat = rng.uniform(0.2, 0.4)
        for region in REGIONS:
            if rng.random() >= rare.get(region, 1.0):
                continue
            lift = weight.get(region, 0.5 if region == "background" else 0.8)
            lift *= rng.uniform(0.8, 1.2) * (1.3 if members[attribute][face] == first else 1.0)
            area = 0.3 if region in ("background", "skin") else 0.02
            rows.append(
                {
                    "id": f"synthetic/{face:05d}",
                    "region": region,
                    "ior": min(1.0, lift * heat),
                    "ior_above_mean": min(1.0, lift * heat * 0.9),
                    "area": area,
                    "share": min(1.0, area * lift),
                    "lift": lift,
                }
            )
    tidy = pd.DataFrame(rows)
    tidy.to_parquet(folder / "region_ior.parquet")
    measures = ["ior", "ior_above_mean", "lift", "share", "area"]

    def means(part: pd.DataFrame, columns: list[str]) -> dict[str, Any]:
        table = part.groupby("region")[columns].mean().reindex(list(REGIONS))
        present = part.groupby("region").size().reindex(list(REGIONS), fill_value=0)
        return {
            region: {
                **{
                    c: None if np.isnan(table.loc[region, c]) else float(table.loc[region, c])
                    for c in columns
                },
                "present": int(present[region]),
            }
            for region in REGIONS
        }

    face_of = tidy["id"].str[-5:].astype(int).to_numpy()
    by_group = {
        attribute: {
            name: means(tidy[members[attribute][face_of] == name], ["ior", "lift"])
            for name in names
        }
        for attribute, names in groups.items()
    }
    write_json(
        folder / "summary.json",
        {
            "split": "test",
            "method": "hirescam",
            "layer": "features.8",
            "grid": [16, 16],
            "target": "predicted",
            "samples": faces,
            "all_zero_maps": 3,
            "regions": means(tidy, measures),
            "by_group": by_group,
        },
    )
    patches: dict[str, npt.NDArray[Any]] = {}
    for region in REGIONS:
        k = 0 if region == "neck_l" else 3 if region == "hat" else 20
        tone = rng.integers(60, 200, size=(k, 1, 1, 3))
        ramp = np.linspace(-40, 40, 16)[None, :, None, None]
        image = np.clip(tone + ramp + rng.normal(0, 12, (k, 16, 16, 3)), 0, 255)
        patches |= {
            f"{region}/image": image.astype(np.uint8),
            f"{region}/score": np.sort(rng.random(k).astype(np.float32))[::-1],
            f"{region}/id": np.array([f"synthetic/{i:05d}" for i in range(k)], dtype=np.str_),
            f"{region}/position": rng.integers(0, 4, size=(k, 2)) * 16,
        }
    np.savez(folder / "patches.npz", **patches)  # type: ignore[arg-type]


def _configuration(folder: Path) -> None:
    (folder / ".hydra").mkdir(exist_ok=True)
    (folder / ".hydra" / "config.yaml").write_text(
        "dataset:\n  root: null\nsplit: {name: female}\nmodel:\n"
        "  _target_: tests.report.tiny_model.TinyModel\n  num_classes: 7\n"
        "trainer:\n  max_epochs: 8\nname: ${hydra:job.name}\n",
        encoding="utf-8",
    )


def _record(
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    samples: int,
    summary: Mapping[str, float | None],
) -> dict[str, Any]:
    started = datetime.fromisoformat("2026-03-01T10:00:00+00:00")
    return {
        "name": "synthetic-female-baseline_cnn-s1",
        "task": "train",
        "status": "finished",
        "error": None,
        "seed": 1,
        "choices": {
            "dataset": "synthetic",
            "split": "female",
            "test_split": "mixed",
            "model": "baseline_cnn",
            "mitigation": "none",
        },
        "tags": ["first", "try"],
        "notes": "The default run.",
        "command": "fer-lab train split=female",
        "versions": {"fer_lab": "0.1.0", "python": "3.11.2", "torch": "2.14.1"},
        "git": {"commit": "0123456789abcdef", "dirty": True},
        "fingerprint": "89abcdef01234567",
        "pid": 1,
        "host": "elsewhere",
        "started": started.isoformat(),
        "ended": (started + timedelta(seconds=131)).isoformat(),
        "durations": {"data": 12.5, "fit": 101.0, "test": 17.5, "total": 131.0},
        "images_per_second": 431.2,
        "data": {
            "train": 5400,
            "val": samples,
            "test": samples,
            "dropped": {"unreadable image": 3, "no gender label": 12},
        },
        "wandb": {"id": "a1b2c3d4", "mode": "offline", "path": "wandb/offline-run-a1b2c3d4"},
        "classes": list(classes),
        "groups": {attribute: list(names) for attribute, names in groups.items()},
        "summary": json.loads(json.dumps(summary)),
    }
