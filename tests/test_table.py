"""``fer-lab table`` as a user types it, over made-up runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from fer_lab import runs
from tests.integration.runs import command
from tests.report.fabricated import write_run


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words, task="table"), cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three seeds of one model and a run that failed, below ``outputs``."""
    root = tmp_path_factory.mktemp("table")
    for seed in (1, 2, 3):
        write_run(
            root / "outputs" / f"s{seed}", samples=300, explained=False, epochs=0, seed=seed,
            record={"seed": seed},
        )  # fmt: skip
    write_run(root / "outputs" / "no", explained=False, epochs=0, record={"status": "failed"})
    return root


def test_the_table_is_printed_and_written_in_three_forms(folder):
    done = typed(folder, "output=paper/main")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (folder / "paper" / "main.md").read_text()
    facts = [
        json.loads((folder / "outputs" / f"s{seed}" / "metrics" / "test.json").read_text())
        for seed in (1, 2, 3)
    ]
    right = pd.Series([part["accuracy"]["value"] for part in facts])
    row = next(line for line in done.stdout.splitlines() if "baseline_cnn" in line)
    assert f"{right.mean():.3f} ± {right.std():.3f} (n = 3)" in row
    assert "Runs left out: 1 failed." in done.stdout
    assert r"\toprule" in (folder / "paper" / "main.tex").read_text()
    table = pd.read_csv(folder / "paper" / "main.csv")
    assert table["test/accuracy"].item() == pytest.approx(right.mean())


def test_a_table_is_no_run_of_its_own(folder):
    done = typed(folder, "format=latex", "outputs")
    assert done.stdout.startswith("%")
    assert len(runs(folder / "outputs")) == 4
    assert len(list(folder.glob("outputs/*/*/table.md"))) == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["columns=[acuracy]"], "did you mean 'accuracy'"),
        (["rows=modell"], "did you mean 'model'"),
        (["format=latx"], "did you mean 'latex'"),
        (["runs=nowhere"], "there is no such folder"),
        (["digits=many"], "no number of digits"),
        (["columns=null"], "names nothing"),
        (["rows=[3]"], "names nothing"),
        (["where=mixed"], "is no mapping"),
    ],
)
def test_a_mistake_is_one_message(folder, words, named):
    done = typed(folder, *words)
    assert done.returncode == 1
    assert named in done.stderr
    assert "Traceback" not in done.stderr
