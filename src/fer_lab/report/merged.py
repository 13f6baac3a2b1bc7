"""The figure of a run's merged heatmaps: mean maps in face space, by group and expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fer_lab.errors import DataError
from fer_lab.report.canvas import HEAT, Canvas
from fer_lab.report.drawing import PAGE_WIDTH, SOFT, page_figure, small_print
from fer_lab.report.wording import count, figure_label

if TYPE_CHECKING:
    from fer_lab.explain.merged import Merged


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
    side = 0.84 * PAGE_WIDTH / len(expressions)
    figure = page_figure(len(groups) * side * height / width + 1.6)
    rows, columns = ([figure_label(n, 14) for n in names] for names in (groups, expressions))
    canvas = Canvas(figure, rows, columns, (width, height))
    norm = Normalize(*np.nanpercentile(heatmaps[:, ::2, ::2], (1, 99)))
    images = _images(merged, facts)
    for (group, expression), heatmap, number in zip(merged.cells, heatmaps, images, strict=True):
        row, column = groups.index(group), expressions.index(expression)
        if np.isfinite(heatmap).any():
            canvas.show(row, column, heatmap, norm, HEAT)
            canvas.note(row, column, f"n = {count(number)}", SOFT)
        else:
            canvas.absent(row, column, "no face")
    canvas.bar((0, len(expressions) - 1), norm, HEAT, "mean attribution")
    attribute = figure_label(facts["attribute"] or "group")
    canvas.axes.set_title(f"Merged heatmaps by {attribute} and expression", fontsize=10, loc="left")
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
