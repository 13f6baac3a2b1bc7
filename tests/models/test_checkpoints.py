"""Checkpoints alone: the model comes back, and what is none is refused without being run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer

from fer_lab.errors import ConfigError, DataError
from fer_lab.models import BaselineCNN
from fer_lab.models.checkpoints import load_checkpoint
from fer_lab.record import find_checkpoint


@pytest.fixture
def saved(tmp_path):
    model = BaselineCNN(num_classes=3, classes=["happy", "sad", "fear"], image_size=48, dropout=0.1)
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", barebones=True)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    return model, tmp_path / "model.ckpt"


def test_a_checkpoint_alone_brings_its_model_back(saved):
    model, path = saved
    loaded = load_checkpoint(path)
    assert type(loaded) is BaselineCNN
    assert (loaded.classes, loaded.image_size) == (("happy", "sad", "fear"), 48)
    image = torch.rand(2, 3, 48, 48)
    assert torch.equal(loaded(image), model.eval()(image))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a checkpoint", "cannot be read as a checkpoint"),
        ({"weights": torch.ones(2)}, "no state_dict"),
        ({"state_dict": {}, "hyper_parameters": Path("x")}, "cannot be read as a checkpoint"),
        ({"state_dict": {}, "hyper_parameters": {}}, "of which class"),
        ({"state_dict": {}, "hyper_parameters": {}, "model_class": "os.system"}, "not a Lightning"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, content, said):
    path = tmp_path / "other.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(DataError, match=said):
        load_checkpoint(path)


def test_weights_of_another_architecture_do_not_fit(saved):
    _, path = saved
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["num_classes"] = 4
    content["hyper_parameters"]["classes"] = None
    torch.save(content, path)
    with pytest.raises(DataError, match="does not fit BaselineCNN"):
        load_checkpoint(path)


def run_folder(place: Path, *names: str) -> Path:
    (place / "checkpoints").mkdir(parents=True)
    (place / "run.json").write_text("{}")
    for name in names:
        (place / "checkpoints" / f"{name}.ckpt").touch()
    return place


def test_a_run_stands_for_its_best_checkpoint_else_its_last(tmp_path):
    both = run_folder(tmp_path / "both", "best", "last")
    assert find_checkpoint(str(both)).name == "best.ckpt"
    assert find_checkpoint(str(run_folder(tmp_path / "last", "last"))).name == "last.ckpt"
    with pytest.raises(DataError, match="no best checkpoint"):
        find_checkpoint(str(run_folder(tmp_path / "none")))


def test_last_is_the_newest_checkpoint(tmp_path):
    import os

    roots = (str(tmp_path / "outputs"), str(tmp_path / "multirun"))
    with pytest.raises(ConfigError, match="no run has a checkpoint"):
        find_checkpoint("last", roots)
    older = run_folder(tmp_path / "outputs" / "2026-02-01" / "12-00-00", "best")
    newer = run_folder(tmp_path / "multirun" / "2026-01-01" / "12-00-00" / "3", "best")
    os.utime(older / "checkpoints" / "best.ckpt", (1, 1))
    assert find_checkpoint("last", roots) == newer / "checkpoints" / "best.ckpt"
