"""Where light and shadow lie on a face, and the lines that age and action units draw."""

from __future__ import annotations

import numpy as np

from fer_lab.data.synthetic.anatomy import Traits
from fer_lab.data.synthetic.curves import Points, ellipse, shifted, smooth

Shapes = dict[str, Points]

_MIRROR = np.array((-1.0, 1.0))


def lines(t: Traits, shapes: Shapes) -> Shapes:
    """Open lines; how strongly each is drawn is the painter's choice."""
    found: Shapes = {}
    brow_top = min(shapes["brow_landmarks_l"][:, 1].min(), shapes["brow_landmarks_r"][:, 1].min())
    for number, share in ((1, 0.28), (2, 0.5), (3, 0.72)):
        y, wide = brow_top + share * (-0.72 - brow_top), 0.34 - 0.05 * number
        found[f"forehead_lines_{number}"] = smooth(
            [(-wide, y + 0.02), (-0.5 * wide, y), (0, y + 0.014), (0.5 * wide, y), (wide, y + 0.02)]
        )
    base, wing = t.nose_y, t.nose_width
    for side, mirror in (("l", -1.0), ("r", 1.0)):
        eye = np.abs(shapes[f"eye_landmarks_{side}"])
        corner = shapes["mouth_landmarks"][0 if side == "l" else 6]
        cx, cy = abs(float(corner[0])), float(corner[1])
        outer_x = float(eye[:, 0].max())
        inner_brow = float(shapes[f"brow_landmarks_{side}"][0, 1])
        right = {
            "nasolabial": smooth(
                [
                    (wing + 0.025, base - 0.075),
                    (wing + 0.11, base + 0.04),
                    (cx + 0.075, cy - 0.09),
                    (cx + 0.085, cy + 0.01),
                ]
            ),
            "frown": smooth(
                [(0.05, inner_brow - 0.035), (0.043, inner_brow + 0.03), (0.05, t.eye_y - 0.06)],
                per=4,
            ),
            "nose_wrinkle": np.concatenate(
                (
                    smooth(
                        [(0.0, t.eye_y + 0.005), (0.05, t.eye_y - 0.01), (0.085, t.eye_y + 0.02)]
                    ),
                    smooth([(0.09, t.eye_y + 0.07), (0.05, t.eye_y + 0.05), (0.0, t.eye_y + 0.06)]),
                )
            ),
            "crow": np.array(
                [
                    (outer_x + 0.1, t.eye_y - 0.045),
                    (outer_x + 0.035, t.eye_y - 0.008),
                    (outer_x + 0.11, t.eye_y + 0.012),
                    (outer_x + 0.035, t.eye_y + 0.005),
                    (outer_x + 0.09, t.eye_y + 0.06),
                ]
            ),
            "bag": smooth(
                [
                    (t.eye_x - 0.125, t.eye_y + 0.075),
                    (t.eye_x - 0.02, t.eye_y + 0.115),
                    (t.eye_x + 0.11, t.eye_y + 0.085),
                ]
            ),
            "marionette": smooth(
                [(cx + 0.02, cy + 0.03), (cx + 0.045, cy + 0.1), (cx + 0.03, cy + 0.18)]
            ),
            "dimple": smooth([(cx + 0.045, cy - 0.07), (cx + 0.075, cy), (cx + 0.045, cy + 0.06)]),
        }
        found |= {
            f"{name}_{side}": points * np.array((mirror, 1)) for name, points in right.items()
        }
    under = float(shapes["mouth_landmarks"][9, 1])
    y = under + 0.085
    found["chin_crease"] = smooth([(-0.13, y + 0.03), (0, y), (0.13, y + 0.03)])
    return found


def volumes(t: Traits, shapes: Shapes, light: float) -> Shapes:
    """Soft shapes of the shading map.

    Args:
        t: the person.
        shapes: head, nose and mouth, moved by the action units.
        light: where the light comes from, 0 the image's left to 1 its right.
    """
    lean = light - 0.5
    toward = 1.0 if lean > 0 else -1.0
    under = float(shapes["mouth_landmarks"][9, 1])
    chin = float(shapes["jaw_landmarks"][8, 1])
    centre = np.array((0.0, -0.05))
    w, base = t.nose_width, t.nose_y
    side = np.array(
        [(0.05, t.eye_y), (0.065, base - 0.2), (w + 0.02, base - 0.08), (w, base), (0.03, base)]
    )
    cheek = ellipse(0.40, 0.20, 0.17, 0.13)
    return {
        "head_lit": shifted(
            (shapes["head"] - centre) * np.array((0.9, 0.93)) + centre, 0.12 * lean, -0.015
        ),
        "forehead": ellipse(0.3 * lean, -0.52, 0.36, 0.2),
        "cheek_r": cheek,
        "cheek_l": cheek * _MIRROR,
        "nose_shadow": side * np.array((-toward, 1)),
        "nose_ridge": ellipse(0.012 * toward, (t.eye_y + base) / 2 - 0.04, 0.034, 0.15, count=12),
        "nose_tip": ellipse(0.015 * toward, base - 0.07, 0.05, 0.035, count=12),
        "nose_under": ellipse(-0.02 * toward, base + 0.055, w * 0.95, 0.045, count=12),
        "under_lip": ellipse(0, under + 0.05, 0.15, 0.028, count=12),
        "chin_ball": ellipse(0.04 * lean, (under + chin) / 2 + 0.06, 0.14, 0.08, count=12),
    }
