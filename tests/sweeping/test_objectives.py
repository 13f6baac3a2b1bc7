"""The front of a search, against another library; what is left out of it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from omegaconf import OmegaConf

from fer_lab.sweeping.objectives import mark_front, objective_values, pareto_front

OBJECTIVES = OmegaConf.create({"maximize": ["val/accuracy"], "minimize": ["val/fairness/bias"]})


def run_in(folder, status: str = "finished", **summary: float):
    folder.mkdir(parents=True)
    named = {name.replace("__", "/"): value for name, value in summary.items()}
    record = {"status": status, "tags": ["own"], "summary": named}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_that_of_optuna(seed):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    points = np.random.default_rng(seed).integers(0, 8, (25, 3)) / 8  # with ties
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"])
    for point in points:
        study.tell(study.ask(), list(point))
    assert pareto_front(points.tolist(), 1) == sorted(trial.number for trial in study.best_trials)


def test_no_points_have_no_front():
    assert pareto_front([], 1) == []


def test_objectives_are_those_of_validation_in_their_order(tmp_path):
    reached = {"val__fairness__bias": 0.1, "val__accuracy": 0.8, "test__accuracy": 0.9}
    found = objective_values(run_in(tmp_path / "run", **reached, val__collapsed=0.0), OBJECTIVES)
    assert list(found[0].items()) == [("val/accuracy", 0.8), ("val/fairness/bias", 0.1)]
    assert found[1] is None


def test_a_collapsed_run_or_one_without_a_figure_is_left_out(tmp_path):
    best = {"val__accuracy": 0.9, "val__fairness__bias": 0.0}
    assert "collapsed" in str(
        objective_values(run_in(tmp_path / "a", **best, val__collapsed=1.0), OBJECTIVES)[1]
    )
    assert "without val/fairness/bias" in str(
        objective_values(run_in(tmp_path / "b", val__accuracy=0.9), OBJECTIVES)[1]
    )


def test_the_front_is_a_table_and_a_tag_and_follows_what_is_added(tmp_path):
    figures = [(0.9, 0.3), (0.8, 0.1), (0.7, 0.2), (0.99, 0.0)]
    states = [
        {
            "job": job,
            "folder": str(run_in(tmp_path / str(job))),
            "choices": [f"model.optimizer.lr={job}e-3"],
            "objectives": {"val/accuracy": accuracy, "val/fairness/bias": bias},
            "left_out": "collapsed" if job == 3 else None,
        }
        for job, (accuracy, bias) in enumerate(figures)
    ]
    assert mark_front(tmp_path, states, 1) == [0, 1]
    with (tmp_path / "pareto.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model.optimizer.lr"] for row in rows] == ["0e-3", "1e-3"]
    assert [row["val/fairness/bias"] for row in rows] == ["0.3", "0.1"]
    states[2]["objectives"] = {"val/accuracy": 0.95, "val/fairness/bias": 0.05}
    assert mark_front(tmp_path, states, 1) == [2]
    tags = [json.loads((tmp_path / str(job) / "run.json").read_text())["tags"] for job in range(4)]
    assert tags == [["own"], ["own"], ["own", "pareto"], ["own"]]
