"""What figures are drawn with: a page's width, colours, titles, intervals, the small print."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from fer_lab.report.wording import is_number

# Okabe and Ito's colours, which stay apart for colour-blind eyes.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = (
    *("#0072B2", "#E69F00", "#009E73"),
    *("#D55E00", "#56B4E9", "#CC79A7"),
)
GREY = "#9aa0a6"
BAND = "#d9dce0"
INK = "#202124"
SOFT = "#5f6368"
PAGE_WIDTH = 7.0
# So many characters of the small print fit across a page.
_NOTE_WIDTH = 128


def page_figure(height: float) -> Figure:
    """An empty figure as wide as a page, ``height`` inches high."""
    return Figure(figsize=(PAGE_WIDTH, height), dpi=150, layout="constrained")


def panel_title(axes: Axes, text: str) -> None:
    """Put a title above a panel's left end, and open the panel at the top and the right."""
    axes.set_title(text, fontsize=10, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw_interval(
    axes: Axes,
    row: float,
    facts: Mapping[str, Any],
    *,
    marker: str = "o",
    filled: bool = True,
    color: str = BLUE,
) -> None:
    """A value as a point, ``marker=""`` for none, over the line of its interval, if it has one."""
    low, high = facts.get("low"), facts.get("high")
    if is_number(low) and is_number(high):
        axes.plot([low, high], [row, row], color=INK, linewidth=1.3, solid_capstyle="butt")
    face = color if filled else "white"
    axes.plot(facts["value"], row, marker=marker, color=color, markerfacecolor=face, markersize=6)


def draw_confusion(axes: Axes, confusion: ArrayLike, fontsize: float) -> AxesImage:
    """Counts as shares of each row, with both written into the cells.

    Args:
        axes: what is drawn on.
        confusion: counts, rows true, columns predicted.
        fontsize: of the numbers.
    """
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(
            column,
            row,
            f"{share:.2f}\n{counts[row, column]}",
            ha="center",
            va="center",
            fontsize=fontsize,
            color="white" if share > 0.55 else INK,
        )
    return image


def small_print(figure: Figure, text: str) -> None:
    """Write what a reader must know below the whole figure."""
    lines = textwrap.fill(text, _NOTE_WIDTH)
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=7, color=SOFT)
