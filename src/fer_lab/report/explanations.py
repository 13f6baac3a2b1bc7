"""Figures of where a model looks: patch rows, the summary, and regions by group.

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
from fer_lab.report.prototype import draw_prototype
from fer_lab.report.run import RegionPatches
from fer_lab.report.tables import region_rows
from fer_lab.report.wording import figure_label, is_number, region_title

_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
_MARKERS = "osD^vPX"


def patches_figure(patches: Mapping[str, RegionPatches], k: int = 20) -> Figure:
    """The high-impact patches, a row per region, best first.

    Args:
        patches: by region.
        k: the most patches in a row.

    Raises:
        DataError: if no region has any.
    """
    figure = Figure(figsize=(7.0, _rows_height(len(patches), k)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    _draw_patches(axes, patches, list(patches), k)
    axes.set_title("Patches with most attribution, best first", fontsize=10, loc="left")
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
    heights = [4.9, _rows_height(len(most), k)]
    figure = Figure(figsize=(7.0, sum(heights)), dpi=150, layout="constrained")
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
    return figure


def region_groups_figure(explanation: Mapping[str, Any]) -> Figure:
    """Lift per region and group, a panel per attribute.

    Groups are compared on lift, since IoR rises with a map's overall heat.

    Raises:
        DataError: if there are no groups.
    """
    by_group = explanation["by_group"]
    regions = [row.region for row in region_rows(explanation)]
    if not by_group or not regions:
        raise DataError("the explanation has no groups", where="explanations/summary.json")
    legend = max(len(groups) for groups in by_group.values())
    figure = Figure(
        figsize=(7.0, 0.26 * len(regions) + 0.9 + 0.18 * legend), dpi=150, layout="constrained"
    )
    panels = figure.subplots(1, len(by_group), sharey=True, squeeze=False)[0]
    for axes, (attribute, groups) in zip(panels, by_group.items(), strict=True):
        for position, (group, measured) in enumerate(groups.items()):
            lift = [measured.get(region, {}).get("lift") for region in regions]
            axes.plot(
                [value if is_number(value) else np.nan for value in lift],
                range(len(regions)),
                linestyle="none",
                marker=_MARKERS[position % len(_MARKERS)],
                color=_COLORS[position % len(_COLORS)],
                markersize=5,
                alpha=0.85,
                label=figure_label(group),
            )
        axes.axvline(1, color="#5f6368", linewidth=0.8, linestyle="--")
        axes.grid(axis="y", alpha=0.3)
        axes.set_xlim(left=0)
        axes.set_title(figure_label(attribute), fontsize=10, loc="left")
        axes.tick_params(labelsize=8)
        axes.set_xlabel("lift (1: the map's mean)", fontsize=8)
        axes.legend(
            fontsize=7.5,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.1 - 0.4 / len(regions)),
            frameon=False,
            handletextpad=0.2,
        )
    panels[0].set_yticks(range(len(regions)), [region_title(r) for r in regions], fontsize=8.5)
    panels[0].set_ylim(len(regions) - 0.4, -0.6)
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
