"""The gallery of the guide: ``python -m fer_lab.data.synthetic.gallery FILE.png``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_lab.data.assets import Sample
from fer_lab.data.synthetic.anatomy import Face
from fer_lab.data.synthetic.appearance import Appearance
from fer_lab.data.synthetic.canvas import Pixels
from fer_lab.data.synthetic.population import ACCESSORIES
from fer_lab.data.synthetic.reader import SPLIT_STARTS, SyntheticReader
from fer_lab.data.synthetic.render import render
from fer_lab.data.vocabulary import EXPRESSIONS, GENDERS, RACES, REGIONS
from fer_lab.files import atomic_path

_COLUMNS = 8
_TITLE = 26
_GAP = 4
_INK = (50, 50, 56)
_YEARS = (8, 24, 43, 70)  # one year of each age group
_STUDIO: dict[str, Any] = {
    "light": [1, 1],
    "light_gradient": [0.1, 0.1],
    "warmth": [0.1, 0.1],
    "blur": [0, 0],
    "noise": [0, 0],
    "scale": [1.1, 1.1],
    "roll": 3,
    "yaw": 6,
    "pitch": 3,
    "shift": 0,
}

Row = tuple[Sequence[str], list[Pixels]]


def gallery(seed: int = 1, size: int = 112) -> Image.Image:
    """Expressions, groups, accessories, pictures as they come, and their ground truth.

    Args:
        seed: of the faces.
        size: of one face in pixels, 48 to 512.
    """
    studio = SyntheticReader(seed, 8, "fair", appearance=_STUDIO)
    people = _people(studio)
    rows = [*_expressions(people, size), *_groups(people, size), _accessories(people, size)]
    first = SPLIT_STARTS["test"]
    samples = [SyntheticReader(seed).read(f"synthetic#{first + n}", size) for n in range(16)]
    for place in (0, _COLUMNS):
        title = ("as they come: turned, lit, blurred, with noise",) if not place else ()
        rows.append((title, [each.image for each in samples[place : place + _COLUMNS]]))
    rows.append((("19 regions and 68 landmarks of the row above",), list(map(_truth, samples[8:]))))
    return _sheet(rows, size)


def _people(reader: SyntheticReader) -> Iterator[Face]:
    """Adults and children with a calm face, wearing nothing."""
    number = 0
    while True:
        face = reader.face(f"synthetic#{number}")
        calm = replace(face, expression="neutral", intensity=0.0)
        yield _wearing(calm)
        number += 1


def _wearing(face: Face, *accessories: str) -> Face:
    changes: dict[str, Any] = {name: name in accessories for name in ACCESSORIES}
    return replace(face, **changes)


def _picture(face: Face, size: int) -> Pixels:
    return render(face, size, Appearance.of(_STUDIO)).image


def _expressions(people: Iterator[Face], size: int) -> Iterator[Row]:
    groups = (("female", "black", 27), ("male", "asian", 35), ("female", "white", 61))
    for place, (gender, race, years) in enumerate(groups):
        face = replace(next(people), gender=gender, race=race, age_years=years)
        faces = (replace(face, expression=name, intensity=0.9) for name in EXPRESSIONS)
        yield EXPRESSIONS if place == 0 else (), [_picture(each, size) for each in faces]


def _groups(people: Iterator[Face], size: int) -> Iterator[Row]:
    for race in RACES:
        faces = [
            replace(next(people), gender=gender, race=race, age_years=years)
            for gender in GENDERS
            for years in _YEARS
        ]
        smiling = (replace(each, expression="happy", intensity=0.45) for each in faces)
        title = f"{race.replace('_', ' ')}: {GENDERS[0]} and {GENDERS[1]} of four age groups"
        yield (title,), [_picture(each, size) for each in smiling]


def _accessories(people: Iterator[Face], size: int) -> Row:
    face = replace(next(people), gender="female", race="latinx", age_years=30)
    faces = [face, *(_wearing(face, name) for name in ACCESSORIES), _wearing(face, *ACCESSORIES)]
    return ("the same face", *ACCESSORIES, "all"), [_picture(each, size) for each in faces]


def _truth(sample: Sample) -> Pixels:
    assert sample.regions is not None
    assert sample.landmarks is not None
    hues = np.arange(len(REGIONS)) * 0.618 % 1.0
    waves = np.cos(2 * np.pi * (hues[:, None] + np.array((0.0, 1 / 3, 2 / 3))))
    colours = (150 + 62 * waves).astype(np.uint8)
    colours[0] = 32
    picture = Image.fromarray(colours[sample.regions])
    pen = ImageDraw.Draw(picture)
    for x, y in sample.landmarks.tolist():
        pen.ellipse((x - 1, y - 1, x + 1, y + 1), fill=(255, 255, 255))
    return np.asarray(picture)


def _sheet(rows: Sequence[Row], size: int) -> Image.Image:
    step = size + _GAP
    height = sum(step + _TITLE * bool(titles) for titles, _ in rows) + _GAP
    sheet = Image.new("RGB", (_COLUMNS * step + _GAP, height), (250, 250, 252))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    top = _GAP
    for titles, pictures in rows:
        for place, title in enumerate(titles):
            pen.text((_GAP + place * step, top + 4), title, fill=_INK, font=font)
        top += _TITLE * bool(titles)
        for place, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (_GAP + place * step, top))
        top += step
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the gallery as PNG."""
    parser = argparse.ArgumentParser(description="Draw a gallery of synthetic faces.")
    parser.add_argument("file", type=Path, help="the PNG to write")
    parser.add_argument("--seed", type=int, default=1, help="of the faces (default 1)")
    parser.add_argument("--size", type=int, default=112, help="pixels of one face (default 112)")
    chosen = parser.parse_args(arguments)
    with atomic_path(chosen.file) as temporary:
        gallery(chosen.seed, chosen.size).save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
