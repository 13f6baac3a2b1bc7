"""What is known of models, as the terminal shows it, and as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fer_lab.report.wording import METHOD_TITLES, MISSING

if TYPE_CHECKING:
    from fer_lab.models.catalogue import ModelFacts, Published

_HEADS = ("`model=`", "parameters", "that learn", "published", "input", "explained at", "LRP")


def overview(models: Sequence[ModelFacts]) -> RenderableType:
    """A table of 80 columns: a line or a few for each model, and what its columns mean."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("model=", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("input", justify="right", no_wrap=True)
    table.add_column("explained at", no_wrap=True)
    table.add_column("LRP", no_wrap=True)
    table.add_column("source", overflow="fold")
    for each in models:
        marked = "*" if each.classes is not None and each.classes < 1000 else " "
        count = f"{each.parameters / 1e6:.1f} M{marked}" if each.parameters else MISSING
        at = _broken(each.layer) if each.layer else MISSING
        cells = [each.name, count, _number(each.image_size), at, _yes(each), _source(each)]
        table.add_row(*map(Text, cells))
    classes = sorted({each.classes for each in models if each.classes and each.classes < 1000})
    notes = [
        "parameters: with the published head of 1,000 classes"
        + (f", * with {' or '.join(map(str, classes))}" if classes else ""),
        "input: side in pixels that its recipe gives it; explained at: of the backbone",
        "more about one: fer-lab models NAME; for files: format=markdown, csv or json",
    ]
    return Group(table, Text("\n".join(notes), style="dim"))


def one_model(model: ModelFacts) -> RenderableType:
    """Everything that is known of one model."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    rows = [
        ("parameters", _counted(model)),
        ("that learn", _learning(model)),
        ("published", _published(model.published)),
        ("input", _input(model)),
        ("explained at", _explained(model, mark="")),
        ("LRP", _yes(model)),
        ("source", _source(model)),
        ("class", model.target or MISSING),
    ]
    for title, words in rows:
        table.add_row(title, Text(words))
    head = Text(f"model={model.name}", style="bold")
    parts: list[RenderableType] = [head, Text(model.summary)] if model.summary else [head]
    return Group(*parts, Text(), table, Text())


def as_markdown(models: Sequence[ModelFacts]) -> str:
    """A table for a page; counts in full."""
    rule = ["---"] + ["---:"] * 2 + ["---", "---:", "---", "---", "---"]
    lines = [[*_HEADS, "source"], rule]
    for each in models:
        cells = [_counted(each), _learning(each), _published(each.published), _input(each)]
        cells += [_explained(each, mark="`"), _yes(each), _source(each)]
        lines.append([f"`{each.name}`", *(cell.replace("|", "\\|") for cell in cells)])
    rows = [f"| {' | '.join(line)} |" for line in lines]
    rows[1] = rows[1].replace(" ", "")
    return "\n".join([*rows, ""])


def as_csv(models: Sequence[ModelFacts]) -> str:
    """One line a model; what is not known is empty."""
    stream = io.StringIO()
    writer: Any = None
    for each in models:
        row = _flat(each)
        if writer is None:
            writer = csv.DictWriter(stream, row, lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return stream.getvalue()


def as_json(models: Sequence[ModelFacts]) -> str:
    """A list of objects; what is not known is null."""
    return json.dumps([asdict(each) for each in models], indent=2, ensure_ascii=False) + "\n"


def _flat(model: ModelFacts) -> dict[str, Any]:
    known = model.published
    return asdict(model) | {
        "published": known.parameters if known else None,
        "published_by": known.source if known else None,
        "left_out": sum(known.left_out.values()) if known else None,
        "frozen": " ".join(model.frozen),
        "optimizer": " ".join(f"{key}={value}" for key, value in model.optimizer.items()),
        "lrp": None if model.lrp is None else _yes(model),
    }


def _counted(model: ModelFacts) -> str:
    if model.parameters is None:
        return MISSING
    head = f" ({model.classes} classes)" if model.classes != 1000 else ""
    return f"{model.parameters:,}{head}"


def _learning(model: ModelFacts) -> str:
    if model.trained is None:
        return MISSING
    if model.trained == model.parameters:
        return "all"
    return f"{model.trained:,}" if model.trained else "none"


def _published(known: Published | None) -> str:
    if known is None:
        return MISSING
    exact = isinstance(known.parameters, int)
    count = f"{known.parameters:,}" if exact else f"{known.parameters / 1e6:.1f} M"
    more = f", {sum(known.left_out.values()):,} of them left out here" if known.left_out else ""
    return f"{count}{more} ({known.source})"


def _input(model: ModelFacts) -> str:
    if model.own_size in (None, model.image_size):
        return _number(model.image_size)
    return f"{model.image_size} (published for {model.own_size})"


def _explained(model: ModelFacts, *, mark: str) -> str:
    if model.layer is None:
        return MISSING
    layer = f"{mark}{model.layer}{mark}"
    usual = model.method in (None, "gradcam")
    return layer if usual else f"{layer}, {METHOD_TITLES.get(str(model.method), model.method)}"


def _yes(model: ModelFacts) -> str:
    return {True: "yes", False: "no", None: MISSING}[model.lrp]


def _source(model: ModelFacts) -> str:
    return model.note or model.source or MISSING


def _number(value: int | None) -> str:
    return MISSING if value is None else str(value)


def _broken(path: str, width: int = 18) -> str:
    """A dotted path in lines that end between its parts."""
    lines = [""]
    for place, part in enumerate(path.split(".")):
        piece = part if place == 0 else f".{part}"
        if len(lines[-1]) + len(piece) > width and lines[-1]:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)
