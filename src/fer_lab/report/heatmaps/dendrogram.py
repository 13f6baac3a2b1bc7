"""Ward's tree of heatmaps as a picture: support at its branches, colours of the training sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list

from fer_lab.report.drawing import BLUE, GREEN, INK, ORANGE, PURPLE, RED, SKY, SOFT, page_figure
from fer_lab.report.heatmaps.study import STRONG, TRAINING, Study
from fer_lab.report.wording import is_number, run_label

_COLORS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)


def dendrogram_figure(study: Study) -> Figure | None:
    """The tree with its leaves on the left; None for a single heatmap."""
    tree, support = study.comparison.tree, study.comparison.support
    if tree is None:
        return None
    leaves = leaves_list(tree).tolist()
    row = 0.175
    figure = page_figure(row * len(leaves) + 1.3)
    axes = figure.add_subplot()
    place = {leaf: float(rank) for rank, leaf in enumerate(leaves)}
    height = dict.fromkeys(leaves, 0.0)
    for number, (one, other, top, _) in enumerate(np.asarray(tree).tolist()):
        node = len(leaves) + number
        ends = [int(one), int(other)]
        place[node] = sum(place[end] for end in ends) / 2
        height[node] = top
        xs = [height[ends[0]], top, top, height[ends[1]]]
        ys = [place[ends[0]]] * 2 + [place[ends[1]]] * 2
        strong = support is None or support[number] >= STRONG
        axes.plot(xs, ys, color=INK, linewidth=1.5 if strong else 0.8)
        if support is not None and number < len(tree) - 1:
            axes.annotate(
                f"{100 * support[number]:.0f}", (top, place[node]), (2, 1),
                textcoords="offset points", fontsize=6.5, va="bottom",
                color=INK if strong else SOFT,
            )  # fmt: skip
    floor = study.facts["aspects"]["noise_floor"]
    if is_number(floor):
        axes.axvline(floor, color=RED, linestyle="--", linewidth=1.0, label="mean noise floor")
    axes.set_yticks(range(len(leaves)), [run_label(study.names[leaf], 60) for leaf in leaves])
    colors = leaf_colors([study.codes[cell[TRAINING]] for cell in study.cells])
    for label, leaf in zip(axes.get_yticklabels(), leaves, strict=True):
        label.set(color=colors[leaf], fontsize=7.5)
    axes.set(ylim=(len(leaves) - 0.4, -0.6), xlim=(0, float(tree[-1, 2]) * 1.06 or 1.0))
    # Most merges are low: the root of the height gives them room.
    axes.set_xscale("function", functions=(np.sqrt, np.square))
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(
        "height of the merge (Ward, root scale); of two single heatmaps: 1 − correlation\n"
        + (
            f"numbers: percent of resampled trees with the same branch, bold from {STRONG:.0%} on; "
            if support is not None
            else ""
        )
        + "dashed: mean noise floor",
        fontsize=8,
    )
    return figure


def leaf_colors(codes: Sequence[str]) -> list[str]:
    """A colour for each heatmap, one for each training set."""
    order = list(dict.fromkeys(codes))
    return [_COLORS[order.index(code) % len(_COLORS)] for code in codes]
