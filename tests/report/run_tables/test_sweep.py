"""What the callback of a sweep does; whole sweeps are in tests/integration/test_experiments.py."""

from __future__ import annotations

import pandas as pd
import pytest
from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf

from fer_lab.report.run_tables.sweep import SweepTable
from tests.report.run_tables.test_table import accuracy, made


def of_a_sweep(folder, mode: str = "MULTIRUN") -> DictConfig:
    return OmegaConf.create({"hydra": {"mode": mode, "sweep": {"dir": str(folder)}}})


def test_jobs_that_ran_beside_each_other_are_all_in_the_table_at_the_end(tmp_path, capsys):
    callback = SweepTable(OmegaConf.create(["seed"]), OmegaConf.create(["accuracy"]))
    first = made(tmp_path, "0", seed=1)
    callback.on_job_end(of_a_sweep(tmp_path), JobReturn())
    assert "| 1 " in capsys.readouterr().out
    second = made(tmp_path, "1", seed=2)
    callback.on_multirun_end(of_a_sweep(tmp_path))
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["test/accuracy"].tolist() == pytest.approx([accuracy(first), accuracy(second)])


@pytest.mark.parametrize("mode", ["RUN", "MULTIRUN"])
def test_nothing_is_written_without_a_sweep_or_a_finished_job(tmp_path, mode):
    made(tmp_path, "0", status="finished" if mode == "RUN" else "failed")
    SweepTable("seed", "accuracy").on_job_end(of_a_sweep(tmp_path, mode), JobReturn())
    assert not list(tmp_path.glob("table.*"))


def test_a_misspelt_figure_is_said_and_stops_no_sweep(tmp_path, caplog):
    made(tmp_path, "0")
    SweepTable("seed", "acuracy").on_job_end(of_a_sweep(tmp_path), JobReturn())
    assert "did you mean 'accuracy'" in caplog.text
