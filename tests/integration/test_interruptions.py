"""Runs that do not end as planned: the status is honest, nothing written before is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

import fer_lab
from tests.integration.runs import SMALL, command, finish, only_run, record, start

LONGER = (*SMALL, "dataset.train=1200", "trainer.max_epochs=5", "logger=none", "explain=none")


def wait_for(path_of, process: subprocess.Popen[str], seconds: float = 240) -> Path:
    """The file that ``path_of()`` finds, as soon as the process has written it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = next(iter(path_of()), None)
        if found is not None:
            return found
        if process.poll() is not None:
            pytest.fail(f"the run ended early: {process.communicate()[1]}")
        time.sleep(0.05)
    pytest.fail("the file never came")


def interrupted_run(place: Path, how: signal.Signals) -> tuple[Path, int, str]:
    """Stop a training by a signal after its first epoch."""
    process = start(place, *LONGER)
    wait_for(lambda: place.glob("outputs/*/*/checkpoints/last.ckpt"), process)
    os.kill(process.pid, how)
    _, err = process.communicate(timeout=120)
    return only_run(place), process.returncode, err


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    place = tmp_path_factory.mktemp("unbroken")
    done = finish(place, *LONGER)
    assert done.returncode == 0, done.stderr
    return only_run(place)


def test_ctrl_c_is_recorded_and_resume_last_equals_the_unbroken_run(tmp_path, unbroken):
    folder, code, err = interrupted_run(tmp_path, signal.SIGINT)
    assert code == 130
    assert record(folder)["status"] == "interrupted"
    assert "resume=" in err
    assert "Traceback" not in err
    done = finish(tmp_path, "resume=last")
    assert done.returncode == 0, done.stderr
    assert only_run(tmp_path) == folder
    after, before = record(folder), record(unbroken)
    assert (after["status"], after["resumed"]) == ("finished", 1)
    assert after["choices"] == before["choices"]
    states = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (folder, unbroken)
    ]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())
    metrics = [fer_lab.load_run(run).metrics for run in (folder, unbroken)]
    assert metrics[0] == metrics[1]
    assert fer_lab.load_run(folder).history.equals(fer_lab.load_run(unbroken).history)


@pytest.mark.slow
def test_a_killed_run_is_found_dead_and_resumed_by_one_process_alone(tmp_path):
    folder, _, _ = interrupted_run(tmp_path, signal.SIGKILL)
    assert record(folder)["status"] == "running"
    assert fer_lab.load_run(folder).status == "interrupted"
    listed = subprocess.run(
        command("outputs", task="runs"), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "interrupted" in listed.stdout
    first = start(tmp_path, "resume=last")
    wait_for(lambda: [folder] if record(folder)["pid"] == first.pid else [], first)
    second = finish(tmp_path, f"resume={folder}")
    assert second.returncode == 1
    assert f"that run still runs, as process {first.pid}" in second.stderr
    _, err = first.communicate(timeout=240)
    assert first.returncode == 0, err
    assert (record(folder)["status"], record(folder)["resumed"]) == ("finished", 1)


def test_sigterm_ends_as_interrupted(tmp_path):
    folder, code, _ = interrupted_run(tmp_path, signal.SIGTERM)
    assert code != 0
    assert record(folder)["status"] == "interrupted"


def test_a_finished_run_is_not_resumed(tmp_path, unbroken):
    done = finish(tmp_path, f"resume={unbroken}")
    assert done.returncode == 1
    assert "has finished" in done.stderr


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    done = finish(tmp_path, *SMALL, "model.optimizer.lr=1e25", "logger=none")
    assert done.returncode == 1
    assert "epoch 0" in done.stderr
    assert "batch" in done.stderr
    assert "Traceback" not in done.stderr
    folder = only_run(tmp_path)
    assert record(folder)["status"] == "failed"
    assert "loss" in record(folder)["error"]
    assert (folder / "report.html").is_file()
