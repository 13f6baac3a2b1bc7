"""The names and figures that W&B's summary gets of a run's facts."""

from __future__ import annotations

import json
import shutil

import pytest

from fer_lab.files import write_json
from fer_lab.report.logged import group_figure, logged_names, summary_figures
from fer_lab.report.run import Run


def test_the_accuracy_of_each_group_is_that_of_the_predictions(run):
    flat = summary_figures(run)
    faces = run.predictions
    right = faces["label"] == faces["prediction"]
    for named in ("gender", "race"):
        for group, share in right.groupby(faces[named], observed=True).mean().items():
            name = group_figure("test", named, group)
            assert flat[name] == pytest.approx(share)
            assert flat[f"{name}/low"] <= flat[name] <= flat[f"{name}/high"]


def test_intervals_nulls_and_regions_are_flat_and_values_logged_elsewhere_are_not_repeated(run):
    flat = summary_figures(run)
    facts = run.metrics
    assert flat["test/accuracy/low"] == facts["accuracy"]["low"]
    assert flat["test/bias/null_mean"] == facts["bias"]["null_mean"]
    assert flat["test/lift/nose"] == run.explanation["regions"]["nose"]["lift"]
    assert "test/accuracy" not in flat
    assert all(isinstance(value, float) for value in flat.values())


def test_what_is_inferred_is_said_in_every_name(whole_folder, tmp_path):
    folder = shutil.copytree(whole_folder, tmp_path / "run")
    path = folder / "metrics" / "test.json"
    write_json(path, json.loads(path.read_text()) | {"inferred": ["gender"]})
    names = logged_names(Run(folder))
    assert not any("/gender/" in name for name in names)
    assert group_figure("test", "gender (inferred)", "male") in names
    assert "val/fairness/gender (inferred)/bias" in names


def test_a_run_without_facts_has_logged_what_its_history_says(tmp_path):
    write_json(tmp_path / "run.json", {"status": "failed"})
    assert logged_names(Run(tmp_path)) == set()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "history.csv").write_text("epoch,val/loss\n0,1.5\n")
    assert logged_names(Run(tmp_path)) == {"epoch", "val/loss"}
