"""A tiny copy of ExpW, with everything that real copies have wrong.

``python -m tests.layouts.expw FOLDER`` writes ``FOLDER``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.layouts.affectnet import write_image

EXPRESSIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# Photographs are 120 pixels wide and 100 high.
EDGES = {"top": 10, "left": 20, "right": 80, "bottom": 60}


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        labels: the expression by id, of the faces that a source keeps.
        dropped: how many rows a source sets aside, by reason.
        unreadable: the reason by id, of faces whose photograph cannot be used.
    """

    root: Path
    labels: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def line(image: str, face: int | str, code: int | str, **edges: int | str) -> str:
    """A line of the list."""
    words = [image, face, *(EDGES | edges).values(), 47.8125, code]
    return " ".join(map(str, words))


def write(root: Path, *, photographs: int = 70, odd: bool = True) -> Written:
    """Write ``label/label.lst`` and ``image/origin/``.

    Args:
        root: the folder, made here.
        photographs: how many; every other one has a second face, a little to the right.
        odd: whether to add what real copies have wrong.
    """
    rng = np.random.default_rng(0)
    written = Written(root)
    images = root / "image" / "origin"
    lines = []
    for number in range(photographs):
        code = number % len(EXPRESSIONS)
        image = f"{EXPRESSIONS[code]}_actor_{number}.jpg"
        write_image(images / image, code, rng)
        for face in range(1 + number % 2):
            lines.append(line(image, face, code, left=20 + 9 * face, right=80 + 9 * face))
            written.labels[f"expw/{image}#{face}"] = EXPRESSIONS[code]
    if odd:
        lines += _odd_lines(images, written, rng)
    (root / "label").mkdir()
    (root / "label" / "label.lst").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return written


def _odd_lines(images: Path, written: Written, rng: np.random.Generator) -> list[str]:
    """Lines and files that are not as they should be, with what becomes of them."""
    for image in ("ünï code.jpg", "far.jpg", "flat.jpg", "short.jpg", "word.jpg"):
        write_image(images / image, 3, rng)
    whole = (images / "far.jpg").read_bytes()
    (images / "half.jpg").write_bytes(whole[: len(whole) // 2])
    written.labels |= {
        "expw/ünï code.jpg#0": "happy",
        "expw/far.jpg#2": "sad",
        "expw/half.jpg#0": "sad",
    }
    written.unreadable = {
        "expw/far.jpg#2": "box outside the image",
        "expw/half.jpg#0": "truncated image",
    }
    written.dropped = {
        "listed twice, kept once": 1,
        "listed again with another label, first kept": 1,
        "box without an area": 1,
        "malformed row": 2,
        "image missing": 1,
        "path outside the folder of images": 2,
    }
    return [
        line("ünï code.jpg", 0, 3),
        line("far.jpg", 2, 4, left=500, right=600),
        line("half.jpg", 0, 4),
        line("ünï code.jpg", 0, 3),
        line("ünï code.jpg", 0, 4),
        line("flat.jpg", 0, 4, bottom=10),
        "short.jpg 0 1 2 3 4",
        line("word.jpg", 0, 4, top="high"),
        line("gone.jpg", 0, 4),
        line("/etc/a.jpg", 0, 4),
        line("../label/label.lst", 0, 4),
    ]


if __name__ == "__main__":
    print(write(Path(sys.argv[1])).root)
