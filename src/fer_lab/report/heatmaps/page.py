"""The page of a comparison of heatmaps: complete in itself, and all text from data escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_lab.confidential import without_secrets
from fer_lab.files import atomic_path
from fer_lab.report.heatmaps.study import Document
from fer_lab.report.heatmaps.trainings import code_of
from fer_lab.report.heatmaps.words import (
    cautions,
    conclusions,
    difference_means,
    heading,
    training_words,
)
from fer_lab.report.html import data_uri, page_environment
from fer_lab.report.wording import method_title

PAGE = "report.html"


def write_page(facts: Document, figures: Mapping[str, Path], folder: Path) -> Path:
    """Write ``report.html``.

    Args:
        facts: the document of the comparison.
        figures: PNG files by name.
        folder: where the page goes.

    Returns:
        The page's path.
    """
    path = folder / PAGE
    with atomic_path(path) as temporary:
        temporary.write_text(page(facts, figures), encoding="utf-8", errors="replace")
    return path


def page(facts: Document, figures: Mapping[str, Path]) -> str:
    """The page as HTML.

    Args:
        facts: the document of the comparison.
        figures: PNG files by name.
    """
    return (
        page_environment()
        .get_template("heatmaps.html.j2")
        .render(
            title="Merged heatmaps side by side",
            heading=heading(facts),
            notes=without_secrets(str(facts["notes"] or "")),
            facts=facts,
            conclusions=conclusions(facts),
            cautions=cautions(facts),
            images={title: data_uri(path) for title, path in figures.items()},
            runs=[
                {
                    **training,
                    "method": method_title(str(training["method"])),
                    "faces": training_words(training),
                }
                for training in facts["trainings"]
            ],
            pairs=[(row["first"], row["second"]) for row in facts["training_pairs"]],
            by_expression=_by_expression(facts),
            differences=_differences(facts),
            difference_titles=list(difference_means(facts)),
            command=without_secrets(facts["command"]),
        )
    )


def _by_expression(facts: Document) -> list[tuple[str, list[tuple[str, list[Any]]]]]:
    """By test set and expression the distance of each pair of training sets, None where none."""
    pairs = [(row["first"], row["second"]) for row in facts["training_pairs"]]
    found = {
        (row["test"], row["expression"], row["first"], row["second"]): row
        for row in facts["training_distances"]
    }
    if not pairs:
        return []
    return [
        (
            f"{group} ({code_of(group)})" if code_of(group) != group else group,
            [
                (label, [found[group, label, *pair] for pair in pairs])
                for label in facts["expressions"]
                if (group, label, *pairs[0]) in found
            ],
        )
        for group in facts["groups"]
    ]


def _differences(facts: Document) -> list[tuple[str, list[Any]]]:
    """By expression the shares of pixels above the noise, in the order of the titles."""
    rows: dict[str, list[Any]] = {}
    for row in facts["differences"]:
        rows.setdefault(row["expression"], []).append(row["share_above"])
    return list(rows.items())
