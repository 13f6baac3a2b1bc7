"""A training that is broken off after any batch goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer

from fer_lab.callbacks import (
    BestCheckpoint,
    EpochSeed,
    History,
    LastCheckpoint,
    Patience,
    WeightAverage,
)
from fer_lab.data import SyntheticDataModule
from fer_lab.errors import ConfigError
from fer_lab.files import atomic_path, remove_unfinished
from fer_lab.models import BaselineCNN
from fer_lab.models.checkpoint_files import WholeCheckpoints


class Stop(BaseException):
    """Nothing expects it."""


class Halt(Callback):
    """Break off before the batch that follows so many."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_start(self, *_: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stop


def train(folder: Path, *callbacks: Callback, steps: int = 1, **options: Any) -> dict[str, Any]:
    """What a training of three epochs of five batches ends with; it goes on where it can."""
    torch.manual_seed(0)
    data = SyntheticDataModule(
        train=70,
        val=16,
        test=8,
        image_size=48,
        batch_size=options.pop("batch_size", 16),
        num_workers=options.pop("workers", 0),
    )
    model = BaselineCNN(
        image_size=48,
        optimizer=options.pop("optimizer", None),
        scheduler=options.pop("scheduler", {"name": "one_cycle"}),
    )
    last = folder / "last.ckpt"
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=options.pop("epochs", 3),
        callbacks=[
            BestCheckpoint(folder, floor={}),
            LastCheckpoint(folder, steps=steps),
            EpochSeed(1),
            WeightAverage(0.9),
            *callbacks,
        ],
        logger=[History(folder)],
        plugins=[WholeCheckpoints()],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(
        model, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True
    )
    found = {"history": (folder / "metrics" / "history.csv").read_text(), **model.state_dict()}
    content = torch.load(last, weights_only=True)
    states = ("generators", "optimizer_states", "lr_schedulers", "trained_weights")
    found |= {name: content[name] for name in states}
    loops = content["loops"]["fit_loop"]
    return found | {name: loops[name] for name in ("epoch_progress", "epoch_loop.batch_progress")}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict[str, Any]:
    """With checkpoints at the ends of epochs alone."""
    return train(tmp_path_factory.mktemp("unbroken"), steps=1000)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batches", [0, 1, 3, 5, 9, 13])
def test_a_training_goes_on_after_any_batch(batches, unbroken, tmp_path):
    with pytest.raises(Stop):
        train(tmp_path, Halt(batches))
    assert same(unbroken, train(tmp_path))


# What has a state beside the weights, or its own way of counting. Gradients that wait for more
# batches are in no checkpoint.
WAYS: dict[str, dict[str, Any]] = {
    "gradients of two batches": {"accumulate_grad_batches": 2},
    "SAM": {"optimizer": {"name": "sam", "base": "adamw", "rho": 0.1, "lr": 1e-3}},
    "momentum": {"optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9}},
    "warm-up": {"scheduler": {"name": "cosine", "warmup": 0.8}},
    "plateau after a warm-up": {
        "scheduler": {"name": "plateau", "warmup": 0.2, "mode": "max", "patience": 0}
    },
    "clipped gradients": {"gradient_clip_val": 0.01},
    "loading processes": {"workers": 2},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", list(WAYS))
def test_every_way_of_training_goes_on_in_mid_epoch(way, tmp_path):
    whole = train(tmp_path / "whole", steps=1000, **WAYS[way])
    with pytest.raises(Stop):
        train(tmp_path / "broken", Halt(8), **WAYS[way])
    assert same(whole, train(tmp_path / "broken", **WAYS[way]))


@pytest.mark.filterwarnings("ignore")
def test_other_batches_are_refused_within_an_epoch(tmp_path):
    with pytest.raises(Stop):
        train(tmp_path, Halt(3))
    with pytest.raises(ConfigError, match=r"batches of 16 .* not in batches of 8"):
        train(tmp_path, batch_size=8)


@pytest.mark.filterwarnings("ignore")
def test_a_training_that_had_stopped_by_itself_does_not_go_on(tmp_path):
    def patience() -> Patience:  # no epoch is ever better by so much
        return Patience(1, monitor="val/loss", min_delta=100.0, floor={})

    ended = train(tmp_path, patience(), epochs=5)
    assert ended["history"].count("\n") == 3  # the names, and two epochs
    assert same(ended, train(tmp_path, patience(), epochs=5))


def test_the_history_forgets_epochs_that_are_done_again(tmp_path):
    history = History(tmp_path)
    for epoch in range(3):
        history.log_metrics({"val/loss": epoch + 0.1, "epoch": epoch})
    again = History(tmp_path)
    assert again.latest() == {"val/loss": 2.1}
    again.keep(1)
    again.log_metrics({"val/accuracy": 0.5, "epoch": 1})
    rows = (tmp_path / "metrics" / "history.csv").read_text().splitlines()
    assert rows == ["epoch,val/loss,val/accuracy", "0,0.1,", "1,,0.5"]


def test_what_was_not_finished_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".kept.ckpt").write_text("whole")
    writing = atomic_path(tmp_path / "deep" / "last.ckpt")  # kept: it cleans up when forgotten
    assert writing.__enter__().is_file()
    assert remove_unfinished(tmp_path) == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [".kept.ckpt"]


@pytest.mark.parametrize("options", [{"minutes": 0}, {"steps": -1}])
def test_checkpoints_are_some_time_apart(options, tmp_path):
    with pytest.raises(ConfigError, match="not above 0"):
        LastCheckpoint(tmp_path, **options)
