"""Tiny copies of FER2013 in its two forms, and of FER+, with what real copies have wrong.

``python -m tests.layouts.fer2013 FOLDER`` writes ``FOLDER/csv`` and ``FOLDER/folders``.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

EXPRESSIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FOLDERS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "sad": "sad",
    "surprise": "surprise",
    "neutral": "neutral",
}
USAGES = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
SIDE = 48


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        pixels: of every row of the CSV file, uint8 ``[N, 48, 48]``; black where it has none.
        labels: the expression by id, of the faces that a source keeps.
        splits: by id.
        dropped: how many rows a source sets aside, by reason.
        unreadable: the reason by id, of faces whose image cannot be used.
    """

    root: Path
    pixels: np.ndarray = field(default_factory=lambda: np.empty((0, SIDE, SIDE), np.uint8))
    labels: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def face(code: int, rng: np.random.Generator) -> np.ndarray:
    """Noise over a grey that goes with the expression."""
    grey = 30 + 28 * code + rng.normal(0, 9, (SIDE, SIDE))
    return grey.clip(0, 255).astype(np.uint8)


def cell(pixels: np.ndarray) -> str:
    """An image as a cell of the file."""
    return " ".join(map(str, pixels.ravel().tolist()))


def write_csv_form(
    root: Path, *, train: int = 4, test: int = 2, odd: bool = True, votes: bool = True
) -> Written:
    """Write ``fer2013.csv``, and FER+'s file beside it.

    Args:
        root: the folder, made here.
        train: training faces of each expression.
        test: public and private test faces of each expression, each.
        odd: whether to add rows that have no face.
        votes: whether to write FER+'s file: eight of ten voters agree with the label, one says
            contempt and one unknown.
    """
    rng = np.random.default_rng(0)
    written = Written(root)
    rows: list[tuple[str, str, str]] = []
    pixels: list[np.ndarray] = []
    for usage, split in USAGES.items():
        for number in range((train if split == "train" else test) * len(EXPRESSIONS)):
            code = number % len(EXPRESSIONS)
            identity = f"fer2013/{len(rows)}"
            written.labels[identity], written.splits[identity] = EXPRESSIONS[code], split
            pixels.append(face(code, rng))
            rows.append((str(code), cell(pixels[-1]), usage))
        if odd and split == "train":
            whole = cell(face(0, rng))
            short, word = whole.rpartition(" ")[0], whole.rpartition(" ")[0] + " grey"
            too_bright = "256 " + whole.partition(" ")[2]
            for wrong in ("", short, f"{whole} 7", word, too_bright, "0.5 " + short):
                rows.append(("3", wrong, usage))
                pixels.append(np.zeros((SIDE, SIDE), np.uint8))
            written.dropped = {"pixels are not 48 × 48 grey values": 6}
    written.pixels = np.stack(pixels)
    root.mkdir(parents=True, exist_ok=True)
    with (root / "fer2013.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("emotion", "pixels", "Usage"), *rows])
    if votes:
        words = {"happy": "happiness", "sad": "sadness"}
        voted = []
        for number, (code, _, usage) in enumerate(rows):
            label = EXPRESSIONS[int(code)]
            counts = dict.fromkeys(VOTES, 0) | {"contempt": 1, "unknown": 1}
            counts[words.get(label, label)] = 8
            voted.append((usage, f"fer{number:07d}.png", *counts.values()))
        write_votes(root / "fer2013new.csv", voted)
    return written


def write_votes(path: Path, rows: list[tuple[object, ...]]) -> None:
    """FER+'s file: usage, name of the image, and ten numbers of votes in each row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("Usage", "Image name", *VOTES), *rows])


def write_folders_form(root: Path, *, train: int = 4, test: int = 2, odd: bool = True) -> Written:
    """Write ``{train,test}/<name>/``, ``train`` and ``test`` grey images of each expression."""
    rng = np.random.default_rng(1)
    written = Written(root)
    for split, count in (("train", train), ("test", test)):
        for name, label in FOLDERS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                file = f"{split.title()}ing_{number}.{'jpg' if number % 2 else 'png'}"
                Image.fromarray(face(EXPRESSIONS.index(label), rng)).save(folder / file)
                identity = f"fer2013/{split}/{name}/{file}"
                written.labels[identity], written.splits[identity] = label, split
    if odd:
        folder = root / "train" / "happy"
        (folder / ".DS_Store").write_bytes(b"no image")
        (folder / "read me.txt").write_text("no image")
        (folder / "loop").symlink_to(folder / "loop")
        (folder / "damaged.PNG").write_bytes(b"\x89PNG\r\n\x1a\n")
        identity = "fer2013/train/happy/damaged.PNG"
        written.labels[identity], written.splits[identity] = "happy", "train"
        written.unreadable[identity] = "not an image"
    return written


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(write_csv_form(target / "csv").root)
    print(write_folders_form(target / "folders").root)
