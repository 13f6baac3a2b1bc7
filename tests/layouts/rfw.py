"""A tiny copy of RFW, with what real copies have wrong.

``python -m tests.layouts.rfw FOLDER`` writes one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

RACES = ("African", "Asian", "Caucasian", "Indian")


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        images: relative paths below ``test/data``, of images that a source keeps.
        dropped: how many rows a source sets aside, by reason.
        unreadable: the reason by relative path, of images that cannot be used.
    """

    root: Path
    images: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def write_rfw(root: Path, *, people: int = 2, images: int = 2, odd: bool = True) -> Written:
    """Write RFW: ``people`` with ``images`` each in every group."""
    rng = np.random.default_rng(0)
    written = Written(root)
    data = root / "test/data"
    for code, race in enumerate(RACES):
        lines = []
        for person in range(people):
            subject = f"m.0{code}{person}_x"
            for number in range(1, images + 1):
                image = f"{race}/{subject}/{subject}_{number:04d}.jpg"
                path = data / image
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = 50 * code + 30 + rng.normal(0, 8, (60, 60, 3))
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
                written.images.append(image)
                points = " ".join(f"{value:.1f}" for value in rng.uniform(10, 50, 10))
                lines.append(f"/home/someone/test/data/{image}\t0 {points}")
        if odd and race == "Asian":
            lines += [
                "/home/someone/test/data/Asian/m.gone/m.gone_0001.jpg\t0" + " 1.0" * 10,
                "../../..\t0" + " 1.0" * 10,
            ]
            broken = "Asian/m.010_x/m.010_x_0009.jpg"
            (data / broken).write_bytes(b"<html>")
            (data / "Asian/m.010_x/.DS_Store").write_bytes(b"")
            written.images.append(broken)
            written.unreadable[broken] = "not an image"
            written.dropped = {"image missing": 1, "path outside the folder of images": 1}
        folder = root / "test/txts" / race
        folder.mkdir(parents=True)
        (folder / f"{race}_lmk.txt").write_text("\n".join(lines) + "\n")
    return written


if __name__ == "__main__":
    print(write_rfw(Path(sys.argv[1])).root)
