"""A training that is broken off and resumed ends with the weights of an unbroken one."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from fer_lab.models import TimmClassifier
from tests.models.batches import batch, loader, trainer

ADAM = {"name": "adam", "lr": 1e-3}
SAM = {"name": "sam", "base": "adamw", "rho": 0.1, "lr": 1e-3, "weight_decay": 0.01}
# The rate falls after each validation whose loss has not risen.
PLATEAU = {"name": "plateau", "monitor": "val/loss", "mode": "max", "patience": 0, "factor": 0.5}
FROZEN = ["conv1", "bn1", "layer1", "layer2"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "frozen", [FROZEN, pytest.param([], marks=pytest.mark.slow)], ids=["frozen", "whole"]
)
@pytest.mark.parametrize("optimizer", [ADAM, SAM], ids=["adam", "sam"])
def test_optimizer_plateau_frozen_parts_and_batch_norms_go_on_as_they_were(
    optimizer, frozen, tmp_path
):
    training, validation = loader(*(batch(6, 32, seed=s) for s in range(2))), loader(batch(8, 32))

    def model():
        torch.manual_seed(0)
        return TimmClassifier(
            name="resnet18", image_size=32, frozen=frozen, optimizer=optimizer, scheduler=PLATEAU
        )

    unbroken, whole = model(), trainer(max_epochs=5)
    whole.fit(unbroken, training, validation)
    keep = ModelCheckpoint(tmp_path, save_last=True)
    first = trainer(max_epochs=3, callbacks=[keep], enable_checkpointing=True)
    first.fit(model(), training, validation)
    resumed, run = model(), trainer(max_epochs=5)
    run.fit(resumed, training, validation, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    rates = [each.optimizers[0].param_groups[0]["lr"] for each in (whole, run)]
    assert rates[0] == rates[1] < 1e-3
    assert run.callback_metrics["val/loss"] == whole.callback_metrics["val/loss"]
    assert len(run.optimizers[0].state) == sum(p.requires_grad for p in resumed.parameters())
