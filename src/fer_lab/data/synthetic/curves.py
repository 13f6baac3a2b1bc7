"""Smooth lines through few points."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def smooth(points: ArrayLike, *, closed: bool = False, per: int = 6) -> Points:
    """A Catmull-Rom curve through ``points``.

    Args:
        points: shape ``[n, 2]``.
        closed: whether the last point is joined to the first.
        per: samples for each stretch between two points; sample ``k * per`` is point ``k``.

    Returns:
        Shape ``[n * per, 2]`` when closed, else ``[(n - 1) * per + 1, 2]``.
    """
    given = np.asarray(points, dtype=float)
    return _basis(len(given), closed, per) @ given


@cache
def _basis(count: int, closed: bool, per: int) -> Points:
    t = np.arange(per) / per
    weights = np.stack(
        (
            -0.5 * t**3 + t**2 - 0.5 * t,
            1.5 * t**3 - 2.5 * t**2 + 1,
            -1.5 * t**3 + 2 * t**2 + 0.5 * t,
            0.5 * t**3 - 0.5 * t**2,
        ),
        axis=1,
    )
    stretches = count if closed else count - 1
    basis = np.zeros((stretches * per + (not closed), count))
    for stretch in range(stretches):
        for offset in range(4):
            point = stretch + offset - 1
            point = point % count if closed else min(max(point, 0), count - 1)
            basis[stretch * per : (stretch + 1) * per, point] += weights[:, offset]
    if not closed:
        basis[-1, -1] = 1
    return basis


def mirrored(half: ArrayLike) -> Points:
    """A symmetric outline from its right half, which starts and ends on the axis x = 0."""
    right = np.asarray(half, dtype=float)
    return np.concatenate((right, right[-2:0:-1] * (-1, 1)))


def ellipse(x: float, y: float, width: float, height: float, *, count: int = 16) -> Points:
    """Points of an ellipse with these half-axes."""
    return _circle(count) * (width, height) + (x, y)


@cache
def _circle(count: int) -> Points:
    angle = np.arange(count) * (2 * np.pi / count)
    return np.stack((np.cos(angle), np.sin(angle)), axis=1)
