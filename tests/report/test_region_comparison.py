from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from rich.console import Console

from fer_lab.errors import DataError
from fer_lab.report.region_comparison import (
    compare_regions,
    region_figure,
    region_frame,
    region_summary,
)
from fer_lab.report.run import Run
from tests.report.fabricated import write_run

NAMES = {"a": "one", "b": "two"}


@pytest.fixture
def runs(tmp_path):
    """Two runs of the same faces, explained the same."""
    return [Run(write_run(tmp_path / name, samples=50, epochs=0)) for name in ("one", "two")]


def changed(run: Run, **facts) -> Run:
    path = run.path / "explanations" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return Run(run.path)


def with_table(run: Run, change) -> Run:
    path = run.path / "explanations" / "region_ior.parquet"
    change(pd.read_parquet(path)).to_parquet(path)
    return Run(run.path)


def compared(a, b, split="test", resamples=100):
    return compare_regions(a, b, split, resamples=resamples)


def test_equal_runs_differ_nowhere(runs):
    facts = compared(*runs)
    found = region_frame(facts)
    present = found[found["present"] > 1]
    assert set(found["figure"]) == {"lift", "ior"}
    assert (present["difference"].abs() < 1e-9).all()
    assert (present["p"] == 1).all()
    assert facts["warnings"] == []


def test_differences_are_those_of_b_to_a(runs):
    a, b = runs
    b = with_table(b, lambda table: table.assign(lift=table["lift"] + 0.25))
    found = compared(a, b)["figures"]["lift"]["nose"]
    assert found["difference"] == pytest.approx(0.25, abs=1e-6)
    assert found["b"] - found["a"] == pytest.approx(0.25, abs=1e-6)
    assert found["a"] == pytest.approx(a.explanation["regions"]["nose"]["lift"], abs=1e-6)


def test_only_images_that_both_explained_count(runs):
    a, b = runs
    b = with_table(b, lambda table: table[table["id"] < "synthetic/00100"])
    facts = compared(a, b)
    assert facts["images"] == 100
    assert facts["figures"]["lift"]["nose"]["present"] == 100


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"method": "gradcam"}, "the method differs: A HiResCAM, B Grad-CAM"),
        ({"grid": [8, 8]}, "the grid differs: A 16×16, B 8×8"),
        ({"options": {"samples": 50}}, "the options differ: A none, B samples=50"),
        (
            {"region_source": {"synthetic": {"source": "parser"}}},
            "the masks differ: A synthetic=landmarks, B synthetic=parser",
        ),
    ],
)
def test_explanations_made_otherwise_are_compared_and_said(runs, other, said):
    a, b = runs
    facts = compared(a, changed(b, **other))
    assert facts["warnings"] == [said]
    assert facts["figures"]["lift"]["nose"]["difference"] is not None
    title = region_figure(facts, NAMES).axes[0].get_title(loc="left")
    assert title.replace("\n", " ") == f"Not like with like: {said}"


def test_what_cannot_be_compared_has_a_reason(runs):
    a, b = runs
    assert compared(None, None) is None
    assert compared(a, None) == {"reason": "B is a file of predictions, without explanations"}
    assert compared(a, b, "val")["reason"] == (
        "A has explanations of test, not of val; B has explanations of test, not of val"
    )
    apart = with_table(b, lambda table: table.assign(id="other " + table["id"]))
    assert compared(a, apart)["reason"] == "A and B have no explained image in common"


def test_a_damaged_table_is_an_error(runs):
    a, b = runs
    (b.path / "explanations" / "region_ior.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match="cannot be read"):
        compared(a, Run(b.path))


def said(facts) -> str:
    console = Console(width=80, file=io.StringIO())
    console.print(region_summary(facts))
    return console.file.getvalue()


def test_too_few_resamples_to_tell_anything_are_said(runs):
    assert "resamples=360 or more" in said(compared(*runs, resamples=100))
    assert "or more" not in said(compared(*runs, resamples=500))


def test_the_figure_fills_what_differs_after_correction(runs):
    a, b = runs

    def looks_at_the_nose(table):
        return table.assign(lift=table["lift"].where(table["region"] != "nose", table["lift"] + 1))

    facts = compared(a, with_table(b, looks_at_the_nose), resamples=500)
    axes = region_figure(facts, NAMES).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "nose"
    filled = {
        labels[int(line.get_ydata()[0])]
        for line in axes.lines
        if line.get_marker() == "o" and line.get_markerfacecolor() != "white"
    }
    assert filled == {"nose"}
