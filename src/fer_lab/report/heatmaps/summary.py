"""What a comparison of heatmaps ends with on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fer_lab.report.heatmaps.study import Document
from fer_lab.report.heatmaps.words import conclusions, heading
from fer_lab.report.tables import plain_table
from fer_lab.report.wording import count, method_title, number, printable


def heatmaps_summary(facts: Document) -> RenderableType:
    """The tables and the conclusions; they fit 80 columns and need no colour.

    Args:
        facts: the document of the comparison.
    """
    return Group(*_parts(facts))


def _parts(facts: Document) -> Iterator[RenderableType]:
    yield Text(heading(facts), style="bold")
    images = [heatmap["images"] for heatmap in facts["heatmaps"]]
    yield Text(
        f"{facts['split']} set, {count(min(images))} to {count(max(images))} images a heatmap"
    )
    yield Text("")
    yield _runs(facts)
    yield Text("")
    if facts["training_pairs"]:
        yield _pairs(facts)
        yield Text("")
    for warning in facts["warnings"]:
        yield Text(f"WARNING  {printable(warning)}", style="bold yellow")
    for each in facts["left_out"]:
        yield Text(f"left out: {printable(each['what'])}: {printable(each['why'])}")
    for sentence in conclusions(facts):
        yield Text(f"- {sentence}")


def _runs(facts: Document) -> Table:
    table = plain_table("Runs")
    table.add_column("", overflow="fold")
    for title in ("trained on", "run", "explained by"):
        table.add_column(title, overflow="fold")
    table.add_column("faces", justify="right")
    for training in facts["trainings"]:
        table.add_row(
            *(Text(f"{printable(training[key])}  ") for key in ("name", "split", "run")),
            Text(f"{method_title(str(training['method']))}, {printable(training['layer'])}  "),
            count(training["faces"]),
        )
    return table


def _pairs(facts: Document) -> Table:
    table = plain_table("Distance between training sets, mean over test sets and expressions")
    table.add_column("", overflow="fold")
    for title in ("  distance", "  noise floor", "  between seeds", "  above"):
        table.add_column(title, justify="right", no_wrap=True)
    for pair in facts["training_pairs"]:
        table.add_row(
            Text(f"  {printable(pair['first'])} - {printable(pair['second'])}"),
            *(number(pair[key]) for key in ("distance", "floor", "seed_distance")),
            f"{count(pair['above'])} of {count(pair['cells'])}",
        )
    return table
