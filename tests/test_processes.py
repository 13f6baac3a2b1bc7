"""Which process of a job this is, as its environment says, and what that makes of the trainer."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from pytorch_lightning import Trainer

from fer_lab.configuration import (
    config_directory,
    fit_processes,
    refuse_with_sharded_weights,
    register_resolvers,
)
from fer_lab.errors import ConfigError
from fer_lab.processes import agreed, is_first, place, unwritten

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
}
SRUN = {
    "SLURM_NTASKS": "6",
    "SLURM_NTASKS_PER_NODE": "3",
    "SLURM_PROCID": "4",
    "SLURM_STEP_ID": "0",
}


@pytest.fixture
def environment(monkeypatch):
    """Make the environment that of one process among several."""
    for name in (*TORCHRUN, *SRUN, "SLURM_JOB_NAME", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)

    def become(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return become


def composed(*overrides: str):
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("train", ["name=x", *overrides])


def test_alone_a_process_is_the_first(environment):
    assert (place().rank, place().started, place().launcher) == (0, 1, None)
    assert is_first()
    assert unwritten() == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (TORCHRUN, (3, 4, 2, "torchrun")),
        (SRUN, (4, 6, 3, "srun")),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2", "NODE_RANK": "0"}, (1, 1, 1, None)),
        ({"NODE_RANK": "1"}, (1, 1, 1, None)),  # the first of its node, not of the job
        ({**SRUN, **TORCHRUN}, (3, 4, 2, "torchrun")),
    ],
)
def test_others_know_who_they_are(environment, variables, expected):
    environment(**variables)
    own = place()
    assert (own.rank, own.started, own.here, own.launcher) == expected
    assert not is_first()
    assert unwritten() == ["hydra.output_subdir=null"]


@pytest.mark.parametrize("more", [{"SLURM_JOB_NAME": "interactive"}, {"SLURM_JOB_NAME": "bash"}])
def test_in_an_interactive_job_nobody_was_started(environment, more):
    environment(**SRUN, **more)
    assert place().started == 1


def test_a_batch_script_without_srun_has_one_process(environment):
    environment(SLURM_NTASKS="6", SLURM_NTASKS_PER_NODE="3", SLURM_PROCID="0")
    assert place().started == 1


def test_alone_a_process_decides_for_itself(environment):
    assert agreed("folder", lambda: "here") == "here"


def test_without_another_process_to_ask_it_is_said(environment, monkeypatch):
    monkeypatch.setattr("fer_lab.processes._PATIENCE", 1)
    environment(NODE_RANK="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
    with pytest.raises(ConfigError, match="do not meet") as caught:
        agreed("folder", lambda: "here")
    assert "MASTER_PORT=1" in str(caught.value)


def test_auto_devices_are_those_that_were_started(environment):
    environment(**SRUN)
    cfg = composed("trainer=ddp")
    fit_processes(cfg)
    assert (cfg.trainer.devices, cfg.trainer.num_nodes) == (3, 2)


@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer=auto",),
        ("trainer=ddp", "trainer.devices=2"),
        ("trainer=ddp", "trainer.num_nodes=3"),
        ("trainer=ddp", "trainer.devices=[0,1]", "trainer.num_nodes=2"),
    ],
)
def test_other_numbers_than_were_started_are_refused(environment, overrides):
    environment(**SRUN)
    with pytest.raises(ConfigError, match="srun has started 6 processes"):
        fit_processes(composed(*overrides))


def test_where_lightning_starts_the_processes_nothing_is_changed(environment):
    cfg = composed("trainer=ddp", "trainer.num_nodes=2")
    fit_processes(cfg)
    assert (cfg.trainer.devices, cfg.trainer.num_nodes) == ("auto", 2)


@pytest.mark.parametrize(
    "overrides",
    [
        ("callbacks.averaging.decay=0.9",),
        ("++model.optimizer={name: sam, base: sgd, lr: 0.1}",),
        ("compile=true",),
        ("trainer.precision=bf16-mixed",),
    ],
)
def test_what_needs_whole_weights_is_refused_with_shards(overrides):
    with pytest.raises(ConfigError, match="sharded weights"):
        refuse_with_sharded_weights(composed("trainer=fsdp", *overrides))
    refuse_with_sharded_weights(composed("trainer=ddp", *overrides))


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_one_configuration_names_processes_nodes_and_strategy(name):
    cfg = composed(
        f"trainer={name}", "trainer.num_nodes=2", "trainer.accelerator=cpu", "trainer.devices=3"
    )
    refuse_with_sharded_weights(cfg)
    trainer: Trainer = instantiate(cfg.trainer, _convert_="all", logger=False)
    assert trainer.num_nodes == 2
    assert trainer.num_devices == 3
    assert type(trainer.strategy).__name__ == {"ddp": "DDPStrategy", "fsdp": "Sharded"}[name]
