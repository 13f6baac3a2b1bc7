"""Tiny copies of RAF-DB in its two forms, with everything that real copies have wrong.

``python -m tests.layouts.rafdb FOLDER`` writes ``FOLDER/list`` and ``FOLDER/folders``.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.layouts.affectnet import write_image

EXPRESSIONS = {
    1: "surprise",
    2: "fear",
    3: "disgust",
    4: "happy",
    5: "sad",
    6: "anger",
    7: "neutral",
}
ATTRIBUTES = [(gender, race, age) for gender in range(3) for race in range(3) for age in range(5)]


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        labels: the expression by stem, of the faces that a source keeps.
        attributes: codes of gender, race and age by stem; others are unknown.
        dropped: how many rows a source sets aside, by reason.
        unreadable: the reason by stem, of faces whose image cannot be used.
    """

    root: Path
    labels: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def write_attributes(root: Path, stem: str, codes: tuple[int, int, int], points: int = 5) -> None:
    """The landmarks, one a line, then gender, race and age, one a line."""
    folder = root / "Annotation" / "manual"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{40.5 + n}\t{60.25 + n}" for n in range(points)] + [str(code) for code in codes]
    (folder / f"{stem}_manu_attri.txt").write_text("\r\n".join(lines) + "\r\n")


def stems(train: int, test: int) -> list[tuple[str, str, int]]:
    """Split, stem and code of ``train`` and ``test`` images of each expression."""
    found = []
    for split, count, digits in (("train", train, 5), ("test", test, 4)):
        for number in range(count * len(EXPRESSIONS)):
            code = 1 + number % len(EXPRESSIONS)
            found.append((split, f"{split}_{number + 1:0{digits}d}", code))
    return found


def write_list_form(root: Path, *, train: int = 7, test: int = 3, odd: bool = True) -> Written:
    """Write ``EmoLabel``, ``Image`` and ``Annotation``.

    Args:
        root: the folder, made here.
        train: training images of each expression.
        test: test images of each expression.
        odd: whether to add what real copies have wrong.
    """
    rng = np.random.default_rng(0)
    written = Written(root)
    lines = []
    for number, (_, stem, code) in enumerate(stems(train, test)):
        write_image(root / f"Image/aligned/{stem}_aligned.jpg", code, rng)
        write_image(root / f"Image/original/{stem}.jpg", code, rng)
        written.labels[stem] = EXPRESSIONS[code]
        written.attributes[stem] = ATTRIBUTES[number % len(ATTRIBUTES)]
        write_attributes(root, stem, written.attributes[stem])
        lines.append(f"{stem}.jpg {code}")
    if odd:
        lines += _odd_lines(written, rng)
    (root / "EmoLabel").mkdir()
    text = "\r\n".join(lines) + "\r\n\r\n"
    (root / "EmoLabel" / "list_patition_label.txt").write_text(text, encoding="utf-8")
    return written


def _odd_lines(written: Written, rng: np.random.Generator) -> list[str]:
    """Lines and files that are not as they should be, with what becomes of them."""
    root = written.root
    whole = (root / "Image/aligned/train_00001_aligned.jpg").read_bytes()
    for stem, content, reason in (
        ("train_90001", whole[: len(whole) // 2], "truncated image"),
        ("test_9002", b"", "empty file"),
    ):
        for image in (f"aligned/{stem}_aligned.jpg", f"original/{stem}.jpg"):
            (root / "Image" / image).write_bytes(content)
        written.labels[stem] = "happy"
        written.unreadable[stem] = reason
    for image in ("aligned/train_ünï 1_aligned.jpg", "original/train_ünï 1.jpg"):
        write_image(root / "Image" / image, 4, rng)
    written.labels["train_ünï 1"] = "happy"
    write_attributes(root, "train_90001", (0, 0, 0), points=4)
    written.dropped = {
        "attribute file missing, face kept": 2,
        "attribute file malformed, face kept": 1,
        "listed twice, kept once": 1,
        "image missing": 1,
        "path outside the folder of images": 3,
        "malformed row": 1,
        "name begins with neither train nor test": 1,
    }
    return [
        "train_90001.jpg 4",
        "test_9002.jpg 4",
        "  train_ünï 1.jpg\t4",
        "train_00001.jpg 1",
        "train_90003.jpg 2",
        "/etc/train_1.jpg 3",
        "train_/../../x.jpg 3",
        "..\\train_2.jpg 3",
        "train_90004.jpg",
        "photo_1.jpg 5",
    ]


def write_folders_form(
    root: Path, *, train: int = 7, test: int = 3, odd: bool = True, lists: bool = True
) -> Written:
    """Write ``DATASET/{train,test}/1..7`` and the lists beside ``DATASET``.

    Args:
        root: the folder, made here.
        train: training images of each expression.
        test: test images of each expression.
        odd: whether to add what real copies have wrong.
        lists: whether to write the lists.
    """
    rng = np.random.default_rng(1)
    written = Written(root)
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for split, stem, code in stems(train, test):
        write_image(root / f"DATASET/{split}/{code}/{stem}_aligned.jpg", code, rng)
        written.labels[stem] = EXPRESSIONS[code]
        rows[split].append((f"{stem}_aligned.jpg", str(code)))
    if odd:
        folder = root / "DATASET" / "train"
        (folder / "1" / "Thumbs.db").write_bytes(b"no image")
        (folder / ".ipynb_checkpoints").mkdir()
        write_image(folder / ".ipynb_checkpoints" / "train_00001_aligned.jpg", 1, rng)
        (folder / "2" / "train_90001_aligned.jpg").write_bytes(b"")
        written.labels["train_90001"] = "fear"
        written.unreadable["train_90001"] = "empty file"
        write_image(folder / "3" / "train_90002_aligned.jpg", 3, rng)
        write_image(folder / "3" / "train_90003_aligned.jpg", 3, rng)
        rows["train"] += [
            ("train_90001_aligned.jpg", "2"),
            ("train_90002_aligned.jpg", "4"),
            ("train_90004_aligned.jpg", "4"),
            ("train_90001_aligned.jpg", "2"),
            ("../1/train_00001_aligned.jpg", "1"),
        ]
        written.dropped = {
            "list and folder disagree": 1,
            "image not in its list": 1,
            "image missing": 1,
            "listed twice, kept once": 1,
            "path outside the folder of images": 1,
        }
    if lists:
        for split, listed in rows.items():
            with (root / f"{split}_labels.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("image", "label"), *listed])
    return written


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(write_list_form(target / "list").root)
    print(write_folders_form(target / "folders").root)
