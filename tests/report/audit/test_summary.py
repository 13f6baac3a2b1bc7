from __future__ import annotations

import io

from rich.console import Console

from fer_lab.report.audit.summary import audit_summary
from tests.report.audited import audited, side
from tests.report.test_page import EVIL


def printed(audit) -> str:
    file = io.StringIO()
    Console(file=file, width=80).print(audit_summary(audit))
    return file.getvalue()


def test_the_tables_fit_80_columns_with_every_measure_whole():
    text = printed(audited(side("one"), side("bare", known=[]), side("merged")))
    assert max(map(len, text.splitlines())) <= 80
    assert "Group normalized mutual information" in text
    assert "…" not in text


def test_values_and_what_is_not_known_are_shown():
    audit = audited(side("one", sources={"race": "FairFace"}), side("bare", known=[]))
    text = printed(audit)
    document = audit.documents["one"]
    assert f"{document['bias']['value']:.3f}" in text
    assert f"{document['attributes']['age']['measures']['sparsity_index']['value']:.3f}" in text
    assert f"race: {document['unknown']['race']} of 400 faces unknown, inferred by FairFace" in text
    assert "gender: not audited, not known for any face of bare" in text


def test_the_published_variant_is_told_from_the_equations():
    audit = audited(side("one", samples=50), variant="published")
    assert "a reconstruction from the study's table" in printed(audit)


def test_markup_and_control_characters_of_data_are_text():
    text = printed(audited(side(f"[red]x[/red]\x1b[31m {EVIL[:20]}", samples=40)))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text
