"""Shapes of head, brows, eyes, nose and mouth, moved by the action units; the 68 landmarks.

Face units: the half-height of a face is about 1, the origin is a little below the eyes, x points
to the image's right and y down. Names end in ``_l`` and ``_r`` for the image's left and right.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from fer_lab.data.synthetic.anatomy import Traits
from fer_lab.data.synthetic.curves import Points, ellipse, mirrored, shifted, smooth

Shapes = dict[str, Points]
Units = Mapping[int, float]

_MIRROR = np.array((-1.0, 1.0))
_WING = np.array((0.035, -0.028))  # from the outer eye corner to the end of the lashes
_OUTWARD = np.array((0.022, -0.004))  # from the mouth corner to the end of its shadow

_EYE_S = np.linspace(-1, 1, 13)  # inner to outer corner; a third is two samples from the middle
_EYE_TOP = (1 - np.abs(_EYE_S) ** 2.3) * (1 - 0.12 * _EYE_S)
_EYE_BOTTOM = (1 - _EYE_S**2) * (1 + 0.15 * _EYE_S)

_BROW = np.array((0.0, 0.28, 0.58, 0.82, 1.0))  # inner to outer end
_BROW_ARCH = np.array((0.0, 0.55, 1.0, 0.75, 0.0))
_BROW_THICK = np.array((0.72, 1.0, 0.92, 0.62, 0.14))
_BROW_RAISED_INSIDE = np.array((1.0, 0.6, 0.12, 0.0, 0.0))
_BROW_RAISED_OUTSIDE = np.array((0.0, 0.25, 0.9, 1.0, 0.85))
_BROW_CLEARANCE = np.array((0.05, 0.085, 0.115, 0.105, 0.075))  # of the eye when lowered
_BROW_LOWERED = np.array((1.0, 0.75, 0.35, 0.1, 0.0))

_LIP_U = np.linspace(-1, 1, 25)
_LIP_OUTER = (0, 4, 9, 12, 15, 20, 24)  # samples of landmarks 48-54, and back for 55-59
_LIP_INNER = (2, 7, 12, 17, 22)  # samples of landmarks 60-64, and back for 65-67


def head(t: Traits, drop: float) -> Shapes:
    """Outline of head and neck, ears, and the jaw line's landmarks."""
    w, chin = t.width, t.chin + drop
    half = [
        (0, -1.06),
        (0.56 * w, -0.985),
        (0.9 * w, -0.70),
        (w, -0.25),
        (0.985 * w, 0.12),
        (min(t.jaw * w + 0.03, 0.95 * w), 0.49 * t.chin + 0.3 * drop),
        (t.chin_width * 1.25 + 0.06, chin - 0.16),
        (t.chin_width * 0.72, chin - 0.045),
        (0, chin),
    ]
    outline = smooth(mirrored(half), closed=True, per=8)
    below = shifted(outline[32:97], 0, 0.11)
    jaw = outline[[24 + 5 * step for step in range(17)]][::-1]
    ear = smooth(
        [
            (w - 0.04, -0.16),
            (w + 0.06, -0.19),
            (w + 0.105, -0.08),
            (w + 0.07, 0.08),
            (w + 0.035, 0.19),
            (w - 0.05, 0.17),
        ],
        closed=True,
        per=5,
    )
    inner_ear = smooth([(w + 0.02, -0.11), (w + 0.065, -0.08), (w + 0.04, 0.06)], per=5)
    neck = smooth(
        [(t.neck, 0.3), (t.neck - 0.01, 0.95), (t.neck + 0.02, 1.2), (t.neck + 0.35, 1.42)], per=4
    )
    return {
        "head": outline,
        "jaw_landmarks": jaw,
        "ear_r": ear,
        "ear_l": ear * _MIRROR,
        "inner_ear_r": inner_ear,
        "inner_ear_l": inner_ear * _MIRROR,
        "neck": np.concatenate((neck, [(0.8, 1.7), (-0.8, 1.7)], neck[::-1] * _MIRROR)),
        "neck_shadow": np.stack((np.clip(below[:, 0], -t.neck, t.neck), below[:, 1]), axis=1),
    }


def brow(t: Traits, units: Units) -> Shapes:
    """The right brow and its landmarks, inner end first."""
    x = t.brow_gap + _BROW * 0.375 - 0.045 * units[4] * (1 - _BROW) ** 2
    y = t.eye_y + t.brow_y + 0.1 - t.brow_arch * _BROW_ARCH - t.brow_tilt * (1 - _BROW)
    y = y - 0.15 * units[1] * _BROW_RAISED_INSIDE - 0.14 * units[2] * _BROW_RAISED_OUTSIDE
    y = y + (0.12 * units[4] + 0.07 * units[9]) * _BROW_LOWERED
    y = np.minimum(y, t.eye_y - 0.5 * t.brow_thick - _BROW_CLEARANCE)
    half = t.brow_thick * _BROW_THICK
    top = smooth(np.stack((x, y - half), axis=1), per=4)
    bottom = smooth(np.stack((x, y + half), axis=1), per=4)
    return {
        "brow": np.concatenate((top, bottom[::-1])),
        "brow_landmarks": np.stack((x, y), axis=1),
    }


