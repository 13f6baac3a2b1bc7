"""The page of all runs: facts as one JSON block, drawn by the script that the page carries."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from fer_lab.data.vocabulary import REGIONS
from fer_lab.files import atomic_path
from fer_lab.report.dashboard.comparable import mark_comparable, tell_apart
from fer_lab.report.dashboard.figures import CURVES
from fer_lab.report.dashboard.gather import Entry
from fer_lab.report.html import page_environment
from fer_lab.report.wording import name, printable, region_title, split_title

_SCRIPTS = (
    *("core", "controls", "table", "front", "scatter"),
    *("heat", "genders", "groups", "regions", "curves", "start"),
)
_STATUSES = ("finished", "failed", "interrupted", "running", "unreadable")


def write_dashboard(
    entries: Sequence[Entry], path: Path, *, title: str = "Runs", roots: Sequence[str] = ()
) -> Path:
    """Write the page, which links each run's own page relative to itself.

    Args:
        entries: the runs, see `~fer_lab.report.dashboard.gather.gather`.
        path: the file.
        title: its heading.
        roots: the folders that were read, as they were named.

    Returns:
        The file's path.
    """
    text = dashboard(entries, path.absolute().parent, title=title, roots=roots)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return path


def dashboard(
    entries: Sequence[Entry], place: Path, *, title: str = "Runs", roots: Sequence[str] = ()
) -> str:
    """The page as HTML; whatever comes from runs is data in it, never markup or script.

    Args:
        entries: the runs.
        place: the folder that links start from.
        title: its heading.
        roots: the folders that were read.
    """
    facts = document(entries, place)
    script = "\n".join(
        resources.files("fer_lab.report").joinpath(f"templates/dashboard/{part}.js").read_text()
        for part in _SCRIPTS
    )
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        page_environment()
        .get_template("dashboard/page.html.j2")
        .render(
            title=printable(title),
            roots=[printable(root) for root in roots],
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            counts={
                status: count
                for status in _STATUSES
                if (count := sum(run["status"] == status for run in facts["runs"]))
            },
            runs=facts["runs"],
            facts=Markup(embedded(facts)),  # no character of it can end the block
            script=Markup(script),
            script_hash=f"'sha256-{digest}'",
        )
    )


def document(entries: Sequence[Entry], place: Path) -> dict[str, Any]:
    """All that the page is drawn from.

    Args:
        entries: the runs, whose ``shown`` is completed.
        place: the folder that links start from.

    Returns:
        ``runs`` in the given order; ``sets``, ``experiments`` and ``variants``, see
        `~fer_lab.report.dashboard.comparable.mark_comparable`; ``schemas`` that runs name by
        position; ``regions`` and ``curves`` with their titles.
    """
    comparable = mark_comparable(entries)
    tell_apart(entries)
    schemas: list[dict[str, Any]] = []
    for entry in entries:
        entry.shown |= _links(entry.run.path, place)
        if entry.document is not None:
            known = _titled(entry.schema)
            if known not in schemas:
                schemas.append(known)
            entry.shown["schema"] = schemas.index(known)
    return {
        "runs": [entry.shown for entry in entries],
        **comparable,
        "schemas": schemas,
        "regions": [region_title(region) for region in REGIONS],
        "curves": {curve: _curve_title(curve) for curve in CURVES},
    }


def embedded(facts: Mapping[str, Any]) -> str:
    r"""JSON that may stand inside a script element, whatever its strings say.

    >>> embedded({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _links(folder: Path, place: Path) -> dict[str, str]:
    """The run's folder and, where there is one, its page, as seen from where this page is."""
    relative = Path(os.path.relpath(folder.absolute(), place)).as_posix()
    found = {"folder": printable(relative)}
    if (folder / "report.html").is_file():
        found["page"] = quote(os.fsencode(f"{relative}/report.html"), safe="/")
    return found


def _titled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with names for people; attributes keep the names that figures are stored under."""
    return {
        "min_count": schema["min_count"],
        "classes": [name(each) for each in schema["classes"]],
        "attributes": {
            attribute: {
                "title": name(attribute),
                "keys": part["groups"],
                "groups": [name(group) for group in part["groups"]],
                "inferred": part["inferred"],
            }
            for attribute, part in schema["attributes"].items()
        },
    }


def _curve_title(curve: str) -> str:
    """``val/fairness/bias`` as *Validation bias score*."""
    split, _, what = curve.partition("/")
    words = {"fairness/bias": "bias score", "loss": "loss"}.get(what, name(what))
    return f"{'Training' if split == 'train' else split_title(split)} {words}"
