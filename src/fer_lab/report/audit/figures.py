"""Figures of an audit of datasets, drawn from its facts alone; colours stay apart for all eyes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_lab.data.splitting.target import EXPRESSION
from fer_lab.files import atomic_path
from fer_lab.report.audit.facts import OVERALL, Audit, Document
from fer_lab.report.audit.matrices import INK, color_scale, four_way_figure, heat, joint_figure
from fer_lab.report.audit.wording import MEASURE_CODES
from fer_lab.report.drawing import BAND, BLUE, GREY, SKY, page_figure, panel_title
from fer_lab.report.wording import count, figure_label, inferred_label, is_number, number

SOFT = "#5f6368"


def write_figures(audit: Audit, folder: Path) -> dict[str, Path]:
    """Draw what the audit has facts for.

    Args:
        audit: the facts.
        folder: where the PNG files go, 150 dots per inch.

    Returns:
        The files by name: ``bias``, ``measures``, ``distribution/<attribute>``,
        ``joint/<dataset>`` and ``four_way/<dataset>``.
    """
    written = {}
    for number_, (name, draw) in enumerate(_figures(audit).items()):
        figure = draw()
        if figure is None:
            continue
        # Names come from data: of what a file may be called only the plain part is kept.
        plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:60]
        path = folder / f"{number_:02d}_{plain}.png"
        with atomic_path(path) as temporary:
            figure.savefig(temporary)
        written[name] = path
    return written


def _figures(audit: Audit) -> dict[str, Callable[[], Figure | None]]:
    figures: dict[str, Callable[[], Figure | None]] = {
        "bias": partial(bias_figure, audit),
        "measures": partial(measures_figure, audit),
    }
    for attribute in (EXPRESSION, *audit.attributes):
        figures[f"distribution/{attribute}"] = partial(distribution_figure, audit, attribute)
    for dataset in audit.documents:
        figures[f"joint/{dataset}"] = partial(joint_figure, audit, dataset)
        figures[f"four_way/{dataset}"] = partial(four_way_figure, audit, dataset)
    return figures


def bias_figure(audit: Audit) -> Figure | None:
    """Bias of each dataset and attribute with its interval, over what dealing groups anew gives."""
    rows: dict[str, dict[str, Document]] = {}
    for dataset, document in audit.documents.items():
        parts = {name: part["bias"] for name, part in document["attributes"].items()}
        rows[dataset] = {"all attributes": document["bias"], **parts}
    figures = [each for part in rows.values() for each in part.values()]
    if not any(is_number(each["value"]) for each in figures):
        return None
    figure = page_figure(0.26 * len(figures) + 0.42 * len(rows) + 0.5)
    heights = {"height_ratios": [len(part) for part in rows.values()]}
    grid = figure.subplots(len(rows), 1, squeeze=False, sharex=True, gridspec_kw=heights)
    reach = max(
        max(each.get(end) or 0 for end in ("value", "high", "null_p95")) for each in figures
    )
    for axes, (dataset, mine) in zip(grid[:, 0], rows.items(), strict=True):
        for place, each in enumerate(mine.values()):
            _with_interval(axes, place, each, reach)
        axes.set_yticks(range(len(mine)), [figure_label(title) for title in mine], fontsize=9)
        axes.set(ylim=(len(mine) - 0.4, -0.6), xlim=(0, max(reach, 0.01) * 1.22))
        panel_title(axes, figure_label(dataset, 60))
        axes.tick_params(axis="x", labelsize=8)
    grid[-1, 0].set_xlabel(
        f"bias with {audit.facts['level']:.0%} interval; grey: groups dealt anew (mean, "
        "95th percentile)",
        fontsize=9,
    )
    return figure


def _with_interval(axes: Axes, place: int, figures: Document, reach: float) -> None:
    if not is_number(figures["value"]):
        axes.text(0.01 * reach, place, "not known", fontsize=8, va="center", color=SOFT)
        return
    if is_number(figures.get("null_p95")):
        axes.barh(place, figures["null_p95"], height=0.74, color=BAND)
        axes.plot([figures["null_mean"]] * 2, [place - 0.37, place + 0.37], color=GREY)
    low, high = figures.get("low"), figures.get("high")
    if is_number(low) and is_number(high):
        axes.plot([low, high], [place] * 2, color=INK, linewidth=1.4, solid_capstyle="butt")
    axes.plot(figures["value"], place, marker="o", markersize=5.5, color=BLUE)
    right = max(v for v in (high, figures.get("null_p95"), figures["value"]) if is_number(v))
    axes.annotate(
        number(figures["value"]), (right, place), (6, 0),
        textcoords="offset points", fontsize=8, va="center", color=INK,
    )  # fmt: skip


def measures_figure(audit: Audit) -> Figure | None:
    """Every measure of every attribute, a panel for each dataset, with the values written."""
    table = audit.measures
    largest = table["value"].max()
    if not is_number(largest):
        return None
    datasets = list(audit.documents)
    order = [*audit.attributes, OVERALL]
    figure = page_figure(len(datasets) * (0.3 * len(order) + 0.45) + 0.5)
    grid = figure.subplots(len(datasets), 1, squeeze=False, sharex=True)[:, 0]
    scale = color_scale(max(largest, 0.05))
    for axes, dataset in zip(grid, datasets, strict=True):
        mine = table[table["dataset"] == dataset]
        values = mine.pivot(index="attribute", columns="measure", values="value")
        values = values.loc[order, list(MEASURE_CODES)]
        image = heat(axes, values.to_numpy(), scale, number, size=8)
        titles = [figure_label(a) if a != OVERALL else "all attributes" for a in order]
        axes.set_yticks(range(len(order)), titles, fontsize=9)
        axes.set_xticks(range(len(MEASURE_CODES)), [*MEASURE_CODES.values()], fontsize=9)
        for line, lines in (
            (len(order) - 1.5, axes.axhline),
            (len(MEASURE_CODES) - 1.5, axes.axvline),
        ):
            lines(line, color="white", linewidth=2.5)
        panel_title(axes, figure_label(dataset, 60))
    bar = figure.colorbar(image, ax=list(grid), shrink=min(1, 2.2 / len(datasets)), pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("value; – is not defined", fontsize=9)
    return figure


def distribution_figure(audit: Audit, attribute: str) -> Figure | None:
    """Share and count of every group, a panel for each dataset.

    Args:
        audit: the facts.
        attribute: an attribute, or ``expression``.
    """
    table = audit.macro[(audit.macro["attribute"] == attribute) & audit.macro["share"].notna()]
    datasets = list(audit.documents)
    groups = {d: table.loc[table["dataset"] == d, "value"].tolist() for d in datasets}
    if not any(groups.values()):
        return None
    kinds = {frozenset(names) for names in groups.values() if names}
    if len(kinds) == 1:  # one order for all, since they share their axis
        order = next(names for names in groups.values() if names)
        groups = {dataset: order if names else [] for dataset, names in groups.items()}
    across = min(3, len(datasets))
    down = math.ceil(len(datasets) / across)
    most = max(map(len, groups.values()))
    figure = page_figure(down * (0.24 * most + 0.62) + 0.25)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=len(kinds) == 1)
    for axes in grid.ravel()[len(datasets) :]:
        axes.set_visible(False)
    reach = float(table["share"].max())
    for axes, dataset in zip(grid.ravel(), datasets, strict=False):
        mine = table[table["dataset"] == dataset].set_index("value").loc[groups[dataset]]
        _bars(axes, mine["share"].tolist(), mine["count"].tolist())
        if groups[dataset]:
            titles = [figure_label(group, 18) for group in groups[dataset]]
            axes.set_yticks(range(len(titles)), titles, fontsize=8.5)
        else:
            axes.text(
                0.02 * reach, (most - 1) / 2, "not known", fontsize=8.5, va="center", color=SOFT
            )
            if len(kinds) > 1:
                axes.set_yticks([])
        axes.set(ylim=(most - 0.4, -0.6), xlim=(0, reach * (1 + 0.35 * across)))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        panel_title(axes, figure_label(dataset, 24))
        text = _known(audit.documents[dataset], attribute)
        axes.set_xlabel(text, fontsize=7.5, color=SOFT, loc="left")
    return figure


def _bars(axes: Axes, shares: Sequence[float], faces: Sequence[int]) -> None:
    for place, (share, number_of_faces) in enumerate(zip(shares, faces, strict=True)):
        axes.barh(place, share, height=0.76, color=SKY)
        text = f" {share:.1%}  {count(number_of_faces)}"
        axes.text(share, place, text, fontsize=7, va="center", color=INK)


def _known(document: Document, attribute: str) -> str:
    if attribute == EXPRESSION:
        return f"{count(document['samples'])} faces"
    unknown = document["unknown"][attribute]
    known = f"{count(document['samples'] - unknown)} known, {count(unknown)} unknown"
    inferred = inferred_label(document["attributes"].get(attribute, {}))
    return f"{known}\n{figure_label(inferred, 40)}" if inferred else known
