"""The example notebook: it shows what its cells print, and prints it again when run anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "runs.ipynb"
FEWER = {"dataset.train=2000": "dataset.train=280", "trainer.max_epochs=8": "trainer.max_epochs=2"}


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[list[str]]:
    """What a cell shows: printed text, tables, pictures."""
    return [sorted(part.get("data", [part.output_type])) for part in cell.outputs]


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_was_run_from_top_to_bottom_without_an_error(notebook):
    cells = code_of(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [part for cell in cells for part in cell.outputs]
    assert not [
        part for part in shown if part.output_type == "error" or part.get("name") == "stderr"
    ]
    assert sum("image/png" in part.get("data", {}) for part in shown) == 2
    assert sum("text/html" in part.get("data", {}) for part in shown) >= 5
    assert sum(bool(cell.outputs) for cell in cells) >= len(cells) - 2


def test_it_holds_no_place_of_a_machine_and_stays_small(notebook):
    text = NOTEBOOK.read_text()
    assert not re.search(r"/(home|work|root|tmp|usr|var|opt|Users)/|[A-Z]:\\\\|site-packages", text)
    assert len(text) < 150_000
    assert {key for cell in notebook.cells for key in cell.metadata} == set()
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata["language_info"]) == {"name"}


def test_it_says_first_how_to_read_runs_of_ones_own(notebook):
    first, root, *_ = notebook.cells
    assert "Runs of your own" in first.source
    assert 'root = Path("runs")' in root.source


@pytest.mark.slow
def test_run_anew_it_shows_the_same_kinds_of_things(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # of optional parts of Jupyter
    stored = [kinds(cell) for cell in code_of(notebook)]
    anew = nbformat.from_dict(notebook)
    for cell in code_of(anew):
        cell.outputs = []
        for many, few in FEWER.items():
            cell.source = cell.source.replace(many, few)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(anew, timeout=900, kernel_name="python3", resources=resources).execute()
    assert [kinds(cell) for cell in code_of(anew)] == stored
    assert len(list(tmp_path.glob("runs/*/run.json"))) == 6
