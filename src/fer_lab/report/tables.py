"""A run's numbers as rows and words, and as the tables that the terminal ends with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fer_lab.report.faithfulness import footnote
from fer_lab.report.run import Facts, Run
from fer_lab.report.wording import (
    INCOMPLETE,
    MISSING,
    class_words,
    count,
    dropped,
    inferred_label,
    inferred_note,
    interval,
    is_number,
    method_title,
    name,
    number,
    printable,
    probability,
    region_title,
    split_title,
    why,
    without_metrics,
    worst_group,
)

METRIC_TITLES = {
    "equalized_odds": "Equalized odds",
    "equal_opportunity": "Equal opportunity",
    "demographic_parity": "Demographic parity",
    "treatment_equality": "Treatment equality",
}
SIGNIFICANT = 0.05
COLLAPSED = (
    "Collapsed: the model predicts two classes or fewer. A constant answer treats all groups "
    "alike, so its bias figures say nothing."
)

NO_REGIONS = "No face has a region mask, so there are no figures of regions."


@dataclass(frozen=True)
class GapRow:
    """One gap between groups with what is needed to believe it; None where undefined.

    Attributes:
        title: what the gap is of.
        facts: ``value``, ``low``, ``high``, ``null_mean``, ``null_p95``, ``p``, ``excess``.
        worst: the expression with the largest gap, where there is a gap and it is one of many.
        reason: why the value is undefined, where it is.
    """

    title: str
    facts: Mapping[str, Any]
    worst: str | None = None
    reason: str | None = None

    @property
    def marked(self) -> bool:
        """Whether groups drawn at random give a gap this large less often than 1 in 20 times."""
        p = self.facts.get("p")
        return is_number(p) and p < SIGNIFICANT


@dataclass(frozen=True)
class RegionRow:
    """How much the model looks at one face region, and its rank by each measure (1 = most).

    ``random_lift`` and ``random_ior`` are those of the same network with weights drawn anew, on
    the same images; None where they were not measured.
    """

    region: str
    title: str
    lift: float
    ior: float
    share: float | None
    area: float | None
    present: int
    lift_rank: int
    ior_rank: int
    random_lift: float | None
    random_ior: float | None


def chance(confusion: Sequence[Sequence[int]]) -> float | None:
    """The accuracy of always naming the largest class, in [0, 1]; None without samples.

    >>> chance([[5, 1], [2, 0]])
    0.75
    """
    sizes = [sum(row) for row in confusion]
    return max(sizes) / sum(sizes) if any(sizes) else None


def gap_rows(facts: Mapping[str, Any], min_count: int) -> list[GapRow]:
    """The gaps of one attribute: the four metrics, then its bias score.

    Args:
        facts: the attribute's part of ``metrics/<split>.json``.
        min_count: the samples a rate needed to enter a gap.
    """
    few = f"too few faces: a rate needs {min_count}, in two groups at least"
    rows = []
    for metric, gap in facts["metrics"].items():
        values = {e: v for e, v in gap["per_expression"].items() if is_number(v) and v > 0}
        title = METRIC_TITLES.get(metric, name(metric))
        reason = None if is_number(gap["value"]) else few
        rows.append(GapRow(title, gap, max(values, key=lambda e: values[e], default=None), reason))
    bias = facts["bias"]
    return [
        *rows,
        GapRow("Bias (their mean)", bias, reason=None if is_number(bias["value"]) else few),
    ]


def region_rows(summary: Mapping[str, Any]) -> list[RegionRow]:
    """The regions that are present in some face, by falling lift."""
    regions = {
        region: facts
        for region, facts in summary["regions"].items()
        if is_number(facts["lift"]) and is_number(facts["ior"]) and facts["present"] > 0
    }

    def ranks(measure: str) -> dict[str, int]:
        ordered = sorted(regions, key=lambda region: -float(regions[region][measure]))
        return {region: rank for rank, region in enumerate(ordered, start=1)}

    lift_ranks, ior_ranks = ranks("lift"), ranks("ior")
    random_model = (summary.get("random_model") or {}).get("regions") or {}
    return [
        RegionRow(
            region,
            region_title(region),
            facts["lift"],
            facts["ior"],
            facts.get("share"),
            facts.get("area"),
            facts["present"],
            lift_ranks[region],
            ior_ranks[region],
            random_model.get(region, {}).get("lift"),
            random_model.get(region, {}).get("ior"),
        )
        for region, facts in sorted(regions.items(), key=lambda item: lift_ranks[item[0]])
    ]


def summary(run: Run) -> RenderableType:
    """The tables that a training run ends with; they fit 80 columns and need no colour.

    What the run did not leave behind is said in its place.
    """
    return Group(*_parts(run))


def _parts(run: Run) -> Iterator[RenderableType]:
    status = run.status
    yield Text.assemble((printable(run.name), "bold"), f" · {status}")
    if run.record.get("error"):
        yield Text(f"Error: {printable(run.record['error'])}", style="red")
    split = run.headline_split
    if split is None:
        yield Text(f"No metrics: {without_metrics(status)}.")
        return
    try:
        yield from list(_metrics(run.metrics_of(split), class_words(run.record)))
    except INCOMPLETE as error:
        yield Text(f"The metrics cannot be shown: {why(error)}.", style="red")
    yield Text("")
    # A file of predictions has no model to explain, and one that is asked is elsewhere.
    if not run.record.get("predictions") and "asked" not in run.record:
        try:
            yield from _regions(run.explanation)
            yield Text(footnote(run.explanation))
        except INCOMPLETE as error:
            yield Text(f"No explanation: {why(error)}.")
    set_aside = dropped(run.record)
    if set_aside:
        yield Text(f"Set aside while reading: {set_aside}.")


def _metrics(facts: Facts, classes: str) -> Iterator[RenderableType]:
    if facts["collapsed"]:
        yield Text(f"WARNING  {COLLAPSED}", style="bold yellow")
    yield _headline(facts)
    notes = [inferred_note(facts["attributes"]), *map(printable, facts.get("messages") or ())]
    for note in filter(None, notes):
        yield Text(note)
    yield Text("")
    yield from _gaps(facts)
    level = f"{facts['level']:.0%}"
    yield Text(
        f"A gap is the largest over {classes}, 0 is none; {level} intervals. null: mean and "
        f"95th percentile of the gap when groups are shuffled; * p < {SIGNIFICANT}.",
        style="dim",
    )


def _headline(facts: Facts) -> Table:
    table = plain_table(f"{split_title(facts['split'])} set, {count(facts['samples'])} faces")
    table.add_column("", min_width=20, no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("interval", justify="right")
    table.add_column("")
    for key, title in (
        ("accuracy", "Accuracy"),
        ("mean_class_accuracy", "Mean class accuracy"),
        ("f1_macro", "F1, macro"),
    ):
        table.add_row(title, number(facts[key]["value"]), interval(facts[key]), "")
    by_chance = number(chance(facts["confusion"]))
    table.add_row("By chance", by_chance, "", "the largest class as every answer")
    worst, bias = facts["worst_group"], facts["bias"]
    table.add_row(
        "Worst group", number((worst or {}).get("accuracy")), "", Text(worst_group(worst))
    )
    excess, p = number(bias["excess"], signed=True), probability(bias["p"])
    null = f"null {number(bias['null_mean'])}, excess {excess}, p {p}"
    if not is_number(bias["value"]):
        null = "no attribute has a gap that is defined"
    table.add_row("Bias score", number(bias["value"]), interval(bias), null)
    return table


def _gaps(facts: Facts) -> Iterator[RenderableType]:
    """A table per attribute, of equal widths, so that a heading may be as long as it likes."""
    widths = {"gap": 5, "interval": 11, "null": 5, "p95": 5, "excess": 6, "p": 8}
    reasons: dict[str, None] = {}
    yield Text("Gaps between groups", style="bold")
    for position, (attribute, part) in enumerate(facts["attributes"].items()):
        table = plain_table(show_header=position == 0)
        table.add_column("", width=20)
        for title, width in widths.items():
            table.add_column(title, justify="right", width=width)
        table.add_column("largest in", width=10)
        rows = gap_rows(part, facts["min_count"])
        for row in rows:
            gap = row.facts
            table.add_row(
                f"  {row.title}",
                number(gap["value"]),
                interval(gap),
                number(gap["null_mean"]),
                number(gap["null_p95"]),
                number(gap["excess"], signed=True),
                probability(gap["p"]) + (" *" if row.marked else "  "),
                Text(name(row.worst or "")),
            )
        inferred = inferred_label(part)
        heading = f"{name(attribute)} ({inferred})" if inferred else name(attribute)
        yield Text(heading, style="bold")
        yield table
        reasons |= {row.reason: None for row in rows if row.reason}
    for reason in reasons:
        yield Text(f"{MISSING}  {reason}")


def _regions(explanation: Mapping[str, Any], top: int = 5) -> Iterator[RenderableType]:
    rows = region_rows(explanation)
    if not rows:
        yield Text(NO_REGIONS)
        return
    method, samples = method_title(explanation["method"]), count(explanation["samples"])
    table = plain_table(f"Where the model looks most ({method}, {samples} faces)")
    table.add_column("", min_width=20, no_wrap=True)
    beside = any(is_number(row.random_lift) for row in rows)
    for title in ("lift", *["random model"] * beside, "IoR", "IoR rank", "present in"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows[:top]:
        table.add_row(
            Text(row.title),
            number(row.lift, 2),
            *[number(row.random_lift, 2)] * beside,
            number(row.ior),
            str(row.ior_rank),
            count(row.present),
        )
    yield table


def plain_table(title: str | None = None, *, show_header: bool = True) -> Table:
    """An empty table as all of them look on the terminal: no frame, a line below the header."""
    return Table(
        title=None if title is None else Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        pad_edge=False,
        show_header=show_header,
    )
