from __future__ import annotations

import math

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from fer_lab.errors import ConfigError
from fer_lab.models import BaselineCNN
from fer_lab.models.optimization import build_optimizer
from tests.models.batches import batch, loader, trainer


class Watched(BaselineCNN):
    """Keeps the learning rates of every step, a tuple of those of all groups."""

    def __init__(self, **options) -> None:
        super().__init__(image_size=8, **options)
        self.seen: list[tuple[float, ...]] = []

    def training_step(self, batch, batch_idx):
        if not self.second_pass:
            self.seen.append(tuple(group["lr"] for group in self.optimizers().param_groups))
        return super().training_step(batch, batch_idx)


def batches_of(count: int):
    return loader(*[batch(2, size=8, seed=seed) for seed in range(count)])


def rates(scheduler: dict, *, lr: float = 0.1, epochs: int = 2, batches: int = 5) -> list[float]:
    """Learning rate of every step of a real training."""
    model = Watched(optimizer={"name": "sgd", "lr": lr}, scheduler=scheduler)
    data = batches_of(batches)
    trainer(max_epochs=epochs).fit(model, data, data)
    return [first for first, *_ in model.seen]


def test_cosine_follows_its_formula():
    expected = [0.01 + 0.045 * (1 + math.cos(math.pi * step / 10)) for step in range(10)]
    assert rates({"name": "cosine", "final": 0.1}) == pytest.approx(expected)


def test_one_cycle_starts_low_peaks_early_and_ends_near_zero():
    found = rates({"name": "one_cycle", "warmup": 0.2, "initial": 0.1, "final": 0.01}, batches=10)
    assert found[0] == pytest.approx(0.01)
    assert max(found) == pytest.approx(0.1, rel=0.02)
    assert 2 <= found.index(max(found)) <= 4
    assert found[-1] < 0.005


def test_steps_fall_at_shares_of_the_training():
    found = rates({"name": "step"}, epochs=3, batches=3)
    assert found == pytest.approx([0.1] * 3 + [0.01] * 3 + [0.001] * 3)


def test_plateau_falls_when_the_loss_does_not():
    scheduler = {"name": "plateau", "patience": 0, "factor": 0.5, "min_lr": 3e-7}
    found = rates(scheduler, lr=1e-6, epochs=5, batches=1)
    assert found == pytest.approx([1e-6, 1e-6, 5e-7, 3e-7, 3e-7])


def risen(step: int, steps: int, initial: float) -> float:
    """What a warm-up over the first ``steps`` steps multiplies a rate with."""
    return initial + (1 - initial) * step / steps if step < steps else 1.0


def test_a_warm_up_rises_along_a_line_and_leaves_the_rate_as_it_is():
    found = rates({"name": "none", "warmup": 0.4, "initial": 0.2})
    assert found == pytest.approx([0.02, 0.04, 0.06, 0.08] + [0.1] * 6)


def test_cosine_falls_over_the_steps_that_a_warm_up_leaves():
    found = rates({"name": "cosine", "warmup": 0.3, "final": 0.1})
    fallen = [0.01 + 0.045 * (1 + math.cos(math.pi * step / 7)) for step in range(7)]
    assert found == pytest.approx([0.1 * risen(step, 3, 0.1) for step in range(3)] + fallen)


def test_steps_stand_where_they_are_without_a_warm_up():
    found = rates({"name": "step", "at": [0.2, 0.5], "factor": 0.5, "warmup": 0.4})
    factors = [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25]
    assert found == pytest.approx([0.1 * f * risen(s, 4, 0.1) for s, f in enumerate(factors)])


