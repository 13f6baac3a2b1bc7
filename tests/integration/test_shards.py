"""Whole runs over shards: written by the command, served, broken off and gone on with."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from fer_lab.data.sources import read
from tests.data.file_server import FileServer, serving
from tests.integration.runs import command, finish, only_run, record
from tests.layouts.rafdb import write_list_form

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TRAINING = (
    "recipe.image_size=48",
    "recipe.batch_size=8",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "callbacks.fairness.resamples=10",
    "explain=none",
    "logger=none",
    "data.num_workers=1",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A copy of RAF-DB."""
    return write_list_form(tmp_path_factory.mktemp("rafdb") / "files", train=14, test=5)


@pytest.fixture(scope="module")
def server(files):
    """Its shards, as the command writes them, on a server."""
    place = files.root.parent
    words = ("dataset=rafdb", f"dataset.root={files.root}", "output=shards", "shard_mb=0.03")
    done = subprocess.run(
        command(*words, task="shards"), cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "set aside: truncated image: 1" in done.stdout
    with serving(place / "shards") as served:
        yield served


@pytest.fixture
def train(server: FileServer, tmp_path, monkeypatch):
    """Trains over the server with a cold cache that is too small for all; gives the process."""
    monkeypatch.setenv("FER_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FER_LAB_TRUST", "tests")
    server.asked.clear()
    streamed = (f"dataset.root={server.url}", "dataset.window=2", "dataset.cache_gb=0.0004")

    def run(name: str, *overrides: str, resume: Path | None = None) -> Any:
        (tmp_path / name).mkdir(exist_ok=True)
        whole = (
            ("dataset=shards", *streamed, *TRAINING) if resume is None else (f"resume={resume}",)
        )
        path = f"{ROOT / 'src'}:{ROOT}"
        done = finish(tmp_path / name, *whole, *overrides, PYTHONPATH=path)
        return only_run(tmp_path / name), done

    return run


def predictions(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "predictions" / "test.parquet")


def test_a_training_over_a_server_is_one_over_the_dataset(files, server, train, tmp_path):
    folder, done = train("streamed")
    assert done.returncode == 0, done.stderr
    (tmp_path / "files").mkdir()
    finish(tmp_path / "files", "dataset=rafdb", f"dataset.root={files.root}", *TRAINING)
    streamed, direct = predictions(folder), predictions(only_run(tmp_path / "files"))
    beside = ["id", "dataset", "label", "gender", "age", "race"]
    pd.testing.assert_frame_equal(
        streamed[beside].sort_values("id", ignore_index=True),
        direct[beside].sort_values("id", ignore_index=True),
    )
    trained = [count for name, count in server.shards().items() if name.startswith("train")]
    assert len(trained) >= 6
    # Once an epoch, though the cache holds less than half; a shard or two may go too early.
    assert 2 * len(trained) - 8 <= sum(trained) <= 2.2 * len(trained)
    assert "truncated image" in (folder / "report.html").read_text()


def test_a_run_killed_in_mid_epoch_goes_on_as_if_left_alone(server, train):
    often = "callbacks.last_checkpoint.steps=2"
    whole, done = train("whole", often)
    assert done.returncode == 0, done.stderr
    kill = (
        "+callbacks.kill={_target_: tests.integration.killing.Kill, hook: on_train_batch_end,"
        " count: 9, folder: '${hydra:runtime.output_dir}'}"
    )
    folder, done = train("killed", often, kill)
    assert done.returncode == -signal.SIGKILL, done.stderr
    _, done = train("killed", "~callbacks.kill", resume=folder)
    assert done.returncode == 0, done.stderr
    ends = [
        torch.load(each / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for each in (whole, folder)
    ]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert predictions(folder).equals(predictions(whole))


def test_two_processes_read_every_row(server, train):
    folder, done = train(
        "two", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.num_workers=0"
    )
    assert done.returncode == 0, done.stderr
    manifest = read("shards", server.url)
    tested = manifest["id"][(manifest["split"] == "test").to_numpy()]
    found = predictions(folder)
    assert sorted(found["id"]) == sorted(tested)


def test_a_shard_that_is_missing_ends_a_run_with_one_error(server, train):
    server.statuses["train-00003.tar"] = [404] * 100
    folder, done = train("missing")
    server.statuses.clear()
    assert done.returncode == 1
    assert "HTTP 404" in done.stderr
    assert "train-00003.tar" in done.stderr
    assert "Traceback" not in done.stderr
    assert record(folder)["status"] == "failed"
