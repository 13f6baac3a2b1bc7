from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from fer_lab.files import write_json
from fer_lab.report.page import page
from fer_lab.report.run import Run
from fer_lab.report.tables import summary
from tests.report.fabricated import write_run


@pytest.mark.parametrize(
    ("target", "words"),
    [("expression", "over expressions"), ("gender", "over classes of gender")],
)
def test_the_words_follow_what_is_told_apart(tmp_path: Path, target: str, words: str) -> None:
    write_run(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    write_json(tmp_path / "run" / "run.json", record | {"target": target})
    if target != "expression":  # whose intensity alone is ranked
        (tmp_path / "run" / "explanations" / "intensity.json").unlink()
    run = Run(tmp_path / "run")
    console = Console(width=200, file=io.StringIO(), no_color=True)
    console.print(summary(run))
    for text in (console.file.getvalue(), page(run)):
        assert words in text
        assert ("expression" in text.replace("per_expression", "")) == (target == "expression")
