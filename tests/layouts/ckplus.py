"""Tiny copies of CK+'s three forms, with everything that real copies have wrong.

``python -m tests.layouts.ckplus FOLDER`` writes ``FOLDER/{sequences,folders,csv}``.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.layouts.jaffe import write_grey

# As the dataset's own description spells them.
CODES = {
    0: "neutral",
    1: "anger",
    2: "contempt",
    3: "disgust",
    4: "fear",
    5: "happy",
    6: "sad",
    7: "surprise",
}
FOLDERS = {
    "anger": "anger",
    "contempt": "contempt",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "sadness": "sad",
    "surprise": "surprise",
}
CSV_CODES = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        images: key -> (person or None, expression) of the rows that a source keeps.
        dropped: how many sequences or images a source sets aside, by reason.
        unreadable: the reason by key, of rows whose image cannot be used.
    """

    root: Path
    images: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def write_sequence(root: Path, subject: str, sequence: str, length: int, level: int) -> list[str]:
    """Write a sequence; gives the names of its images without suffix."""
    rng = np.random.default_rng(length)
    names = [f"{subject}_{sequence}_{number:08d}" for number in range(1, length + 1)]
    for name in names:
        write_grey(
            root / f"cohn-kanade-images/{subject}/{sequence}/{name}.png", level, rng, size=32
        )
    return names


def write_emotion(root: Path, name: str, content: str | bytes) -> None:
    """Write the file that gives the sequence ending with an image its emotion."""
    subject, sequence, _ = name.split("_")
    folder = root / "Emotion" / subject / sequence
    folder.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode()
    (folder / f"{name}_emotion.txt").write_bytes(data)


def write_sequences(
    root: Path, *, people: int = 4, length: int = 6, peak: int = 3, odd: bool = True
) -> Written:
    """Write a sequence of each person and emotion.

    Args:
        root: its folder, made here.
        people: S005 and following.
        length: images of a sequence.
        peak: how many at its end a source keeps.
        odd: whether to add what real copies have wrong.
    """
    written = Written(root)
    for person in range(5, 5 + people):
        for code in range(1, 8):
            subject, sequence = f"S{person:03d}", f"{code:03d}"
            names = write_sequence(root, subject, sequence, length, code)
            write_emotion(root, names[-1], f"   {code:.7e}\n")
            written.images[names[0]] = (subject, "neutral")
            written.images |= dict.fromkeys(names[-peak:], (subject, CODES[code]))
    if odd:
        _add_odd_sequences(written)
    return written


def _add_odd_sequences(written: Written) -> None:
    root = written.root
    images, emotions = root / "cohn-kanade-images", root / "Emotion"
    (images / "S005/001/.DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    (emotions / "S005/.DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    (images / "S005/001/notes.txt").write_text("none")
    write_grey(images / "S005/montage.png", 0, np.random.default_rng(0))
    write_sequence(root, "S130", "001", 4, 0)
    (emotions / "S130/001").mkdir(parents=True)
    for sequence, content in (("002", ""), ("003", "happy"), ("004", b"\xff\xfe\x00")):
        write_emotion(root, write_sequence(root, "S130", sequence, 3, 0)[-1], content)
    for number in (2, 3):
        write_emotion(root, write_sequence(root, "S130", "005", number, 0)[-1], "1.0")
    write_emotion(root, write_sequence(root, "S130", "006", 1, 0)[-1], "1.0")
    write_emotion(root, "S999_001_00000014", "   5.0000000e+00\n")
    short = write_sequence(root, "S131", "001", 3, 3)
    write_emotion(root, short[-1], "3")
    written.images |= dict(zip(short, [("S131", CODES[c]) for c in (0, 3, 3)], strict=True))
    calm = write_sequence(root, "S131", "010", 2, 0)
    write_emotion(root, calm[-1], "0.0")
    written.images |= dict.fromkeys(calm, ("S131", "neutral"))
    written.dropped |= {
        "file name of another form": 1,
        "sequence without an emotion": 1,
        "emotion of a sequence unreadable": 3,
        "sequence with several emotions": 1,
        "sequence of one image": 1,
        "emotion of a sequence without images": 1,
    }
    (images / "S131/001" / f"{short[-1]}.png").write_bytes(b"")
    written.unreadable[short[-1]] = "empty file"


def write_folders(root: Path, *, people: int = 4, odd: bool = True) -> Written:
    """Write ``CK+48``: three images of each person and emotion."""
    written = Written(root)
    rng = np.random.default_rng(0)
    for level, (name, label) in enumerate(FOLDERS.items()):
        for person in range(10, 10 + people):
            for number in (15, 16, 17):
                key = f"S{person:03d}_{level:03d}_{number:08d}"
                write_grey(root / f"CK+48/{name}/{key}.png", level, rng, size=48)
                written.images[key] = (f"S{person:03d}", label)
    if odd:
        (root / "CK+48/anger/.DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
        write_grey(root / "CK+48/anger/mean face.png", 0, rng)
        for name in ("anger", "disgust"):
            write_grey(root / f"CK+48/{name}/S500_001_00000009.png", 0, rng)
        (root / "CK+48/fear/S501_001_00000009.png").write_bytes(b"no picture")
        written.images["S501_001_00000009"] = ("S501", "fear")
        written.unreadable["S501_001_00000009"] = "not an image"
        written.dropped |= {
            "file name of another form": 1,
            "image in the folders of several emotions": 2,
        }
    return written


def grey(row: int) -> np.ndarray:
    """The pixels of a row of the CSV form, each row's its own."""
    return np.random.default_rng(row).integers(0, 256, (48, 48)).astype(np.uint8)


def write_csv(root: Path, *, each: int = 3, odd: bool = True) -> Written:
    """Write ``ckextended.csv``: ``each`` rows of every expression."""
    written = Written(root)
    rows = []
    for turn in range(each):
        for code, label in enumerate(CSV_CODES):
            row = len(rows)
            pixels = " ".join(map(str, grey(row).ravel()))
            rows.append([str(code), pixels, ("Training", "PublicTest", "PrivateTest")[turn % 3]])
            written.images[f"ckextended.csv#{row}"] = (None, label)
    if odd:
        whole = rows[0][1].split(" ")
        wrong = [
            whole[:-1],
            [*whole, "7"],
            *([*whole[:-1], last] for last in ("256", "-3", "x")),
            [],
        ]
        rows += [["3", " ".join(pixels), "Training"] for pixels in wrong]
        rows.append(["3", f" {'  '.join(whole)} ", "Training"])
        written.images[f"ckextended.csv#{len(rows) - 1}"] = (None, "happy")
        written.dropped["pixels are not 48 × 48 grey values"] = 6
    root.mkdir(parents=True, exist_ok=True)
    with (root / "ckextended.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["emotion", "pixels", "Usage"], *rows])
    return written


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(write_sequences(target / "sequences", people=10).root)
    print(write_folders(target / "folders", people=10).root)
    print(write_csv(target / "csv", each=10).root)
