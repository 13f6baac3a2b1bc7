"""Writes runs with merged heatmaps of planted patterns, in the form that trainings leave behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lab.explain.merged import BLOCKS, Merged
from fer_lab.explain.merged_files import write_merged
from fer_lab.files import write_json

SIZE = (28, 34)
LABELS = ("happy", "sad", "surprise")
Floats = npt.NDArray[np.float32]


def pattern(*seed: int, size: tuple[int, int] = SIZE) -> Floats:
    """A smooth random map in [0, 1], ``[height, width]``."""
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    total = np.zeros_like(across)
    for x, y in rng.uniform(0.15, 0.85, (3, 2)):
        total += rng.uniform(0.5, 1) * np.exp(-((across - x) ** 2 + (down - y) ** 2) / 0.02)
    return (total / total.max()).astype(np.float32)


def planted(
    patterns: Mapping[tuple[str, str], Floats],
    *,
    images: int | Mapping[tuple[str, str], int] = 200,
    noise: float = 0.3,
    seed: int = 0,
    image_noise: int = 99,
) -> Merged:
    """Sums in blocks of images that show a cell's pattern and noise.

    Args:
        patterns: of each cell.
        images: of each cell, spread over the blocks.
        noise: of a pixel of an image.
        seed: of the half of the noise that is this model's own.
        image_noise: seed of the half that the images give to every model.
    """
    total, count = [], []
    for number, (cell, shape) in enumerate(patterns.items()):
        faces = images if isinstance(images, int) else images[cell]
        blocks = np.bincount(np.arange(faces) % BLOCKS, minlength=BLOCKS)
        own, shared = (
            np.random.default_rng([each, number]).normal(0, noise, (BLOCKS, *shape.shape))
            for each in (seed, image_noise)
        )
        spread = np.sqrt(blocks)[:, None, None] * (own + shared) / np.sqrt(2)
        total.append(blocks[:, None, None] * shape + spread)
        count.append(np.broadcast_to(blocks[:, None, None], (BLOCKS, *shape.shape)))
    return Merged(
        tuple(patterns), np.array(total, dtype=np.float32), np.array(count, dtype=np.float32)
    )


def three_way(
    strange: str = "male", weight: float = 0.8
) -> dict[str, dict[tuple[str, str], Floats]]:
    """Patterns by training set: two share them, the third has a pattern of its own mixed in."""
    base = {
        (group, label): pattern(1, number, group == "male") * 0.3 + pattern(1, number)
        for group in ("female", "male")
        for number, label in enumerate(LABELS)
    }
    other = {
        (group, label): (1 - weight) * shape + weight * pattern(2, LABELS.index(label))
        for (group, label), shape in base.items()
    }
    return {split: other if split == strange else base for split in ("female", "male", "mixed")}


def write_run(
    folder: Path,
    merged: Merged,
    *,
    trained_on: str = "mixed",
    seed: int = 1,
    split: str = "test",
    facts: Mapping[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
    config: str = "",
    ids: Sequence[str] | None = None,
) -> Path:
    """A finished run's folder with its heatmaps; returns it."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(
        f"seed: {seed}\nsplit: {{name: {trained_on}, fold: 0}}\n{config}"
    )
    write_json(
        folder / "run.json",
        {
            "name": f"{trained_on}-s{seed}",
            "task": "train",
            "status": "finished",
            "seed": seed,
            "choices": {"split": trained_on, "model": "baseline_cnn", "dataset": "synthetic"},
            "started": f"2026-03-01T10:00:{seed:02d}+00:00",
            **(record or {}),
        },
    )
    images = merged.count.sum(1).max((1, 2)).astype(int).tolist()
    write_merged(
        folder / "explanations",
        split,
        merged,
        {
            "attribute": "gender",
            "method": "gradcam",
            "layer": "features.8",
            "options": {},
            "size": list(SIZE),
            "blocks": BLOCKS,
            "images": {
                "/".join(cell): faces for cell, faces in zip(merged.cells, images, strict=True)
            },
            "faces": sum(images),
            "unusable": 2,
            "folded": 5,
            "triangles": 160,
            "folded_triangles": 6,
            **(facts or {}),
        },
    )
    if ids is not None:
        (folder / "predictions").mkdir()
        pd.DataFrame({"id": list(ids)}).to_parquet(folder / "predictions" / f"{split}.parquet")
    return folder


def write_study_runs(root: Path, seeds: Sequence[int] = (1,), **options: Any) -> list[Path]:
    """Runs trained on women, men and both; the one on men looks elsewhere."""
    return [
        write_run(
            root / f"{number}-{seed}",
            planted(patterns, seed=10 * seed + number, **options),
            trained_on=split,
            seed=seed,
            ids=[f"face/{n}" for n in range(50)],
        )
        for number, (split, patterns) in enumerate(three_way().items())
        for seed in seeds
    ]
