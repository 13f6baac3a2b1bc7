"""Figures that compare regions: between groups, between classes, and where groups differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from fer_lab.errors import DataError
from fer_lab.report.drawing import (
    BAND,
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    SOFT,
    page_figure,
    small_print,
)
from fer_lab.report.faithfulness import footnote
from fer_lab.report.prototype import ABSENT, COLORMAP
from fer_lab.report.region_facts import SIGNIFICANT, GroupPair, group_pairs
from fer_lab.report.tables import region_rows
from fer_lab.report.wording import figure_label, is_number, region_title

_COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, "#000000")
_MARKERS = "osD^vPX"
_ACROSS = 3


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
    figure = page_figure(0.26 * len(regions) + 1.1 + 0.18 * legend)
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
        axes.axvline(1, color=SOFT, linewidth=0.8, linestyle="--")
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
    small_print(figure, footnote(explanation))
    return figure


def region_classes_figure(explanation: Mapping[str, Any]) -> Figure:
    """Lift by region and class: of the images with that truth, and with that prediction.

    Args:
        explanation: ``explanations/summary.json``.

    Raises:
        DataError: if there are no figures by class.
    """
    parts = {
        title: explanation[key]
        for title, key in (("true class", "by_label"), ("predicted class", "by_prediction"))
        if explanation.get(key)
    }
    regions = [row.region for row in region_rows(explanation)]
    if not parts or not regions:
        raise DataError(
            "the explanation has no figures by class", where="explanations/summary.json"
        )
    lifts = {title: _lifts(part, regions) for title, part in parts.items()}
    highest = max(
        (np.nanmax(each) for each in lifts.values() if np.isfinite(each).any()), default=1
    )
    norm = TwoSlopeNorm(1, 0, max(float(highest), 1.1))
    colors = colormaps[COLORMAP].with_extremes(bad=ABSENT)
    figure = page_figure(0.24 * len(regions) + 1.6)
    panels = figure.subplots(1, len(lifts), sharey=True, squeeze=False)[0]
    for axes, (title, values) in zip(panels, lifts.items(), strict=True):
        shown = axes.imshow(values, cmap=colors, norm=norm, aspect="auto")
        for (row, column), lift in np.ndenumerate(values):
            if np.isfinite(lift) and values.shape[1] <= 8:
                dark = abs(norm(lift) - 0.5) > 0.38
                axes.text(
                    column,
                    row,
                    f"{lift:.1f}",
                    ha="center",
                    va="center",
                    fontsize=6.5,
                    color="white" if dark else INK,
                    in_layout=False,
                )
        names = [figure_label(expression, 16) for expression in parts[title]]
        axes.set_xticks(range(len(names)), names, fontsize=8, rotation=40, ha="right")
        axes.tick_params(length=0)
        axes.set_title(f"by {title}", fontsize=10, loc="left")
    panels[0].set_yticks(range(len(regions)), [region_title(r) for r in regions], fontsize=8.5)
    bar = figure.colorbar(shown, ax=list(panels), shrink=0.7, pad=0.02, aspect=30)
    bar.set_label("lift (1: the map's mean)", fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    small_print(figure, footnote(explanation))
    return figure


def region_differences_figure(differences: pd.DataFrame, order: Sequence[str]) -> Figure:
    """How groups differ in lift, with intervals, a panel per pair of groups.

    Args:
        differences: ``explanations/group_differences.parquet``.
        order: of the regions, from the top.

    Raises:
        DataError: if nothing could be compared.
    """
    pairs = group_pairs(differences, order)
    if not pairs:
        raise DataError("no groups were compared", where="explanations/group_differences.parquet")
    seen = {row.region for pair in pairs for row in pair.rows}
    regions = [region for region in order if region in seen]
    across = min(_ACROSS, len(pairs))
    down = -(-len(pairs) // across)
    figure = page_figure(down * (0.17 * len(regions) + 0.5) + 0.5)
    grid = figure.subplots(down, across, sharex=True, squeeze=False)
    panels = grid.ravel()
    for axes, pair in zip(panels, pairs, strict=False):
        _draw_pair(axes, pair, regions)
    for axes in panels[len(pairs) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_yticks(range(len(regions)), [region_title(r) for r in regions], fontsize=8)
    small_print(
        figure,
        "Difference of mean lift, first group − second, with intervals. Filled: "
        f"p < {SIGNIFICANT} after Holm's correction over regions.",
    )
    return figure


def _draw_pair(axes: Axes, pair: GroupPair, regions: Sequence[str]) -> None:
    place = np.array([regions.index(row.region) for row in pair.rows])
    value, low, high = (
        np.array([row.facts[key] for row in pair.rows], dtype=np.float64)
        for key in ("value", "low", "high")
    )
    marked = np.array([row.marked for row in pair.rows], dtype=bool)
    # Lines in one collection, and ticks at the left alone: hundreds of ticks would take a second.
    axes.set_yticks([])
    axes.set_ylim(len(regions) - 0.4, -0.6)
    rows, edge = np.arange(len(regions)), axes.get_yaxis_transform()
    axes.hlines(rows, 0, 1, color=BAND, linewidth=0.6, transform=edge, zorder=0)
    axes.axvline(0, color=SOFT, linewidth=0.8, linestyle="--")
    axes.hlines(place, low, high, color=INK, linewidth=1.1)
    for chosen, color, face in ((~marked, BLUE, "white"), (marked, RED, RED)):
        axes.plot(
            value[chosen],
            place[chosen],
            linestyle="none",
            marker="o",
            markersize=4.5,
            color=color,
            markerfacecolor=face,
        )
    axes.tick_params(labelsize=8)
    axes.set_title(
        f"{figure_label(pair.attribute, 12)}: {figure_label(pair.first, 14)} − "
        f"{figure_label(pair.second, 14)}",
        fontsize=8.5,
        loc="left",
    )


def _lifts(part: Mapping[str, Any], regions: Sequence[str]) -> npt.NDArray[np.float64]:
    """Lift, ``[regions, classes]``; NaN where the region is in no image of the class."""
    rows = [
        [measured.get(region, {}).get("lift") for measured in part.values()] for region in regions
    ]
    values = [[value if is_number(value) else np.nan for value in row] for row in rows]
    return np.array(values, dtype=np.float64)
