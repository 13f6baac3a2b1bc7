"""Figures of where a model looks: patch rows, and the summary of prototype and patches.

The form of the summary is Papadopoulos et al., FaceX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_lab.errors import DataError
from fer_lab.report.drawing import PAGE_WIDTH, page_figure, small_print
from fer_lab.report.faithfulness import footnote
from fer_lab.report.prototype import draw_prototype
from fer_lab.report.region_patches import RegionPatches
from fer_lab.report.tables import region_rows
from fer_lab.report.wording import region_title


def patches_figure(patches: Mapping[str, RegionPatches], k: int = 20, *, note: str = "") -> Figure:
    """The high-impact patches, a row per region, best first.

    Args:
        patches: by region.
        k: the most patches in a row.
        note: the small print below, such as how far the patches can be trusted.

    Raises:
        DataError: if no region has any.
    """
    figure = page_figure(_rows_height(len(patches), k) + 0.2 * bool(note))
    axes = figure.add_subplot()
    _draw_patches(axes, patches, list(patches), k)
    axes.set_title("Patches with most attribution, best first", fontsize=10, loc="left")
    if note:
        small_print(figure, note)
    return figure


def summary_figure(
    explanation: Mapping[str, Any], patches: Mapping[str, RegionPatches], rows: int = 8, k: int = 16
) -> Figure:
    """The prototype coloured by IoR over the patch rows of the regions with the highest lift.

    Args:
        explanation: ``explanations/summary.json``.
        patches: by region.
        rows: regions whose patches are shown.
        k: the most patches in a row.
    """
    most = [row.region for row in region_rows(explanation) if row.region in patches][:rows]
    heights = [4.9, _rows_height(len(most), k) + 0.2]
    figure = Figure(figsize=(PAGE_WIDTH, sum(heights)), dpi=150, layout="constrained")
    # Each half is laid out for itself: the rows' labels need not align with the face.
    halves = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    above, below = (half.add_subplot() for half in halves)
    values = {region: facts["ior"] for region, facts in explanation["regions"].items()}
    scale = draw_prototype(above, values)
    bar = halves[0].colorbar(scale, ax=above, shrink=0.75, pad=0.02, aspect=24)
    bar.set_label("IoR", fontsize=10)
    bar.ax.tick_params(labelsize=9)
    above.set_title("Where the model looks", fontsize=11, loc="left")
    _draw_patches(below, patches, most, k)
    below.set_title("Patches with most attribution, highest lift first", fontsize=10, loc="left")
    small_print(figure, footnote(explanation))
    return figure


def _rows_height(rows: int, k: int) -> float:
    """Inches for rows of ``k`` square patches across the page, and a title."""
    return rows * 6.0 / k + 0.5


def _draw_patches(
    axes: Axes, patches: Mapping[str, RegionPatches], regions: Sequence[str], k: int
) -> None:
    """One picture of all rows: as many artists as patches would take seconds to draw."""
    if not regions:
        raise DataError("no region has a patch", where="explanations/patches.npz")
    rows = [patches[region].image[:k] for region in regions]
    size = max(row.shape[1] for row in rows)
    gap = max(1, size // 8)
    step = size + gap
    mosaic: npt.NDArray[np.uint8] = np.full(
        (len(rows) * step - gap, k * step - gap, 3), 255, dtype=np.uint8
    )
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            height, width = image.shape[:2]
            mosaic[y * step : y * step + height, x * step : x * step + width] = image
    axes.imshow(mosaic, interpolation="nearest", aspect="equal")
    axes.set_xticks([])
    middle = [position * step + size / 2 - 0.5 for position in range(len(regions))]
    axes.set_yticks(middle, [region_title(r) for r in regions], fontsize=8.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
