"""Accumulated, clipped and 16-bit gradients against hand-written loops."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.loggers.logger import DummyLogger
from torch import nn

from fer_lab.callbacks import Throughput
from fer_lab.data import SyntheticDataModule
from fer_lab.models import BaselineCNN, Classifier
from tests.models.batches import batch, loader, trainer

SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9}


def small(**options) -> BaselineCNN:
    torch.manual_seed(0)
    return BaselineCNN(image_size=16, **{"dropout": 0.0, "optimizer": SGD, **options})


class Linear(Classifier):
    """One layer, for long trainings."""

    image_size = 8

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(192, self.num_classes))


def near(model, twin, **tolerance):
    for found, expected in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected, **{"atol": 1e-6, "rtol": 1e-4, **tolerance})


def by_hand(model, groups, *, divisor=1, clip=None):
    """Steps by the sum of the losses of each group over ``divisor``."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for group in groups:
        model.zero_grad()
        for sample in group:
            loss = nn.functional.cross_entropy(model(sample["image"]), sample["label"])
            (loss / divisor).backward()
        gradients = [p.grad for p in model.parameters()]
        if clip is not None and clip[0] == "norm":
            length = sum(float((g.double() ** 2).sum()) for g in gradients) ** 0.5
            assert length > clip[1]
            for gradient in gradients:
                gradient *= clip[1] / length
        elif clip is not None:
            assert max(float(g.abs().max()) for g in gradients) > clip[1]
            for gradient in gradients:
                gradient.copy_(gradient.where(gradient.abs() < clip[1], gradient.sign() * clip[1]))
        optimizer.step()


def test_four_batches_of_sixteen_train_like_one_of_sixty_four():
    found = []
    for size, accumulated in ((64, 1), (16, 4)):
        torch.manual_seed(0)
        model = BaselineCNN(image_size=48, dropout=0.0, optimizer=SGD)
        data = SyntheticDataModule(
            train=128,
            val=7,
            test=7,
            image_size=48,
            batch_size=size,
            num_workers=0,
            augment={"flip": 0.5, "rotation": 10.0},
        )
        run = trainer(accumulate_grad_batches=accumulated, max_epochs=2, limit_val_batches=0)
        speed = Throughput()
        run.callbacks.append(speed)
        run.fit(model, datamodule=data)
        assert run.global_step == 4
        assert speed.images == 256
        found.append((model, run.callback_metrics))
    (one, figures), (other, accumulated) = found
    near(other, one, atol=1e-5)
    for name in ("train/loss", "train/accuracy"):
        assert float(accumulated[name]) == pytest.approx(float(figures[name]), rel=1e-4)


def test_the_last_group_of_an_epoch_counts_by_its_share():
    batches = [batch(4, seed=number) for number in range(6)]
    model, twin = small(), small()
    trainer(accumulate_grad_batches=4).fit(model, loader(*batches))
    by_hand(twin, [batches[:4], batches[4:]], divisor=4)
    near(model, twin)


@pytest.mark.parametrize("clip", [("norm", 0.05), ("value", 0.001)])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_gradients_are_clipped_once_they_are_added_up(clip, accumulated):
    batches = [batch(6, seed=number) for number in range(4)]
    model, twin = small(), small()
    run = trainer(
        gradient_clip_algorithm=clip[0],
        gradient_clip_val=clip[1],
        accumulate_grad_batches=accumulated,
    )
    run.fit(model, loader(*batches))
    groups = [batches[i : i + accumulated] for i in range(0, 4, accumulated)]
    by_hand(twin, groups, divisor=accumulated, clip=clip)
    near(model, twin)


class Losses(Callback):
    """The loss of the batch that ended each step."""

    def __init__(self) -> None:
        self.of: dict[int, float] = {}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        # Batches after a step belong to the next one, and find the same number of steps.
        self.of.setdefault(
            trainer.global_step, float(outputs["loss"]) * trainer.accumulate_grad_batches
        )


class Logged(DummyLogger):
    """What is logged during the training."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, float]] = []

    def log_metrics(self, metrics, step=None):
        if "train/loss_step" in metrics:
            self.steps.append((step, metrics["train/loss_step"]))


@pytest.mark.parametrize("accumulated", [1, 3])
def test_the_loss_is_looked_at_every_fifty_steps(accumulated):
    losses, logged = Losses(), Logged()
    batches = [batch(2, size=8, seed=number) for number in range(100 * accumulated)]
    run = trainer(accumulate_grad_batches=accumulated, callbacks=[losses], logger=logged)
    run.fit(Linear(optimizer=SGD), loader(*batches))
    assert run.global_step == 100
    assert [step for step, _ in logged.steps] == [49, 99]
    for step, value in logged.steps:
        assert value == pytest.approx(losses.of[step + 1], rel=1e-5)


def test_a_mixed_training_learns_and_ends_in_float32():
    seen = []

    class Watched(BaselineCNN):
        def training_loss(self, logits, batch):
            seen.append((torch.is_autocast_enabled("cpu"), logits.dtype))
            return super().training_loss(logits, batch)

        def _evaluate(self, batch, monitored):
            found = super()._evaluate(batch, monitored)
            seen.append((found["logits"].dtype, found["loss"].dtype))
            return found

    sample = batch(16)
    torch.manual_seed(0)
    model = Watched(image_size=16, dropout=0.0, optimizer={"name": "adam", "lr": 1e-3})
    run = trainer(precision="bf16-mixed", max_epochs=25)
    run.fit(model, loader(sample), loader(sample))
    assert set(seen) == {(True, torch.float32), (torch.float32, torch.float32)}
    assert float(run.callback_metrics["train/accuracy"]) > 0.9
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    with torch.inference_mode():
        loss = nn.functional.cross_entropy(model.eval()(sample["image"]), sample["label"])
    assert float(run.callback_metrics["val/loss"]) == pytest.approx(float(loss), rel=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "sam"])
def test_a_mixed_training_clips(name):
    model = small(optimizer={"name": name, "lr": 0.01})
    before = [parameter.detach().clone() for parameter in model.parameters()]
    trainer(precision="bf16-mixed", gradient_clip_val=1e-30).fit(model, loader(batch(4)))
    if name == "sgd":
        for parameter, value in zip(model.parameters(), before, strict=True):
            assert torch.equal(parameter, value)


def test_convolutions_of_a_mixed_training_are_in_16_bits():
    model, kinds = small(), []
    model.backbone.conv1.register_forward_hook(lambda _m, _i, out: kinds.append(out.dtype))
    trainer(precision="bf16-mixed").fit(model, loader(batch(4)), loader(batch(4)))
    assert kinds == [torch.bfloat16, torch.float32]
