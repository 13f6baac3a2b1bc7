"""Heatmaps laid out in one frame, the normal form of a face drawn over each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fer_lab.report.drawing import INK

# Each from light to dark, so that they can be read in print; signed ones from the middle on.
HEAT, DIFFERENCE, SIGNED = "YlOrRd", "YlGnBu", "RdBu_r"
UNREAD = "#c9cdd3"

# Landmarks, and behind them the top of the head, joined to lines.
_LINES = (
    *(range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36)),
    *((*range(36, 42), 36), (*range(42, 48), 42), (*range(48, 60), 48), (*range(60, 68), 60)),
    (0, *range(68, 85), 16),
)


class Canvas:
    """Rows and columns of heatmaps in one frame.

    Args:
        figure: what it fills.
        rows: titles of the rows.
        columns: titles of the columns.
        size: width and height of a heatmap.
    """

    def __init__(
        self,
        figure: Figure,
        rows: Sequence[str],
        columns: Sequence[str],
        size: tuple[int, int],
    ) -> None:
        from fer_lab.explain.normal_form import normal_points  # brings torch

        axes = figure.add_subplot()
        self.figure, self.axes, self.size = figure, axes, size
        width, height = size
        self._gap = gap = width / 16
        self._across, self._down = width + gap, height + gap
        self._bottom = len(rows) * self._down
        self._lines = [normal_points(size)[list(line)] for line in _LINES]
        axes.set(xlim=(-gap, len(columns) * self._across), ylim=(self._bottom, -gap))
        axes.set_aspect("equal")
        axes.set_xticks([n * self._across + width / 2 for n in range(len(columns))], columns)
        axes.set_yticks([n * self._down + height / 2 for n in range(len(rows))], rows)
        axes.tick_params(length=0, labelsize=8, top=False, labeltop=True, labelbottom=False)
        for side in axes.spines.values():
            side.set_visible(False)

    def show(
        self,
        row: int,
        column: int,
        values: NDArray[Any],
        norm: Normalize,
        colors: str,
        unread: NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw a heatmap ``[H, W]`` with the face's outline, grey where it is to be left unread."""
        pixels = colormaps[colors].with_extremes(bad=UNREAD)(norm(np.ma.masked_invalid(values)))
        if unread is not None:
            pixels[unread] = to_rgba(UNREAD)
        left, top = column * self._across, row * self._down
        width, height = self.size
        # imshow would fit the frame to its last image.
        limits = self.axes.get_xlim(), self.axes.get_ylim()
        self.axes.imshow(pixels, extent=(left, left + width, top + height, top))
        self.axes.set(xlim=limits[0], ylim=limits[1])
        corner = np.array([left + 0.5, top + 0.5])
        lines = [line + corner for line in self._lines]
        self.axes.add_collection(
            LineCollection(lines, colors=INK, linewidths=0.45, alpha=0.75), autolim=False
        )

    def bar(self, columns: tuple[int, int], norm: Normalize, colors: str, text: str) -> None:
        """Put a colour bar below some columns, the last one included."""
        left, right = columns[0] * self._across, (columns[1] + 1) * self._across - self._gap
        inset = 0.06 * (right - left)
        place = (left + inset, self._bottom + self._gap, right - left - 2 * inset, self._gap)
        axes = self.axes.inset_axes(place, transform=self.axes.transData)
        scale = ScalarMappable(norm, colors)
        bar = self.figure.colorbar(scale, cax=axes, orientation="horizontal", extend="both")
        bar.set_label(text, fontsize=8)
        bar.ax.tick_params(labelsize=7)

    def absent(self, row: int, column: int, text: str) -> None:
        """Say that there is no heatmap."""
        left, top = column * self._across, row * self._down
        width, height = self.size
        self.axes.add_patch(
            Rectangle((left, top), width, height, facecolor=UNREAD, edgecolor="white", hatch="///")
        )
        self.axes.text(left + width / 2, top + height / 2, text, fontsize=7, ha="center")

    def note(self, row: int, column: int, text: str, color: str) -> None:
        """Write into the lower left corner of a heatmap."""
        left, top = column * self._across, row * self._down
        place = (left + self._gap / 2, top + self.size[1] - self._gap / 2)
        self.axes.text(*place, text, fontsize=5.5, color=color, in_layout=False)
