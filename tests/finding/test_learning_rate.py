"""What is made of the losses of a range test, and what such a test does to a training."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from fer_lab.callbacks.range_test import RangeTest, smoothed
from fer_lab.finding.learning_rate import range_table, rising_rates, suggest
from fer_lab.models import BaselineCNN
from fer_lab.report.learning_rate import learning_rate_figure
from tests.models.batches import batch, loader, trainer

RATES = rising_rates(1e-6, 1.0, 200)


def falling(lowest: float, *, start: float = 2.0, fall: float = 1.0) -> list[float]:
    """Losses that fall from two decades below a rate to it, and rise as steeply above."""
    away = [abs(math.log10(rate / lowest)) for rate in RATES]
    return [start - fall * max(1 - distance / 2, 0) for distance in away]


def test_rates_rise_by_the_same_factor():
    assert RATES[0] == pytest.approx(1e-6)
    assert RATES[-1] == pytest.approx(1.0)
    assert np.diff(np.log(RATES)) == pytest.approx(math.log(1e6) / 199)


def test_the_running_mean_is_that_of_pandas():
    losses = np.random.default_rng(0).uniform(1, 2, 50)
    expected = pd.Series(losses).ewm(alpha=0.1, adjust=True).mean()
    np.testing.assert_allclose(smoothed(losses), expected)
    assert smoothed([2.0] * 30) == pytest.approx([2.0] * 30)


@pytest.mark.parametrize("lowest", [1e-4, 1e-3, 1e-2])
def test_a_tenth_of_the_rate_with_the_lowest_loss_is_suggested(lowest):
    found = suggest(RATES, falling(lowest))
    # The running mean lags by some of the 33 steps that a decade has.
    assert lowest / 10 <= found.rate <= 2 * lowest / 10
    assert "a tenth of" in found.why


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([2.0] * 200, "fell by 0.0%, which may be chance"),
        (falling(1e-3, fall=0.03), "may be chance"),
        ([2.0] * 10 + [math.nan], "the loss broke after 10 steps"),
        ([], "the loss broke after 0 steps"),
        (falling(1e-6), "lower find.lowest_lr"),
    ],
)
def test_without_a_clear_fall_nothing_is_suggested_and_it_is_said_why(losses, said):
    found = suggest(RATES, losses)
    assert found.rate is None
    assert said in found.why


def test_a_loss_that_still_falls_at_the_end_is_said():
    found = suggest(RATES, list(np.linspace(2, 1, 200)))
    assert found.rate == pytest.approx(0.1)
    assert "higher find.highest_lr" in found.why


def test_losses_after_a_break_do_not_count():
    losses = falling(1e-3)
    broken = [*losses[:140], math.inf, math.nan]
    assert suggest(RATES, broken) == suggest(RATES, losses[:140])


def trained(test: RangeTest, *, accumulate: int = 1, **options) -> BaselineCNN:
    torch.manual_seed(0)
    model = BaselineCNN(image_size=8, dropout=0.0, **options)
    batches = loader(*[batch(4, size=8, seed=seed) for seed in range(4)])
    steps = len(test.rates)
    run = trainer(
        max_epochs=-1, max_steps=steps, callbacks=[test], accumulate_grad_batches=accumulate
    )
    run.fit(model, batches)
    return model


def by_hand(rates: list[float], ratios: list[float], accumulate: int) -> tuple[list[float], dict]:
    """Losses and weights of the same steps, one layer at a time."""
    torch.manual_seed(0)
    model = BaselineCNN(image_size=8, dropout=0.0).train()
    losses, number = [], 0
    for rate in rates:
        model.zero_grad()
        parts = []
        for _ in range(accumulate):
            sample = batch(4, size=8, seed=number % 4)
            loss = F.cross_entropy(model(sample["image"]), sample["label"])
            (loss / accumulate).backward()
            parts.append(loss.item())
            number += 1
        losses.append(sum(parts) / accumulate)
        layers = ("conv1", "conv2", "conv3", "dense", "head")
        for layer, ratio in zip(layers, ratios, strict=True):
            for parameter in model.backbone.get_submodule(layer).parameters():
                parameter.data -= rate * ratio * parameter.grad
    return losses, model.state_dict()


@pytest.mark.parametrize(("decay", "accumulate"), [(1.0, 1), (0.5, 1), (0.5, 2)])
def test_steps_are_those_of_a_loop_with_rising_rates(decay, accumulate):
    rates = rising_rates(1e-3, 0.3, 6)
    test = RangeTest(rates, configured=0.7)
    options = {"name": "sgd", "lr": 0.7, "layer_decay": decay}
    model = trained(test, accumulate=accumulate, optimizer=options)
    ratios = [decay**away for away in (4, 3, 2, 1, 0)]
    losses, weights = by_hand(rates, ratios, accumulate)
    assert test.losses == pytest.approx(losses, rel=1e-5)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, weights[name])


def test_the_test_stops_where_the_loss_breaks():
    rates = rising_rates(1e-3, 1e6, 60)
    test = RangeTest(rates, configured=0.1)
    model = BaselineCNN(image_size=8, optimizer={"name": "sgd", "lr": 0.1})
    run = trainer(max_epochs=-1, max_steps=60, callbacks=[test])
    run.fit(model, loader(*[batch(4, size=8, seed=seed) for seed in range(70)]))
    assert 20 < len(test.losses) < 60
    level = smoothed(test.losses)
    assert not level[-1] <= 4 * level[:-1].min()


def test_sam_works_with_it():
    test = RangeTest(rising_rates(1e-3, 0.1, 5), configured=0.1)
    trained(test, optimizer={"name": "sam", "base": "sgd", "lr": 0.1, "layer_decay": 0.5})
    assert len(test.losses) == 5


def test_the_figure_marks_the_rate_on_a_logarithmic_axis():
    losses = [*falling(1e-3)[:160], 80.0]
    figure = learning_rate_figure(range_table(RATES, losses), 1e-4)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    marked = [line for line in axes.lines if list(line.get_xdata()) == [1e-4, 1e-4]]
    assert len(marked) == 1
    assert axes.get_ylim()[1] < 5
    assert [text.get_text() for text in axes.texts] == ["0.0001"]
    assert "none suggested" in learning_rate_figure(range_table(RATES, [2.0, math.nan]), None).axes[
        0
    ].get_title(loc="left")
