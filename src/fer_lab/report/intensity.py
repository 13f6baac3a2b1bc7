"""The figure of intensity: which ranks each estimator gives, and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from fer_lab.errors import DataError
from fer_lab.report.drawing import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    RED,
    SKY,
    draw_confusion,
    page_figure,
    panel_title,
    small_print,
)
from fer_lab.report.wording import count, figure_label, is_number, name, number

ESTIMATORS = {
    "counts_signed": "Relevance, signed (published tables)",
    "counts_positive": "Relevance, positive only (published text)",
    "neutral_margin": "Margin over neutral (ours)",
    "log_odds": "Log-odds (ours)",
}
TRUTHS = {
    "annotators": "what annotators say",
    "synthetic": "the intensity that the faces were drawn with",
    "intensity column": "the dataset's column of intensity",
}
_SHORT = {
    "counts_signed": "relevance, signed",
    "counts_positive": "relevance, positive",
    "neutral_margin": "margin over neutral",
    "log_odds": "log-odds",
}
_COLORS = (SKY, BLUE, INK)
_MARKERS = (("o", BLUE), ("s", ORANGE), ("D", GREEN), ("^", RED))


def estimator_title(estimator: str) -> str:
    """An estimator's name for people."""
    return ESTIMATORS.get(estimator, name(estimator))


def intensity_figure(facts: Mapping[str, Any]) -> Figure:
    """Shares of the ranks; where a truth is known, confusions and Spearman's correlation.

    Args:
        facts: ``explanations/intensity.json``.

    Raises:
        DataError: if no face has a rank.
    """
    estimators = {
        key: document
        for key, document in facts["estimators"].items()
        if any(is_number(share) for share in document["distribution"].values())
    }
    if not estimators:
        raise DataError("no face has a rank", where="explanations/intensity.json")
    judged = {key: each for key, each in estimators.items() if each.get("samples")}
    rho = {key: each for key, each in (facts.get("spearman") or {}).items() if each}
    expressions = list(dict.fromkeys(e for each in rho.values() for e in each))
    heights = [0.36 * len(estimators) + 0.95]
    heights += [2.5] * bool(judged) + [0.24 * len(expressions) + 1.0] * bool(expressions)
    figure = page_figure(sum(heights) + 0.25)
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    _draw_shares(next(parts), estimators)
    if judged:
        _draw_confusions(next(parts), judged)
    if expressions:
        _draw_spearman(next(parts), rho, expressions)
    small_print(figure, intensity_words(facts))
    return figure


def intensity_words(facts: Mapping[str, Any]) -> str:
    """Which faces are ranked, and what the ranks are compared with.

    >>> intensity_words({"samples": 900, "left_out": {"neutral": 100, "wrong": 80}, "truth": None})
    '900 faces; left out: 100 neutral, 80 wrongly predicted. No truth is known to compare with.'
    """
    left_out = facts.get("left_out") or {}
    words = (
        f"{count(facts['samples'])} faces; left out: {count(left_out.get('neutral'))} neutral, "
        f"{count(left_out.get('wrong'))} wrongly predicted."
    )
    truth = facts.get("truth")
    if truth is None:
        return f"{words} No truth is known to compare with."
    return f"{words} Compared with {TRUTHS.get(truth, name(truth))}."


def _draw_shares(part: SubFigure, estimators: Mapping[str, Any]) -> None:
    axes = part.add_subplot()
    ranks = list(next(iter(estimators.values()))["distribution"])
    start = np.zeros(len(estimators))
    for rank, color in zip(ranks, _COLORS, strict=False):
        shares = np.array([each["distribution"][rank] or 0.0 for each in estimators.values()])
        axes.barh(range(len(shares)), shares, left=start, height=0.7, color=color, label=rank)
        for row, (left, share) in enumerate(zip(start, shares, strict=True)):
            if share >= 0.06:
                shade = INK if color == SKY else "white"
                middle = left + share / 2
                axes.text(
                    middle, row, f"{share:.0%}", ha="center", va="center", fontsize=8, color=shade
                )
        start += shares
    titles = [figure_label(estimator_title(key), 44) for key in estimators]
    axes.set_yticks(range(len(titles)), titles, fontsize=8.5)
    axes.set(xlim=(0, 1), ylim=(len(titles) - 0.4, -0.6))
    axes.tick_params(axis="x", labelsize=8)
    axes.legend(
        fontsize=7.5, frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0
    )
    panel_title(axes, "Share of each rank")


def _draw_confusions(part: SubFigure, judged: Mapping[str, Any]) -> None:
    panels = part.subplots(1, len(judged), squeeze=False)[0]
    for axes, (key, document) in zip(panels, judged.items(), strict=True):
        _draw_confusion(axes, key, document)
    panels[0].set_ylabel("true", fontsize=8.5)


def _draw_confusion(axes: Axes, key: str, document: Mapping[str, Any]) -> None:
    draw_confusion(axes, document["confusion"], fontsize=7.5)
    ranks = list(document["distribution"])
    axes.set_xticks(range(len(ranks)), ranks, fontsize=7.5)
    axes.set_yticks(range(len(ranks)), ranks, fontsize=7.5, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.set_xlabel("estimated", fontsize=8.5)
    axes.set_title(
        f"{figure_label(_SHORT.get(key, key))}\naccuracy {number(document['accuracy'], 2)}, "
        f"constant {number(document['constant'], 2)}",
        fontsize=8,
        loc="left",
    )


def _draw_spearman(part: SubFigure, rho: Mapping[str, Any], expressions: list[str]) -> None:
    axes = part.add_subplot()
    for (key, by_expression), (marker, color) in zip(rho.items(), _MARKERS, strict=False):
        values = [by_expression.get(expression) for expression in expressions]
        axes.plot(
            [value if is_number(value) else np.nan for value in values],
            range(len(expressions)),
            linestyle="none",
            marker=marker,
            color=color,
            markersize=5.5,
            label=figure_label(estimator_title(key), 44),
        )
    axes.axvline(0, color=INK, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(expressions)), [figure_label(e) for e in expressions], fontsize=8.5)
    axes.set(xlim=(-1.02, 1.02), ylim=(len(expressions) - 0.4, -0.6))
    axes.grid(alpha=0.3)
    axes.tick_params(axis="x", labelsize=8)
    axes.legend(fontsize=7.5, frameon=False, loc="upper left")
    panel_title(axes, "Spearman's correlation with the true intensity, by expression")
