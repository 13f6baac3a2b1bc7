"""What no job of a sweep may be, whichever launcher would start it."""

from __future__ import annotations

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from fer_lab.configuration import refuse_unsafe_sweep
from fer_lab.errors import ConfigError
from tests.sweeping.conftest import PLUGINS, needs


@pytest.fixture
def job_of(composed, monkeypatch):
    """The configuration of a job, with Hydra's own set as in that job."""

    def compose_job(*words: str):
        cfg = composed(*words)
        cfg.hydra.mode = RunMode.MULTIRUN
        monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)
        return cfg

    return compose_job


@pytest.mark.parametrize("launcher", ["basic", *PLUGINS])
def test_several_processes_are_refused_in_every_launcher(job_of, launcher):
    needs(launcher)
    chosen = f"hydra/launcher={launcher}"
    refuse_unsafe_sweep(job_of(chosen))
    for several in ("trainer.devices=2", "trainer.devices=[0,1]", "trainer.strategy=ddp"):
        with pytest.raises(ConfigError, match="several processes inside a multirun"):
            refuse_unsafe_sweep(job_of(chosen, several))


@pytest.mark.parametrize("several", ["tasks_per_node", "nodes"])
def test_several_tasks_of_a_scheduler_for_one_job_are_refused(job_of, several):
    needs("submitit_slurm")
    job = job_of("hydra/launcher=submitit_slurm", f"hydra.launcher.{several}=2")
    with pytest.raises(ConfigError, match="same folder") as refused:
        refuse_unsafe_sweep(job)
    assert refused.value.where == f"hydra.launcher.{several}=2"
