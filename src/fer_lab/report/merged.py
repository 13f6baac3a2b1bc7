"""The figure of a run's merged heatmaps: mean maps in face space, by group and expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fer_lab.errors import DataError
from fer_lab.report.drawing import INK, PAGE_WIDTH, SOFT, page_figure, small_print
from fer_lab.report.prototype import ABSENT, COLORMAP
from fer_lab.report.wording import count, figure_label

if TYPE_CHECKING:
    from fer_lab.explain.merged import Merged

# Lines through the 68 landmarks: where each begins and ends, and whether it closes.
_LINES = (
    *((0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False)),
    *((36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True)),
)
# Between the faces, and below them for their number.
_GAP, _BELOW = 12, 30
Floats = npt.NDArray[np.float32]


def merged_figure(merged: Merged, facts: Mapping[str, Any], note: str = "") -> Figure:
    """Mean maps on the outlines of the normal form, groups below each other, one colour scale.

    The scale runs from the 1st to the 99th percentile of all pixels shown.

    Args:
        merged: cells are named by group and expression.
        facts: ``explanations/merged_<split>.json``.
        note: how far the maps can be trusted.

    Raises:
        DataError: if there is no cell with an image.
    """
    heatmaps = merged.heatmaps()
    if not np.isfinite(heatmaps).any():
        raise DataError("no face was merged", where=f"explanations/merged_{facts.get('split')}.npz")
    groups, expressions = (list(dict.fromkeys(names)) for names in zip(*merged.cells, strict=True))
    height, width = heatmaps.shape[1:]
    down, across = height + _BELOW, width + _GAP
    low, high = np.nanpercentile(heatmaps[:, ::2, ::2], (1, 99))
    colors = colormaps[COLORMAP].with_extremes(bad=ABSENT)
    scale = ScalarMappable(Normalize(low, high), colors)
    mosaic: npt.NDArray[np.uint8] = np.full(
        (len(groups) * down, len(expressions) * across, 4), 255, dtype=np.uint8
    )
    places = [
        (expressions.index(expression) * across, groups.index(group) * down)
        for group, expression in merged.cells
    ]
    for (x, y), heatmap in zip(places, np.ma.masked_invalid(heatmaps), strict=True):
        mosaic[y : y + height, x : x + width] = scale.to_rgba(heatmap, bytes=True)
    inches = 0.84 * PAGE_WIDTH / mosaic.shape[1]
    figure = page_figure(mosaic.shape[0] * inches + 1.6)
    axes = figure.add_subplot()
    axes.imshow(mosaic, interpolation="antialiased")
    outlines = _outlines((width, height))
    lines = [line + place for place in places for line in outlines]
    axes.add_collection(LineCollection(lines, colors=INK, linewidths=0.45, alpha=0.7))
    images = _images(merged, facts)
    for (x, y), number_of_images in zip(places, images, strict=True):
        text = f"n = {count(number_of_images)}"
        axes.text(x, y + height + 4, text, fontsize=5.5, color=SOFT, va="top", in_layout=False)
    axes.set_xticks(
        [column * across + width / 2 for column in range(len(expressions))],
        [figure_label(e, 14) for e in expressions],
        fontsize=8.5,
    )
    axes.set_yticks(
        [row * down + height / 2 for row in range(len(groups))],
        [figure_label(g, 16) for g in groups],
        fontsize=8.5,
    )
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(
        scale, ax=axes, orientation="horizontal", shrink=0.5, aspect=40, pad=0.02, extend="both"
    )
    bar.set_label("mean attribution", fontsize=8)
    bar.ax.tick_params(labelsize=7.5)
    attribute = figure_label(facts["attribute"])
    axes.set_title(f"Merged heatmaps by {attribute} and expression", fontsize=10, loc="left")
    small_print(figure, f"{merged_words(facts)} {note}".rstrip())
    return figure


def merged_words(facts: Mapping[str, Any]) -> str:
    """How many faces the heatmaps are of, and how many were set aside.

    >>> merged_words({"faces": 1200, "unusable": 3, "folded": 7})
    '1,200 faces; 3 set aside (landmarks missing or outside), 7 with a folded triangle.'
    """
    return (
        f"{count(facts['faces'])} faces; {count(facts['unusable'])} set aside (landmarks missing "
        f"or outside), {count(facts['folded'])} with a folded triangle."
    )


def _images(merged: Merged, facts: Mapping[str, Any]) -> list[int]:
    """Images of each cell; where they were not counted, those that the best known pixel has."""
    counted = facts.get("images") or {}
    known = merged.count.sum(1).max((1, 2))
    return [
        int(counted.get("/".join(names), most))
        for names, most in zip(merged.cells, known, strict=True)
    ]


def _outlines(size: tuple[int, int]) -> list[Floats]:
    """Lines through the mean face's landmarks, each ``[points, 2]``."""
    from fer_lab.explain.normal_form import normal_landmarks

    points = normal_landmarks(size)
    return [
        np.concatenate([points[start:end], points[start : start + closed]])
        for start, end, closed in _LINES
    ]
