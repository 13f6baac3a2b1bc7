"""Compiled training steps: the same numbers, two graphs, and everything else as without."""

from __future__ import annotations

import logging

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from fer_lab.callbacks import Compilation
from fer_lab.callbacks.averaging import WeightAverage
from fer_lab.errors import ConfigError
from fer_lab.explain import attribute
from fer_lab.models import Classifier
from fer_lab.models.checkpoints import load_checkpoint
from tests.integration.runs import SMALL, finish
from tests.models.batches import batch, loader, trainer

SIDE = 28
# Not Adam, which blows up the rounding of gradients near zero.
SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9}
SAM = {"name": "sam", "base": "sgd", "lr": 0.05}
# Full batches, and a smaller one at the end.
BATCHES = [*(batch(6, size=SIDE, seed=number) for number in range(3)), batch(5, size=SIDE)]
UNSEEN = batch(4, size=SIDE, seed=99)


class Normed(Classifier):
    """A convolution with batch norm, and dropout; counts who calls its forward pass."""

    image_size = SIDE
    attribution_method = "hirescam"

    def __init__(self, num_classes: int = 7, **options) -> None:
        super().__init__(num_classes, **options)
        self.plain = 0

    @property
    def stages(self) -> list[tuple[str, int]]:
        return [("backbone.2", 4)]

    def build(self) -> nn.Module:
        layers = nn.Conv2d(3, 4, 4, stride=4), nn.BatchNorm2d(4), nn.ReLU()
        return nn.Sequential(
            *layers, nn.Dropout(0.3), nn.Flatten(), nn.Linear(196, self.num_classes)
        )

    def forward(self, image):
        if not torch.compiler.is_compiling():
            self.plain += 1
        return super().forward(image)


class Explained(Callback):
    """Maps made in the middle of every validation, as explanations are."""

    def __init__(self) -> None:
        self.maps: list[torch.Tensor] = []

    def on_validation_epoch_end(self, trainer, pl_module):
        with torch.inference_mode():
            label = UNSEEN["label"]
            self.maps.append(attribute(pl_module, UNSEEN["image"], label, "hirescam"))


def trained(mode, *callbacks, **options):
    """A training of three epochs, its maps, and how many graphs were compiled."""
    more = {name: options.pop(name) for name in ("precision",) if name in options}
    torch.manual_seed(0)
    model, maps = Normed(**{"optimizer": SGD, **options}), Explained()
    run = trainer(
        max_epochs=3,
        callbacks=[maps, Compilation(mode), *callbacks],
        enable_checkpointing=bool(callbacks),
        **more,
    )
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    torch.manual_seed(1)
    run.fit(model, loader(*BATCHES), loader(UNSEEN))
    return run, model, maps.maps, torch._dynamo.utils.counters["stats"]["unique_graphs"]


def same(found, expected, tolerance=1e-4):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], atol=tolerance, rtol=tolerance)


def test_without_compiling_the_model_calls_its_own_forward():
    _, model, _, graphs = trained(False)
    assert graphs == 0
    # Per epoch: four batches, a validation, and the one pass of an explanation.
    assert model.plain == 3 * (4 + 1 + 1)


def test_a_model_that_learns_without_its_forward_pass_is_named(caplog):
    class Other(Normed):
        def training_step(self, batch, batch_idx):
            return self.backbone(batch["image"]).square().mean()

    with caplog.at_level(logging.WARNING, logger="fer_lab"):
        trainer(callbacks=[Compilation(True)]).fit(Other(optimizer=SGD), loader(*BATCHES))
    assert "nothing was compiled: Other" in caplog.text


@pytest.mark.parametrize(("mode", "said"), [("max-autotun", "max-autotune"), ("fast", "choose")])
def test_another_mode_is_refused(mode, said):
    with pytest.raises(ConfigError, match="no mode") as caught:
        Compilation(mode)
    assert said in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"optimizer": SAM}, {"precision": "bf16-mixed"}], ids=str)
def test_a_compiled_training_gives_the_same_numbers(options):
    tolerance = 2e-2 if "precision" in options else 1e-4
    plain, compiled = trained(False, **options), trained(True, **options)
    same(compiled[1].state_dict(), plain[1].state_dict(), tolerance)
    for name in ("train/loss", "val/loss"):
        figures = [float(run.callback_metrics[name]) for run in (compiled[0], plain[0])]
        assert figures[0] == pytest.approx(figures[1], rel=tolerance)
    for found, expected in zip(compiled[2], plain[2], strict=True):
        torch.testing.assert_close(found, expected, atol=10 * tolerance, rtol=0)
    # SAM's second passes leave the statistics of batch norm alone: graphs of their own.
    assert compiled[3] == (4 if "optimizer" in options else 2)
    assert compiled[1].plain == plain[1].plain - 12 * (2 if "optimizer" in options else 1)
    assert "forward" not in vars(compiled[1])


@pytest.mark.slow
def test_checkpoints_of_a_compiled_training_are_like_any(tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="last")
    _, model, _, _ = trained(True, WeightAverage(0.5), keep)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert list(content["state_dict"]) == list(Normed().state_dict())
    same(load_checkpoint(tmp_path / "last.ckpt").state_dict(), model.state_dict(), 0)


@pytest.mark.slow
def test_a_failure_leaves_the_model_its_own_forward():
    class Broken(Normed):
        def training_loss(self, logits, batch):
            raise ValueError("broken")

    model = Broken(optimizer=SGD)
    with pytest.raises(ValueError, match="broken"):
        trainer(callbacks=[Compilation(True)]).fit(model, loader(*BATCHES))
    assert "forward" not in vars(model)


@pytest.mark.slow
def test_a_missing_compiler_is_one_error(tmp_path):
    options = ("compile=true", "explain=none", "logger=none", "deterministic=true")
    done = finish(
        tmp_path,
        *SMALL,
        *options,
        CXX="/there/is/none",
        TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "inductor"),
    )
    assert done.returncode == 1
    assert "the model cannot be compiled here" in done.stderr
    assert "compile=false" in done.stderr
    assert "Traceback" not in done.stderr


class Shared(Normed):
    """Half of the batches for each of two processes."""

    def train_dataloader(self):
        return loader(*BATCHES[self.trainer.global_rank :: 2])


@pytest.mark.slow
def test_two_processes_train_compiled_as_they_do_without():
    states = []
    for mode in (False, True):
        torch.manual_seed(0)
        model = Shared(optimizer=SGD)
        run = trainer(
            max_epochs=2,
            callbacks=[Compilation(mode)],
            strategy="ddp_spawn",
            devices=2,
            use_distributed_sampler=False,
        )
        run.fit(model)
        states.append(model.state_dict())
    same(states[1], states[0])
