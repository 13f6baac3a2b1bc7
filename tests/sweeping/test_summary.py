"""What a sweep ends with: a table of its jobs, and the exit code."""

from __future__ import annotations

import json

import pytest

from fer_lab.sweeping.folder import Sweep, write_state
from fer_lab.sweeping.summary import end_sweep


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    return Sweep("train", [], folder=tmp_path)


def ended(sweep: Sweep, job: int, status: str, *, summary: dict[str, float], **state):
    """Leave what a job leaves in the folder of its sweep."""
    folder = sweep.folder / str(job)
    folder.mkdir()
    record = {"status": status, "summary": summary, "pid": 2**22 + 1, "host": "elsewhere"}
    (folder / "run.json").write_text(json.dumps(record))
    given = {"folder": str(folder), "status": status, "choices": [f"seed={job}"], **state}
    write_state(sweep.folder, job, given)


def rows(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]


def test_jobs_that_finished_show_what_they_reached_on_the_test_set(sweep, capsys):
    reached = {"test/accuracy": 0.75, "test/worst_group_accuracy": 0.5, "test/fairness/bias": 0.125}
    ended(sweep, 0, "finished", summary={**reached, "val/accuracy": 0.9, "test/collapsed": 0.0})
    ended(sweep, 1, "finished", summary={"val/accuracy": 0.25, "val/collapsed": 1.0}, todo="skip")
    assert end_sweep(sweep) == 0
    out, err = capsys.readouterr()
    assert err == ""
    table = rows(out)
    assert table[0] == ["job", "choices", "status", "accuracy", "worst", "bias"]
    assert table[2] == ["0", "seed=0", "finished", "0.750", "0.500", "0.125"]
    assert table[3] == ["1", "seed=1", "finished", "(finished", "before)", "0.250†"]
    assert f"sweep: 2 finished: {sweep.folder}" in out.replace("\n", "")
    assert "† collapsed" in out
    assert "go on:" not in out


@pytest.mark.parametrize("status", ["failed", "interrupted", "running"])
def test_one_job_that_has_not_finished_is_said_on_standard_error(sweep, capsys, status):
    ended(sweep, 0, "finished", summary={})
    error = "DataError: no \x1b[31mfaces\n  where: there"
    ended(sweep, 1, status, summary={}, error=error if status == "failed" else None)
    assert end_sweep(sweep) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"1 {status}" in err
    assert "1 finished" in err
    assert f"go on: fer-lab train --multirun resume='{sweep.folder}'" in err
    assert ("DataError: no" in err) == (status == "failed")
    assert "where" not in err
    assert "\x1b" not in err
    assert "accuracy" not in err


def test_sweeps_of_other_tasks_cannot_go_on(sweep, capsys):
    sweep.task = "evaluate"
    ended(sweep, 0, "failed", summary={})
    assert end_sweep(sweep) == 1
    assert "resume" not in capsys.readouterr().err


def test_a_job_whose_process_left_nothing_counts_as_interrupted(sweep, capsys):
    state = {"folder": str(sweep.folder / "0"), "status": "running", "choices": ["seed=0"]}
    write_state(sweep.folder, 0, state)
    assert end_sweep(sweep) == 1
    assert "1 interrupted" in capsys.readouterr().err


def test_choices_are_short_where_that_is_clear_and_drawn_numbers_have_six_digits(sweep, capsys):
    choices = ["model.optimizer.lr=0.00123456789", "split.where.age=[54+]", "other.age=3"]
    ended(sweep, 0, "finished", summary={}, choices=choices)
    end_sweep(sweep)
    words = capsys.readouterr().out.split()
    assert {"lr=0.00123457", "split.where.age=[54+]", "other.age=3"} <= {*words}


def test_the_front_of_a_search_has_stars(sweep, capsys):
    reached = [(0.9, 0.3), (0.8, 0.1), (0.7, 0.2)]
    for job, (accuracy, bias) in enumerate(reached):
        objectives = {"val/accuracy": accuracy, "val/fairness/bias": bias}
        ended(sweep, job, "finished", summary={}, objectives=objectives, maximized=1, left_out=None)
    assert end_sweep(sweep) == 0
    out = capsys.readouterr().out
    assert [row[0] for row in rows(out)[2:5]] == ["0*", "1*", "2"]
    assert rows(out)[2][-2:] == ["0.900", "0.300"]
    assert "* 2 on the Pareto front" in out
