"""What no job of a sweep may be, whichever launcher would start it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from fer_lab.configuration import config_directory, refuse_unsafe_sweep, register_resolvers
from fer_lab.errors import ConfigError

LAUNCHERS = {
    "basic": "hydra",
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher",
    "submitit_slurm": "hydra_plugins.hydra_submitit_launcher",
    "ray": "hydra_plugins.hydra_ray_launcher",
}


@pytest.fixture
def job_of(monkeypatch):
    """The configuration of a job, with Hydra's own set as in that job."""

    def compose_job(*words: str):
        register_resolvers()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            cfg = compose("train", list(words), return_hydra_config=True)
        cfg.hydra.mode = RunMode.MULTIRUN
        monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)
        return cfg

    return compose_job


def installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_several_processes_are_refused_in_every_launcher(job_of, launcher):
    if not installed(LAUNCHERS[launcher]):
        pytest.skip(f"{launcher} is not installed")
    chosen = f"hydra/launcher={launcher}"
    refuse_unsafe_sweep(job_of(chosen))
    for several in ("trainer.devices=2", "trainer.devices=[0,1]", "trainer.strategy=ddp"):
        with pytest.raises(ConfigError, match="several processes inside a multirun"):
            refuse_unsafe_sweep(job_of(chosen, several))


@pytest.mark.parametrize("several", ["tasks_per_node", "nodes"])
def test_several_tasks_of_a_scheduler_for_one_job_are_refused(job_of, several):
    if not installed(LAUNCHERS["submitit_slurm"]):
        pytest.skip("submitit is not installed")
    job = job_of("hydra/launcher=submitit_slurm", f"hydra.launcher.{several}=2")
    with pytest.raises(ConfigError, match="same folder") as refused:
        refuse_unsafe_sweep(job)
    assert refused.value.where == f"hydra.launcher.{several}=2"
