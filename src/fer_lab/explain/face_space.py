"""Explanations in face space: maps of many faces brought onto one normal form and averaged.

The triangles and the place of each pixel in its triangle are those of the normal form and never
change: they are found once, and a batch is one matrix product and one look-up on its device.

Source: the gender-split study on AffectNet with LIME, merged explanation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from scipy.spatial import Delaunay
from torch import Tensor

from fer_lab.explain.normal_form import SIZE, face_points, normal_points


class Normalized(NamedTuple):
    """Maps in face space.

    Attributes:
        values: ``[N, height, width]``; NaN where a face's triangle is folded, and all over a face
            that is set aside.
        folded: triangles of each face that are folded or flat, int64 ``[N]``.
        usable: whether a face's landmarks are all known and inside its image, bool ``[N]``.
    """

    values: Tensor
    folded: Tensor
    usable: Tensor


class _Topology(NamedTuple):
    """What is known of a normal form before any face is seen.

    Attributes:
        triangles: corners among the 89 points, int64 ``[T, 3]``, all in one sense of rotation.
        triangle: the one that each pixel is in, int64 ``[height * width]``.
        weights: barycentric coordinates of each pixel, ``[height * width, 89]``.
    """

    triangles: Tensor
    triangle: Tensor
    weights: Tensor


def normalize(values: Tensor, landmarks: Tensor, size: tuple[int, int] = SIZE) -> Tensor:
    """Bring maps over images into face space.

    Each pixel of the normal form lies in a triangle of its 89 points; the value is read in the
    image at the same barycentric coordinates of the same triangle, bilinearly.

    Args:
        values: float ``[N, H, W]``.
        landmarks: x and y in pixels of ``values`` (whole numbers are centres of pixels),
            ``[N, 68, 2]``.
        size: width and height of the normal form.

    Returns:
        ``[N, height, width]``; NaN where the face's triangle is folded, and all over a face with a
        landmark that is missing or outside its image.

    Source: gender-split study, merged explanation, steps 2 to 4.
    """
    return normalized(values, landmarks, size).values


def normalized(values: Tensor, landmarks: Tensor, size: tuple[int, int] = SIZE) -> Normalized:
    """As `normalize`, with what was set aside."""
    height, width = values.shape[-2:]
    known = _topology(size, values.device)
    landmarks = landmarks.to(known.weights)
    last = landmarks.new_tensor([width - 1, height - 1])
    usable = ((landmarks >= 0) & (landmarks <= last)).all(-1).all(-1)
    # A face that is set aside stands for nothing; any finite points keep the arithmetic clean.
    points = face_points(torch.where(usable[:, None, None], landmarks, last / 2), (width, height))
    folded = _areas(points[:, known.triangles]) <= 0
    place = torch.einsum("pk,nkc->npc", known.weights, points) * (2 / last) - 1
    read = F.grid_sample(
        values[:, None].to(place), place[:, None], padding_mode="border", align_corners=True
    )
    unknown = folded[:, known.triangle] | ~usable[:, None]
    warped = read.flatten(1).masked_fill(unknown, torch.nan)
    return Normalized(
        warped.view(len(values), size[1], size[0]), folded.sum(1).where(usable, 0), usable
    )


@lru_cache(maxsize=8)
def normal_triangles(size: tuple[int, int] = SIZE) -> NDArray[np.int64]:
    """Delaunay's triangles of the normal form, as indices of its 89 points, ``[T, 3]``.

    Their corners go round in one sense, so that a folded triangle of a face shows in its sign.
    """
    points = normal_points(size).astype(np.float64)
    triangles = Delaunay(points).simplices.astype(np.int64)
    turned = _areas(torch.from_numpy(points)[triangles]).numpy() < 0
    triangles[turned] = triangles[turned][:, [0, 2, 1]]
    return triangles


@lru_cache(maxsize=8)
def _topology(size: tuple[int, int], device: torch.device) -> _Topology:
    width, height = size
    points = normal_points(size).astype(np.float64)
    triangles = normal_triangles(size)
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([across, down], -1).reshape(-1, 2).astype(np.float64)
    triangle, corner_weights = _locate(pixels, points, triangles)
    weights = np.zeros((len(pixels), len(points)), dtype=np.float32)
    np.put_along_axis(weights, triangles[triangle], corner_weights.astype(np.float32), axis=1)
    return _Topology(
        torch.from_numpy(triangles).to(device),
        torch.from_numpy(triangle).to(device),
        torch.from_numpy(weights).to(device),
    )


def _locate(
    pixels: NDArray[np.float64], points: NDArray[np.float64], triangles: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The triangle of each pixel and its barycentric coordinates there, ``[P]`` and ``[P, 3]``."""
    corners = np.concatenate([points[triangles], np.ones((len(triangles), 3, 1))], -1)
    # Barycentric coordinates are linear in (x, y, 1): a matrix for each triangle, [T, 3, 3].
    matrices = np.linalg.inv(corners)
    homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], -1)
    first, second, third = (homogeneous @ matrices[:, :, corner].T for corner in range(3))
    # A pixel on an edge is in both triangles up to rounding: the one it is deepest in has it.
    triangle = np.minimum(np.minimum(first, second), third).argmax(1)
    found = np.einsum("pi,pij->pj", homogeneous, matrices[triangle])
    return triangle.astype(np.int64), found


def _areas(corners: Tensor) -> Tensor:
    """Twice the signed areas of triangles ``[..., 3, 2]``."""
    one = corners[..., 1, :] - corners[..., 0, :]
    other = corners[..., 2, :] - corners[..., 0, :]
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
