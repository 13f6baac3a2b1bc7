from __future__ import annotations

import math

import pytest
import torch

from fer_lab.errors import ConfigError
from fer_lab.models import BaselineCNN
from fer_lab.models.optimization import build_optimizer
from tests.models.batches import batch, loader, trainer


def rates(scheduler: dict, *, lr: float = 0.1, epochs: int = 2, batches: int = 5) -> list[float]:
    """Learning rate of every step of a real training."""
    found: list[float] = []

    class Watched(BaselineCNN):
        def training_step(self, batch, batch_idx):
            found.append(self.optimizers().param_groups[0]["lr"])
            return super().training_step(batch, batch_idx)

    model = Watched(image_size=8, optimizer={"name": "sgd", "lr": lr}, scheduler=scheduler)
    data = loader(*[batch(2, size=8, seed=s) for s in range(batches)])
    trainer(max_epochs=epochs).fit(model, data, data)
    return found


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


def test_a_schedule_over_an_endless_training_is_refused():
    model = BaselineCNN(image_size=8, scheduler={"name": "cosine"})
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
