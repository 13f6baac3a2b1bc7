"""A search before a training changes nothing but the value that it has found."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from omegaconf import OmegaConf

from tests.integration.runs import finish, only_run, record

QUICK = (
    *("dataset.train=140", "dataset.val=70", "dataset.test=70", "recipe.image_size=48"),
    *("trainer.max_epochs=2", "callbacks=none", "explain=none", "logger=none"),
)
RANGE = ("find.lowest_lr=1e-4", "find.highest_lr=0.1", "find.lr_steps=80", "model.dropout=0.0")
SEARCH = ("find.lr=true", "find.batch_size=true", "find.max_batch_size=24")


def last(folder) -> dict:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    place = tmp_path_factory.mktemp("searched")
    done = finish(place, *QUICK, *RANGE, *SEARCH, "model.optimizer.layer_decay=0.9")
    assert done.returncode == 0, done.stderr
    return only_run(place), done


def test_the_training_is_that_with_the_values_set_by_hand(searched, tmp_path):
    folder, _ = searched
    found = record(folder)["found"]
    assert found["batch_size"]["value"] == 24
    assert found["lr"]["value"] > 0
    by_hand = (f"recipe.batch_size={found['batch_size']['value']}",)
    by_hand += (f"model.optimizer.lr={found['lr']['value']!r}", "model.optimizer.layer_decay=0.9")
    done = finish(tmp_path, *QUICK, *RANGE, *by_hand)
    assert done.returncode == 0, done.stderr
    other = only_run(tmp_path)
    after, before = last(folder), last(other)
    for name, value in before["state_dict"].items():
        assert torch.equal(after["state_dict"][name], value), name
    assert str(after["optimizer_states"]) == str(before["optimizer_states"])
    assert after["lr_schedulers"] == before["lr_schedulers"]
    assert after["hyper_parameters"] == before["hyper_parameters"]
    histories = [(run / "metrics" / "history.csv").read_text() for run in (folder, other)]
    assert histories[0] == histories[1]


def test_what_was_found_is_said_written_and_drawn(searched):
    folder, done = searched
    assert (folder / "figures" / "learning_rate.png").is_file()
    assert (folder / "metrics" / "learning_rate.csv").is_file()
    said = done.stdout + done.stderr
    assert "find.batch_size: 24 in place of 64" in said
    assert "find.lr: " in said
    assert "Warning" not in done.stderr
    assert "Traceback" not in said
    assert record(folder)["durations"]["find"] > 0
    # What was asked for stays as it was asked.
    assert OmegaConf.load(folder / ".hydra" / "config.yaml").model.optimizer.lr == 1e-3
    assert not list(folder.glob("**/.*.ckpt"))


def test_a_resumed_run_goes_on_with_what_it_had_found(searched, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(searched[0], folder)
    shutil.rmtree(folder / "checkpoints")
    (folder / "metrics" / "learning_rate.csv").unlink()
    content = record(folder)
    content["status"] = "interrupted"
    content["found"]["lr"]["value"] = 0.00123
    (folder / "run.json").write_text(json.dumps(content))
    done = finish(tmp_path, f"resume={folder}")
    assert done.returncode == 0, done.stderr
    assert last(folder)["hyper_parameters"]["optimizer"]["lr"] == 0.00123
    assert not (folder / "metrics" / "learning_rate.csv").exists()
    assert record(folder)["found"] == content["found"]
