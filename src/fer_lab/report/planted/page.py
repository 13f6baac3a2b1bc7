"""Planted shortcuts in words and as a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_lab.data.synthetic.shortcuts import CASES
from fer_lab.explain.planted import WAY, best_way
from fer_lab.report.drawing import INK, small_print
from fer_lab.report.planted.table import CONTROL, cases_table, claims, planted_ranks, ways_table


def planted_text(table: pd.DataFrame) -> str:
    """The claim and both tables, as Markdown."""
    ranks = planted_ranks(table)
    lines = ["# Planted shortcuts", "", *_headline(ranks), ""]
    heads: tuple[str, ...]
    heads = ("method", "layer", "grid", "single", "sd", "single, control", "better", "other")
    heads += ("better, control", "other, control", "agreement", "over cases", "zero maps")
    grids = table.drop_duplicates(WAY).set_index(WAY)["grid"]
    ways = ways_table(table)
    rows = []
    for way, figures in zip(ways.index, ways.to_dict("records"), strict=True):
        grid = float(grids[way])
        side = "image" if grid != grid else f"{grid:.0f}×{grid:.0f}"
        zero = figures.pop("all_zero")
        rows.append([way[0], way[1] or "–", side, *map(_number, figures.values()), f"{zero:.0%}"])
    lines += _markdown(heads, rows)
    lines += [
        "",
        "Ranks of the planted attribute's region among 19, 1 = highest mean IoR: of single cases "
        "(mean over cases, then seeds; sd over seeds) and of their control at 0.5; of double cases "
        "the better and the other region, and the same of their control. Agreement: Spearman of "
        "IoR and true effect over the attributes of a case, and over those of all cases at once.",
        "",
    ]
    own = cases_table(table)
    rows = [
        [
            *key,
            _signed(row["effect"]),
            _signed(row["control_effect"]),
            f"{row['area']:.2%}",
            _number(row["accuracy"]),
            _number(row["claimed"]),
        ]
        for key, row in zip(own.index, own.to_dict("records"), strict=True)
    ]
    heads = ("case", "attribute", "true effect", "in the control", "area", "accuracy", "claimed")
    lines += _markdown(heads, rows)
    lines += [
        "",
        "True effect: mean change of the explained class's probability when the attribute is taken "
        "off the same faces. Near 0 the model did not take the shortcut, and no rank is right.",
        "",
    ]
    return "\n".join(lines)


def planted_figure(table: pd.DataFrame) -> Figure:
    """Ranks as a heat map: methods and layers by cases, the mean over seeds in each cell."""
    ranks = planted_ranks(table)
    planted = ranks[ranks["strength"] != CONTROL]
    planted = ranks if planted.empty else planted
    ways = list(ways_table(table).index)
    cases = [name for name in CASES if name in set(planted["case"])]
    means = planted.groupby([*WAY, "case"])["rank"].mean().unstack()
    cells = means.reindex(index=pd.MultiIndex.from_tuples(ways), columns=cases).to_numpy(float)
    figure = Figure(
        figsize=(3.2 + 0.42 * len(cases), 2.4 + 0.24 * len(ways)), dpi=150, layout="constrained"
    )
    axes = figure.add_subplot()
    picture = axes.imshow(cells, cmap="viridis_r", vmin=1, vmax=10, aspect="auto")
    for row, column in np.argwhere(~np.isnan(cells)):
        value = cells[row, column]
        axes.text(
            column,
            row,
            f"{value:.1f}".removesuffix(".0"),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if value > 5 else INK,
        )
    axes.set_xticks(range(len(cases)), cases, rotation=60, ha="right", fontsize=7)
    axes.set_yticks(range(len(ways)), [_way(*way) for way in ways], fontsize=7)
    axes.set_title("Rank of the planted attribute's region", fontsize=10, loc="left")
    bar = figure.colorbar(picture, ax=axes, shrink=0.7, extend="max")
    bar.ax.invert_yaxis()
    bar.set_label("rank in mean IoR, 1 = highest", fontsize=7)
    bar.ax.tick_params(labelsize=7)
    seeds = ranks["seed"].nunique()
    small_print(
        figure,
        f"Mean over {seeds} seed{'s' * (seeds > 1)}; of two planted attributes the better rank.",
    )
    return figure


def _headline(ranks: pd.DataFrame) -> list[str]:
    claimed = claims(ranks)
    if claimed.empty:
        return ["No claim yet: it takes single cases of both halves."]
    means = claimed.groupby("seed")["rank"].mean()
    spread = f" ± {means.std():.2f}" if len(means) > 1 else ""
    each = ", ".join(f"seed {seed} {value:.2f}" for seed, value in means.items())
    used = claimed.drop_duplicates(["seed", *WAY])
    counts = (used["method"] + " " + used["layer"]).str.strip().value_counts()
    chosen = ", ".join(f"{way} ({count})" for way, count in counts.items())
    cases = claimed["case"].nunique()
    lines = [
        f"Mean claimed rank over {cases} single cases: **{means.mean():.2f}**{spread} "
        f"({each}). Published on photographs, with Grad-CAM: 2.25.",
        "",
        f"Each half of the cases is claimed with what ranked best on the other half: {chosen}.",
    ]
    double = ranks[(ranks["cases"] == "double") & (ranks["strength"] != CONTROL)]
    single = ranks[(ranks["cases"] == "single") & (ranks["strength"] != CONTROL)]
    if len(double):
        method, layer = best_way(single)
        rows = double[(double["method"] == method) & (double["layer"] == layer)]
        lines += [
            "",
            f"Two attributes, {_way(method, layer)} (best on the single cases): better region "
            f"{rows['rank'].mean():.2f}, other {rows['other'].mean():.2f} "
            "(published 1.25 and 6.67).",
        ]
    return lines


def _way(method: str, layer: str) -> str:
    return f"{method} {layer.removeprefix('backbone.')}".strip()


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def _signed(value: float) -> str:
    return "–" if value != value else f"{value:+.2f}"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
