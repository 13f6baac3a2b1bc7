"""Tiny copies of AffectNet's two releases, with everything that real copies have wrong.

``python -m tests.layouts.affectnet FOLDER`` writes ``FOLDER/csv`` and ``FOLDER/npy``.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

CODES = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
HEADER = [
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
]
SPLITS = {"training.csv": "train", "validation.csv": "test"}
SETS = {"train_set": "train", "val_set": "test"}
IMAGE_SIZE = (120, 100)  # width, height
BOX = (30, 20, 60, 64)


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        images: relative paths of the rows that a source keeps, by split.
        genders: by relative path, female or male (others are unknown).
        dropped: how many rows a source sets aside, by reason.
        unreadable: the reason by relative path, of rows whose image cannot be used.
        gender_labels: the label files.
    """

    root: Path
    images: dict[str, list[str]] = field(default_factory=lambda: {"train": [], "test": []})
    genders: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    gender_labels: list[Path] = field(default_factory=list)


def landmarks(code: int) -> np.ndarray:
    """68 points inside the box, a little different for every code."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    x = BOX[0] + BOX[2] / 2 + (20 + code) * np.cos(angle)
    y = BOX[1] + BOX[3] / 2 + (20 + code) * np.sin(angle)
    return np.stack([x, y], axis=1).round(2)


def write_image(path: Path, code: int, rng: np.random.Generator) -> None:
    """A photograph of nobody: noise over a colour that goes with the expression."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = IMAGE_SIZE
    colour = np.array([40 + 22 * code, 220 - 20 * code, 60 + 90 * (code % 3)])
    pixels = colour + rng.normal(0, 12, (height, width, 3))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    image.save(path, format="PNG" if path.suffix == ".png" else "JPEG", quality=90)


def write_csv_release(
    root: Path, *, train: int = 4, test: int = 2, odd: bool = True, lists_folder: bool = True
) -> Written:
    """Write the CSV release.

    Args:
        root: its folder, made here.
        train: training images of each expression and gender.
        test: validation images of each expression and gender.
        odd: whether to add what real copies have wrong, and labels of no expression.
        lists_folder: whether the lists have a folder of their own.
    """
    rng = np.random.default_rng(0)
    written = Written(root)
    images = root / "Manually_Annotated_Images"
    lists = root / "Manually_Annotated_file_lists" if lists_folder else root
    lists.mkdir(parents=True)
    labels: list[tuple[str, str, str]] = []
    for name, split in SPLITS.items():
        rows = [HEADER]
        for code, expression in enumerate(CODES):
            for number in range(2 * (train if split == "train" else test)):
                image = f"{100 + code}/{split}{number:03d}{expression[:2]}.jpg"
                write_image(images / image, code, rng)
                rows.append(row(image, code))
                written.images[split].append(image)
                written.genders[image] = ("female", "male")[number % 2]
                labels.append((image, "FM"[number % 2], ""))
        if odd and split == "train":
            rows += _odd_rows(images, written, rng)
        with (lists / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    if odd:
        labels[2] = (labels[2][0], "M", "1")
        labels.append((labels[2][0], "F", "0"))
        labels.append(("undetermined face.JPG", "I", ""))
        labels.append(("9/of-no-image.jpg", "F", ""))
        written.dropped |= {
            "gender label marked as a duplicate": 1,
            "gender label of no listed image": 1,
        }
    written.gender_labels = write_gender_labels(root / "gender", labels)
    return written


def row(image: str, code: int | str, **changed: str) -> list[str]:
    """A line of a list, with a box and landmarks unless ``changed``."""
    points = landmarks(code) if isinstance(code, int) else landmarks(0)
    cells = dict(zip(HEADER, [image, *map(str, BOX), "", str(code), "0.25", "-0.5"], strict=True))
    cells["facial_landmarks"] = ";".join(f"{value:g}" for value in points.ravel())
    return list((cells | changed).values())


def _odd_rows(images: Path, written: Written, rng: np.random.Generator) -> list[list[str]]:
    """Rows and files that are not as they should be, with what becomes of them."""
    rows = []
    for image, changed in {
        "7/undetermined face.JPG": {},
        "7/ünïcode.of.dots.png": {},
        "8/no-box.jpg": dict.fromkeys(HEADER[1:5], "-1") | {"facial_landmarks": "-1"},
        "8/sentinels.jpg": {"valence": "-2", "arousal": "-2", "facial_landmarks": ""},
        "8/outside-box.jpg": {"face_x": "500", "face_y": "400"},
    }.items():
        write_image(images / image, 1, rng)
        rows.append(row(image, 1, **changed))
        written.images["train"].append(image)
    written.unreadable["8/outside-box.jpg"] = "box outside the image"

    whole = (images / "8/no-box.jpg").read_bytes()
    for image, content, reason in (
        ("9/empty.jpg", b"", "empty file"),
        ("9/truncated.jpg", whole[: len(whole) // 2], "truncated image"),
        ("9/text.jpg", b"<html>404 not found</html>", "not an image"),
    ):
        (images / image).parent.mkdir(exist_ok=True)
        (images / image).write_bytes(content)
        rows.append(row(image, 2))
        written.images["train"].append(image)
        written.unreadable[image] = reason

    for code, reason in ((8, "none"), (9, "uncertain"), (10, "non-face")):
        write_image(images / f"9/code{code}.jpg", 0, rng)
        rows.append(row(f"9/code{code}.jpg", code))
        written.dropped[f"expression {reason}"] = 1
    write_image(images / "9/half-landmarks.jpg", 0, rng)
    rows += [
        row("7\\undetermined face.JPG", 1),
        row("9/not-there.jpg", 3),
        row("/etc/hostname", 3),
        row("../outside.jpg", 3),
        row("9/half-landmarks.jpg", 3, facial_landmarks="1;2;3"),
        row("9/half-landmarks.jpg", 3, valence="high"),
    ]
    written.dropped |= {
        "listed twice, kept once": 1,
        "image missing": 1,
        "path outside the folder of images": 2,
        "malformed row": 2,
    }
    return rows


def write_gender_labels(folder: Path, labels: list[tuple[str, str, str]]) -> list[Path]:
    """Two part files; the second gives base names."""
    folder.mkdir(parents=True)
    middle = len(labels) // 2
    paths = [folder / "part1.csv", folder / "part2.csv"]
    for path, part in zip(paths, (labels[:middle], labels[middle:]), strict=True):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["subDirectory_filePath", "gender", "duplicate"])
            for image, code, duplicate in part:
                name = image.rpartition("/")[2] if path == paths[1] else image
                writer.writerow([name, code, duplicate])
    return paths


def write_npy_release(root: Path, *, train: int = 2, test: int = 1, odd: bool = True) -> Written:
    """Write the npy release, ``train`` and ``test`` images of each expression and gender."""
    rng = np.random.default_rng(1)
    written = Written(root)
    labels: list[tuple[str, str, str]] = []
    for name, split in SETS.items():
        number = 0
        for code in range(len(CODES)):
            for turn in range(2 * (train if split == "train" else test)):
                image = f"{name}/images/{number}.jpg"
                write_image(root / image, code, rng)
                write_annotations(root / name / "annotations", number, code, text=turn % 2 == 0)
                written.images[split].append(image)
                written.genders[image] = ("female", "male")[turn % 2]
                labels.append((image, "FM"[turn % 2], ""))
                number += 1
        if odd and split == "train":
            _odd_annotations(root / name, number, written, rng)
    written.gender_labels = [root / "gender.csv"]
    with written.gender_labels[0].open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["subDirectory_filePath", "gender"], *(r[:2] for r in labels)])
    return written


