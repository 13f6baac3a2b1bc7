"""What an audit of datasets ends with on the terminal: bias by dataset, measures by attribute."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fer_lab.report.audit.facts import Audit, Document
from fer_lab.report.audit.wording import MEASURE_TITLES
from fer_lab.report.tables import plain_table
from fer_lab.report.wording import (
    count,
    inferred_label,
    interval,
    name,
    number,
    printable,
    probability,
)

_ATTRIBUTES_ACROSS = 5


def audit_summary(audit: Audit) -> RenderableType:
    """The tables; they fit 80 columns and need no colour."""
    return Group(*_parts(audit))


def _parts(audit: Audit) -> Iterator[RenderableType]:
    yield _overview(audit)
    yield Text("")
    for dataset, document in audit.documents.items():
        yield Text(printable(dataset), style="bold")
        if document["attributes"]:
            yield _measures(document)
        for line in notes(document):
            yield Padding(Text(line), (0, 0, 0, 2))
        yield Text("")
    if audit.facts["variant"] == "published":
        yield Text(
            "variant=published is a reconstruction from the study's table, not its equations.",
            style="bold yellow",
        )
    uneven = (
        " Sparsity, entropy and skewness measure uneven labels inside groups and are not 0 for a "
        "group that means nothing."
    )
    yield Text(
        f"All in [0, 1]. bias: the mean of the seven measures; {audit.facts['level']:.0%} "
        "intervals; null: mean of the bias when groups are dealt to the faces at random."
        + (uneven if audit.facts["variant"] == "equation" else ""),
        style="dim",
    )


def notes(document: Document) -> list[str]:
    """What a reader of one dataset's figures must know: what is unknown, inferred, absent."""
    lines = []
    for attribute, part in document["attributes"].items():
        inferred = inferred_label(part)
        about = [f"{count(part['unknown'])} of {count(document['samples'])} faces unknown"]
        lines.append(f"{name(attribute)}: {', '.join([*about, *([inferred] if inferred else [])])}")
    for attribute, why in document["absent"].items():
        lines.append(f"{name(attribute)}: not audited, {printable(why)}")
    return lines


def _overview(audit: Audit) -> Table:
    rows = {"all": "all rows"}.get(audit.facts["rows"], f"{audit.facts['rows']} rows")
    table = plain_table(f"Bias of the datasets, {rows}, variant {audit.facts['variant']}")
    table.add_column("", overflow="fold")
    for title in ("faces", "bias", "interval", "null", "excess", "p"):
        table.add_column(title, justify="right", no_wrap=True)
    for dataset, document in audit.documents.items():
        bias = document["bias"]
        table.add_row(
            Text(printable(dataset)),
            count(document["samples"]),
            number(bias["value"]),
            interval(bias),
            number(bias.get("null_mean")),
            number(bias.get("excess"), signed=True),
            probability(bias.get("p")),
        )
    return table


def _measures(document: Document) -> Table:
    attributes = list(document["attributes"].items())[:_ATTRIBUTES_ACROSS]
    table = plain_table()
    table.add_column("", width=37, no_wrap=True)
    for attribute, _ in attributes:
        table.add_column(Text(name(attribute)), justify="right", min_width=6, overflow="fold")
    table.add_column("all", justify="right", min_width=6)
    for measure in document["measure_names"]:
        table.add_row(
            f"  {MEASURE_TITLES[measure]}",
            *(number(part["measures"][measure]["value"]) for _, part in attributes),
            number(document["measures"][measure]["value"]),
        )
    table.add_section()
    table.add_row(
        "  Bias",
        *(number(part["bias"]["value"]) for _, part in attributes),
        number(document["bias"]["value"]),
    )
    return table
