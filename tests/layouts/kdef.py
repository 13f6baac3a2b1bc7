"""A tiny copy of KDEF, with everything that real copies have wrong.

``python -m tests.layouts.kdef FOLDER`` writes it into ``FOLDER``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

# As the dataset's own description spells them.
CODES = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}
ANGLES = {
    "FL": "full_left",
    "HL": "half_left",
    "S": "straight",
    "HR": "half_right",
    "FR": "full_right",
}


class Face(NamedTuple):
    """What an image shows."""

    subject: str
    gender: str
    label: str
    angle: str


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        images: name without suffix -> what it shows, of the rows that a source keeps.
        dropped: how many images a source sets aside, by reason.
        unreadable: the reason by name, of rows whose image cannot be used.
    """

    root: Path
    images: dict[str, Face] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def write_photograph(path: Path, level: int, rng: np.random.Generator) -> None:
    """A photograph of nobody, higher than wide: noise over a colour that goes with the level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.array([40 + 25 * level, 200 - 20 * level, 90]) + rng.normal(0, 9, (76, 56, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, format="JPEG", quality=90)


def write_kdef(
    root: Path, *, people: int = 2, sessions: str = "AB", folders: bool = True, odd: bool = True
) -> Written:
    """Write every expression and angle of some women and as many men.

    Args:
        root: its folder, made here.
        people: women, and as many men.
        sessions: letters of the sessions.
        folders: whether each person and session has a folder.
        odd: whether to add what real copies have wrong.
    """
    rng = np.random.default_rng(0)
    written = Written(root)
    for session in sessions:
        for sex, gender in (("F", "female"), ("M", "male")):
            for number in range(1, people + 1):
                person = f"{sex}{number:02d}"
                folder = root / f"{session}{person}" if folders else root
                for level, (code, label) in enumerate(CODES.items()):
                    for angle, seen in ANGLES.items():
                        name = f"{session}{person}{code}{angle}"
                        write_photograph(folder / f"{name}.JPG", level, rng)
                        written.images[name] = Face(person, gender, label, seen)
    if odd:
        _add_odd_files(written, rng)
    return written


def _add_odd_files(written: Written, rng: np.random.Generator) -> None:
    root = written.root
    (root / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    write_photograph(root / "BM31/AM31H.JPG", 0, rng)
    write_photograph(root / "AKDEF/AKDEF_happy.jpg", 3, rng)
    write_photograph(root / "copies/af01ans.jpg", 1, rng)
    write_photograph(root / "BF35/bf35sufr.jpeg", 6, rng)
    written.images["BF35SUFR"] = Face("F35", "female", "surprise", "full_right")
    written.dropped |= {"file name of another form": 2, "the same file name twice, kept once": 1}
    whole = (root / "BF35/bf35sufr.jpeg").read_bytes()
    (root / "BM35").mkdir()
    (root / "BM35/BM35DIS.JPG").write_bytes(whole[: len(whole) // 2])
    written.images["BM35DIS"] = Face("M35", "male", "disgust", "straight")
    written.unreadable["BM35DIS"] = "truncated image"
    (root / "BM35/loop").symlink_to(root / "BM35/loop")


if __name__ == "__main__":
    print(write_kdef(Path(sys.argv[1]), people=12).root)
