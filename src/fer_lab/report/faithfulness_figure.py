"""The figure of how far an explanation can be trusted: each check beside what is got at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_lab.errors import DataError
from fer_lab.report.drawing import (
    BLUE,
    GREY,
    INK,
    SKY,
    draw_interval,
    page_figure,
    panel_title,
    small_print,
)
from fer_lab.report.faithfulness import conditions, estimate
from fer_lab.report.wording import figure_label, is_number


def faithfulness_figure(explanation: Mapping[str, Any]) -> Figure:
    """Deletion and insertion curves, the ablation, and what is left of maps of random weights.

    Args:
        explanation: ``explanations/summary.json``; parts that are missing leave their panel out.

    Raises:
        DataError: if nothing was measured.
    """
    facts = explanation.get("faithfulness") or {}
    drawn: dict[str, Callable[[Axes], None]] = {
        key: partial(draw, facts=facts[key])
        for key, draw in _PANELS.items()
        if _measured(facts.get(key), "left" if key == "randomisation" else "gain")
    }
    if not drawn:
        raise DataError(
            "the faithfulness of the maps was not measured", where="explanations/summary.json"
        )
    rows = (len(drawn) + 1) // 2
    figure = page_figure(2.6 * rows + 0.2)
    panels = np.ravel(figure.subplots(rows, min(2, len(drawn)), squeeze=False))
    for axes, draw in zip(panels, drawn.values(), strict=False):
        draw(axes)
        axes.tick_params(labelsize=8)
        axes.set_title(axes.get_title(loc="left"), fontsize=9, loc="left")
    for axes in panels[len(drawn) :]:
        axes.set_axis_off()
    small_print(figure, conditions(explanation))
    return figure


def _measured(part: Mapping[str, Any] | None, figure: str) -> bool:
    return is_number(((part or {}).get(figure) or {}).get("value"))


def _draw_curve(axes: Axes, facts: Mapping[str, Any], *, title: str, across: str) -> None:
    share, own, beside = (
        np.array(facts[key], dtype=np.float64)
        for key in ("share", "probability", "random_probability")
    )
    axes.fill_between(share, own, beside, color=SKY, alpha=0.25, linewidth=0)
    axes.plot(share, own, color=BLUE, linewidth=1.6, label="as the maps order")
    axes.plot(share, beside, color=GREY, linewidth=1.4, linestyle="--", label="at random")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.set_xlabel(across, fontsize=8.5)
    axes.set_ylabel("probability of the class", fontsize=8.5)
    axes.legend(fontsize=7.5, frameon=False, loc="best")
    panel_title(axes, f"{title}: gain {estimate(facts['gain'])}")


def _draw_ablation(axes: Axes, facts: Mapping[str, Any]) -> None:
    rows = {
        "top region": (facts["drop"], BLUE),
        "elsewhere": (facts["random_drop"], GREY),
    }
    for row, (value, color) in enumerate(rows.values()):
        axes.barh(row, value if is_number(value) else np.nan, height=0.6, color=color)
    draw_interval(axes, 2, facts["gain"], color=INK)
    axes.axvline(0, color=INK, linewidth=0.8)
    figures = [*(value for value, _ in rows.values()), facts["gain"]["value"]]
    axes.set_yticks(
        range(3),
        [
            f"{title}\n{estimate({'value': value})}"
            for title, value in zip([*rows, "gain"], figures, strict=True)
        ],
        fontsize=8,
    )
    axes.set_ylim(2.6, -0.6)
    axes.set_xlabel("drop of the class's probability when hidden", fontsize=8.5)
    axes.grid(axis="x", alpha=0.3)
    panel_title(axes, f"Ablation: gain {estimate(facts['gain'])}")


def _draw_randomisation(axes: Axes, facts: Mapping[str, Any]) -> None:
    modules = facts["modules"]
    values = np.array([1.0, *(np.nan if c is None else c for c in facts["correlation"])])
    place = np.arange(len(values))
    axes.plot(place, values, color=BLUE, marker="o", markersize=3.5, linewidth=1.4, label="left")
    left = facts["left"]
    if is_number(left.get("low")) and is_number(left.get("high")):
        axes.plot([place[-1]] * 2, [left["low"], left["high"]], color=INK, linewidth=1.3)
    if is_number(facts.get("chance")):
        axes.axhline(facts["chance"], color=GREY, linestyle="--", label="by chance")
    chosen = place[:: -max(1, -(-len(place) // 12))]
    names = ["none", *(figure_label(module, 18) for module in modules)]
    axes.set_xticks(chosen, [names[i] for i in chosen], rotation=35, ha="right")
    low = min([0.0, *values[np.isfinite(values)], *filter(is_number, [left.get("low")])])
    axes.set_ylim(low - 0.06, 1.06)
    axes.grid(alpha=0.3)
    axes.set_xlabel("weights drawn anew, up to", fontsize=8.5)
    axes.set_ylabel("correlation with the maps", fontsize=8.5)
    axes.legend(fontsize=7.5, frameon=False)
    panel_title(axes, f"Weights drawn anew: {estimate(left)}")


_PANELS: dict[str, Callable[..., None]] = {
    "deletion": partial(_draw_curve, title="Deletion", across="share of the pixels removed"),
    "insertion": partial(_draw_curve, title="Insertion", across="share of the pixels shown"),
    "ablation": _draw_ablation,
    "randomisation": _draw_randomisation,
}
