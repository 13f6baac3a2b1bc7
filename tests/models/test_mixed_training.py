"""Training on mixed, erased and expanded images: figures, SAM, accumulation, resuming."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from pytorch_lightning.callbacks import ModelCheckpoint

from fer_lab.data import SyntheticDataModule
from fer_lab.models import BaselineCNN
from tests.models.batches import batch, loader, trainer

CHANGES = {
    "flip": 0.5,
    "erasing": 0.5,
    "mixup": 0.4,
    "cutmix": 1.0,
    "mix_probability": 0.8,
    "expand": {"gamma": [0.5, 1], "shift": [0, 1]},
}


def small(**options) -> BaselineCNN:
    torch.manual_seed(0)
    return BaselineCNN(image_size=48, **{"dropout": 0.0, **options})


def faces(train: int = 6, **augment) -> SyntheticDataModule:
    """Few faces of 48 px; with the changes above 8 visits to each."""
    return SyntheticDataModule(
        train=train,
        val=4,
        test=4,
        image_size=48,
        batch_size=12,
        augment={**CHANGES, **augment},
        num_workers=0,
    )


class Watched(BaselineCNN):
    """Keeps the images of every pass and the entries of every batch."""

    def forward(self, image):
        self.__dict__.setdefault("images", []).append(image.detach().clone())
        return super().forward(image)

    def training_step(self, batch, batch_idx):
        self.__dict__.setdefault("batches", []).append(batch)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch):
        assert "second_label" not in batch
        assert "variant" not in batch
        return super().validation_step(batch)


def watched(**options) -> Watched:
    torch.manual_seed(0)
    return Watched(image_size=48, **options)


def test_loss_and_accuracy_of_a_mixed_batch_are_those_of_its_two_labels():
    share = torch.linspace(0, 0.5, 8)
    sample = batch(8, size=48, second_label=torch.arange(8) % 7, second_share=share)
    model = small(optimizer={"name": "sgd", "lr": 1e-12})
    run = trainer()
    run.fit(model, loader(sample))
    with torch.no_grad():
        logits = model.eval()(sample["image"])
    first, second = (
        F.cross_entropy(logits, sample[name], reduction="none")
        for name in ("label", "second_label")
    )
    expected = ((1 - share) * first + share * second).mean()
    assert float(run.callback_metrics["train/loss"]) == pytest.approx(float(expected), rel=1e-4)
    right = (logits.argmax(1) == sample["label"]).float().mean()
    assert float(run.callback_metrics["train/accuracy"]) == pytest.approx(float(right))


def test_a_mixed_batch_needs_both_weights_and_uses_them():
    share = torch.full((4,), 0.5)
    sample = batch(4, size=48, second_label=torch.arange(4), second_share=share)
    first, second = torch.tensor([0.0, 0, 0, 0]), torch.tensor([0.0, 0, 2, 0])
    model = small().eval()
    loss = model.training_step({**sample, "weight": first, "second_weight": second}, 0)
    only = F.cross_entropy(model(sample["image"][2:3]), torch.tensor([2]))
    torch.testing.assert_close(loss, only)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_images_are_mixed_in_training_once_and_alike_in_both_passes_of_sam():
    model = watched(optimizer={"name": "sam", "base": "sgd", "lr": 0.01}, num_classes=7)
    run = trainer(limit_val_batches=0, use_distributed_sampler=False)
    run.fit(model, datamodule=faces())
    assert len(model.batches) == len(model.images) == 2 * 4
    for first, second in zip(model.images[::2], model.images[1::2], strict=True):
        assert torch.equal(first, second)
    for found in model.batches:
        assert float(found["second_share"].max()) <= 0.5
        assert torch.equal(found["second_label"], found["label"].roll(1))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_accumulating_gradients_mixes_the_same_images():
    seen = []
    for accumulated in (1, 2):
        model = watched()
        run = trainer(accumulate_grad_batches=accumulated, use_distributed_sampler=False)
        run.fit(model, datamodule=faces())
        seen.append([found["image"] for found in model.batches])
    assert all(torch.equal(*pair) for pair in zip(*seen, strict=True))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_resumed_training_equals_an_unbroken_one(tmp_path):
    options = {"use_distributed_sampler": False, "limit_val_batches": 0}
    unbroken = small()
    trainer(max_epochs=3, **options).fit(unbroken, datamodule=faces())
    keep = ModelCheckpoint(tmp_path, save_last=True)
    first = trainer(max_epochs=2, enable_checkpointing=True, callbacks=[keep], **options)
    first.fit(small(), datamodule=faces())
    second, last = small(), tmp_path / "last.ckpt"
    trainer(max_epochs=3, **options).fit(
        second, datamodule=faces(), ckpt_path=last, weights_only=True
    )
    for found, expected in zip(second.parameters(), unbroken.parameters(), strict=True):
        assert torch.equal(found, expected)
    plain = small()
    trainer(max_epochs=3, **options).fit(plain, datamodule=faces(mixup=0, cutmix=0))
    assert not torch.equal(next(plain.parameters()), next(unbroken.parameters()))
