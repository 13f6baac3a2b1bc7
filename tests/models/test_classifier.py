from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from omegaconf import OmegaConf
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

from fer_lab.errors import ConfigError, TrainingDivergedError
from fer_lab.losses import cross_entropy
from fer_lab.models import BaselineCNN
from tests.models.batches import batch, loader, trainer


def small(**options) -> BaselineCNN:
    torch.manual_seed(0)
    return BaselineCNN(image_size=16, **options)


def test_images_are_normalised_inside():
    model = small().eval()
    image = batch(4)["image"]
    by_hand = model.backbone((image - 0.5) / 0.5)
    torch.testing.assert_close(model(image), by_hand, atol=1e-5, rtol=1e-5)


def test_weighted_loss_equals_a_loop():
    sample, logits = batch(6), torch.randn(6, 7)
    weight = torch.tensor([0.0, 1.0, 2.0, 3.0, 0.5, 0.0])
    smoothing, total = 0.1, 0.0
    for row, label, w in zip(logits, sample["label"], weight, strict=True):
        target = torch.full((7,), smoothing / 7)
        target[label] += 1 - smoothing
        total += w * -(target * row.log_softmax(0)).sum()
    found = cross_entropy(logits, sample["label"], weight, label_smoothing=smoothing)
    torch.testing.assert_close(found, total / weight.sum())


def test_equal_weights_change_nothing_and_zero_weights_give_zero():
    label, logits = batch(6)["label"], torch.randn(6, 7)
    plain = F.cross_entropy(logits, label)
    torch.testing.assert_close(cross_entropy(logits, label, torch.full((6,), 3.0)), plain)
    assert cross_entropy(logits, label, torch.zeros(6)) == 0


def test_sample_weights_of_the_batch_are_used():
    model, sample = small().eval(), batch(8)
    weight = torch.zeros(8)
    weight[3] = 2
    loss = model.training_step({**sample, "weight": weight}, 0)
    only = F.cross_entropy(model(sample["image"][3:4]), sample["label"][3:4])
    torch.testing.assert_close(loss, only)


def test_validation_means_are_over_samples_not_batches():
    model = small().eval()
    batches = [batch(5, seed=1), batch(2, seed=2), batch(1, seed=3)]
    monitored = [torch.arange(len(b["label"])) % 2 == 0 for b in batches]
    run = trainer()
    rows = [{**b, "monitored": m} for b, m in zip(batches, monitored, strict=True)]
    run.validate(model, loader(*rows), verbose=False)
    with torch.no_grad():
        logits = torch.cat([model(b["image"]) for b in batches])
    label = torch.cat([b["label"] for b in batches])
    loss = F.cross_entropy(logits, label, reduction="none")
    expected = loss[torch.cat(monitored)].double().mean()
    assert float(run.callback_metrics["val/loss"]) == pytest.approx(float(expected), rel=1e-6)
    share = (logits.argmax(1) == label).double().mean()
    assert float(run.callback_metrics["val/accuracy"]) == pytest.approx(float(share), rel=1e-6)


def test_evaluation_without_the_monitored_key_counts_every_row():
    model, sample = small(label_smoothing=0.3).eval(), batch(5)
    run = trainer()
    run.test(model, loader(sample), verbose=False)
    with torch.no_grad():
        expected = F.cross_entropy(model(sample["image"]), sample["label"])
    assert float(run.callback_metrics["test/loss"]) == pytest.approx(float(expected), rel=1e-6)


def test_steps_return_logits_and_losses_per_sample():
    model, sample = small().eval(), batch(5)
    with torch.no_grad():
        found = model.validation_step(sample)
        assert found["logits"].shape == (5, 7)
        assert found["loss"].shape == (5,)
        assert torch.equal(
            model.predict_step({"image": sample["image"]})["logits"], model(sample["image"])
        )


def test_training_means_are_over_samples():
    model = small(optimizer={"name": "sgd", "lr": 1e-12}, dropout=0.0)
    batches = [batch(6, seed=1), batch(3, seed=2)]
    run = trainer()
    run.fit(model, loader(*batches))
    with torch.no_grad():
        logits = torch.cat([model(b["image"]) for b in batches])
    label = torch.cat([b["label"] for b in batches])
    expected = float(F.cross_entropy(logits, label))
    assert float(run.callback_metrics["train/loss"]) == pytest.approx(expected, rel=1e-4)
    share = float((logits.argmax(1) == label).float().mean())
    assert float(run.callback_metrics["train/accuracy"]) == pytest.approx(share, rel=1e-6)


def test_a_fit_learns_what_can_be_learnt():
    model, sample = small(dropout=0.0), batch(16)
    trainer(max_epochs=60).fit(model, loader(sample))
    with torch.no_grad():
        right = model.eval()(sample["image"]).argmax(1) == sample["label"]
    assert right.float().mean() > 0.9


