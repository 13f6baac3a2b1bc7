"""Maps brought into face space, a batch of 64 at 224 px, against loops over pixels in Python.

The loop that the target is for finds each pixel's triangle and its coordinates there by numpy,
and reads the map at them. Beside it stands the fastest that is still a loop: it is given triangles
and coordinates, and computes in plain floats. All must agree to 1e-4.

Target: at least 200 times faster per face than the first.
"""

from __future__ import annotations

import argparse
import math
import statistics

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks._ratios import seconds
from fer_lab.data.synthetic import SyntheticReader
from fer_lab.explain.face_space import normal_triangles, normalize
from fer_lab.explain.normal_form import SIZE, face_points, normal_points

TARGET = 200
BATCH = 64
PIXELS = 224

Floats = NDArray[np.float64]


class Grid:
    """The normal form's triangles, and where each of its pixels lies among them.

    Attributes:
        triangles: corners of each triangle among the 89 points, ``[T, 3]``.
        systems: from ``(x, y, 1)`` to the coordinates in each triangle, ``[T, 3, 3]``.
        corners: of each pixel's triangle, in reading order.
        weights: the pixel's coordinates in it.
    """

    def __init__(self) -> None:
        points = normal_points().astype(np.float64)
        self.triangles = normal_triangles()
        columns = points[self.triangles].transpose(0, 2, 1)
        self.systems: Floats = np.linalg.inv(
            np.concatenate([columns, np.ones((len(columns), 1, 3))], 1)
        )
        self.corners: list[list[int]] = []
        self.weights: list[list[float]] = []
        for y in range(SIZE[1]):
            for x in range(SIZE[0]):
                triangle, weights = self.locate(x, y)
                self.corners.append(self.triangles[triangle].tolist())
                self.weights.append(weights.tolist())

    def locate(self, x: int, y: int) -> tuple[int, Floats]:
        """The triangle that a pixel is deepest in, and its coordinates there."""
        coordinates = self.systems @ (x, y, 1.0)
        triangle = int(coordinates.min(1).argmax())
        return triangle, coordinates[triangle]


def faces() -> tuple[Tensor, Tensor]:
    """Grey pictures of drawn faces as maps, ``[N, 224, 224]``, and their landmarks."""
    reader = SyntheticReader()
    read = [reader.read(f"synthetic#{number}", PIXELS) for number in range(BATCH)]
    grey = np.stack([sample.image for sample in read]).astype(np.float32).mean(-1) / 255
    landmarks = [sample.landmarks for sample in read if sample.landmarks is not None]
    return torch.from_numpy(grey), torch.from_numpy(np.stack(landmarks))


def own_points(value: Tensor, landmarks: Tensor) -> Floats:
    found: Floats = face_points(landmarks[None], (value.shape[1], value.shape[0]))[0].numpy()
    return found.astype(np.float64)


def bilinear(rows: list[list[float]], x: float, y: float) -> float:
    """The map between four pixels; its edge beyond it."""
    height, width = len(rows), len(rows[0])
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    left, top = int(x), int(y)
    right, below = min(left + 1, width - 1), min(top + 1, height - 1)
    across, down = x - left, y - top
    upper = rows[top][left] * (1 - across) + rows[top][right] * across
    lower = rows[below][left] * (1 - across) + rows[below][right] * across
    return upper * (1 - down) + lower * down


def folded(first: list[float], second: list[float], third: list[float]) -> bool:
    (ax, ay), (bx, by), (cx, cy) = first, second, third
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) <= 0


def searched(value: Tensor, landmarks: Tensor, grid: Grid) -> list[float]:
    """One map in face space in reading order; each pixel's triangle is looked for."""
    rows, points = value.tolist(), own_points(value, landmarks)
    result = []
    for y in range(SIZE[1]):
        for x in range(SIZE[0]):
            triangle, weights = grid.locate(x, y)
            corners = points[grid.triangles[triangle]]
            place = (weights @ corners).tolist()
            result.append(math.nan if folded(*corners.tolist()) else bilinear(rows, *place))
    return result


def given(value: Tensor, landmarks: Tensor, grid: Grid) -> list[float]:
    """The same with each pixel's triangle and coordinates known."""
    rows, points = value.tolist(), own_points(value, landmarks).tolist()
    result = []
    for (first, second, third), (u, v, w) in zip(grid.corners, grid.weights, strict=True):
        a, b, c = points[first], points[second], points[third]
        if folded(a, b, c):
            result.append(math.nan)
            continue
        x = u * a[0] + v * b[0] + w * c[0]
        result.append(bilinear(rows, x, u * a[1] + v * b[1] + w * c[1]))
    return result


def main() -> None:
    arguments = argparse.ArgumentParser(description="face space against a loop over pixels")
    arguments.add_argument("--pairs", type=int, default=5)
    pairs = arguments.parse_args().pairs
    maps, landmarks = faces()
    grid = Grid()
    ours = normalize(maps, landmarks).numpy()
    for loop, title, target in (
        (searched, "a loop that finds triangles", TARGET),
        (given, "one that is given them", None),
    ):
        loops, batches, gaps = [], [], []
        for number in range(pairs):
            found: list[float] = []
            arguments_of = maps[number], landmarks[number], grid
            loops.append(seconds(lambda: found.extend(loop(*arguments_of))))  # noqa: B023
            batches.append(seconds(lambda: normalize(maps, landmarks)) / BATCH)
            # On the edge of a folded triangle a pixel may be known to one of the two alone.
            gaps.append(float(np.nanmax(np.abs(ours[number].ravel() - np.array(found)))))
        ratios = sorted(loop / own for loop, own in zip(loops, batches, strict=True))
        ratio = statistics.median(ratios)
        verdict = (
            "" if target is None else f"   target {target}: {'ok' if ratio >= target else 'BELOW'}"
        )
        print(
            f"face space against {title:<28} {statistics.median(batches) * 1000:.2f} ms/face, loop "
            f"{statistics.median(loops) * 1000:.0f}   {ratio:.0f} times faster "
            f"({ratios[0]:.0f} to {ratios[-1]:.0f}, {pairs} pairs), differs by at most "
            f"{max(gaps):.0e}{verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()
