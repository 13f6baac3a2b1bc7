"""A tiny copy of JAFFE, with everything that real copies have wrong.

``python -m tests.layouts.jaffe FOLDER`` writes it into ``FOLDER``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

SUBJECTS = ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
# As the dataset's own description spells them.
CODES = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        images: name without suffix -> (person, expression) of the rows that a source keeps.
        dropped: how many images a source sets aside, by reason.
        unreadable: the reason by name, of rows whose image cannot be used.
    """

    root: Path
    images: dict[str, tuple[str, str]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def write_grey(path: Path, level: int, rng: np.random.Generator, size: int = 64) -> None:
    """A grey photograph of nobody: noise around a level that goes with the expression."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = 40 + 25 * level + rng.normal(0, 6, (size, size))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def write_jaffe(root: Path, *, people: int = 3, each: int = 2, odd: bool = True) -> Written:
    """Write ``each`` images of every expression of some of the ten people.

    Args:
        root: its folder, made here.
        people: how many of ``SUBJECTS``.
        each: images of each person and expression.
        odd: whether to add what real copies have wrong.
    """
    rng = np.random.default_rng(0)
    written = Written(root)
    number = 0
    for subject in SUBJECTS[:people]:
        for level, (code, label) in enumerate(CODES.items()):
            for turn in range(1, each + 1):
                number += 1
                name = f"{subject}.{code}{turn}.{number}"
                write_grey(root / f"{name}.tiff", level, rng)
                written.images[name] = (subject, label)
    if odd:
        _add_odd_files(written, rng)
    return written


def _add_odd_files(written: Written, rng: np.random.Generator) -> None:
    root = written.root
    (root / "README_FIRST.txt").write_text("About this database")
    (root / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX/._KA.AN1.1.tiff").write_bytes(b"\x00\x05\x16\x07")
    write_grey(root / "more people/TM.SU3.190.TIF.png", 1, rng)
    write_grey(root / "more people/tm.ha2.181.TIF", 3, rng)
    write_grey(root / "copy/KA.AN1.1.tiff", 0, rng)
    write_grey(root / "montage.png", 0, rng)
    written.images["TM.HA2.181"] = ("TM", "happy")
    written.dropped |= {"file name of another form": 2, "the same file name twice, kept once": 1}
    (root / "UY.SA1.143.tiff").write_bytes(b"")
    (root / "UY.SA2.144.tiff").write_bytes(b"<html>404 not found</html>")
    for name, reason in (("UY.SA1.143", "empty file"), ("UY.SA2.144", "not an image")):
        written.images[name] = ("UY", "sad")
        written.unreadable[name] = reason
    (root / "loop").symlink_to(root)


if __name__ == "__main__":
    print(write_jaffe(Path(sys.argv[1]), people=10, each=3).root)
