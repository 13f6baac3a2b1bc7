"""Where two runs look: differences region by region, as facts, rows, a table and a picture."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.text import Text

from fer_lab.explain.region_differences import run_differences
from fer_lab.report.drawing import GREY, RED, page_figure, small_print
from fer_lab.report.region_facts import SIGNIFICANT
from fer_lab.report.run import Facts, Run
from fer_lab.report.tables import plain_table
from fer_lab.report.wording import (
    MISSING,
    count,
    is_number,
    method_title,
    name,
    number,
    printable,
    probability,
    region_title,
    run_label,
)

# What both explanations must share, or their difference is not that of the models alone.
_ALIKE = ("method", "layer", "options", "grid", "target")
_FIGURES = ("a", "b", "difference", "low", "high", "p", "p_holm")
_ROWS = 8


def compare_regions(
    a: Run | None,
    b: Run | None,
    split: str,
    *,
    subjects: pd.Series | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Facts | None:
    """Differences ``b - a`` of lift and IoR in each region, over the images that both explained.

    Args:
        a: the first run; None for a file of predictions, which has no explanations.
        b: the second.
        split: whose images count.
        subjects: of the images, indexed by id; those of one are drawn together.
        resamples: bootstrap draws, and random swaps of the runs.
        level: coverage of the intervals.
        seed: of the draws.

    Returns:
        None for two files. Where a run has no such explanations, only the ``reason``. Else
        ``split``, ``images`` (explained by both), ``level``, ``resamples``, ``resampled_by``,
        how ``a`` and ``b`` were explained, ``warnings`` where the two differ in that, and
        ``figures``: for lift and IoR by region ``a``, ``b`` (means over the images with the
        region), ``difference``, ``low``, ``high``, ``p``, ``p_holm`` and ``present``; None where
        undefined.

    Raises:
        DataError: for explanations that cannot be read.
    """
    if a is None and b is None:
        return None
    reasons = [
        f"{side} {lacks}"
        for side, run in (("A", a), ("B", b))
        if (lacks := _lacks(run, split)) is not None
    ]
    if a is None or b is None or reasons:
        return {"reason": "; ".join(reasons)}
    images = len(np.intersect1d(_explained(a), _explained(b)))
    if not images:
        return {"reason": "A and B have no explained image in common"}
    found = run_differences(
        b.regions, a.regions, subjects=subjects, samples=resamples, level=level, seed=seed
    ).rename(columns={"first": "b", "second": "a", "present_first": "present"})
    made = [
        {key: run.explanation.get(key) for key in _ALIKE} | {"masks": _masks(run)} for run in (a, b)
    ]
    return {
        "split": split,
        "images": images,
        "level": level,
        "resamples": resamples,
        "resampled_by": "image" if subjects is None else "subject",
        "a": made[0],
        "b": made[1],
        "warnings": _warnings(*made),
        "figures": {
            str(figure): {
                row["region"]: {key: _known(row[key]) for key in _FIGURES}
                | {"present": int(row["present"])}
                for row in part.to_dict("records")
            }
            for figure, part in found.groupby("figure", sort=False)
        },
    }


def region_frame(facts: Facts) -> pd.DataFrame:
    """The figures of `compare_regions` as rows: ``figure``, ``region`` and what is known of it."""
    return pd.DataFrame(
        [
            {"figure": figure, "region": region, **found}
            for figure, regions in facts["figures"].items()
            for region, found in regions.items()
        ]
    )


def region_summary(facts: Facts) -> RenderableType:
    """The table of the largest differences; it fits 80 columns and needs no colour."""
    if "reason" in facts:
        return Text(f"Where they look is not compared: {printable(facts['reason'])}")
    return Group(*_summary_parts(facts))


def region_figure(facts: Facts, names: Facts) -> Figure:
    """Every difference of lift with its interval, largest first.

    Args:
        facts: as of `compare_regions`, with figures.
        names: of ``a`` and ``b``.
    """
    rows = sorted(_differences(facts), key=lambda row: -float(row[1]["difference"]))
    warned = [
        line.replace("$", r"\$")
        for each in _warned(facts)
        for line in textwrap.wrap(f"Not like with like: {each}", 78)
    ]
    figure = page_figure(1.6 + 0.27 * len(rows) + 0.2 * len(warned))
    axes = figure.add_subplot()
    for place, (_, found) in enumerate(rows):
        color = RED if _marked(found) else GREY
        if is_number(found["low"]) and is_number(found["high"]):
            axes.plot([found["low"], found["high"]], [place, place], color=color, linewidth=1.6)
        face = color if _marked(found) else "white"
        axes.plot(found["difference"], place, marker="o", color=color, markerfacecolor=face, ms=5.5)
    axes.axvline(0, color="#202124", linewidth=0.8)
    titles = [region_title(region) for region, _ in rows]
    axes.set_yticks(range(len(rows)), titles, fontsize=8.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(axis="x", labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(
        f"lift, B - A, with {facts['level']:.0%} interval, {count(facts['images'])} images",
        fontsize=8.5,
    )
    lines = [f"{side.upper()}  {run_label(names[side])}" for side in ("a", "b")]
    figure.suptitle("\n".join(lines), fontsize=9, x=0.01, ha="left")
    if warned:
        axes.set_title("\n".join(warned), fontsize=9, loc="left", color=RED, fontweight="bold")
    small_print(
        figure,
        "Right of 0, B looks there more than A. Filled and red: "
        f"p < {SIGNIFICANT} after Holm's correction over the regions. {_LUCK}",
    )
    return figure


_LUCK = (
    "Paired over images; the luck of training is not covered: a claim about a method needs "
    "several seeds."
)


def _lacks(run: Run | None, split: str) -> str | None:
    """What a run lacks to be compared, as the end of a sentence."""
    if run is None:
        return "is a file of predictions, without explanations"
    folder = run.path / "explanations"
    if not all((folder / name).is_file() for name in ("summary.json", "region_ior.parquet")):
        return "has no explanations of regions"
    explained = run.explanation.get("split")
    return None if explained == split else f"has explanations of {explained}, not of {split}"


def _explained(run: Run) -> Any:
    """Ids of the images with a map that is not all zero."""
    table = run.regions
    return table.loc[table["lift"].notna(), "id"].astype(str).unique()


def _masks(run: Run) -> dict[str, Any]:
    """Where the region masks of each dataset are from."""
    sources = run.explanation.get("region_source") or {}
    return {dataset: facts.get("source") for dataset, facts in sources.items()}


def _warnings(a: Facts, b: Facts) -> list[str]:
    """In what the two explanations differ, a sentence each."""
    return [
        f"the {key} {'differ' if key in ('options', 'masks') else 'differs'}: "
        f"A {_words(key, a[key])}, B {_words(key, b[key])}"
        for key in a
        if a[key] != b[key]
    ]


def _words(key: str, value: Any) -> str:
    if value in (None, [], {}):
        return "none"
    if key == "method":
        return method_title(str(value))
    if key == "grid":
        return "×".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name(each)}={value[each]}" for each in sorted(value))
    return str(value)


def _warned(facts: Facts) -> list[str]:
    return [printable(each) for each in facts["warnings"]]


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _differences(facts: Facts) -> list[tuple[str, Facts]]:
    """Regions whose lift both runs have."""
    lift = facts["figures"]["lift"]
    return [(region, found) for region, found in lift.items() if is_number(found["difference"])]


def _marked(found: Facts) -> bool:
    return is_number(found["p_holm"]) and found["p_holm"] < SIGNIFICANT


def _summary_parts(facts: Facts) -> Iterator[RenderableType]:
    rows = sorted(
        _differences(facts), key=lambda row: (not _marked(row[1]), -abs(row[1]["difference"]))
    )
    yield Text(
        f"Where they look: lift on {count(facts['images'])} images, largest differences first",
        style="bold",
    )
    for each in _warned(facts):
        yield Text(f"   WARNING  not like with like: {each}", style="bold yellow")
    table = plain_table()
    widths = {"A": 6, "B": 6, "B - A": 7, "interval": 15, "p (Holm)": 8}
    table.add_column("", width=25)
    for title, width in widths.items():
        table.add_column(title, justify="right", width=width)
    table.add_column("", width=8)
    for region, found in rows[:_ROWS]:
        ends = found["low"], found["high"]
        said = ("more" if found["difference"] > 0 else "less") if _marked(found) else ""
        table.add_row(
            f"  {region_title(region)}",
            number(found["a"]),
            number(found["b"]),
            number(found["difference"], signed=True),
            " … ".join(number(end, signed=True) for end in ends)
            if all(map(is_number, ends))
            else MISSING,
            probability(found["p_holm"]),
            f" {said}",
        )
    yield table
    tested = sum(is_number(found["p"]) for _, found in rows)
    enough = math.ceil(tested / SIGNIFICANT)
    if facts["resamples"] < enough:
        yield Text(f"Too few resamples to tell any of {tested} regions: resamples={enough} or more")
    yield Text(
        f"more, less: B looks there more or less than A, p < {SIGNIFICANT} after Holm's correction "
        f"over the regions; all {len(rows)} are in regions.csv. {_LUCK}",
        style="dim",
    )
