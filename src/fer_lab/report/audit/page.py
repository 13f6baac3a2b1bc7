"""The page of an audit of datasets: complete in itself, and all text from data escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_lab.bias.measures import ZERO_AT_INDEPENDENCE
from fer_lab.confidential import without_secrets
from fer_lab.data.splitting.target import EXPRESSION
from fer_lab.files import atomic_path
from fer_lab.report.audit.facts import Audit
from fer_lab.report.audit.wording import (
    MEANINGS,
    MEASURE_CODES,
    MEASURE_TITLES,
    UNEVEN,
    VARIANTS,
)
from fer_lab.report.html import data_uri, page_environment
from fer_lab.report.wording import inferred_label, moment

PAGE = "report.html"


def write_page(
    audit: Audit, record: Mapping[str, Any], figures: Mapping[str, Path], folder: Path
) -> Path:
    """Write ``report.html``.

    Args:
        audit: the facts.
        record: the content of ``run.json``.
        figures: PNG files by name, see :func:`~fer_lab.report.audit.figures.write_figures`.
        folder: where the page goes.

    Returns:
        The page's path.
    """
    path = folder / PAGE
    with atomic_path(path) as temporary:
        text = page(audit, record, figures)
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return path


def page(audit: Audit, record: Mapping[str, Any], figures: Mapping[str, Path]) -> str:
    """The page as HTML.

    Args:
        audit: the facts.
        record: the content of ``run.json``.
        figures: PNG files by name.
    """
    facts = audit.facts
    variant = facts["variant"]
    images = {title: data_uri(path) for title, path in figures.items()}
    return (
        page_environment()
        .get_template("audit.html.j2")
        .render(
            title=str(record.get("name") or "audit"),
            notes=without_secrets(str(record.get("notes") or "")),
            tags=[str(tag) for tag in record.get("tags") or ()],
            started=moment(record.get("started")),
            facts=facts,
            level=f"{facts['level']:.0%}",
            rows="all rows" if facts["rows"] == "all" else f"the {facts['rows']} rows",
            codes=MEASURE_CODES,
            titles=MEASURE_TITLES,
            meanings=_meanings(variant),
            variant_text=VARIANTS[variant],
            uneven=UNEVEN if variant == "equation" else None,
            attributes=audit.attributes,
            datasets=[_dataset(title, audit, images) for title in audit.documents],
            images=images,
            distributions=[
                (facts["target"] if each == EXPRESSION else each, images[f"distribution/{each}"])
                for each in (EXPRESSION, *audit.attributes)
                if f"distribution/{each}" in images
            ],
            environment=_environment(record),
        )
    )


def _meanings(variant: str) -> list[tuple[str, str, str]]:
    """Title, words and whether it is 0 at independence, of each measure, such first."""
    equation, zero = MEANINGS["equation"], "0 when label and group are independent"
    found = []
    for measure in sorted(equation, key=lambda name: name not in ZERO_AT_INDEPENDENCE):
        words, at_zero = equation[measure], zero
        if variant != "equation":
            words, at_zero = f"{MEANINGS[variant][measure]} By the equation: {words}", ""
        elif measure not in ZERO_AT_INDEPENDENCE:
            at_zero = "not 0 at independence"
        found.append((f"{MEASURE_TITLES[measure]} ({MEASURE_CODES[measure]})", words, at_zero))
    return found


def _dataset(title: str, audit: Audit, images: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows of one dataset."""
    document = audit.documents[title]
    parts = document["attributes"]
    return {
        "title": title,
        "document": document,
        "attributes": [
            {
                "name": attribute,
                "inferred": inferred_label(part),
                "part": part,
                "rows": list(zip(part["groups"], part["counts"], strict=True)),
            }
            for attribute, part in parts.items()
        ],
        "measures": [
            (MEASURE_TITLES[m], [p["measures"][m] for p in parts.values()], document["measures"][m])
            for m in document["measure_names"]
            if parts
        ],
        "joint": images.get(f"joint/{title}"),
        "four_way": images.get(f"four_way/{title}"),
    }


def _environment(record: Mapping[str, Any]) -> dict[str, Any]:
    git = record.get("git") or {}
    rows = {
        "command": without_secrets(str(record.get("command") or "")),
        "seed": record.get("seed"),
        "data fingerprint": record.get("fingerprint"),
        "git commit": git.get("commit"),
        **(record.get("versions") or {}),
    }
    return {title: value for title, value in rows.items() if value not in (None, "")}
