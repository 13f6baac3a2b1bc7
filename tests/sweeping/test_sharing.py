"""How jobs beside each other share processors and the terminal."""

from __future__ import annotations

import logging
import os
import sys

import pytest
import torch
from rich.console import Console

from fer_lab.data.processors import PROCESSORS, processor_count
from fer_lab.sweeping import sharing
from fer_lab.sweeping.sharing import marked_lines, processors_of_a_job, take_share
from tests.sweeping.conftest import needs

FOUR = ["seed=1,2", "split=female,male", "name=x"]
LOCAL = "hydra/launcher=submitit_local"


@pytest.mark.parametrize(
    ("words", "swept", "expected"),
    [
        (["hydra/launcher=basic"], FOUR, None),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], FOUR, 6),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=12"], FOUR, 3),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=40"], ["seed=range(40)"], 1),
        ([LOCAL], FOUR, 3),
        ([LOCAL], ["split=glob(*)"], 1),
        ([LOCAL, "hydra.sweeper.max_batch_size=2"], FOUR, 6),
        ([LOCAL, "hydra.launcher.cpus_per_task=5"], FOUR, 5),
        (["hydra/launcher=submitit_slurm"], FOUR, None),
        (["hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=5"], FOUR, 5),
        (["hydra/launcher=ray"], FOUR, 1),
        (["hydra/launcher=ray", "+hydra.launcher.ray.remote.num_cpus=4"], FOUR, 4),
        (["hydra/launcher=ray", "+hydra.launcher.ray.remote.num_cpus=0.5"], FOUR, 1),
        ([LOCAL, "hydra/sweeper=search", "hydra.sweeper.n_jobs=4"], ["seed=1,2"], 3),
        ([LOCAL, "hydra/sweeper=search"], FOUR, 12),
    ],
)
def test_jobs_at_the_same_time_share_what_there_is(composed, monkeypatch, words, swept, expected):
    needs(words[0].partition("=")[2])
    if "hydra/sweeper=search" in words:
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    monkeypatch.setattr(sharing, "processor_count", lambda: 12)
    config = composed(*words)
    config.hydra.overrides.task = swept
    assert processors_of_a_job(config) == expected


@pytest.fixture
def own_process(monkeypatch):
    """Leaves this process with the threads and variables it had."""
    threads = torch.get_num_threads()
    for name in (PROCESSORS, "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # so that both are put back
        monkeypatch.delenv(name)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("own_process")
def test_a_share_holds_where_torch_is_imported_already_and_for_the_next_job_too():
    torch.set_num_threads(2)
    for _ in range(2):
        take_share(1, threads_given=False)
        assert torch.get_num_threads() == 1
        assert processor_count() == 1
        assert os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.usefixtures("own_process")
def test_threads_that_were_asked_for_are_left_and_a_lone_job_has_all(monkeypatch):
    torch.set_num_threads(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    take_share(1, threads_given=True)
    assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (2, "2")
    assert processor_count() == 1
    monkeypatch.delenv(PROCESSORS)
    take_share(None, threads_given=False)
    assert torch.get_num_threads() == 2
    assert PROCESSORS not in os.environ


def test_every_line_of_a_job_says_which_job_it_is_of(capsys, monkeypatch):
    log, root = logging.getLogger("of.a.job"), logging.getLogger()
    handler = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(root, "handlers", [handler])
    with marked_lines("7: "):
        print("one\ntwo", end="")
        print(" and more")
        log.error("wrong:\n  where")
        Console(stderr=True).print("epoch 1")
        assert not Console(force_terminal=None).is_terminal
    print("after")
    log.error("after")
    out, err = capsys.readouterr()
    assert out == "7: one\n7: two and more\nafter\n"
    assert err == "7: wrong:\n7:   where\n7: epoch 1\nafter\n"
