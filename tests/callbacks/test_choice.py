"""Which epoch is kept and when training stops, in real trainings with figures made to order."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from fer_lab.callbacks import BestCheckpoint, Patience
from fer_lab.callbacks.choice import default_floor, direction
from fer_lab.errors import ConfigError

NAN = math.nan


class Scripted(LightningModule):
    """A model whose validations log what a script says, one line an epoch."""

    num_classes = 7

    def __init__(self, script: list[dict[str, float]]) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.script = script

    def training_step(self, batch):
        return self.layer(batch[0]).sum()

    def validation_step(self, batch):
        pass

    def on_validation_epoch_end(self):
        named = {f"val/{name}": v for name, v in self.script[self.current_epoch].items()}
        self.log_dict({"val/collapsed": 0.0, **named})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def epochs(*rows: tuple[float, float, float]) -> list[dict[str, float]]:
    """Each epoch's bias, accuracy and whether it is collapsed."""
    return [
        {"fairness/bias": bias, "accuracy": accuracy, "collapsed": collapsed}
        for bias, accuracy, collapsed in rows
    ]


def fit(script, *callbacks, resume=None, **options) -> Trainer:
    trainer = Trainer(
        max_epochs=len(script),
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    loader = DataLoader(TensorDataset(torch.ones(2, 1)))
    trainer.fit(Scripted(script), loader, loader, ckpt_path=resume, weights_only=True)
    return trainer


def kept(folder, script, **options) -> int:
    """The epoch in the checkpoint."""
    options = {"monitor": "val/fairness/bias", **options}
    fit(script, BestCheckpoint(folder, **options))
    return torch.load(folder / "best.ckpt", weights_only=True)["epoch"]


@pytest.mark.parametrize(
    ("rows", "epoch"),
    [
        pytest.param([(0.3, 0.5, 0), (0.1, 0.5, 0), (0.2, 0.5, 0)], 1, id="the least biased"),
        pytest.param([(0.3, 0.5, 0), (0.0, 0.5, 1), (0.2, 0.5, 0)], 2, id="but never collapsed"),
        pytest.param([(0.3, 0.5, 0), (0.1, 0.2, 0), (0.2, 0.5, 0)], 2, id="nor below the floor"),
        pytest.param([(0.0, 0.6, 1), (0.3, 0.5, 0), (0.0, 0.6, 1)], 1, id="which a collapse was"),
        pytest.param([(NAN, 0.5, 0), (0.3, 0.5, 0), (NAN, 0.5, 0)], 1, id="nor NaN"),
        pytest.param([(0.3, NAN, 0), (0.4, 0.5, 0)], 1, id="nor without an accuracy"),
        pytest.param([(0.1, 0.1, 0), (0.2, 0.2, 0), (0.0, 0.15, 0)], 1, id="or else most accurate"),
    ],
)
def test_the_checkpoint_kept_is(tmp_path, rows, epoch):
    assert kept(tmp_path, epochs(*rows)) == epoch


def test_a_floor_may_be_any_figure_and_number(tmp_path):
    rows = epochs((0.1, 0.5, 0), (0.2, 0.7, 0), (0.3, 0.9, 0))
    assert kept(tmp_path, rows, floor={"val/accuracy": 0.6}) == 1
    assert kept(tmp_path, rows, floor={"val/accuracy": None}) == 0
    assert kept(tmp_path, rows, floor={"val/fairness/bias": 0.25}) == 2


def test_accuracy_is_maximised_without_being_told(tmp_path):
    rows = epochs((0.1, 0.5, 0), (0.2, 0.9, 0), (0.3, 0.7, 0))
    assert kept(tmp_path, rows, monitor="val/accuracy") == 1
    assert kept(tmp_path, rows, monitor="val/accuracy", mode="min") == 0


def test_it_is_said_when_no_epoch_was_of_use(tmp_path, caplog):
    kept(tmp_path, epochs((0.1, 0.1, 0), (0.1, 0.2, 0)))
    (said,) = [r.getMessage() for r in caplog.records if "no epoch" in r.getMessage()]
    assert "val/accuracy 0.200" in said
    assert "0.229" in said


def test_nothing_is_said_when_one_was(tmp_path, caplog):
    kept(tmp_path, epochs((0.1, 0.1, 0), (0.1, 0.3, 0)))
    assert "no epoch" not in caplog.text


def test_a_resumed_training_remembers_what_it_has_found(tmp_path):
    script = epochs((0.2, 0.5, 0), (0.0, 0.9, 1), (0.3, 0.9, 0))
    fit(script[:1], BestCheckpoint(tmp_path, monitor="val/fairness/bias"))
    resumed = BestCheckpoint(tmp_path, monitor="val/fairness/bias")
    fit(script, resumed, resume=tmp_path / "best.ckpt")
    assert resumed.found
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"] == 0


def test_a_figure_that_is_not_logged_names_the_near_one(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'val/fairness/bias'"):
        kept(tmp_path, epochs((0.1, 0.5, 0)), monitor="val/fairness/bais", mode="min")


@pytest.mark.parametrize(
    ("rows", "stopped_after"),
    [
        pytest.param([0.3, 0.2, 0.2, 0.2, 0.1], 4, id="two epochs without improvement"),
        pytest.param([0.3, NAN, NAN, 0.1, 0.1], 3, id="of which NaN is none"),
        pytest.param([0.3, 0.2, 0.2, 0.1, 0.0], 5, id="not when it improves in time"),
    ],
)
def test_training_stops_after(rows, stopped_after):
    script = epochs(*((bias, 0.5, 0) for bias in rows))
    trainer = fit(script, Patience(2, monitor="val/fairness/bias"), enable_checkpointing=False)
    assert trainer.current_epoch == stopped_after


def test_a_collapsed_start_is_no_record_to_beat():
    script = epochs((0, 0.1, 1), (0, 0.1, 1), (0, 0.1, 1), (0.3, 0.5, 0), (0.2, 0.5, 0))
    trainer = fit(script, Patience(2, monitor="val/fairness/bias"), enable_checkpointing=False)
    assert trainer.current_epoch == 5


def test_a_collapse_later_is_no_improvement():
    script = epochs((0.3, 0.5, 0), (0, 0.1, 1), (0, 0.1, 1), (0.1, 0.5, 0))
    trainer = fit(script, Patience(2, monitor="val/fairness/bias"), enable_checkpointing=False)
    assert trainer.current_epoch == 3


def test_without_a_number_of_epochs_training_never_stops():
    script = epochs(*[(0.3, 0.5, 0)] * 6)
    trainer = fit(script, Patience(None, monitor="val/nothing/loss"), enable_checkpointing=False)
    assert trainer.current_epoch == 6


def test_the_floor_lies_between_chance_and_perfect():
    for classes in (2, 7, 8):
        assert 1 / classes < default_floor(classes) < 1 / classes + 0.1


@pytest.mark.parametrize(
    ("figure", "better"),
    [
        ("val/loss", "min"),
        ("val/accuracy", "max"),
        ("val/worst_group_accuracy", "max"),
        ("val/f1_macro", "max"),
        ("val/fairness/race/equalized_odds", "min"),
        ("val/fairness/gender/dpd", "min"),
    ],
)
def test_the_direction_of_what_is_logged_is_known(figure, better):
    assert direction(figure) == better


def test_the_direction_of_other_figures_must_be_said():
    with pytest.raises(ConfigError, match="val/ior/nose"):
        direction("val/ior/nose")
    assert direction("val/ior/nose", "max") == "max"


def test_a_training_without_validation_keeps_nothing_and_goes_on(tmp_path):
    chosen = BestCheckpoint(tmp_path, monitor="val/loss")
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        callbacks=[chosen],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Scripted([]), DataLoader(TensorDataset(torch.ones(4, 1))))
    assert trainer.current_epoch == 1
    assert not list(tmp_path.iterdir())