def test_a_plateau_is_felt_in_and_after_a_warm_up():
    scheduler = {"name": "plateau", "patience": 0, "factor": 0.5, "warmup": 0.5, "initial": 0.5}
    found = rates(scheduler, lr=1e-6, epochs=5, batches=2)
    factors = [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    assert found == pytest.approx([1e-6 * f * risen(s, 5, 0.5) for s, f in enumerate(factors)])


ALL = [
    {"name": "none", "warmup": 0.5},
    {"name": "cosine", "warmup": 0.5, "final": 0.1},
    {"name": "step", "warmup": 0.5, "at": [0.4, 0.8]},
    {"name": "one_cycle", "warmup": 0.5},
    {"name": "plateau", "warmup": 0.5, "patience": 0, "monitor": "train/loss", "min_lr": 0.009},
]


@pytest.mark.parametrize("scheduler", ALL, ids=lambda options: options["name"])
@pytest.mark.parametrize("name", ["adam", "sam"])
def test_groups_keep_their_ratios_and_a_training_resumed_in_the_warm_up_is_exact(
    scheduler, name, tmp_path
):
    options = {
        "optimizer": {"name": name, "lr": 0.1, "layer_decay": 0.5},
        "scheduler": scheduler,
    }
    torch.manual_seed(0)
    unbroken, data = Watched(**options, dropout=0.0), batches_of(2)
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    settings = {"max_epochs": 4, "enable_checkpointing": True, "gradient_clip_val": 1}
    trainer(**settings, callbacks=[keep]).fit(unbroken, data)
    assert len(set(unbroken.seen)) > 1
    for seen in unbroken.seen:
        assert seen == pytest.approx([seen[-1] * 0.5**away for away in (4, 3, 2, 1, 0)])
    resumed = Watched(**options, dropout=0.0)
    trainer(**settings, callbacks=[ModelCheckpoint(tmp_path / "other")]).fit(
        resumed, data, ckpt_path=tmp_path / "epoch=0.ckpt", weights_only=True
    )
    assert resumed.seen == unbroken.seen[2:]
    for found, expected in zip(resumed.parameters(), unbroken.parameters(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ({"name": "cosine", "warmup": 1.5}, r"warmup is a share of the training in \[0, 1\)"),
        ({"name": "cosine", "warmup": "long"}, "warmup is a share"),
        ({"name": "none", "warmup": 0.1, "initial": 0}, "initial is a share"),
        ({"name": "cosine", "initial": 0.1}, "without a warm-up"),
        ({"name": "one_cycle", "final": 0}, "does not end at 0"),
        ({"name": "step", "at": 0.5}, "at is shares"),
        ({"name": "step", "at": [0.5, 2]}, "at is shares"),
        ({"name": "plateau", "mode": "low"}, "mode is min or max"),
        ({"name": "plateau", "patience": 1.5}, "patience is a number of epochs"),
        ({"name": "cosine", "patience": 3}, "~model.scheduler.patience"),
    ],
)
def test_schedules_that_cannot_work_are_refused(scheduler, said):
    with pytest.raises(ConfigError, match=said):
        BaselineCNN(image_size=8, scheduler=scheduler)


@pytest.mark.parametrize("scheduler", [{"name": "cosine"}, {"name": "plateau", "warmup": 0.1}])
def test_a_schedule_over_an_endless_training_is_refused(scheduler):
    model = BaselineCNN(image_size=8, scheduler=scheduler)
    with pytest.raises(ConfigError, match="max_epochs"):
        trainer(max_epochs=-1, max_time={"seconds": 5}).fit(model, loader(batch(2, size=8)))


def test_frozen_parameters_stay_out_of_the_optimizer():
    model = BaselineCNN(image_size=8)
    model.backbone.conv1.requires_grad_(False)
    optimizer = build_optimizer(model.parameters(), {"name": "adam", "lr": 0.1})
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}


def test_the_fused_optimizer_takes_the_same_steps():
    states = []
    for fused in (True, False):
        torch.manual_seed(0)
        model = BaselineCNN(image_size=16, dropout=0.0)
        optimizer = build_optimizer(
            model.parameters(), {"name": "adam", "lr": 1e-3, "fused": fused}
        )
        for number in range(3):
            optimizer.zero_grad()
            model.training_step(batch(4, seed=number), number).backward()
            optimizer.step()
        states.append(model.state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], atol=1e-4, rtol=1e-3)
