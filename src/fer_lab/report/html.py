"""What all pages are made with: templates that escape whatever they are given, pictures inside."""

from __future__ import annotations

import base64
from pathlib import Path

import jinja2

from fer_lab.report.wording import count, interval, name, number, probability, worst_group


def page_environment() -> jinja2.Environment:
    """The templates of this package, with the wording of figures and names as filters."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fer_lab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "interval": interval,
        "probability": probability,
        "count": count,
        "name": name,
        "worst_group": worst_group,
    }
    return environment


def data_uri(path: Path) -> str:
    """A PNG file as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
