"""Matrices of an audit: labels against groups, and against combinations of groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_lab.report.audit.facts import Audit, in_table
from fer_lab.report.drawing import BAND, page_figure, panel_title
from fer_lab.report.wording import figure_label

INK = "#202124"
COLORS = "cividis"

# What one figure shows at most: more would be too small to read, and stands in the tables.
_LARGEST_MATRIX = 40
_LARGEST_FOUR_WAY = 16


def joint_figure(audit: Audit, dataset: str) -> Figure | None:
    """The joint shares of all pairs of expressions and groups, of one dataset.

    Args:
        audit: the facts.
        dataset: one of them, or ``merged``.
    """
    table = audit.joint_matrix[audit.joint_matrix["dataset"] == dataset]
    keys = list(dict.fromkeys(zip(table["attribute"], table["value"], strict=True)))
    size = len(keys)
    if len({attribute for attribute, _ in keys}) < 2 or size > _LARGEST_MATRIX:
        return None
    matrix = table["share"].to_numpy().reshape(size, size)
    names = [attribute for attribute, _ in keys]
    same = np.equal.outer(np.array(names, dtype=object), np.array(names, dtype=object))
    matrix = np.where(same & ~np.eye(size, dtype=bool), np.nan, matrix)
    figure = page_figure(max(4.0, 0.3 * size + 1.6))
    axes = figure.add_subplot()
    small = 6.5 if size <= 20 else 4.5
    scale = color_scale(float(np.nanmax(matrix)))
    image = heat(axes, matrix, scale, lambda v: _percent(v).replace("–", ""), size=small)
    titles = [figure_label(value, 18) for _, value in keys]
    axes.set_xticks(
        range(size), titles, fontsize=8, rotation=60, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(size), titles, fontsize=8)
    for edge in (place for place in range(1, size) if names[place] != names[place - 1]):
        axes.axhline(edge - 0.5, color="white", linewidth=2.5)
        axes.axvline(edge - 0.5, color="white", linewidth=2.5)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02, format=lambda v, _: f"{v:.0%}")
    bar.ax.tick_params(labelsize=8)
    bar.set_label("share; each block of two attributes sums to 100 %; grey: none", fontsize=8)
    panel_title(axes, f"{figure_label(dataset, 40)}: joint shares in percent")
    return figure


def four_way_figure(audit: Audit, dataset: str) -> Figure | None:
    """Expressions against combinations of up to three attributes, of one dataset.

    The first attribute (age, where it is known) has a panel for each group; columns are the
    combinations of the others.

    Args:
        audit: the facts.
        dataset: one of them, or ``merged``.
    """
    document = audit.documents[dataset]
    attributes = [in_table(attribute) for attribute in document["combined"]]
    table = audit.four_way[audit.four_way["dataset"] == dataset]
    if len(attributes) < 2 or table["share"].isna().all():
        return None
    first, *others = attributes
    panels = list(dict.fromkeys(table[first]))
    if len(panels) > _LARGEST_FOUR_WAY:
        return None
    labels = document["classes"]
    columns = list(dict.fromkeys(table[others].itertuples(index=False, name=None)))
    scale = color_scale(float(table["share"].max()))
    across = 2 if len(columns) <= 14 else 1
    down = math.ceil(len(panels) / across)
    high = 0.21 * len(labels) + 0.35
    figure = page_figure(down * high + 1.25)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_visible(False)
    for axes, group in zip(grid.ravel(), panels, strict=False):
        mine = table.loc[table[first] == group, "share"].to_numpy()
        cells = mine.reshape(len(columns), len(labels)).T
        image = heat(axes, cells, scale, _percent, size=5.5 if len(columns) <= 30 else 0)
        axes.set_yticks(
            range(len(labels)), [figure_label(label, 14) for label in labels], fontsize=8
        )
        _label_columns(axes, columns)
        panel_title(axes, f"{figure_label(document['combined'][0])} {figure_label(group)}")
    for axes in _lowest(grid, len(panels)):
        axes.tick_params(labelbottom=True)
    bar = figure.colorbar(
        image, ax=list(grid.ravel()), shrink=0.6, pad=0.02, format=lambda v, _: f"{v:.1%}"
    )
    bar.ax.tick_params(labelsize=8)
    bar.set_label("share of faces of which all is known", fontsize=8)
    title = f"{figure_label(dataset, 40)}: {figure_label(audit.facts['target'])} × " + " × ".join(
        figure_label(name) for name in document["combined"]
    )
    figure.suptitle(f"{title}, in percent", fontsize=10, x=0.01, ha="left")
    return figure


def color_scale(largest: float) -> Normalize:
    """Colours by the square root: marginals and single large measures leave room for the rest."""
    return PowerNorm(0.5, 0, largest)


def _label_columns(axes: Axes, columns: list[tuple[Any, ...]]) -> None:
    """The last attribute below each column; the one before it once a block, with a line between."""
    titles = [figure_label(column[-1], 16) for column in columns]
    if len(columns[0]) > 1:
        blocks = [column[0] for column in columns]
        for edge in (
            place for place in range(1, len(blocks)) if blocks[place] != blocks[place - 1]
        ):
            axes.axvline(edge - 0.5, color="white", linewidth=2.5)
        titles = [
            f"{figure_label(column[0], 10)} · {title}"
            for column, title in zip(columns, titles, strict=True)
        ]
    axes.set_xticks(range(len(columns)), titles, fontsize=6.5, rotation=90)


def _lowest(grid: NDArray[Any], panels: int) -> Iterator[Axes]:
    """The lowest panel of each column of panels, where others are left empty."""
    down, across = grid.shape
    for column in range(across):
        used = [row for row in range(down) if row * across + column < panels]
        if used:
            yield grid[used[-1], column]


def heat(
    axes: Axes,
    values: NDArray[np.float64],
    scale: Normalize,
    text: Callable[[float], str],
    size: float,
) -> Any:
    """A heat map with its values written in ``size`` points (0: not at all); NaN is grey."""
    image = axes.imshow(
        np.ma.masked_invalid(values), cmap=COLORS, norm=scale, aspect="auto", interpolation="none"
    )
    axes.set_facecolor(BAND)
    for (row, column), value in np.ndenumerate(values):
        if size:
            light = np.isnan(value) or scale(value) > 0.5
            cell = axes.text(
                column, row, text(float(value)),
                ha="center", va="center", fontsize=size, color=INK if light else "white",
            )  # fmt: skip
            cell.set_in_layout(False)  # it lies inside, and looking at hundreds takes seconds
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return image


def _percent(value: float) -> str:
    """A share in percent for a small cell.

    >>> _percent(0.1234), _percent(0.0004), _percent(0.0), _percent(float("nan"))
    ('12', '.0', '0', '–')
    """
    if math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    return f"{100 * value:.0f}" if value >= 0.0995 else f"{100 * value:.1f}".removeprefix("0")
