"""Gradients are gone before the next forward pass, and kept where they are gathered."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from fer_lab.models import BaselineCNN
from tests.models.batches import batch, loader, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*no `val_dataloader`")
DATA = [batch(4, size=8, seed=seed) for seed in range(4)]


def small() -> BaselineCNN:
    torch.manual_seed(0)
    return BaselineCNN(7, image_size=8, dropout=0.0, optimizer={"name": "sgd", "lr": 0.1})


@pytest.mark.parametrize("gathered", [1, 2])
def test_a_forward_pass_meets_gradients_only_where_they_are_gathered(gathered):
    model = small()
    seen = []
    model.backbone.register_forward_pre_hook(
        lambda *_: seen.append([p.grad is not None for p in model.parameters()])
    )
    trainer(accumulate_grad_batches=gathered).fit(model, loader(*DATA))
    assert [any(each) for each in seen] == [place % gathered == 1 for place in range(4)]
    assert all(all(each) or not any(each) for each in seen)


@pytest.mark.parametrize("gathered", [1, 2])
def test_what_is_learned_is_what_a_bare_loop_learns(gathered):
    model = small()
    bare = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(bare.parameters(), lr=0.1)
    for number, part in enumerate(DATA):
        if number % gathered == 0:
            optimizer.zero_grad()
        (F.cross_entropy(bare(part["image"]), part["label"]) / gathered).backward()
        if number % gathered == gathered - 1:
            optimizer.step()
    trainer(accumulate_grad_batches=gathered).fit(model, loader(*DATA))
    for mine, theirs in zip(model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)
