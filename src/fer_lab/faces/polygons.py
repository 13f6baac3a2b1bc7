"""Region masks from 68 landmarks: brows, eyes, nose, mouth, lips and the skin around them.

The outlines are drawn here by proportion and are of no study; docs/regions.md has how well they
agree with true masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_lab.data.pixels.masks import NO_REGION
from fer_lab.data.pixels.opencv import opencv
from fer_lab.data.vocabulary import REGIONS

Points = NDArray[np.float64]

# In the order in which they are drawn: later ones lie on top.
DRAWN: Final = (
    "skin", "nose", "l_brow", "r_brow", "l_eye", "r_eye", "mouth", "l_lip", "u_lip",
)  # fmt: skip

_JAW = slice(0, 17)
_BROWS: Final = {"l_brow": slice(17, 22), "r_brow": slice(22, 27)}
_EYES: Final = {"l_eye": slice(36, 42), "r_eye": slice(42, 48)}
_UPPER_LIP: Final = (48, 49, 50, 51, 52, 53, 54, 64, 63, 62, 61, 60)
_LOWER_LIP: Final = (54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64)
_INSIDE: Final = slice(60, 68)

# Of the distance from chin to brows: how far above the brows the skin still is no hair.
_FOREHEAD: Final = 0.25
# Half of a brow's thickness, in shares of its length, at its five points.
_BROW_HALF: Final = np.array([0.04, 0.07, 0.09, 0.10, 0.09])
# Half widths of the nose in shares of its base's: at the root, at half height; then of the wings.
_NOSE_ROOT, _NOSE_MIDDLE, _NOSE_WINGS = 0.35, 0.50, 1.30
# Lips closer than this share of the mouth's width touch: there is no inside to see.
_CLOSED: Final = 0.05

_SHIFT: Final = 4  # OpenCV's fixed-point coordinates: sixteenths of a pixel


def usable_landmarks(landmarks: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether a face's landmarks are all known and inside its image, ``[N]``.

    Args:
        landmarks: x and y in pixels, ``[N, 68, 2]``; NaN where unknown.
        size: height and width of the images, in pixels.
    """
    last = np.array([size[1] - 1, size[0] - 1])
    inside = (landmarks >= 0) & (landmarks <= last)
    return np.asarray(inside.all(axis=(1, 2)), dtype=bool)


def landmark_regions(landmarks: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Region masks of faces whose 68 landmarks are known.

    Nine regions are drawn (``DRAWN``); the others are absent, and what is outside all of them is
    255, no region: hair, ears, neck and background cannot be told from landmarks. The mouth's
    inside is absent where the lips touch. Glasses and hair over the face are not seen. Left and
    right are those of the image.

    Runs on the CPU, in the process that reads the images; an image takes a fraction of a
    millisecond.

    Args:
        landmarks: x and y in pixels (whole numbers are centres of pixels), ``[N, 68, 2]``, in the
            common order of ``vocabulary``.
        size: height and width of the masks, in pixels.

    Returns:
        uint8 ``[N, H, W]``, index in ``vocabulary.REGIONS``; all 255 for a face whose landmarks
        are not usable (count them with `usable_landmarks`).

    Raises:
        ValueError: if the landmarks have another shape.
    """
    if landmarks.ndim != 3 or landmarks.shape[1:] != (68, 2):
        raise ValueError(f"landmarks have the shape [N, 68, 2], not {list(landmarks.shape)}")
    cv2 = opencv()
    masks = np.full((len(landmarks), *size), NO_REGION, dtype=np.uint8)
    faces = np.flatnonzero(usable_landmarks(landmarks, size))
    outlines = _outlines(landmarks[faces].astype(np.float64))
    fixed = {name: _fixed(each) for name, each in outlines.items()}
    is_open = _is_open(landmarks[faces])
    for place, face in enumerate(faces):
        for name in DRAWN:
            if name != "mouth" or is_open[place]:
                code = REGIONS.index(name)
                cv2.fillPoly(masks[face], [fixed[name][place]], code, shift=_SHIFT)
    return masks


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.ascontiguousarray(np.rint(points * 2**_SHIFT), dtype=np.int32)


def _outlines(points: Points) -> Mapping[str, Points]:
    """The polygon of each region, ``[N, corners, 2]``, of faces turned in any way."""
    up = _unit((points[:, 17:27].mean(1) - points[:, 8])[:, None])  # [N, 1, 2]
    found = {name: points[:, part] for name, part in _EYES.items()}
    for name, part in _BROWS.items():
        brow = points[:, part]
        half = _BROW_HALF if name == "l_brow" else _BROW_HALF[::-1]
        length = np.linalg.norm(brow[:, -1] - brow[:, 0], axis=-1)[:, None, None]
        away = up * length * half[:, None]
        found[name] = np.concatenate([brow + away, (brow - away)[:, ::-1]], axis=1)
    found["skin"] = np.concatenate([points[:, _JAW], _forehead(points, up)], axis=1)
    found["nose"] = _nose(points)
    found["u_lip"] = points[:, _UPPER_LIP]
    found["l_lip"] = points[:, _LOWER_LIP]
    found["mouth"] = points[:, _INSIDE]
    return found


def _forehead(points: Points, up: Points) -> Points:
    """Half an ellipse from the end of the jaw line, on the image's right, back to its start."""
    start, end = points[:, 0:1], points[:, 16:17]
    brows, chin = points[:, 17:27].mean(1)[:, None], points[:, 8:9]
    middle = (start + end) / 2
    above = ((brows - middle) * up).sum(-1, keepdims=True)
    rise = above + _FOREHEAD * np.linalg.norm(brows - chin, axis=-1, keepdims=True)
    angle = np.linspace(0, np.pi, 14)[1:-1, None]
    arc: Points = middle + (end - start) / 2 * np.cos(angle) + up * rise * np.sin(angle)
    return arc


def _nose(points: Points) -> Points:
    """Root, middle, wings and base; the points of the base lie inside the wings."""
    middle = (points[:, 31] + points[:, 35])[:, None] / 2
    half = (points[:, 35] - points[:, 31])[:, None] / 2  # towards the image's right
    root, ridge = points[:, 27:28], points[:, 29:30]
    wing = points[:, 30:31] - middle
    left = [root - half * _NOSE_ROOT, ridge - half * _NOSE_MIDDLE, middle - half * _NOSE_WINGS]
    right = [root + half * _NOSE_ROOT, ridge + half * _NOSE_MIDDLE, middle + half * _NOSE_WINGS]
    sides = [wing * 0.5 + left[2], wing * 0.5 + right[2]]
    return np.concatenate(
        [*left[:2], sides[0], left[2], points[:, 32:35], right[2], sides[1], *right[1::-1]], axis=1
    )


def _is_open(points: NDArray[np.floating]) -> NDArray[np.bool_]:
    gap = np.linalg.norm(points[:, 61:64] - points[:, [67, 66, 65]], axis=-1).mean(-1)
    width = np.linalg.norm(points[:, 64] - points[:, 60], axis=-1)
    return np.asarray(gap > _CLOSED * width, dtype=bool)


def _unit(vector: Points) -> Points:
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    unit: Points = np.divide(vector, length, out=np.zeros_like(vector), where=length > 0)
    return unit
