"""``report.html``: one page per run, complete in itself, that opens anywhere without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fer_lab.confidential import without_secrets
from fer_lab.files import atomic_path
from fer_lab.report.figures import write_figures
from fer_lab.report.html import data_uri, page_environment
from fer_lab.report.run import Run
from fer_lab.report.sections import sections_of
from fer_lab.report.tables import COLLAPSED, SIGNIFICANT
from fer_lab.report.wording import INCOMPLETE, duration, moment, why


@dataclass(frozen=True)
class Section:
    """What a section shows, or why it has nothing to show."""

    html: Markup
    problem: str | None = None


def write_page(run: Run, figures: Sequence[Path] | None = None) -> Path:
    """Write the run's ``report.html``.

    Args:
        run: finished, failed, or still running; what it did not leave behind is said in its place.
        figures: the PNG files to show; by default those in the run's ``figures/``, which are
            drawn now if there are none.

    Returns:
        The page's path.
    """
    if figures is None:
        figures = sorted((run.path / "figures").glob("[!.]*.png")) or write_figures(run)
    text = page(run, figures)
    path = run.path / "report.html"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return path


def page(run: Run, figures: Sequence[Path] = ()) -> str:
    """The page as HTML; all text that comes from the run is escaped by the template engine.

    Args:
        run: the run.
        figures: PNG files that are put into the page; a figure is known by its file's stem.
    """
    environment = page_environment()
    status = run.status
    macros = environment.get_template("sections.html.j2").make_module(
        {
            "images": {path.stem: data_uri(path) for path in figures},
            "status": status,
            "collapsed": COLLAPSED,
            "significant": SIGNIFICANT,
        }
    )
    record = run.record
    return environment.get_template("run.html.j2").render(
        title=run.name,
        status=status,
        error=without_secrets(str(record.get("error") or "")),
        notes=without_secrets(str(record.get("notes") or "")),
        tags=[str(tag) for tag in record.get("tags") or ()],
        started=moment(record.get("started")),
        duration=duration((record.get("durations") or {}).get("total")),
        sections={
            title: _section(build, run, macros, title) for title, build in sections_of(run).items()
        },
    )


def _section(
    build: Callable[[Run], Mapping[str, Any]],
    run: Run,
    macros: jinja2.environment.TemplateModule,
    title: str,
) -> Section:
    """One section by itself: facts that are missing or damaged cost no more than their section."""
    try:
        return Section(getattr(macros, title)(build(run)))
    except (*INCOMPLETE, jinja2.UndefinedError) as error:
        return Section(Markup(), without_secrets(why(error)))
