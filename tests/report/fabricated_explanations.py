"""Made-up facts of explanations: regions, faithfulness, differences, patches, merged heatmaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lab.data.vocabulary import INTENSITY_RANKS, REGIONS
from fer_lab.explain.attribute_differences import attribute_differences
from fer_lab.explain.intensity import validate
from fer_lab.explain.merged import Merged
from fer_lab.explain.merged_files import write_merged
from fer_lab.files import write_json


def explanations(
    rng: np.random.Generator,
    folder: Path,
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    faces: int = 120,
) -> None:
    """A model that looks at the mouth, and at the brows of one group; few wear hat or necklace."""
    folder.mkdir(parents=True, exist_ok=True)
    weight = {"mouth": 2.4, "u_lip": 2.2, "l_lip": 2.0, "l_brow": 1.7, "r_brow": 1.6, "nose": 1.2}
    rare = {"eye_g": 0.3, "hat": 0.1, "neck_l": 0.0, "ear_r": 0.2, "mouth": 0.6}
    members = {
        attribute: rng.choice(list(names), size=faces) for attribute, names in groups.items()
    }
    attribute, first = next((attribute, names[0]) for attribute, names in groups.items())
    label, prediction = rng.choice(list(classes), size=faces), rng.choice(list(classes), size=faces)
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
        return {
            str(region): {
                **{column: float(faces_with[column].mean()) for column in columns},
                "present": len(faces_with),
            }
            for region, faces_with in part.groupby("region")
        }

    face_of = tidy["id"].str[-5:].astype(int).to_numpy()
    by_group = {
        attribute: {
            name: means(tidy[members[attribute][face_of] == name], ["ior", "lift"])
            for name in names
        }
        for attribute, names in groups.items()
    }
    by_class = {
        key: {name: means(tidy[names[face_of] == name], ["ior", "lift"]) for name in classes}
        for key, names in (("by_label", label), ("by_prediction", prediction))
    }
    ids = [f"synthetic/{face:05d}" for face in range(faces)]
    attribute_differences(tidy, pd.DataFrame(members, index=ids), samples=600).to_parquet(
        folder / "group_differences.parquet"
    )
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
            **by_class,
            "region_source": {
                "synthetic": {
                    "source": "landmarks",
                    "faces": faces,
                    "covered": faces - 2,
                    "reasons": {"landmarks": "landmarks of 118 faces"},
                }
            },
            "random_model": {
                "samples": 40,
                "regions": means(tidy.assign(lift=tidy["lift"] ** 0.3, ior=0.3), ["ior", "lift"]),
            },
            "faithfulness": faithfulness(rng),
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
    merged_heatmaps(rng, folder, "test", attribute, groups[attribute], classes)
    intensity(rng, folder, classes)


def faithfulness(rng: np.random.Generator, samples: int = 200) -> dict[str, Any]:
    """Deletion clearly better than at random, insertion not, weights that hardly matter."""
    share = np.linspace(0, 1, 21)

    def curve(start: float, end: float, speed: float, **gain: float) -> dict[str, Any]:
        own, beside = (
            end + (start - end) * (np.exp(-rate * share) - np.exp(-rate)) / (1 - np.exp(-rate))
            for rate in (speed, 2.5)
        )
        area, random_area = (float(np.trapezoid(each, share)) for each in (own, beside))
        value = random_area - area if start > end else area - random_area
        return {
            "share": share.tolist(),
            "probability": own.tolist(),
            "random_probability": beside.tolist(),
            "area": area,
            "random_area": random_area,
            "gain": {key: value + by for key, by in {"value": 0.0, **gain}.items()},
        }

    return {
        "samples": samples,
        "baseline": "blur",
        "steps": 20,
        "level": 0.95,
        "deletion": curve(0.93, 0.11, 9.0, low=-0.04, high=0.05),
        "insertion": curve(0.11, 0.93, 2.7, low=-0.03, high=0.04),
        "ablation": {
            "samples": samples - 3,
            "drop": 0.223,
            "random_drop": 0.081,
            "gain": {"value": 0.142, "low": 0.093, "high": 0.191},
            "regions": {"mouth": 120, "l_brow": 77},
        },
        "randomisation": {
            "modules": ["classifier.1", *(f"features.{i}" for i in range(9, 0, -1))],
            "correlation": [0.81, 0.62, 0.4, None, 0.3, 0.22, 0.17, 0.15, 0.12, 0.117],
            "chance": 0.003,
            "left": {"value": 0.117, "low": 0.064, "high": 0.166},
        },
    }


def merged_heatmaps(
    rng: np.random.Generator,
    folder: Path,
    split: str,
    attribute: str,
    groups: Sequence[str],
    classes: Sequence[str],
    size: tuple[int, int] = (56, 69),
) -> None:
    """Heat at the mouth, to the left in the last group; no face in the last cell."""
    cells = tuple((group, expression) for group in groups for expression in classes)
    y, x = np.mgrid[: size[1], : size[0]] / np.array(size[::-1])[:, None, None]
    blocks = 4
    count = np.full((len(cells), blocks, size[1], size[0]), 3, dtype=np.float32)
    count[-1] = 0
    mean = np.zeros_like(count)
    for position, (group, _) in enumerate(cells):
        middle = 0.35 if group == groups[-1] else 0.5
        spot = np.exp(-(((x - middle) / 0.16) ** 2) - ((y - 0.72) / 0.09) ** 2)
        mean[position] = 0.15 + 0.6 * spot + rng.normal(0, 0.01, (blocks, 1, 1))
    images = dict.fromkeys(map("/".join, cells), 12) | {"/".join(cells[-1]): 0}
    facts = {
        "attribute": attribute,
        "method": "hirescam",
        "layer": "features.8",
        "options": {},
        "size": list(size),
        "blocks": blocks,
        "images": images,
        "faces": sum(images.values()),
        "unusable": 5,
        "folded": 11,
        "triangles": 167,
        "folded_triangles": 23,
    }
    write_merged(folder, split, Merged(cells, mean * count, count), facts)


def intensity(
    rng: np.random.Generator,
    folder: Path,
    classes: Sequence[str],
    *,
    truth: str | None = "synthetic",
    faces: int = 600,
) -> dict[str, Any]:
    """Ranks that say little, ranks that say one thing only, and ranks that say much."""
    shown = rng.choice([name for name in classes if name != "neutral"], size=faces).tolist()
    actual = rng.integers(3, size=faces)
    guess = {
        "counts_signed": rng.choice(3, size=faces, p=[0.3, 0.6, 0.1]),
        "counts_positive": (rng.random(faces) < 0.01).astype(int),
        "neutral_margin": np.clip(actual + rng.choice([-1, 0, 0, 0, 1], size=faces), 0, 2),
    }
    known = [INTENSITY_RANKS[i] if truth else None for i in actual]
    facts = {
        "split": "test",
        "composite": "epsilon_plus_flat",
        "rule": "counts",
        "samples": faces,
        "left_out": {"neutral": 103, "wrong": 88},
        "truth": truth,
        "calibrated_on": "val",
        "estimators": {
            key: validate([INTENSITY_RANKS[i] for i in codes], known, shown)
            for key, codes in guess.items()
        },
        "spearman": {
            key: {name: level + rng.normal(0, 0.05) for name in dict.fromkeys(shown)}
            for key, level in zip(guess, (0.21, 0.02, 0.74), strict=True)
        }
        if truth == "synthetic"
        else {},
    }
    write_json(folder / "intensity.json", facts)
    return facts
