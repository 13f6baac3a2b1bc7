"""Tables and folders as people keep them, with everything that such collections have wrong.

``python -m tests.layouts.table FOLDER`` writes ``FOLDER/table`` and ``FOLDER/folder``.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger")
CODES = {7 - code: name for code, name in enumerate(EXPRESSIONS)}
COLUMNS = {"path": "picture", "label": "emotion", "split": "part", "subject": "person"}


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        file: the table.
        images: relative paths of the rows that a source keeps.
        dropped: how many rows a source sets aside, by reason.
        unreadable: relative paths of images that cannot be read.
    """

    root: Path
    file: Path
    images: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def write_image(path: Path, number: int, *, size: tuple[int, int] = (40, 36)) -> None:
    """A square of the expression's own colour, with noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    colour = np.array([40 + 25 * number % 200, 220 - 25 * number % 200, 90])
    pixels = colour + rng.normal(0, 10, (*size[::-1], 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def write_mask(path: Path, *, size: tuple[int, int] = (40, 36), nose: int = 2) -> np.ndarray:
    """Background above, skin below, the nose in the lower left quarter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(size[::-1], dtype=np.uint8)
    mask[size[1] // 2 :] = 1
    mask[size[1] // 2 :, : size[0] // 2] = nose
    Image.fromarray(mask).save(path)
    return mask


def rows_of(each: int = 6) -> list[dict[str, Any]]:
    """``each`` rows of every code, of six people who are in one part only."""
    parts = ("learn", "learn", "learn", "learn", "watch", "exam")
    return [
        {
            "picture": f"{code}/{number} ü.x.png",
            "emotion": code,
            "part": parts[number % 6],
            "person": f"p{number % 6}",
            "gender": ("F", "m", "Woman", "MALE", "", "female")[number % 6],
            "age_years": (5, 20, 40, 70, "", 15.9)[number % 6],
            "race": ("White", "Black", "Asian", "Middle Eastern", "", "Latinx")[number % 6],
            "glasses": ("True", "False", "")[number % 3],
            "pose": ("left", "", "right")[number % 3],
            "intensity": number / 10,
        }
        for code in CODES
        for number in range(each)
    ]


def write_table(root: Path, *, each: int = 6, odd: bool = True, suffix: str = ".csv") -> Written:
    """Write a table with columns and codes of its own; ``odd`` adds what goes wrong."""
    rows = rows_of(each)
    written = Written(root, root / f"my faces{suffix}", [row["picture"] for row in rows])
    for row in rows:
        write_image(root / row["picture"], row["emotion"])
    if odd:
        first, unlike = rows[0], {"emotion": 7, "part": "learn"}
        rows += [
            first,
            first | {"emotion": 2},
            unlike | {"picture": "../outside.png"},
            unlike | {"picture": "/etc/hostname"},
            unlike | {"picture": "gone.png"},
            unlike | {"picture": "1/high.png", "intensity": "high"},
            unlike | {"picture": "1/none.png", "emotion": 9},
            unlike | {"picture": "corrupt.png"},
            unlike | {"picture": f"{root}/absolute.png"},
        ]
        write_image(root / "absolute.png", 1)
        write_image(root / "1/high.png", 1)
        (root / "corrupt.png").write_bytes((root / "absolute.png").read_bytes()[:200])
        written.images += ["corrupt.png", "absolute.png"]
        written.unreadable = ["corrupt.png"]
        written.dropped = {
            "listed twice, kept once": 1,
            "listed again with another label, first kept": 1,
            "path outside the folder of images": 2,
            "image missing": 1,
            "malformed row": 1,
            "label 9 set aside": 1,
        }
    write_rows(written.file, rows)
    return written


def write_rows(file: Path, rows: list[dict[str, Any]]) -> Path:
    """A CSV or parquet file; parquet keeps numbers and missing values as such."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        frame = pd.DataFrame(rows)
        for name in frame:
            numbers = pd.to_numeric(frame[name], errors="coerce")
            is_number = numbers.notna() | frame[name].isna() | (frame[name].astype(str) == "")
            frame[name] = numbers if is_number.all() else frame[name].astype("str")
        frame.to_parquet(file)
        return file
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return file


def write_folder(root: Path, *, splits: tuple[str, ...] = (), each: int = 5) -> Written:
    """Write a folder per class, below ``splits`` where there are any, with what goes wrong."""
    written = Written(root, root)
    for part in splits or ("",):
        for code, name in enumerate(EXPRESSIONS):
            folder = {"happy": "Happiness", "anger": "angry", "sad": "trübe"}.get(name, name)
            for number in range(each):
                image = f"{part}/{folder}/{number}.{code}.png".removeprefix("/")
                write_image(root / image, code)
                written.images.append(image)
        own = root / part / "neutral"
        (own / "Thumbs.db").write_bytes(b"x")
        (own / "corrupt.png").write_bytes(b"no image")
        written.images.append(f"{part}/neutral/corrupt.png".removeprefix("/"))
        written.unreadable.append(written.images[-1])
        write_image(root / part / "blurred" / "1.png", 1)
    written.dropped = {"label blurred set aside": max(1, len(splits))}
    return written


if __name__ == "__main__":
    write_table(Path(sys.argv[1]) / "table")
    write_folder(Path(sys.argv[1]) / "folder")
