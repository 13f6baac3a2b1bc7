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
    model = BaselineCNN(image_size=48, scheduler={"name": "one_cycle"})
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
    return {**found, **content["generators"], "loops": str(content["loops"]["fit_loop"])}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        for name, value in one.items()
    )


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


@pytest.mark.filterwarnings("ignore")
def test_gradients_that_wait_for_more_batches_are_in_no_checkpoint(tmp_path):
    whole = train(tmp_path / "whole", accumulate_grad_batches=2)
    with pytest.raises(Stop):
        train(tmp_path / "broken", Halt(8), accumulate_grad_batches=2)
    assert same(whole, train(tmp_path / "broken", accumulate_grad_batches=2))


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
    left = atomic_path(tmp_path / "deep" / "last.ckpt").__enter__()
    assert left.is_file()
    assert remove_unfinished(tmp_path) == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [".kept.ckpt"]


@pytest.mark.parametrize("options", [{"minutes": 0}, {"steps": -1}])
def test_checkpoints_are_some_time_apart(options, tmp_path):
    with pytest.raises(ConfigError, match="not above 0"):
        LastCheckpoint(tmp_path, **options)
