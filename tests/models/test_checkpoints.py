"""Checkpoints alone: the model comes back, and what is none is refused without being run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer

from fer_lab.errors import ConfigError, DataError
from fer_lab.models import BaselineCNN
from fer_lab.models.checkpoints import check_resumable, load_checkpoint
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
        ({"state_dict": [], "hyper_parameters": {}}, "something else where weights"),
        ({"state_dict": {}, "hyper_parameters": [1]}, "something else where weights"),
        ({"state_dict": {}, "hyper_parameters": {}}, "of which class"),
        ({"state_dict": {}, "hyper_parameters": {}, "model_class": "..no.x"}, "be imported"),
        ({"state_dict": {}, "hyper_parameters": {}, "model_class": 3}, "be imported"),
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


def changed(path: Path, **parts) -> Path:
    torch.save({**torch.load(path, weights_only=True), **parts}, path)
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_classes": 4, "classes": None}, r"size mismatch for backbone\.head\.weight"),
        ({"image_size": 64}, r"size mismatch for backbone\.dense\.weight"),
        ({"image_size": 50}, "cannot take images of 50 px"),
        ({"optimizer": 3}, "does not fit BaselineCNN"),
        ({"widths": [1]}, "argument 'widths'"),
        ({"_instantiator": "os.system"}, "does not fit BaselineCNN.*os.system"),
    ],
)
def test_options_that_do_not_fit_the_weights_are_refused(saved, options, said):
    model, path = saved
    changed(path, hyper_parameters={**model.hparams, **options})
    with pytest.raises((DataError, ConfigError), match=said):
        load_checkpoint(path)


def test_of_other_weights_the_first_names_are_given(saved):
    model, path = saved
    state = {n: t for n, t in model.state_dict().items() if "conv2" not in n}
    changed(path, state_dict={**state, "backbone.extra": torch.ones(1)})
    with pytest.raises(DataError, match=r"does not fit BaselineCNN") as caught:
        load_checkpoint(path)
    assert '"backbone.conv2.weight", "backbone.conv2.bias"' in str(caught.value)
    assert '"backbone.extra"' in str(caught.value)


class Program:
    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def broken(path: Path, damage: str, trace: Path) -> Path:
    """The checkpoint damaged in one of the ways that files are."""
    if damage == "program":
        return changed(path, more=Program(trace))
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "noise": b"\7" * 99}[damage])
    return path


DAMAGES = ("program", "empty", "cut", "noise")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_or_malicious_checkpoint_is_refused_and_not_executed(saved, tmp_path, damage):
    path = broken(saved[1], damage, tmp_path / "trace")
    with pytest.raises(DataError, match="cannot be read as a checkpoint") as caught:
        load_checkpoint(path)
    assert not (tmp_path / "trace").exists()
    # Torch's own advice on a program is to run it.
    assert "weights_only" not in str(caught.value)
    assert ("posix.system" in str(caught.value)) is (damage == "program")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_training_does_not_go_on_from_a_broken_checkpoint(saved, tmp_path, damage):
    model, path = saved
    check_resumable(path, model)
    with pytest.raises(DataError, match="cannot be read as a checkpoint") as caught:
        check_resumable(broken(path, damage, tmp_path / "trace"), model)
    assert "start anew" in str(caught.value)
    assert not (tmp_path / "trace").exists()


def test_a_training_does_not_go_on_from_other_weights(saved):
    _, path = saved
    with pytest.raises(DataError, match=r"backbone\.head\.weight has shape \(3, 128\)"):
        check_resumable(path, BaselineCNN(num_classes=4, image_size=48))


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
    roots = (str(tmp_path / "outputs"), str(tmp_path / "multirun"))
    with pytest.raises(ConfigError, match="no run has a checkpoint"):
        find_checkpoint("last", roots)
    older = run_folder(tmp_path / "outputs" / "2026-02-01" / "12-00-00", "best")
    newer = run_folder(tmp_path / "multirun" / "2026-01-01" / "12-00-00" / "3", "best")
    os.utime(older / "checkpoints" / "best.ckpt", (1, 1))
    assert find_checkpoint("last", roots) == newer / "checkpoints" / "best.ckpt"
