"""Hair: which cut a person wears, and its shapes in front of and behind the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fer_lab.data.synthetic.anatomy import Face, Traits
from fer_lab.data.synthetic.curves import Points, ellipse, mirrored, shifted, smooth

_SQUARE = (-0.69, -0.675, -0.57)
_CURTAIN = (-0.90, -0.68, -0.36)
_SWEPT = (-0.78, -0.68, -0.42)
_FRINGE = (-0.53, -0.52, -0.45)
_BARE = (-0.99, -0.94, -0.62)


@dataclass(frozen=True)
class Cut:
    """A hair cut in face units.

    Attributes:
        top: height above the skull.
        side: width beside the head.
        end: y where the front part ends at the sides.
        line: y of the hairline in the middle, over the brows and at the temples.
        fall: y down to which hair falls behind the head, None for short hair.
        spread: width of that fall beside the head.
        wave: ripple of the outlines.
        bun: whether a knot stands above the head.
    """

    top: float = 0.10
    side: float = 0.04
    end: float = -0.12
    line: tuple[float, float, float] = _SQUARE
    fall: float | None = None
    spread: float = 0.12
    wave: float = 0.0
    bun: bool = False


CUTS: Mapping[str, Cut] = {
    "short": Cut(),
    "buzz": Cut(top=0.035, side=0.012, end=-0.16),
    "full": Cut(top=0.2, side=0.05, end=-0.1, line=_SWEPT, wave=0.01),
    "cropped": Cut(top=0.12, side=0.05, end=-0.02, line=_FRINGE),
    "receding": Cut(top=0.02, side=0.045, end=-0.05, line=_BARE),
    "curly": Cut(top=0.2, side=0.13, end=-0.05, wave=0.035),
    "bob": Cut(top=0.13, side=0.14, end=0.55, line=_CURTAIN, fall=0.66, spread=0.14),
    "fringe": Cut(top=0.12, side=0.13, end=0.6, line=_FRINGE, fall=0.75, spread=0.14),
    "long": Cut(top=0.13, side=0.13, end=0.95, line=_CURTAIN, fall=1.5, spread=0.16),
    "wavy": Cut(top=0.16, side=0.19, end=0.9, line=_SWEPT, fall=1.4, spread=0.22, wave=0.024),
    "tied": Cut(top=0.07, side=0.02, end=-0.16, line=_SWEPT, bun=True),
    "afro": Cut(top=0.32, side=0.28, end=0.12, fall=0.3, spread=0.28, wave=0.035),
}

# Weights of the cuts: for women, men and children, and for some races on top of them.
_WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "female": {
        "long": 4,
        "wavy": 3,
        "bob": 2.5,
        "fringe": 2,
        "tied": 2,
        "curly": 1.2,
        "cropped": 0.8,
        "short": 0.2,
    },
    "male": {
        "short": 4,
        "full": 3,
        "buzz": 1.5,
        "cropped": 1.2,
        "curly": 1,
        "long": 0.3,
        "receding": 0,
    },
}
_BLACK: Mapping[str, float] = {"afro": 3.0, "curly": 2.0, "buzz": 1.5, "tied": 1.5, "long": 0.4}


def cut_of(face: Face, t: Traits) -> Cut:
    """The cut of this person, with its own length and hairline."""
    u = face.draws
    weights = dict(_WEIGHTS[face.gender])
    if face.gender == "male":
        weights["receding"] = 5 * t.elder
    elif t.elder > 0:
        weights["cropped"] += 4 * t.elder
    if face.race == "black":
        weights = {
            name: weight * _BLACK.get(name, 1.0) for name, weight in {"afro": 1, **weights}.items()
        }
    total, chosen = u["hair_style"] * sum(weights.values()), "short"
    for name, weight in weights.items():
        total -= weight
        if total < 0:
            chosen = name
            break
    cut = CUTS[chosen]
    longer = 0.3 * (u["hair_length"] - 0.5)
    higher = 0.09 * (u["hairline"] - 0.6)
    return Cut(
        top=cut.top * (0.85 + 0.4 * u["hair_length"]),
        side=cut.side,
        end=cut.end + (longer if cut.fall else 0.1 * longer),
        line=(cut.line[0] + higher, cut.line[1] + higher, cut.line[2] + 0.6 * higher),
        fall=None if cut.fall is None else cut.fall + longer,
        spread=cut.spread,
        wave=cut.wave,
        bun=cut.bun,
    )


def hair_shapes(face: Face, t: Traits) -> dict[str, Points]:
    """``hair_back`` and ``bun`` where there are any, ``hair`` and its ``strands``."""
    cut, w, u = cut_of(face, t), t.width, face.draws
    shapes: dict[str, Points] = {}
    if cut.fall is not None:
        wide = w + cut.spread
        back = [
            (0, -1.06 - cut.top),
            (0.7 * wide, -0.92 - 0.8 * cut.top),
            (wide, -0.4),
            (wide + 0.02, 0.2),
            (wide - 0.02, 0.65 * cut.fall + 0.1),
            (0.86 * wide, cut.fall),
            (0.4 * wide, cut.fall + 0.03),
            (0, cut.fall - 0.02),
        ]
        shapes["hair_back"] = _waved(smooth(mirrored(back), closed=True, per=8), cut.wave)
    if cut.bun:
        shapes["bun"] = ellipse(0.1 * (u["part"] - 0.5), -1.2, 0.26, 0.2, count=18)
    outer = [
        (w + 0.5 * cut.side, cut.end),
        (w + cut.side, -0.12 + 0.5 * min(cut.end, 0.4)),
        (w + cut.side + 0.01, -0.45),
        (0.9 * w + 0.8 * cut.side, -0.8 - 0.35 * cut.top),
        (0.55 * w + 0.3 * cut.side, -1.0 - 0.85 * cut.top),
        (0.0, -1.06 - cut.top),
    ]
    middle, brow, temple = cut.line
    hanging = cut.end > 0.3  # longer hair covers the edge of the cheek
    inner = [
        (w + 0.04 if hanging else w + 0.015, cut.end),
        (w - 0.075 if hanging else w - 0.015, -0.12 + 0.5 * min(cut.end, 0.4)),
        (0.93 * w - 0.03 * hanging, temple + 0.17),
        (0.83 * w, temple),
        (0.5 * w, brow),
        (0.0, middle),
    ]
    outer_line = smooth(_both_sides(outer), per=6)
    inner_line = _parted(smooth(_both_sides(inner), per=6), u["part"], t.width)
    outer_line = _waved(outer_line, cut.wave)
    shapes["hair"] = np.concatenate((outer_line, inner_line[::-1]))
    between = [(1 - share) * outer_line + share * inner_line for share in _STRANDS]
    shapes["strands"] = np.concatenate(between)
    shapes["hair_shine"] = (0.58 * outer_line + 0.42 * inner_line)[17:44]
    shapes["hair_edge"] = 0.86 * outer_line + 0.14 * inner_line
    shadow = inner_line[14:47]
    shapes["hair_shadow"] = np.concatenate(
        (shifted(shadow, 0, 0.06), shifted(shadow[::-1], 0, -0.1))
    )
    return shapes


def beard_shapes(face: Face, t: Traits, shapes: dict[str, Points]) -> dict[str, Points]:
    """A full beard with moustache, or a moustache, for some men; they move with the mouth."""
    u = face.draws
    if face.gender != "male" or t.child > 0 or u["beard"] > 0.34:
        return {}
    points = shapes["mouth_landmarks"]
    left, right, over, under = points[0], points[6], points[3], points[9]
    base = t.nose_y + 0.06
    moustache = smooth(
        [
            (right[0] + 0.03, right[1] + 0.02),
            (0.6 * right[0], base + 0.03),
            (0.0, base + 0.025),
            (0.6 * left[0], base + 0.03),
            (left[0] - 0.03, left[1] + 0.02),
            (0.5 * left[0], over[1] + 0.015),
            (0.0, over[1] + 0.02),
            (0.5 * right[0], over[1] + 0.015),
        ],
        closed=True,
        per=4,
    )
    if u["beard_shape"] < 0.3:
        return {"moustache": moustache}
    head = shapes["head"]
    w = t.width
    jaw = head[28:101] * (0.995, 0.997)
    inner = smooth(
        [
            (-0.93 * w, 0.08),
            (-0.80 * w, 0.34),
            (left[0] - 0.12, left[1] - 0.05),
            (left[0] - 0.03, left[1] + 0.05),
            (-0.13, under[1] + 0.045),
            (0.0, under[1] + 0.035),
            (0.13, under[1] + 0.045),
            (right[0] + 0.03, right[1] + 0.05),
            (right[0] + 0.12, right[1] - 0.05),
            (0.80 * w, 0.34),
            (0.93 * w, 0.08),
        ],
        per=4,
    )
    return {"beard": np.concatenate((jaw, inner)), "moustache": moustache}


_STRANDS = (0.14, 0.3, 0.46, 0.62, 0.78, 0.9)
STRAND_COUNT = len(_STRANDS)


def _both_sides(half: list[tuple[float, float]]) -> Points:
    """From the right end over the middle to the left end."""
    right = np.asarray(half, dtype=float)
    return np.concatenate((right, right[-2::-1] * (-1, 1)))


def _parted(line: Points, part: float, width: float) -> Points:
    """Sweep the hairline to one side: it rises at the parting and falls away from it."""
    side = (part - 0.5) * 2
    middle = np.exp(-((line[:, 0] / (0.55 * width)) ** 2))
    sweep = np.zeros_like(line)
    sweep[:, 1] = 0.08 * side * np.sin(line[:, 0] * 3.2) * middle
    return line + sweep


def _waved(line: Points, wave: float) -> Points:
    if not wave:
        return line
    ripple = wave * (np.abs(np.sin(np.arange(len(line)) * (np.pi / 6.5))) - 0.5)
    away = shifted(line, 0, 0.2)
    length = np.sqrt((away**2).sum(axis=1, keepdims=True))
    moved: Points = line + 1.6 * ripple[:, None] * away / np.maximum(length, 0.2)
    return moved
