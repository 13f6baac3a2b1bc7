"""Processes of one job, whoever has started them: one folder, one record, one end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

import fer_lab
from tests.integration.runs import command, finish, only_run, record, run_task

pytestmark = pytest.mark.slow

SMALL = (
    "dataset.train=60",
    "dataset.val=15",
    "dataset.test=15",
    "recipe.image_size=48",
    "recipe.batch_size=10",
    "trainer.max_epochs=1",
    "callbacks.fairness.resamples=20",
    "explain=none",
)
CPU = ("trainer=ddp", "trainer.accelerator=cpu")
TWO = (*CPU, "trainer.devices=2")


def is_one_run(place: Path, processes: int = 2) -> Path:
    """Assert that there is one folder, with everything once; the folder."""
    (claimed,) = place.glob("outputs/*/*")
    run = only_run(place)
    assert run == claimed
    facts = record(run)
    assert facts["status"] == "finished", facts["error"]
    assert len(list((run / "wandb").glob("offline-run-*"))) == 1
    assert len(fer_lab.load_run(run).history) == 1
    assert (run / ".hydra" / "config.yaml").is_file()
    assert len(pd.read_parquet(run / "predictions" / "test.parquet")) == 15
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 60 // 10 // processes
    return run


def beside(place: Path, *overrides: str, **each: tuple[str, str]) -> list[str]:
    """Two processes with environments of their own, the second started later; what they said."""
    started = []
    for rank in range(2):
        own = {name: values[rank] for name, values in each.items()}
        started.append(
            subprocess.Popen(
                command(*overrides),
                cwd=place,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "COLUMNS": "100", **own},
            )
        )
        time.sleep(1.5)  # another second, and so another folder if each named its own
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    return said


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def torchrun(place: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [sys.executable, *words, "-m", "fer_lab.cli", "train", *overrides],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )


def test_processes_of_torchrun_are_one_run(tmp_path):
    done = torchrun(tmp_path, *SMALL, *CPU)
    assert done.returncode == 0, done.stderr
    is_one_run(tmp_path)
    assert done.stdout.count("report.html") == 1
    assert done.stderr.count("epoch 1/1") == 1


def test_torchrun_of_a_training_for_one_device_is_refused_once(tmp_path):
    done = torchrun(tmp_path, *SMALL, "trainer=cpu", "logger=none")
    assert done.returncode != 0
    assert done.stderr.count("torchrun has started 2 processes") == 1
    assert record(only_run(tmp_path))["status"] == "failed"


def test_tasks_of_slurm_are_one_run(tmp_path):
    # What srun sets; there is no SLURM here, and Lightning reads no more than this of it.
    said = beside(
        tmp_path,
        *SMALL,
        *CPU,
        SLURM_NTASKS=("2", "2"),
        SLURM_NTASKS_PER_NODE=("2", "2"),
        SLURM_PROCID=("0", "1"),
        SLURM_LOCALID=("0", "1"),
        SLURM_NODEID=("0", "0"),
        SLURM_NNODES=("1", "1"),
        SLURM_NODELIST=("127.0.0.1", "127.0.0.1"),
        SLURM_JOB_ID=(f"4{os.getpid() % 10_000:04}",) * 2,
        SLURM_JOB_NAME=("train", "train"),
        SLURM_STEP_ID=("0", "0"),
    )
    is_one_run(tmp_path)
    assert said[1].strip() == ""


def test_nodes_of_lightning_are_one_run(tmp_path):
    port = free_port()
    said = beside(
        tmp_path,
        *SMALL,
        *CPU,
        "trainer.devices=1",
        "trainer.num_nodes=2",
        NODE_RANK=("0", "1"),
        MASTER_ADDR=("127.0.0.1", "127.0.0.1"),
        MASTER_PORT=(port, port),
    )
    is_one_run(tmp_path)
    assert said[1].strip() == ""


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("mistake", "process 1 of this job has failed: a file is gone"),
        ("bug", "process 1 of this job has failed: ValueError: a bug of the second process"),
        ("killed", "another process of this job has died"),
    ],
)
def test_when_the_second_process_fails_the_run_says_why(tmp_path, kind, reason):
    (tmp_path / "tests").symlink_to(Path(__file__).parents[1])
    break_it = f"+callbacks.failure={{_target_: tests.integration.processes.Failure, kind: {kind}}}"
    done = finish(tmp_path, *SMALL, *TWO, "logger=none", break_it)
    run = only_run(tmp_path)
    assert done.returncode == 1
    assert record(run)["status"] == "failed"
    assert reason in record(run)["error"]
    assert done.stderr.count(f"error: {reason}") == 1
    assert done.stderr.count("a file is gone") == (kind == "mistake")
    assert ("[rank1]: Traceback" in done.stderr) == (kind == "bug")
    assert not list(run.glob(".unfinished*"))


def test_a_mistake_that_all_processes_meet_is_said_once(tmp_path):
    wrong = ("explain=gradcam", "explain.layer=nowhere", "logger=none")
    start = time.monotonic()
    done = finish(tmp_path, *SMALL, *TWO, *wrong)
    assert time.monotonic() - start < 300  # processes wait for each other for half an hour
    assert done.returncode == 1
    assert done.stderr.count("no layer 'nowhere'") == 1
    assert "Traceback" not in done.stderr
    assert "no layer 'nowhere'" in record(only_run(tmp_path))["error"]


def test_fewer_faces_than_processes_are_refused(tmp_path):
    done = finish(tmp_path, *SMALL, *TWO, "dataset.val=1", "logger=none")
    assert done.returncode == 1
    assert done.stderr.count("1 val rows are too few for 2 processes") == 1
    assert "Traceback" not in done.stderr


def test_sharded_weights_train_like_whole_ones(tmp_path):
    runs = {}
    for name in ("ddp", "fsdp"):
        asked = (f"trainer={name}", "trainer.accelerator=cpu", "trainer.devices=2")
        clipped = ("trainer.gradient_clip_val=0.5", "explain=gradcam", "explain.max_samples=7")
        blocks = ("trainer.strategy.blocks=[Conv2d]",) if name == "fsdp" else ()
        run, done = run_task(tmp_path / name, "train", *SMALL, *asked, *clipped, *blocks)
        assert done.returncode == 0, done.stderr
        assert is_one_run(tmp_path / name) == run
        runs[name] = run
    one, other = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in runs.values()
    )
    assert one.keys() == other.keys()
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=0, atol=1e-5)
    figures = [fer_lab.load_run(run).record["summary"] for run in runs.values()]
    assert any(name.startswith("val/ior/") for name in figures[0])
    assert figures[1] == pytest.approx(figures[0], abs=1e-4)
    tables = [pd.read_parquet(run / "predictions" / "test.parquet") for run in runs.values()]
    pd.testing.assert_frame_equal(*tables, check_exact=False, rtol=0, atol=1e-5)