class Broken(BaselineCNN):
    """A model whose loss breaks at one batch, unseen by the optimizer of earlier ones."""

    bad = (1, 2)

    def training_step(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == self.bad:
            batch = {**batch, "image": batch["image"] * float("nan")}
        return super().training_step(batch, batch_idx)


def test_a_loss_that_is_no_number_names_epoch_and_first_batch():
    model = Broken(image_size=16)
    with pytest.raises(TrainingDivergedError) as caught:
        trainer(max_epochs=3).fit(model, loader(*[batch(4, seed=s) for s in range(6)]))
    assert "epoch 1, batch 2" in str(caught.value)


def test_a_diverged_model_is_neither_audited_nor_saved(tmp_path):
    audited = []

    class Audit(Callback):
        def on_validation_epoch_start(self, trainer, pl_module):
            audited.append(trainer.current_epoch)

    saving = ModelCheckpoint(dirpath=tmp_path, save_last=True, filename="{epoch}")
    run = trainer(max_epochs=3, callbacks=[saving, Audit()], enable_checkpointing=True)
    batches = [batch(4, seed=s) for s in range(3)]
    with pytest.raises(TrainingDivergedError, match="batch 2"):
        run.fit(Broken(image_size=16), loader(*batches), loader(batches[0]))
    assert audited == [0]
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in state.values())


def test_weights_broken_by_the_last_step_stop_the_run_at_validation():
    model = small(optimizer={"name": "sgd", "lr": 1e30})
    with pytest.raises(TrainingDivergedError, match="validation loss") as caught:
        trainer().fit(model, loader(batch(4)), loader(batch(4)))
    assert "epoch 0" in str(caught.value)


def test_a_step_does_not_wait_for_the_device(monkeypatch):
    """Reading a value is what waits: no step does, the epoch's end does once."""
    model = small()
    reads = []
    for name in ("item", "cpu", "tolist", "__bool__", "__float__"):
        original = getattr(torch.Tensor, name)

        def counted(self, *args, _original=original, _name=name):
            reads.append(_name)
            return _original(self, *args)

        monkeypatch.setattr(torch.Tensor, name, counted)
    for number in range(5):
        model.training_step(batch(4, seed=number), number)
    assert reads == []


def test_checkpoints_are_plain_and_rebuild_the_model(tmp_path):
    options = OmegaConf.create(
        {
            "optimizer": {"name": "adamw", "lr": 0.01, "betas": [0.8, 0.9]},
            "classes": list("abcdefg"),
        }
    )
    model = small(dropout=0.25, scheduler={"name": "one_cycle"}, **options)
    run = trainer()
    run.fit(model, loader(batch(4)))
    run.save_checkpoint(tmp_path / "a.ckpt")
    torch.load(tmp_path / "a.ckpt", weights_only=True)
    again = BaselineCNN.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert again.hparams == model.hparams
    assert again.backbone.dropout.p == 0.25
    assert again.classes == tuple("abcdefg")
    image = batch(4)["image"]
    assert torch.equal(again.eval()(image), model.eval()(image))


def test_an_epoch_resumed_in_its_middle_reports_the_mean_over_both_parts(tmp_path):
    options = {"dropout": 0.0, "optimizer": {"name": "sgd", "lr": 1e-12}}
    batches = [batch(4, seed=s) for s in range(6)]
    saving = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=8, save_last=True)
    trainer(max_steps=8, max_epochs=2, callbacks=[saving], enable_checkpointing=True).fit(
        small(**options), loader(*batches)
    )
    model, resumed = small(**options), trainer(max_epochs=2)
    checkpoint = tmp_path / "last.ckpt"
    resumed.fit(model, loader(*batches), ckpt_path=checkpoint, weights_only=True)
    # This loader starts again at its first batch: two were seen before, four after.
    seen = [batches[number] for number in (0, 1, 0, 1, 2, 3)]
    with torch.no_grad():
        losses = [F.cross_entropy(model(b["image"]), b["label"]) for b in seen]
    expected = float(torch.stack(losses).mean())
    assert float(resumed.callback_metrics["train/loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_classes": 1}, "at least two"),
        ({"classes": ["a", "b"]}, "2 class names"),
        ({"label_smoothing": 1.0}, r"\[0, 1\)"),
        ({"optimizer": {"name": "adan"}}, "adam, adamw, sgd"),
        ({"optimizer": {"name": "adam", "momentum": 0.9}}, "momentum"),
        ({"optimizer": {"name": "adam", "lr": 0}}, "positive"),
        ({"scheduler": {"name": "linear"}}, "one_cycle"),
        ({"scheduler": {"name": "cosine", "patience": 3}}, "patience"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options, said):
    with pytest.raises(ConfigError, match=said):
        small(**options)


def test_classes_of_another_order_than_the_data_are_refused():
    run = trainer()
    model = small(num_classes=2, classes=["happy", "sad"])
    run.datamodule = type("Data", (), {"classes": ("sad", "happy")})()
    model.trainer = run
    with pytest.raises(ConfigError, match="sad, happy"):
        model.setup("fit")
    run.datamodule.classes = ("happy", "sad")
    model.setup("fit")
