"""Made-up runs that were measured on the same faces, as the page of all runs compares them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from fer_lab.files import write_json
from tests.report.fabricated import CLASSES, history, predictions, write_run
from tests.report.fabricated_metrics import metrics

TWO = {"gender": ("female", "male")}
START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def write_comparable(
    folder: Path,
    *,
    number: int = 0,
    model: str = "baseline_cnn",
    split: str = "mixed",
    seed: int = 1,
    skill: float = 0.8,
    unfair: float = 0.1,
    samples: int = 300,
    classes: Sequence[str] = CLASSES,
    groups: Mapping[str, Sequence[str]] = TWO,
    settings: str = "",
    explained: bool = False,
    epochs: int = 4,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Write a finished run; all with the same samples, classes and groups share their faces.

    Args:
        folder: of the run.
        number: of the run, which starts so many hours after the first; also draws its answers.
        model: what it says its model is.
        split: whom it says it learnt from: ``mixed``, ``female`` or ``male``.
        seed: what it says its seed is.
        skill: its accuracy, about.
        unfair: how much lower the accuracy of the second gender is.
        samples: faces.
        classes: classes.
        groups: groups by attribute.
        settings: further lines of the configuration.
        explained: whether there are explanations.
        epochs: of its history.
        record: further entries of run.json.
    """
    name = f"synthetic-{split}-{model}-s{seed}"
    started = START + timedelta(hours=number)
    write_run(folder, splits=(), classes=classes, groups=groups, explained=explained, epochs=0)
    faces = predictions(np.random.default_rng(7), samples, classes, groups, collapsed=False)
    rng = np.random.default_rng(1000 + number)
    truth = faces["label"].to_numpy()
    second = faces["gender"].to_numpy() == groups["gender"][1] if "gender" in groups else False
    right = rng.random(samples) < skill - unfair * np.asarray(second)
    faces["prediction"] = np.where(right, truth, rng.choice(list(classes), size=samples))
    facts = metrics(rng, faces, "test", classes, groups)
    (folder / "predictions").mkdir(exist_ok=True)
    faces.to_parquet(folder / "predictions" / "test.parquet")
    write_json(folder / "metrics" / "test.json", facts)
    if epochs:
        history(rng, epochs, groups).to_csv(folder / "metrics" / "history.csv", index=False)
    wanted = f"[{split}]" if split in ("female", "male") else "null"
    (folder / ".hydra" / "config.yaml").write_text(
        f"dataset: {{root: null}}\nsplit: {{name: {split}, where: {{gender: {wanted}}}, "
        f"folds: null, fold: 0, match: null}}\nmodel: {{_target_: {model}}}\nname: {name}\n"
        f"seed: {seed}\n{settings}"
    )
    content = json.loads((folder / "run.json").read_text())
    choices = {**content["choices"], "split": split, "model": model}
    content |= {
        "name": name,
        "seed": seed,
        "choices": choices,
        "tags": [],
        "started": started.isoformat(),
        "ended": (started + timedelta(minutes=number + 1)).isoformat(),
        "durations": {"total": 60.0 * (number + 1)},
        "summary": {
            "test/accuracy": facts["accuracy"]["value"],
            "test/fairness/bias": facts["bias"]["value"],
            "test/worst_group_accuracy": facts["worst_group"]["accuracy"],
            "test/collapsed": float(facts["collapsed"]),
        },
    }
    write_json(folder / "run.json", content | dict(record or {}))
    return folder
