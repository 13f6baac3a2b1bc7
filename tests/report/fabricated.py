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
from tests.report.fabricated_explanations import explanations
from tests.report.fabricated_metrics import metrics

CLASSES = EXPRESSIONS[:7]
GROUPS: dict[str, tuple[str, ...]] = {"gender": GENDERS, "age": AGE_GROUPS, "race": RACES}
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
            f"{split}/accuracy": facts["accuracy"]["value"],
            f"{split}/fairness/bias": facts["bias"]["value"],
            f"{split}/worst_group_accuracy": facts["worst_group"]["accuracy"],
        }
    if epochs:
        (folder / "metrics").mkdir(exist_ok=True)
        history(rng, epochs, groups).to_csv(folder / "metrics" / "history.csv", index=False)
    if explained:
        explanations(rng, folder / "explanations", classes, groups)
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
    columns |= {f"val/lift/{region}": curve(1.0, 2.5 - i / 5) for i, region in enumerate(REGIONS)}
    return pd.DataFrame(columns)


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
