"""Figures of a comparison of heatmaps: the heatmaps, their tree, and what they differ in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_lab.explain.merged import Floats, difference
from fer_lab.files import atomic_path
from fer_lab.report.canvas import DIFFERENCE, HEAT, SIGNED, Canvas
from fer_lab.report.drawing import page_figure
from fer_lab.report.heatmaps.dendrogram import dendrogram_figure
from fer_lab.report.heatmaps.study import TRAINING, Study
from fer_lab.report.wording import figure_label, run_label


def write_figures(study: Study, folder: Path) -> dict[str, Path]:
    """Draw what there are facts for.

    Args:
        study: the comparison.
        folder: where the PNG files go.

    Returns:
        The files by name: ``heatmaps``, ``dendrogram`` and ``differences``.
    """
    figures: dict[str, Callable[[], Figure | None]] = {
        "heatmaps": lambda: heatmaps_figure(study),
        "dendrogram": lambda: dendrogram_figure(study),
        "differences": lambda: differences_figure(study),
    }
    written = {}
    for title, draw in figures.items():
        figure = draw()
        if figure is not None:
            path = folder / f"{title}.png"
            with atomic_path(path) as temporary:
                figure.savefig(temporary)
            written[title] = path
    return written


def heatmaps_figure(study: Study) -> Figure:
    """All heatmaps on one scale: a row for each training and test set, a column an expression.

    The scale runs from the 1st to the 99.8th percentile of all pixels.
    """
    runs = list(dict.fromkeys(cell[TRAINING] for cell in study.cells))
    groups, labels = study.facts["groups"], study.facts["expressions"]
    rows = [(run, group) for run in runs for group in groups]
    place = {cell: n for n, cell in enumerate(study.cells)}
    titles = [run_label(study.pair_title(run, group), 30) for run, group in rows]
    canvas = _canvas(study, titles, [figure_label(label, 14) for label in labels])
    norm = _range(list(study.heatmaps))
    for row, (run, group) in enumerate(rows):
        for column, label in enumerate(labels):
            found = place.get((run, group, label))
            if found is None:
                canvas.absent(row, column, "left out")
            else:
                canvas.show(row, column, study.heatmaps[found], norm, HEAT)
    canvas.bar((0, len(labels) - 1), norm, HEAT, "mean attribution")
    return canvas.figure


def differences_figure(study: Study) -> Figure | None:
    """The study's difference images and those on the same test images, a row an expression.

    What is below its noise floor is grey.
    """
    if not study.contrasts:
        return None
    labels = list(study.contrasts)
    titles = list(next(iter(study.contrasts.values())))
    own, other = (figure_label(part, 14) for part in titles[0].split(" − "))
    one, two = ("f", "m") if own == "FE-FE" else ("a", "b")
    columns = [
        *(own, other),
        *(f"3·|{one} − {two}|", f"3·max(\n{one} − {two}, 0)", f"3·max(\n{two} − {one}, 0)"),
        *(figure_label(title, 30).replace(" − ", " −\n") for title in titles[1:]),
    ]
    canvas = _canvas(study, [figure_label(label, 14) for label in labels], columns)
    shown = [each for named in study.contrasts.values() for each in named.values()]
    heat = _range([heatmap for each in shown[:: len(titles)] for heatmap in each[:2]])
    reach = max(float(np.nanmax(3 * np.abs(each.first - each.second))) for each in shown) or 1.0
    absolute, signed = Normalize(0, reach), Normalize(-reach, reach)
    for row, named in enumerate(study.contrasts.values()):
        main, *same_test = named.values()
        canvas.show(row, 0, main.first, heat, HEAT)
        canvas.show(row, 1, main.second, heat, HEAT)
        images = difference(main.first, main.second)
        for column, image in enumerate(images, start=2):
            canvas.show(row, column, image, absolute, DIFFERENCE, images.absolute <= main.floor)
        for column, each in enumerate(same_test, start=5):
            change: NDArray[np.float32] = 3 * (each.first - each.second)
            canvas.show(row, column, change, signed, SIGNED, np.abs(change) <= each.floor)
    canvas.bar((0, 1), heat, HEAT, "mean attribution")
    canvas.bar((2, 4), absolute, DIFFERENCE, "3 × difference; grey: below its noise")
    canvas.bar((5, 6), signed, SIGNED, "3 × (first − second)")
    return canvas.figure


def _canvas(study: Study, rows: Sequence[str], columns: Sequence[str]) -> Canvas:
    """A frame for heatmaps on a figure as wide as a page."""
    width, height = study.facts["size"]
    across = min(1.35, 5.9 / len(columns))
    figure = page_figure(len(rows) * across * height / width * 1.04 + 1.0)
    return Canvas(figure, rows, columns, (width, height))


def _range(heatmaps: Sequence[Floats]) -> Normalize:
    low, high = np.nanpercentile(np.stack(heatmaps)[:, ::2, ::2], (1, 99.8))
    return Normalize(low, high)
