"""A comparison of two models: as rows, as the table of the terminal, and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.text import Text

from fer_lab.report.run import Facts
from fer_lab.report.tables import COLLAPSED, METRIC_TITLES, plain_table
from fer_lab.report.wording import (
    count,
    figure_label,
    inferred_label,
    inferred_note,
    is_number,
    name,
    number,
    printable,
    probability,
    run_label,
)

_OVERALL = {
    "accuracy": "Accuracy",
    "mean_class_accuracy": "Mean class accuracy",
    "f1_macro": "F1, macro",
    "f1_weighted": "F1, weighted",
    "worst_group_accuracy": "Worst group",
    "calibration_error": "Calibration error",
    "bias": "Bias score",
}
_OF_ATTRIBUTE = {
    "bias": "Bias (mean of the four)",
    "worst_group_accuracy": "Worst group",
    "calibration_gap": "Calibration gap",
}
_HIGHER_IS_BETTER = ("accuracy", "f1")
_BETTER, _WORSE, _OPEN = "#0072B2", "#D55E00", "#9aa0a6"


@dataclass(frozen=True)
class DifferenceRow:
    """One figure of both models.

    Attributes:
        part: ``all``, or the attribute.
        key: the figure's name in the document.
        title: the same for people.
        facts: ``a``, ``b``, ``difference``, ``low``, ``high`` and ``p``; None where undefined.
    """

    part: str
    key: str
    title: str
    facts: Mapping[str, Any]

    @property
    def marked(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        low, high = self.facts["low"], self.facts["high"]
        return is_number(low) and is_number(high) and (low > 0 or high < 0)

    @property
    def better(self) -> bool | None:
        """Whether B is better than A as far as the interval tells; None where it does not."""
        if not self.marked:
            return None
        higher = any(word in self.key for word in _HIGHER_IS_BETTER)
        return (float(self.facts["difference"]) > 0) == higher


def difference_rows(facts: Facts) -> list[DifferenceRow]:
    """The figures of a comparison: over all samples, then attribute by attribute.

    Args:
        facts: what `fer_lab.metrics.comparison.compare_predictions` gives.
    """
    rows = [
        DifferenceRow("all", key, title, facts[key])
        for key, title in _OVERALL.items()
        if key in facts
    ]
    for attribute, part in facts["attributes"].items():
        rows += [
            DifferenceRow(attribute, metric, METRIC_TITLES.get(metric, name(metric)), found)
            for metric, found in part["metrics"].items()
        ]
        rows += [
            DifferenceRow(attribute, key, title, part[key])
            for key, title in _OF_ATTRIBUTE.items()
            if key in part
        ]
    return rows


def difference_frame(facts: Facts) -> pd.DataFrame:
    """The rows as a table: ``part``, ``figure``, both values, the difference and its interval."""
    return pd.DataFrame(
        [{"part": row.part, "figure": row.key, **row.facts} for row in difference_rows(facts)]
    )


def comparison_summary(facts: Facts) -> RenderableType:
    """The tables that a comparison ends with; they fit 80 columns and need no colour.

    Args:
        facts: the comparison, with ``names`` of both, and ``source`` and ``inferred`` in each
            attribute.
    """
    return Group(*_parts(facts))


def _parts(facts: Facts) -> Iterator[RenderableType]:
    for side in ("a", "b"):
        label = f"{side.upper()}  {printable(facts['names'][side])}"
        yield Text(label, style="bold", overflow="fold")
        if facts["collapsed"][side]:
            yield Text(f"   WARNING  {COLLAPSED}", style="bold yellow")
    alone = [
        f"{count(facts[f'only_in_{side}'])} more in {side.upper()}"
        for side in ("a", "b")
        if facts[f"only_in_{side}"]
    ]
    left_out = f" ({', '.join(alone)}: left out)" if alone else ""
    yield Text(f"{count(facts['samples'])} shared samples{left_out}")
    for side, reasons in facts["set_aside"].items():
        for reason, rows in reasons.items():
            yield Text(f"{count(rows)} rows of {side.upper()} set aside: {printable(reason)}")
    note = inferred_note(facts["attributes"])
    for message in filter(None, (note, *map(printable, facts["messages"]))):
        yield Text(message)
    yield Text("")
    rows = difference_rows(facts)
    widths = {"A": 6, "B": 6, "B - A": 7, "interval": 15, "p": 8}
    for position, part in enumerate(dict.fromkeys(row.part for row in rows)):
        table = plain_table(show_header=position == 0)
        table.add_column("", width=25)
        for title, width in widths.items():
            table.add_column(title, justify="right", width=width)
        table.add_column("", width=8)
        for row in rows:
            if row.part != part:
                continue
            found = row.facts
            said = {True: "better", False: "worse", None: ""}[row.better]
            table.add_row(
                f"  {row.title}",
                number(found["a"]),
                number(found["b"]),
                number(found["difference"], signed=True),
                _signed_interval(found),
                probability(found["p"]),
                f" {said}",
            )
        yield Text(_part_title(facts, part), style="bold")
        yield table
    tested = facts["mcnemar"]
    yield Text(
        f"Right in A alone: {count(tested['only_a_right'])}, in B alone: "
        f"{count(tested['only_b_right'])} (McNemar's test: p {probability(tested['p'])})"
    )
    yield Text(
        f"better, worse: the {facts['level']:.0%} interval of the difference leaves out 0, paired "
        "over samples. It does not cover the luck of training: a claim about a method needs "
        "several seeds.",
        style="dim",
    )


def _part_title(facts: Facts, part: str) -> str:
    if part == "all":
        return "All samples"
    inferred = inferred_label(facts["attributes"][part])
    return f"By {name(part)}" + (f" ({inferred})" if inferred else "")


def _signed_interval(found: Mapping[str, Any]) -> str:
    ends = found["low"], found["high"]
    if not all(map(is_number, ends)):
        return number(None)
    return " … ".join(number(end, signed=True) for end in ends)


def comparison_figure(facts: Facts) -> Figure:
    """Every difference with its interval; blue where B is better, red where it is worse.

    Args:
        facts: as of `comparison_summary`.
    """
    rows = [row for row in difference_rows(facts) if is_number(row.facts["difference"])]
    parts = list(dict.fromkeys(row.part for row in rows))
    sizes = [sum(row.part == part for row in rows) for part in parts]
    figure = Figure(
        figsize=(7.0, 0.8 + sum(0.27 * size + 0.45 for size in sizes)),
        dpi=150,
        layout="constrained",
    )
    panels = figure.subplots(
        len(parts), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": sizes}
    )[:, 0]
    for axes, part in zip(panels, parts, strict=True):
        here = [row for row in rows if row.part == part]
        for place, row in enumerate(here):
            color = {True: _BETTER, False: _WORSE, None: _OPEN}[row.better]
            found = row.facts
            if is_number(found["low"]) and is_number(found["high"]):
                axes.plot([found["low"], found["high"]], [place, place], color=color, linewidth=1.6)
            face = "white" if row.better is None else color
            axes.plot(
                found["difference"], place, marker="o", color=color, markerfacecolor=face, ms=5.5
            )
        axes.axvline(0, color="#202124", linewidth=0.8)
        axes.set_yticks(range(len(here)), [row.title for row in here], fontsize=8.5)
        axes.set_ylim(len(here) - 0.4, -0.6)
        axes.set_title(figure_label(_part_title(facts, part), 70), fontsize=9.5, loc="left")
        axes.grid(axis="x", alpha=0.3)
        axes.tick_params(axis="x", labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    panels[-1].set_xlabel(
        f"B - A with {facts['level']:.0%} interval, {count(facts['samples'])} samples; "
        "blue: B better, red: B worse, grey: not told apart",
        fontsize=8.5,
    )
    names = [run_label(facts["names"][side]) for side in ("a", "b")]
    figure.suptitle(f"A  {names[0]}\nB  {names[1]}", fontsize=9, x=0.01, ha="left")
    return figure
