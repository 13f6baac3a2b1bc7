"""Smooth lines through few points."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]

_Number = TypeVar("_Number", bound=np.number)


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
    curve: Points = _basis(len(given), closed, per) @ given
    return curve


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


def like(shapes: Mapping[str, Points], together: NDArray[_Number]) -> dict[str, NDArray[_Number]]:
    """Cut moved points into shapes again: the inverse of concatenating ``shapes``' values."""
    cut: dict[str, NDArray[_Number]] = {}
    start = 0
    for name, points in shapes.items():
        stop = start + len(points)
        cut[name] = together[start:stop]
        start = stop
    return cut


def shifted(points: Points, x: float, y: float) -> Points:
    """The points moved by this much."""
    moved: Points = points + np.array((x, y))
    return moved


def ellipse(x: float, y: float, width: float, height: float, *, count: int = 16) -> Points:
    """Points of an ellipse with these half-axes."""
    return shifted(_circle(count) * np.array((width, height)), x, y)


@cache
def _circle(count: int) -> Points:
    angle = np.arange(count) * (2 * np.pi / count)
    return np.stack((np.cos(angle), np.sin(angle)), axis=1)
