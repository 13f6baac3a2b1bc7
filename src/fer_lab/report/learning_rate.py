"""The figure of a learning rate's range test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_lab.report.drawing import BLUE, GREY, INK, RED, page_figure, panel_title


def learning_rate_figure(table: pd.DataFrame, suggested: float | None) -> Figure:
    """Losses against rates, and the rate suggested.

    Args:
        table: ``learning_rate``, ``loss`` and ``smoothed_loss``, a row a step.
        suggested: the rate to mark; None marks none.
    """
    figure = page_figure(3.2)
    axes = figure.add_subplot()
    rates, level = table["learning_rate"], table["smoothed_loss"]
    axes.plot(rates, table["loss"], ".", color=GREY, markersize=3, label="of each step")
    axes.plot(rates, level, color=BLUE, linewidth=1.4, label="running mean")
    axes.set_xscale("log")
    finite = level[np.isfinite(level)]
    if len(finite):
        # A loss that breaks at the end would press everything before it into a line.
        low, high = float(finite.min()), float(finite.iloc[: max(10, len(finite) // 10)].max())
        room = 0.1 * max(high - low, 0.1 * abs(high))
        axes.set_ylim(low - 2 * room, high + 4 * room)
        place = int(level.argmin())
        axes.plot(rates.iloc[place], level.iloc[place], "o", color=INK, markersize=4)
    if suggested is not None:
        axes.axvline(suggested, color=RED, linestyle="--", linewidth=1.1)
        axes.annotate(
            f"{suggested:.2g}",
            (suggested, 0.04),
            xycoords=("data", "axes fraction"),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            color=RED,
            fontsize=9,
        )
    axes.set_xlabel("learning rate", fontsize=9)
    axes.set_ylabel("training loss", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7.5, frameon=False)
    panel_title(
        axes,
        "Range test of the learning rate"
        + (": none suggested" if suggested is None else ", dashed the one suggested"),
    )
    return figure