def eye(t: Traits, units: Units, gaze: float) -> Shapes:
    """The right eye: opening, iris and pupil cut by the lids, lashes, crease, six landmarks."""
    size = t.eye_size
    top = (0.094 * t.eye_open + 0.045 * units[5]) * (1 - 0.24 * units[7]) * (1 - 0.12 * units[4])
    top *= 1 - 0.15 * units[9]
    bottom = (0.050 * t.eye_open + 0.014 * units[5]) * (1 - 0.55 * units[7])
    bottom = bottom * (1 - 0.8 * units[6]) * (1 - 0.35 * units[9]) - 0.022 * units[6]
    x = t.eye_x + size * _EYE_S
    line = t.eye_y - t.eye_tilt * _EYE_S
    upper = np.stack((x, line - top * _EYE_TOP), axis=1)
    lower = np.stack((x, line + max(bottom, 0.03 - top) * _EYE_BOTTOM), axis=1)
    place = (t.eye_x + 0.03 * gaze, t.eye_y - 0.022)
    crease_y = 0.030 + 0.012 * units[1] + 0.012 * units[2] - 0.012 * units[4]
    rise = np.minimum(crease_y, 0.01 + crease_y * (1 - _EYE_S**4))
    lid = upper - np.stack((np.zeros(13), rise), axis=1)
    return {
        "eye": np.concatenate((upper, lower[-2:0:-1])),
        "iris": _between(ellipse(*place, size * 0.46, size * 0.46, count=20), upper, lower),
        "iris_core": _between(ellipse(*place, size * 0.33, size * 0.33, count=16), upper, lower),
        "pupil": _between(ellipse(*place, size * 0.21, size * 0.21, count=12), upper, lower),
        "glint": ellipse(place[0] - 0.026, place[1] - 0.026, 0.018, 0.018, count=8),
        "lash": upper,
        "lash_wing": np.array([upper[-2], upper[-1] + _WING, upper[-1]]),
        "lid": np.concatenate((lid, upper[::-1])),
        "crease": lid[1:],
        "lower_lash": lower,
        "eye_landmarks": np.array([upper[0], upper[4], upper[8], upper[12], lower[8], lower[4]]),
        "socket": ellipse(t.eye_x, t.eye_y - 0.05, size * 1.2, 0.15),
    }


def _between(points: Points, upper: Points, lower: Points) -> Points:
    """Move points vertically to lie between two lines over the same x: what the lids leave."""
    x = np.clip(points[:, 0], upper[0, 0], upper[-1, 0])
    highest = np.interp(x, upper[:, 0], upper[:, 1])
    lowest = np.interp(x, lower[:, 0], lower[:, 1])
    return np.stack((x, np.clip(points[:, 1], highest, lowest)), axis=1)


def nose(t: Traits, units: Units) -> Shapes:
    """Nose region, nostrils, wings and the landmarks of bridge and base."""
    w = t.nose_width * (1 + 0.08 * units[9] + 0.06 * units[12])
    base = t.nose_y - 0.035 * units[9]
    top = t.eye_y - 0.06
    half = [
        (0, top),
        (0.05, top + 0.03),
        (0.052, top + 0.15),
        (0.075, base - 0.19),
        (w * 0.86, base - 0.11),
        (w, base - 0.045),
        (w * 0.78, base + 0.005),
        (w * 0.34, base + 0.022),
        (0, base + 0.035),
    ]
    outline = smooth(mirrored(half), closed=True, per=5)
    wing = smooth([(w * 0.9, base - 0.10), (w * 1.0, base - 0.045), (w * 0.8, base + 0.005)], per=5)
    nostril = smooth(
        [
            (w * 0.26, base + 0.004),
            (w * 0.46, base - 0.022),
            (w * 0.68, base - 0.012),
            (w * 0.5, base + 0.008),
        ],
        closed=True,
        per=4,
    )
    bridge = [(0.0, y) for y in np.linspace(top + 0.03, base - 0.06, 4)]
    under = [(w * x, base + y) for x, y in ((-0.8, -0.01), (-0.4, 0.012), (0, 0.025))]
    under += [(-x, y) for x, y in under[1::-1]]
    return {
        "nose": outline,
        "wing_r": wing,
        "wing_l": wing * _MIRROR,
        "nostril_r": nostril,
        "nostril_l": nostril * _MIRROR,
        "nose_landmarks": np.array(bridge + under),
    }


