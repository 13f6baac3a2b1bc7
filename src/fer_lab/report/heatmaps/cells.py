"""Which heatmaps enter a comparison: groups and expressions that every run has images of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fer_lab.data.vocabulary import EXPRESSIONS
from fer_lab.errors import ConfigError, DataError, near_miss
from fer_lab.explain.clustering import heatmap_distances
from fer_lab.explain.heatmap_comparison import images_of
from fer_lab.report.heatmaps.trainings import Training, code_of
from fer_lab.report.wording import count

Cell = tuple[str, ...]


def common_cells(
    trainings: Sequence[Training],
    groups: Sequence[str],
    expressions: Sequence[str] | None,
    min_images: int,
) -> tuple[list[Cell], list[dict[str, str]]]:
    """The test sets' cells that all runs have enough images of.

    Args:
        trainings: the runs.
        groups: the test sets, values of the attribute.
        expressions: those wanted; None takes all.
        min_images: behind each heatmap.

    Returns:
        Pairs of group and expression, groups in the order asked for and expressions in the
        vocabulary's; and what was left out, ``what`` and ``why``.

    Raises:
        ConfigError: for a group or an expression that no run has.
        DataError: if nothing is left.
    """
    there = [cell for each in trainings for cell in each.merged.cells]
    _refuse_unknown("groups", groups, {cell[0] for cell in there})
    labels = {cell[1] for cell in there if cell[0] in groups}
    _refuse_unknown("expressions", expressions or (), labels)
    known = [name for name in EXPRESSIONS if name in labels]
    known += sorted(labels - set(known))
    wanted = [label for label in known if expressions is None or label in expressions]
    images = [
        dict(zip(each.merged.cells, images_of(each.merged).tolist(), strict=True))
        for each in trainings
    ]
    flat = [_flat(each) for each in trainings]
    kept: list[Cell] = []
    left_out = []
    for cell in ((group, label) for group in groups for label in wanted):
        fewest = min(range(len(images)), key=lambda n: images[n].get(cell, 0))
        number = images[fewest].get(cell, 0)
        still = next((n for n, names in enumerate(flat) if cell in names), None)
        if number < min_images:
            why = f"{trainings[fewest].name} has {count(number)} images, fewer than {min_images}"
        elif still is not None:
            why = f"the heatmap of {trainings[still].name} is the same everywhere"
        else:
            kept.append(cell)
            continue
        left_out.append({"what": f"{code_of(cell[0])}/{cell[1]}", "why": why})
    if not kept:
        reasons = "; ".join(f"{each['what']}: {each['why']}" for each in left_out)
        raise DataError(
            f"no heatmap is left to compare ({reasons})",
            where=trainings[0].run.path,
            hint="explain more images (explain.max_test_samples=null), or lower min_images",
        )
    return kept, left_out


def _flat(training: Training) -> set[Cell]:
    """The cells whose heatmap is the same everywhere, which has no correlation with any other."""
    heatmaps = training.merged.heatmaps()
    return {
        cell
        for cell, heatmap in zip(training.merged.cells, heatmaps, strict=True)
        if np.isfinite(heatmap).any() and np.isnan(heatmap_distances(heatmap[None])[0, 0])
    }


def _refuse_unknown(option: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = near_miss(name, sorted(known))
            raise ConfigError(
                f"no run has heatmaps of {name!r}" + (f"; did you mean {near!r}?" if near else ""),
                where=option,
                hint=f"there are: {', '.join(sorted(known))}",
            )
