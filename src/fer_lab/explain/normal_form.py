"""The normal form of a face: 89 points of a mean face on a canvas, and how a face's own are found.

Source: the gender-split study on AffectNet with LIME (points and canvas); the rule for the top of
the head, which the study does not print, is stated in `face_points`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_lab.data.vocabulary import LANDMARK_FLIP

# Width and height of the normal form, in pixels.
SIZE = (224, 275)

_JAW = slice(0, 17)
_BROWS = (slice(17, 22), slice(22, 27))

# Half of a mean face without the jaw: by landmark, how far from the midline and how far below the
# brows' tops it is. A unit is the distance of the brows' outer ends.
_HALF_FACE = {
    # brow
    17: (0.490, 0.106),
    18: (0.415, 0.039),
    19: (0.309, 0.019),
    20: (0.199, 0.034),
    21: (0.097, 0.077),
    # nose
    27: (0.0, 0.203),
    28: (0.0, 0.307),
    29: (0.0, 0.410),
    30: (0.0, 0.516),
    31: (0.123, 0.587),
    32: (0.064, 0.609),
    33: (0.0, 0.628),
    # eye
    36: (0.368, 0.216),
    37: (0.303, 0.179),
    38: (0.224, 0.180),
    39: (0.156, 0.232),
    40: (0.229, 0.245),
    41: (0.307, 0.244),
    # lips
    48: (0.236, 0.780),
    49: (0.149, 0.745),
    50: (0.061, 0.727),
    51: (0.0, 0.743),
    57: (0.0, 0.909),
    58: (0.067, 0.902),
    59: (0.152, 0.865),
    60: (0.200, 0.785),
    61: (0.062, 0.779),
    62: (0.0, 0.785),
    66: (0.0, 0.832),
    67: (0.063, 0.824),
}
# The jaw line is half an ellipse: its half width, where it begins, and how far down the chin is.
_JAW_WIDTH, _JAW_TOP, _CHIN = 0.62, 0.25, 1.25
# The level of the brows stands in the middle of the canvas, so that the mirrored jaw fits above.
_SCALE, _LEVEL = 102 / 224, 131 / 275
# Of the head's outline to the image's sides, in shares of its width and height.
_MARGIN = 0.01


def face_points(landmarks: Tensor, size: tuple[int, int]) -> Tensor:
    """The 89 points of each face: landmarks, top of the head, corners of the image.

    The 17 points on top of the head are the jaw line mirrored over the line through the middles of
    both brows. Where the mirrored jaw would leave the image above, all 17 are drawn towards that
    line by one factor, until the last of them is inside: the outline keeps its form in tight
    crops. What still leaves it at a side is moved to that side.

    Args:
        landmarks: x and y in pixels, float ``[N, 68, 2]``, inside the image.
        size: width and height of the image in pixels.

    Returns:
        ``[N, 89, 2]``.

    Source: gender-split study, face space; the rule for the top of the head is ours.
    """
    left, right = (landmarks[:, brow].mean(1) for brow in _BROWS)
    along = torch.nn.functional.normalize(right - left, dim=-1)[:, None]
    jaw = landmarks[:, _JAW] - left[:, None]
    foot = (jaw * along).sum(-1, keepdim=True) * along
    up = foot - jaw
    foot = foot + left[:, None]
    last = landmarks.new_tensor([size[0] - 1, size[1] - 1])
    # How far each point may rise before it comes to the image's edge, in units of its own way; on
    # the edge itself it would make flat triangles with the corners.
    inside = _MARGIN * last
    rise, level = up[..., 1], foot[..., 1]
    room = torch.where(rise > 0, (last - inside)[1] - level, level - inside[1])
    room = room / rise.abs().clamp_min(1e-6)
    # The temples of a very tight crop may begin at the edge: they do not hold the others back.
    factor = room.masked_fill(room <= 0, 1).amin(1).clamp_max(1)[:, None, None]
    top = torch.minimum((foot + factor * up).clamp_min(0), last)
    corners = landmarks.new_tensor([[0, 0], [1, 0], [0, 1], [1, 1]]) * last
    return torch.cat([landmarks, top, corners.expand(len(landmarks), 4, 2)], 1)


@lru_cache(maxsize=8)
def normal_landmarks(size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    """The 68 landmarks of the mean face on a canvas of ``size`` (width, height), ``[68, 2]``."""
    half = np.zeros((68, 2))
    angle = np.linspace(0, np.pi / 2, 9)
    half[:9, 0] = _JAW_WIDTH * np.cos(angle)
    half[:9, 1] = _JAW_TOP + (_CHIN - _JAW_TOP) * np.sin(angle)
    for number, place in _HALF_FACE.items():
        half[number] = place
    face = half * (-1, 1)
    there = np.zeros(68, dtype=bool)
    there[[*range(9), *_HALF_FACE]] = True
    mirrored = half[list(LANDMARK_FLIP)]
    face[~there] = mirrored[~there]
    width, height = size
    scale = min(_SCALE * width, _SCALE * SIZE[0] / SIZE[1] * height)
    face = face * scale + ((width - 1) / 2, _LEVEL * height)
    return face.astype(np.float32)


def normal_points(size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    """The 89 points of the normal form, ``[89, 2]``."""
    landmarks = torch.from_numpy(normal_landmarks(size))
    return face_points(landmarks[None], size)[0].numpy()
