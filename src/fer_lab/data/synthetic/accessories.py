"""Shapes of what people wear: glasses, hats, earrings, necklaces, clothes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fer_lab.data.synthetic.anatomy import Face, Traits
from fer_lab.data.synthetic.curves import Points, ellipse, mirrored, shifted, smooth
from fer_lab.data.synthetic.hair import cut_of

Shapes = dict[str, Points]

_MIRROR = np.array((-1.0, 1.0))


def glasses(face: Face, t: Traits) -> Shapes:
    """Lenses, bridge and temples around the eyes; three frames: round, oval and square."""
    shape = face.draws["glasses_shape"]
    x, y = t.eye_x + 0.012, t.eye_y + 0.005
    if shape < 0.35:
        right = ellipse(x, y, 0.205, 0.195, count=24)
    else:
        power = 0.62 if shape < 0.7 else 0.42
        circle = ellipse(0, 0, 1, 1, count=28)
        round_off = np.sign(circle) * np.abs(circle) ** power
        right = shifted(round_off * np.array((0.215, 0.15)), x, y)
    inner, outer = right[:, 0].min(), right[:, 0].max()
    bridge = smooth([(-inner, y - 0.035), (0, y - 0.07), (inner, y - 0.035)], per=5)
    temple = np.array([(outer, y - 0.05), (t.width - 0.03, y - 0.07)])
    return {
        "lens_r": right,
        "lens_l": right * _MIRROR,
        "bridge": bridge,
        "temple_r": temple,
        "temple_l": temple * _MIRROR,
        "reflex_r": np.array([(x + 0.14, y - 0.11), (x + 0.115, y - 0.065)]),
        "reflex_l": np.array([(-x - 0.115, y - 0.11), (-x - 0.14, y - 0.065)]),
    }


def hat(face: Face, t: Traits) -> Shapes:
    """A knitted hat, a cap or a hat with a brim; all leave the brows free."""
    shape, cut = face.draws["hat_shape"], cut_of(face, t)
    # Wide enough for the hair below it, so that no hair stands out above.
    w = t.width + cut.side
    high = -1.3 - max(0.0, cut.top - 0.15) - 0.16 * cut.bun
    if shape < 0.4:
        crown = [(0, high), (0.55 * w, high + 0.08), (w + 0.02, -0.95), (w + 0.06, -0.62)]
        band = [(0, -0.80), (0.6 * w, -0.78), (w + 0.08, -0.72), (w + 0.08, -0.52)]
        under = [(0.6 * w, -0.59), (0, -0.61)]
    elif shape < 0.75:
        crown = [(0, high), (0.6 * w, high + 0.08), (w + 0.03, -0.95), (w + 0.05, -0.66)]
        band = [(0, -0.74), (0.5 * w, -0.74), (0.97 * w, -0.68), (w, -0.60)]
        under = [(0.5 * w, -0.58), (0, -0.56)]
    else:
        crown = [(0, high), (0.55 * w, high + 0.02), (w - 0.02, -1.15), (w + 0.03, -0.70)]
        band = [(0, -0.72), (0.7 * w, -0.72), (1.4 * w, -0.66), (1.44 * w, -0.58)]
        under = [(0.7 * w, -0.55), (0, -0.57)]
    # Square ends: the crown's lower corner and the band's outer end are not rounded off.
    top = smooth(crown, per=6)
    lower = smooth(under, per=4)
    edge = np.concatenate((smooth(band[:3], per=4), [band[3]], lower))
    return {
        "hat": np.concatenate((top, [(0, -0.66)], [(0, -0.66)], top[:0:-1] * _MIRROR)),
        "hat_band": np.concatenate((edge, edge[::-1] * _MIRROR)),
        "hat_edge": np.concatenate((top[:0:-1], top * _MIRROR)) * np.array((0.94, 0.97)),
        "hat_shine": smooth([(-0.5 * w, -0.95), (-0.25 * w, -1.1), (0.05, -1.15)], per=4),
    }


def earrings(face: Face, t: Traits) -> Shapes:
    """Studs, hoops or drops below both ear lobes."""
    shape = face.draws["earrings_shape"]
    x, y = t.width + 0.02, 0.2
    if shape < 0.3:
        right = ellipse(x, y, 0.042, 0.042, count=12)
    elif shape < 0.65:
        right = ellipse(x + 0.005, y + 0.085, 0.07, 0.095, count=18)
    else:
        right = smooth(
            [(x, y - 0.02), (x + 0.045, y + 0.12), (x, y + 0.18), (x - 0.045, y + 0.12)],
            closed=True,
            per=4,
        )
    return {"earring_r": right, "earring_l": right * _MIRROR}


def necklace(face: Face, t: Traits) -> Shapes:
    """A chain around the neck, with a pendant or beads."""
    deep = 1.38 + 0.08 * face.draws["necklace_shape"]
    half = [(t.neck + 0.01, 1.16), (0.75 * t.neck, 1.28), (0.4 * t.neck, deep - 0.03), (0.0, deep)]
    right = np.array(half)
    chain = smooth(np.concatenate((right, right[-2::-1] * _MIRROR)), per=4)
    return {"chain": chain, "pendant": ellipse(0, deep + 0.035, 0.04, 0.05, count=12)}


def cloth(face: Face, t: Traits) -> Shapes:
    """Shoulders with a round or pointed neckline."""
    shape, wide = face.draws["cloth_shape"], 1.12 + 0.14 * t.male - 0.3 * t.child
    neck = t.neck
    if shape < 0.45:
        line = [(neck + 0.2, 1.30), (0.7 * neck + 0.06, 1.46), (0.3 * neck, 1.53), (0, 1.545)]
    elif shape < 0.75:
        line = [(neck + 0.14, 1.24), (0.7 * neck + 0.03, 1.36), (0.3 * neck, 1.52), (0, 1.62)]
    else:
        line = [(neck + 0.12, 1.25), (0.8 * neck, 1.37), (0.4 * neck, 1.44), (0, 1.455)]
    shoulder = smooth(
        [(neck + 0.12 + 0.06, 1.29), (0.75 * wide, 1.40), (wide, 1.56), (wide + 0.12, 2.3)], per=5
    )
    neckline = smooth(line, per=4)
    half = np.concatenate((neckline[::-1], shoulder, [(0, 2.3)]))
    return {
        "cloth": mirrored(half),
        "collar": np.concatenate((neckline, neckline[-2::-1] * _MIRROR)),
    }


# Lipstick and blond hair are colours: they have no shape.
SHAPES: Mapping[str, Callable[[Face, Traits], Shapes]] = {
    "glasses": glasses,
    "hat": hat,
    "earrings": earrings,
    "necklace": necklace,
}
