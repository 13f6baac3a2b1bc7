"""Figures of one run, drawn from its facts alone; text that comes from data stays text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_lab.errors import DataError
from fer_lab.files import atomic_path
from fer_lab.report.drawing import (
    BAND,
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    SOFT,
    draw_confusion,
    draw_interval,
    page_figure,
    panel_title,
)
from fer_lab.report.explanations import patches_figure, summary_figure
from fer_lab.report.faithfulness import footnote
from fer_lab.report.faithfulness_figure import faithfulness_figure
from fer_lab.report.intensity import intensity_figure
from fer_lab.report.merged import merged_figure
from fer_lab.report.prototype import prototype_figure
from fer_lab.report.region_figures import (
    region_classes_figure,
    region_differences_figure,
    region_groups_figure,
)
from fer_lab.report.run import Facts, Run
from fer_lab.report.tables import gap_rows, region_rows
from fer_lab.report.wording import (
    INCOMPLETE,
    count,
    figure_label,
    inferred_label,
    is_number,
    number,
    region_title,
    split_title,
)


def write_figures(run: Run) -> list[Path]:
    """Draw all figures for which the run has facts into ``figures/``.

    Returns:
        The files written, PNG at 150 dots per inch; a figure without facts is left out.
    """
    figures: dict[str, Callable[[], Figure]] = {
        "learning_curves": lambda: curves_figure(run.history),
        "confusion": lambda: confusion_figure(_headline(run)),
        "group_accuracy": lambda: group_accuracy_figure(_headline(run)),
        "fairness": lambda: fairness_figure(_headline(run)),
        "faithfulness": lambda: faithfulness_figure(run.explanation),
        "prototype": lambda: _prototype(run.explanation),
        "patches": lambda: patches_figure(run.patches, note=footnote(run.explanation)),
        "region_groups": lambda: region_groups_figure(run.explanation),
        "region_classes": lambda: region_classes_figure(run.explanation),
        "region_differences": lambda: region_differences_figure(
            run.region_differences, [row.region for row in region_rows(run.explanation)]
        ),
        "explanation": lambda: summary_figure(run.explanation, run.patches),
        "intensity": lambda: intensity_figure(run.intensity),
    }
    figures |= {f"merged_{split}": partial(_merged, run, split) for split in run.merged_splits}
    written = []
    for title, draw in figures.items():
        try:
            figure = draw()
        except INCOMPLETE:
            continue
        path = run.path / "figures" / f"{title}.png"
        with atomic_path(path) as temporary:
            figure.savefig(temporary)
        written.append(path)
    return written


def confusion_figure(facts: Facts) -> Figure:
    """The confusion matrix as shares of each true class, with counts.

    Args:
        facts: a split's metrics.
    """
    classes = [figure_label(c) for c in facts["classes"]]
    figure = page_figure(0.62 * len(classes) + 1.9)
    axes = figure.add_subplot()
    image = draw_confusion(axes, facts["confusion"], fontsize=9 if len(classes) <= 8 else 7)
    axes.set_xticks(range(len(classes)), classes, fontsize=9, rotation=30, ha="right")
    axes.set_yticks(range(len(classes)), classes, fontsize=9)
    axes.set_xlabel("predicted", fontsize=10)
    axes.set_ylabel("true", fontsize=10)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("share of the true class", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    panel_title(axes, f"Confusion, {split_title(facts['split']).lower()} set")
    return figure


def group_accuracy_figure(facts: Facts) -> Figure:
    """Accuracy per group with its interval, one panel per attribute; the lowest group in red.

    Args:
        facts: a split's metrics.
    """
    attributes = facts["attributes"]
    sizes = [len(part["groups"]) for part in attributes.values()]
    figure, panels = _panels(sizes, row=0.3)
    overall = facts["accuracy"]["value"]
    for axes, (attribute, part) in zip(panels, attributes.items(), strict=True):
        worst = (part["worst_group"] or {}).get("group")
        for row, (group, measured) in enumerate(part["groups"].items()):
            accuracy = measured["accuracy"]
            if is_number(accuracy["value"]):
                color = RED if group == worst else GREY if group == "unknown" else SKY
                axes.barh(row, accuracy["value"], height=0.7, color=color)
                draw_interval(axes, row, accuracy, marker="")
            text = f"{number(accuracy['value'], 2)}   n = {count(measured['count'])}"
            axes.text(1.02, row, text, fontsize=8, va="center")
        if is_number(overall):
            axes.axvline(overall, color=INK, linestyle="--", linewidth=0.9)
        axes.set_yticks(
            range(len(part["groups"])), [figure_label(g) for g in part["groups"]], fontsize=9
        )
        axes.set(xlim=(0, 1), ylim=(len(part["groups"]) - 0.4, -0.6))
        panel_title(axes, _attribute_title(attribute, part))
    _below(panels, "accuracy with interval; dashed: all faces")
    return figure


def fairness_figure(facts: Facts) -> Figure:
    """Every gap with its interval, over what shuffled groups give (grey, to the 95th percentile).

    Args:
        facts: a split's metrics.
    """
    attributes = facts["attributes"]
    rows = {a: gap_rows(part, facts["min_count"]) for a, part in attributes.items()}
    figure, panels = _panels([len(part) for part in rows.values()], row=0.3)
    reach = 0.1
    for axes, (attribute, part) in zip(panels, attributes.items(), strict=True):
        for position, row in enumerate(rows[attribute]):
            gap = row.facts
            reach = max(reach, *(v for v in (gap["high"], gap["null_p95"]) if is_number(v)), reach)
            if is_number(gap["null_p95"]):
                axes.barh(position, gap["null_p95"], height=0.72, color=BAND)
                axes.plot([gap["null_mean"]] * 2, [position - 0.36, position + 0.36], color=GREY)
            if is_number(gap["value"]):
                draw_interval(axes, position, gap, filled=row.marked)
            else:
                axes.text(0.004, position, "too few faces", fontsize=8, va="center", color=SOFT)
        titles = [row.title for row in rows[attribute]]
        axes.set_yticks(range(len(titles)), titles, fontsize=9)
        axes.set_ylim(len(titles) - 0.4, -0.6)
        panel_title(axes, _attribute_title(attribute, part))
    for axes in panels:
        axes.set_xlim(0, reach * 1.04)
    _below(panels, "gap between groups; grey: shuffled groups (mean, 95 %); filled point: p < 0.05")
    return figure


def curves_figure(history: pd.DataFrame) -> Figure:
    """Loss, accuracy, bias, and the lift of the regions that lead at the end, by epoch.

    Args:
        history: ``metrics/history.csv``.
    """
    chosen = [(title, part) for title, part in _curves(history).items() if part]
    if not chosen:
        raise DataError("the history has no curves", where="metrics/history.csv")
    across = 2 if len(chosen) == 4 else len(chosen)
    figure = page_figure(2.8 * len(chosen) / across)
    panels = np.ravel(figure.subplots(len(chosen) // across, across))
    colors = (BLUE, ORANGE, RED, GREEN, PURPLE, SKY)
    for axes, (title, part) in zip(panels, chosen, strict=True):
        for position, (text, column) in enumerate(part.items()):
            curve = history[["epoch", column]].dropna()
            axes.plot(
                curve["epoch"],
                curve[column],
                label=figure_label(text),
                color=colors[position % len(colors)],
                linestyle=("-", "--", ":")[position // len(colors) % 3],
                marker="o",
                markersize=2.5,
                linewidth=1.4,
            )
        axes.legend(fontsize=7.5, frameon=False)
        axes.tick_params(labelsize=8)
        axes.set_xlabel("epoch", fontsize=9)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(history) == 1:
            axes.set_xlim(history["epoch"].iloc[0] - 1, history["epoch"].iloc[0] + 1)
        axes.grid(alpha=0.3)
        panel_title(axes, title)
    return figure


def _curves(history: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Panels, each from a curve's name to its column, for the columns that hold a number."""
    columns = [str(c) for c in history.columns if history[c].notna().any()]

    def found(names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
        pairs = {
            text: next((c for c in given if c in columns), None) for text, given in names.items()
        }
        return {text: column for text, column in pairs.items() if column}

    bias = {"all": "val/fairness/bias"}
    for column in columns:
        parts = column.split("/")
        if len(parts) == 4 and (parts[0], parts[1], parts[3]) == ("val", "fairness", "bias"):
            bias[parts[2]] = column
    last = {
        region_title(column.removeprefix("val/lift/")): (history[column].dropna().iloc[-1], column)
        for column in columns
        if column.startswith("val/lift/")
    }
    leading = sorted(last, key=lambda region: -float(last[region][0]))[:5]
    return {
        "Loss": found({"train": ("train/loss", "train/loss_epoch"), "validation": ("val/loss",)}),
        "Accuracy": found(
            {
                "train": ("train/accuracy", "train/accuracy_epoch"),
                "validation": ("val/accuracy",),
                "worst group": ("val/worst_group_accuracy",),
            }
        ),
        "Bias, validation": {text: column for text, column in bias.items() if column in columns},
        "Lift, validation": {region: last[region][1] for region in leading},
    }


def _prototype(explanation: Facts) -> Figure:
    values = {row.region: row.ior for row in region_rows(explanation)}
    if not values:
        raise DataError("no face has a region mask", where="explanations/summary.json")
    return prototype_figure(values, title="Where the model looks", note=footnote(explanation))


def _merged(run: Run, split: str) -> Figure:
    note = footnote(run.explanation)
    return merged_figure(run.merged_of(split), run.merged_facts_of(split), note)


def _headline(run: Run) -> Facts:
    split = run.headline_split
    if split is None:
        raise DataError("no split has been evaluated", where=run.path)
    return run.metrics_of(split)


def _attribute_title(attribute: str, facts: Mapping[str, Any]) -> str:
    inferred = inferred_label(facts)
    return figure_label(f"{attribute} ({inferred})" if inferred else attribute, longest=70)


def _panels(sizes: list[int], row: float) -> tuple[Figure, list[Axes]]:
    """Panels one below the other, each as high as its rows need."""
    if not sizes:
        raise DataError("no attribute is audited", where="attributes")
    figure = page_figure(sum(row * (size + 0.2) + 0.4 for size in sizes) + 0.4)
    grid = figure.subplots(
        len(sizes), 1, squeeze=False, gridspec_kw={"height_ratios": [s + 0.2 for s in sizes]}
    )
    return figure, list(grid[:, 0])


def _below(panels: list[Axes], text: str) -> None:
    for axes in panels:
        axes.tick_params(axis="x", labelsize=8)
    panels[-1].set_xlabel(text, fontsize=9)
