"""What breaks beside a training: it goes on, or ends as failed with a reason, and loses nothing."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

import fer_lab
from tests.disks import disk, fill
from tests.integration.runs import SMALL, finish, only_run, record, start
from tests.integration.test_interruptions import wait_for

pytestmark = pytest.mark.slow

PLAIN = ("logger=none", "explain=none")
# Its end is never reached.
LONG = (*SMALL, "explain=none", "trainer.max_epochs=500")


@pytest.fixture
def small_disk(tmp_path):
    with disk(tmp_path / "disk", "100m") as place:
        yield place


def after_an_epoch(place: Path, *overrides: str) -> subprocess.Popen[str]:
    """A training that has written its first checkpoint."""
    process = start(place, *LONG, *overrides)
    wait_for(lambda: place.glob("outputs/*/*/checkpoints/last.ckpt"), process)
    return process


def children(process: subprocess.Popen[str], name: str) -> list[int]:
    """The processes that a process has started, of one name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = path.read_text().rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        if int(tail.split()[1]) == process.pid and head.partition("(")[2].startswith(name):
            found.append(int(path.parent.name))
    return found


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def failed(place: Path, process: subprocess.Popen[str], *reasons: str, code: int = 1) -> Path:
    """The folder of a run that ends as failed, for a reason that is said once and recorded."""
    _, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err, err
    assert "Error executing job" not in err, err
    assert err.count("\nerror: ") == 1, err
    folder = only_run(place)
    assert record(folder)["status"] == fer_lab.load_run(folder).status == "failed"
    for reason in reasons:
        assert reason in err
        assert reason in record(folder)["error"]
    return folder


def assert_whole(folder: Path) -> int:
    """Everything from before is there and whole; gives the last checkpoint's epochs."""
    content = [
        torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        for name in ("best", "last")
    ]
    assert not list(folder.rglob(".unfinished-*"))
    epochs = int(content[1]["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    assert len(fer_lab.load_run(folder).history) >= epochs > 0
    return epochs


def assert_goes_on(place: Path, folder: Path, epochs: int) -> None:
    """The run takes up where its last checkpoint stands, and ends."""
    done = finish(place, f"resume={folder}", f"trainer.max_epochs={epochs + 1}")
    assert done.returncode == 0, done.stderr
    assert record(folder)["status"] == "finished"
    assert len(fer_lab.load_run(folder).history) == epochs + 1


def test_a_disk_that_is_full_to_the_last_byte(small_disk):
    process = after_an_epoch(small_disk)  # with W&B, which writes there too
    filler = fill(small_disk)
    folder = failed(small_disk, process, os.strerror(errno.ENOSPC))
    filler.unlink()
    assert_goes_on(small_disk, folder, assert_whole(folder))


def test_a_checkpoint_larger_than_files_may_be(tmp_path):
    process = after_an_epoch(tmp_path, *PLAIN)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    folder = failed(tmp_path, process, os.strerror(errno.EFBIG), ".ckpt")
    assert_goes_on(tmp_path, folder, assert_whole(folder))


def test_a_loading_process_that_dies(tmp_path):
    process = after_an_epoch(tmp_path, *PLAIN, "data.num_workers=2")
    os.kill(children(process, "pt_data_worker")[0], signal.SIGKILL)
    folder = failed(tmp_path, process, "a loading process has died")
    assert_goes_on(tmp_path, folder, assert_whole(folder))


@pytest.mark.parametrize("dies", ["first", "second"])
def test_one_of_two_training_processes_that_dies_ends_the_other(tmp_path, dies):
    ddp = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    process = after_an_epoch(tmp_path, *PLAIN, *ddp)
    (second,) = (pid for pid in children(process, "") if "fer_lab.cli" in command_of(pid))
    began = time.monotonic()
    if dies == "first":
        process.kill()  # the other one says so, and lets go of the terminal as it ends
        folder = failed(tmp_path, process, "the first process of this job", code=-signal.SIGKILL)
    else:
        os.kill(second, signal.SIGKILL)
        folder = failed(tmp_path, process, "another process of this job has died")
    assert time.monotonic() - began < 120
    assert_goes_on(tmp_path, folder, assert_whole(folder))


def test_a_process_of_wandb_that_dies_is_done_without(tmp_path):
    process = start(tmp_path, *SMALL, "explain=none", "trainer.max_epochs=8")
    wait_for(lambda: tmp_path.glob("outputs/*/*/checkpoints/last.ckpt"), process)
    (service,) = children(process, "wandb-core")
    os.kill(service, signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "Traceback" not in err, err
    assert err.count("W&B has stopped, the run goes on without it") == 1, err
    folder = only_run(tmp_path)
    assert record(folder)["status"] == "finished"
    assert len(fer_lab.load_run(folder).history) == 8
    assert (folder / "report.html").is_file()


def test_a_wandb_that_cannot_be_reached_ends_the_run_before_it_begins(tmp_path):
    began = time.monotonic()
    process = start(
        tmp_path,
        *SMALL,
        "logger.mode=online",
        WANDB_BASE_URL="http://127.0.0.1:9",  # nobody listens there
        WANDB_API_KEY="0" * 40,
        WANDB_INIT_TIMEOUT="3",
    )
    folder = failed(tmp_path, process, "W&B does not start", "logger=none")
    assert time.monotonic() - began < 90  # by itself W&B would try for 90 seconds
    assert not (folder / "checkpoints").exists()
