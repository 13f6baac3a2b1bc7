"""A tiny copy of FairFace, with everything that real copies have wrong.

``python -m tests.layouts.fairface FOLDER`` writes one.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

HEADER = ["file", "age", "gender", "race", "service_test"]
AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
GENDERS = ("Male", "Female")
RACES = (
    "East Asian",
    "Indian",
    "Black",
    "White",
    "Middle Eastern",
    "Latino_Hispanic",
    "Southeast Asian",
)


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        rows: the cells by relative path, of images that a source keeps.
        dropped: how many rows a source sets aside, by reason.
        unreadable: the reason by relative path, of images that cannot be used.
    """

    root: Path
    rows: dict[str, list[str]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def write_fairface(
    root: Path, *, train: int = 63, val: int = 21, odd: bool = True, margin: str = ""
) -> Written:
    """Write FairFace.

    Args:
        root: its folder, made here.
        train: training images, every race, age and gender in turn; ``val`` likewise.
        val: validation images.
        odd: whether to add what real copies have wrong.
        margin: a folder between ``root`` and the images.
    """
    rng = np.random.default_rng(0)
    written = Written(root)
    for split, count in (("train", train), ("val", val)):
        (root / margin / split).mkdir(parents=True)
        rows = []
        for number in range(count):
            image = f"{split}/{number + 1}.jpg"
            race = number % len(RACES)
            pixels = 30 * race + 20 + rng.normal(0, 8, (60, 60, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / margin / image)
            age = AGES[number % len(AGES)]
            gender = GENDERS[number // 2 % 2]
            rows.append([image, age, gender, RACES[race], str(number % 3 == 0)])
            written.rows[image] = rows[-1]
        if odd and split == "train":
            (root / margin / "train/broken.jpg").write_bytes(b"")
            image = "train/ünï code.JPG"
            Image.fromarray(np.full((60, 60, 3), 90, np.uint8)).save(root / margin / image)
            rows.append([image, AGES[-1], "Female", "Indian", "False"])
            written.rows[image] = rows[-1]
            rows += [
                ["train/broken.jpg", "", "Male", "", "True"],
                ["train/not-there.jpg", "0-2", "Male", "White", "True"],
                ["train/1.jpg", "0-2", "Male", "White", "True"],
                ["../outside.jpg", "0-2", "Male", "White", "True"],
                ["/etc/hostname", "0-2", "Male", "White", "True"],
            ]
            written.rows["train/broken.jpg"] = rows[-5]
            written.unreadable["train/broken.jpg"] = "empty file"
            written.dropped = {
                "image missing": 1,
                "listed twice, kept once": 1,
                "path outside the folder of images": 2,
            }
        with (root / f"fairface_label_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])
    return written


if __name__ == "__main__":
    print(write_fairface(Path(sys.argv[1])).root)