def write_annotations(folder: Path, number: int, code: int | str, *, text: bool) -> None:
    """The four arrays of an image; ``text`` stores the numbers as strings, as many copies do."""
    folder.mkdir(parents=True, exist_ok=True)
    valence = -2.0 if code in (8, 9, 10) else 0.25
    for suffix, value in (("exp", code), ("val", valence), ("aro", -0.5)):
        np.save(folder / f"{number}_{suffix}.npy", np.array(str(value) if text else value))
    points = landmarks(code) if isinstance(code, int) else landmarks(0)
    np.save(folder / f"{number}_lnd.npy", points.ravel())


def _odd_annotations(folder: Path, number: int, written: Written, rng: np.random.Generator) -> None:
    """Images and annotations that are not as they should be, from ``number`` on."""
    annotations = folder / "annotations"
    for code, reason in ((8, "none"), (9, "uncertain"), (10, "non-face")):
        write_image(folder / f"images/{number}.jpg", 0, rng)
        write_annotations(annotations, number, code, text=True)
        written.dropped[f"expression {reason}"] = 1
        number += 1
    write_image(folder / f"images/{number}.jpg", 0, rng)
    write_annotations(annotations, number + 1, 0, text=True)
    for position, content in enumerate((b"", b"\x93NUMPY\x01\x00v\x00{'descr'", b"text")):
        write_image(folder / f"images/{number + 2 + position}.jpg", 0, rng)
        write_annotations(annotations, number + 2 + position, 0, text=True)
        (annotations / f"{number + 2 + position}_exp.npy").write_bytes(content)
    number += 5
    write_image(folder / f"images/{number}.jpg", 0, rng)
    write_annotations(annotations, number, 0, text=True)
    np.save(annotations / f"{number}_exp.npy", np.array([print], dtype=object), allow_pickle=True)
    write_image(folder / f"images/{number + 1}.jpg", 0, rng)
    write_annotations(annotations, number + 1, 0, text=False)
    np.save(annotations / f"{number + 1}_lnd.npy", np.zeros(10))
    written.dropped |= {
        "annotation missing": 1,
        "image missing": 1,
        "annotation unreadable": 5,
    }
    image = f"{folder.name}/images/{number + 2}.jpg"
    write_annotations(annotations, number + 2, 0, text=True)
    (written.root / image).write_bytes(b"")
    written.images["train"].append(image)
    written.unreadable[image] = "empty file"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(write_csv_release(target / "csv", train=10, test=5).root)
    print(write_npy_release(target / "npy", train=10, test=5).root)