def mouth(t: Traits, left: Units, right: Units) -> Shapes:
    """Lips, the opening between them with teeth and tongue, and the twenty landmarks."""
    units = {unit: (left[unit] + right[unit]) / 2 for unit in left}
    corners = [_corner(t, side) for side in (left, right)]
    u = _LIP_U
    away = np.where(u < 0, corners[0][0], corners[1][0])
    moved = np.where(u < 0, corners[0][1], corners[1][1])
    x = u * away + 0.5 * (corners[1][0] - corners[0][0]) * (1 - np.abs(u)) * 0.5
    middle = t.mouth_y + 0.018 * units[12] - 0.03 * units[17] - 0.012 * units[9]
    sharp = 1.7 + 0.9 * units[15]
    line = middle + moved * np.abs(u) ** sharp
    # Dropped jaws open round, stretched lips square.
    shape = (1 - np.abs(u) ** (2.2 + 1.4 * units[20])) ** (1 - 0.4 * units[26])
    smile = units[25] * units[12]
    opening = 0.03 * units[25] + 0.085 * smile + 0.30 * units[26] + 0.075 * units[16]
    lifted = 0.022 * units[25] * (1 - units[12]) + 0.045 * units[26] + 0.05 * units[9]
    lifted *= min(1.0, 8 * opening)
    top = line - lifted * shape
    bottom = line + opening * shape
    upper = t.upper_lip * (1 - 0.3 * units[12] - 0.5 * units[23] - 0.35 * units[24])
    upper *= 1 - 0.25 * units[20] - 0.1 * units[9]
    lower = t.lower_lip * (1 - 0.22 * units[12] - 0.45 * units[23] - 0.35 * units[24])
    lower *= 1 - 0.2 * units[20] - 0.15 * units[16] + 0.15 * units[17]
    upper_curve, lower_curve = _lip_profiles()
    over = top - (upper + 0.012 * units[9]) * upper_curve
    under = bottom + lower * lower_curve
    rows = {
        name: np.stack((x, y), axis=1)
        for name, y in (("over", over), ("top", top), ("bottom", bottom), ("under", under))
    }
    teeth = np.minimum(top + 0.062 * (1 - u**4), bottom)
    tongue = np.maximum(bottom - 0.09 * (1 - u**2), teeth)
    inner = slice(1, -1)
    landmarks = [
        *rows["over"][list(_LIP_OUTER)],
        *rows["under"][list(_LIP_OUTER[-2:0:-1])],
        *((rows["top"] + rows["bottom"]) / 2)[[_LIP_INNER[0]]],
        *rows["top"][list(_LIP_INNER[1:4])],
        *((rows["top"] + rows["bottom"]) / 2)[[_LIP_INNER[4]]],
        *rows["bottom"][list(_LIP_INNER[3:0:-1])],
    ]
    shapes = {
        "upper_lip": np.concatenate((rows["over"], rows["top"][::-1])),
        "lower_lip": np.concatenate((rows["bottom"], rows["under"][::-1])),
        "lip_line": (rows["top"] + rows["bottom"]) / 2,
        "lip_shine": np.stack((x, bottom + 0.42 * lower * lower_curve), axis=1)[8:17],
        "mouth_landmarks": np.array(landmarks),
        "corner_l": np.array((rows["top"][0], rows["top"][0] + _OUTWARD * _MIRROR)),
        "corner_r": np.array((rows["top"][-1], rows["top"][-1] + _OUTWARD)),
    }
    if opening + lifted > 0.012:
        shapes["opening"] = np.concatenate((rows["top"], rows["bottom"][-2:0:-1]))
        shapes["teeth"] = np.concatenate(
            (rows["top"][inner], np.stack((x, teeth), axis=1)[inner][::-1])
        )
        shapes["tongue"] = np.concatenate(
            (np.stack((x, tongue), axis=1)[inner], rows["bottom"][inner][::-1])
        )
    return shapes


def _corner(t: Traits, units: Units) -> tuple[float, float]:
    """How far one mouth corner is from the middle, and how far below it."""
    away = t.mouth_width + 0.085 * units[12] + 0.075 * units[20] + 0.025 * units[14]
    away -= 0.05 * units[24] + 0.025 * units[23] + 0.07 * units[26] * (1 - units[20])
    away -= 0.02 * units[17]
    down = t.corner - 0.115 * units[12] + 0.105 * units[15] + 0.065 * units[20] - 0.03 * units[14]
    return away, down + 0.02 * units[26]


@cache
def _lip_profiles() -> tuple[Points, Points]:
    """Relative thickness of upper lip (with its bow) and lower lip along the mouth."""
    u = np.abs(_LIP_U)
    bow = 1 + 0.2 * np.exp(-(((u - 0.26) / 0.16) ** 2)) - 0.16 * np.exp(-((u / 0.12) ** 2))
    return (1 - u**1.7) ** 0.85 * bow, (1 - u**2.4) ** 0.75


def landmarks(shapes: Shapes) -> Points:
    """The 68 points in the common order, shape ``[68, 2]``."""
    eye_l, eye_r = shapes["eye_landmarks_l"], shapes["eye_landmarks_r"]
    return np.concatenate(
        (
            shapes["jaw_landmarks"],
            shapes["brow_landmarks_l"][::-1],
            shapes["brow_landmarks_r"],
            shapes["nose_landmarks"],
            eye_l[[3, 2, 1, 0, 5, 4]],
            eye_r,
            shapes["mouth_landmarks"],
        )
    )
