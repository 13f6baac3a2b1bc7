"""Sharpness-aware steps against hand-made ones, alone and under Lightning."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.nn.utils import clip_grad_norm_

from fer_lab.errors import ConfigError
from fer_lab.models import BaselineCNN, Classifier
from fer_lab.models.sam import SAM
from tests.models.batches import batch, loader, trainer

OPTIONS = {"name": "sam", "base": "adam", "rho": 0.2, "lr": 1e-2}


def small(**options) -> BaselineCNN:
    torch.manual_seed(0)
    return BaselineCNN(image_size=16, **{"dropout": 0.0, "optimizer": OPTIONS, **options})


class Normed(Classifier):
    """One convolution with batch norm."""

    image_size = 8

    def build(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, self.num_classes)
        )


def by_hand(model, batches, *, rho, lr, clip=None):
    """The same training without SAM's class, one tensor after the other."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    for sample in batches:
        model.zero_grad()
        criterion(model(sample["image"]), sample["label"]).backward()
        length = sum(float((p.grad.double() ** 2).sum()) for p in model.parameters()) ** 0.5
        at = [p.detach().clone() for p in model.parameters()]
        for p in model.parameters():
            p.data += rho * p.grad / length
        model.zero_grad()
        criterion(model(sample["image"]), sample["label"]).backward()
        for p, value in zip(model.parameters(), at, strict=True):
            p.data = value
        if clip is not None:
            clip_grad_norm_(model.parameters(), clip)
        optimizer.step()


def test_a_step_on_a_quadratic_is_the_formula():
    curvature, start, rho, lr = torch.tensor([1.0, 10.0]), torch.tensor([3.0, -2.0]), 0.5, 0.01
    weight = nn.Parameter(start.clone())
    optimizer = SAM(torch.optim.SGD([weight], lr=lr), rho=rho)

    def closure():
        optimizer.zero_grad()
        loss = 0.5 * (curvature * weight**2).sum()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    gradient = curvature * start
    above = start + rho * gradient / gradient.norm()
    torch.testing.assert_close(weight.detach(), start - lr * curvature * above)
    torch.testing.assert_close(first.detach(), 0.5 * (curvature * start**2).sum())


@pytest.mark.parametrize("clip", [None, 0.05])
def test_training_equals_a_hand_written_loop(clip):
    batches = [batch(6, seed=number) for number in range(3)]
    # Not Adam, which would blow up the rounding of gradients near zero.
    options = {"name": "sam", "base": "sgd", "momentum": 0.9, "rho": 0.2, "lr": 0.05}
    model, twin = small(optimizer=options), small()
    trainer(gradient_clip_val=clip).fit(model, loader(*batches))
    by_hand(twin.train(), batches, rho=0.2, lr=0.05, clip=clip)
    for found, expected in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_figures_count_a_batch_once_and_at_the_unmoved_weights():
    model, sample = small(), batch(8)
    with torch.no_grad():
        logits = model.eval()(sample["image"])
    run = trainer()
    run.fit(model, loader(sample))
    expected = nn.functional.cross_entropy(logits, sample["label"])
    assert float(run.callback_metrics["train/loss"]) == pytest.approx(float(expected), rel=1e-5)
    right = (logits.argmax(1) == sample["label"]).float().mean()
    assert float(run.callback_metrics["train/accuracy"]) == pytest.approx(float(right))
    assert run.global_step == 1
    assert not model.second_pass


def test_batch_norm_keeps_the_statistics_of_the_first_pass():
    torch.manual_seed(0)
    model, sample = Normed(optimizer={**OPTIONS, "rho": 5.0}), batch(8, size=8)
    convolution, norm = model.backbone[0], model.backbone[1]
    with torch.no_grad():
        seen = convolution(model.normalise(sample["image"])).mean((0, 2, 3))
    trainer().fit(model, loader(sample))
    assert int(norm.num_batches_tracked) == 1
    torch.testing.assert_close(norm.running_mean, norm.momentum * seen)
    assert norm.track_running_stats


def test_a_schedule_reaches_the_base_optimizer():
    model = small(scheduler={"name": "step", "at": [0.5], "factor": 0.1})
    run = trainer(max_epochs=2)
    run.fit(model, loader(batch(4), batch(4, seed=1)))
    (optimizer,) = run.optimizers
    assert optimizer.base.param_groups[0]["lr"] == pytest.approx(1e-3)
    assert optimizer.param_groups is optimizer.base.param_groups


def test_a_resumed_training_equals_an_unbroken_one(tmp_path):
    batches = [batch(6, seed=number) for number in range(2)]
    scheduler = {"name": "plateau", "monitor": "train/loss", "patience": 0}
    unbroken = small(scheduler=scheduler)
    trainer(max_epochs=4).fit(unbroken, loader(*batches))
    first, keep = small(scheduler=scheduler), ModelCheckpoint(tmp_path, save_last=True)
    trainer(max_epochs=2, enable_checkpointing=True, callbacks=[keep]).fit(first, loader(*batches))
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert content["optimizer_states"][0]["state"]
    second, run = small(scheduler=scheduler), trainer(max_epochs=4)
    run.fit(second, loader(*batches), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    for found, expected in zip(second.parameters(), unbroken.parameters(), strict=True):
        assert torch.equal(found, expected)
    (optimizer,) = run.optimizers
    assert optimizer.state is optimizer.base.state


def test_weights_are_back_when_the_second_pass_fails():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = SAM(torch.optim.SGD([weight], lr=0.1))
    passes = []

    def closure():
        passes.append(weight.detach().clone())
        if len(passes) == 2:
            raise KeyboardInterrupt
        weight.grad = torch.ones(2)

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert not torch.equal(passes[0], passes[1])
    assert torch.equal(weight.detach(), torch.tensor([1.0, 2.0]))


def test_without_a_gradient_nothing_breaks():
    weight = nn.Parameter(torch.ones(2))
    optimizer = SAM(torch.optim.SGD([weight], lr=0.1))
    optimizer.step(lambda: None)
    weight.grad = torch.zeros(2)
    optimizer.step(lambda: None)
    assert torch.equal(weight.detach(), torch.ones(2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rho": 0}, "rho is a positive number"),
        ({"rho": "wide"}, "rho is a positive number"),
        ({"base": "sam"}, "inside SAM"),
        ({"base": "adagrab"}, "no optimizer is called 'adagrab'"),
        ({"radius": 1}, "no option radius"),
        ({"lr": -1}, "a learning rate is a positive number"),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        small(optimizer={**OPTIONS, **options})


@pytest.mark.parametrize(
    ("accumulated", "scaler", "said"),
    [(4, None, "goes over each batch twice"), (1, object(), "scaled gradients")],
)
def test_trainers_it_cannot_work_under_are_refused(accumulated, scaler, said):
    model = SimpleNamespace(
        trainer=SimpleNamespace(
            accumulate_grad_batches=accumulated,
            precision_plugin=SimpleNamespace(scaler=scaler),
            precision="16-mixed",
        )
    )
    with pytest.raises(ConfigError, match=said):
        SAM(torch.optim.SGD([nn.Parameter(torch.ones(1))])).attach(model)


def test_accumulation_is_refused_before_the_first_step():
    with pytest.raises(ConfigError, match="accumulate_grad_batches"):
        trainer(accumulate_grad_batches=2).fit(small(), loader(batch(4), batch(4)))


def test_a_step_without_a_closure_is_refused():
    with pytest.raises(ConfigError, match="closure"):
        SAM(torch.optim.SGD([nn.Parameter(torch.ones(1))])).step()
