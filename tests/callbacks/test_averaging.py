"""Averaged weights against a slow loop over the weights of every step, and who sees them."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from fer_lab.callbacks import WeightAverage
from fer_lab.callbacks.averaging import TRAINED
from fer_lab.errors import ConfigError
from fer_lab.models import Classifier
from fer_lab.models.checkpoints import load_checkpoint
from fer_lab.models.clip import CLIPZeroShot
from fer_lab.models.freezing import PartlyFrozen
from tests.models.batches import batch, loader, trainer

ADAM = {"name": "adam", "lr": 1e-2}
BATCHES = [batch(6, size=8, seed=number) for number in range(4)]
UNSEEN = batch(8, size=8, seed=99)


class Normed(Classifier):
    """One convolution with batch norm, and dropout."""

    image_size = 8

    def build(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(144, self.num_classes),
        )


class Frozen(PartlyFrozen):
    """A layer that stays as it is below one that learns."""

    image_size = 8

    def __init__(self, num_classes: int = 7, *, frozen=("0",), **options) -> None:
        super().__init__(num_classes, **options)
        self.hold(frozen, "random")

    def build(self) -> nn.Module:
        layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()
        return nn.Sequential(*layers, nn.Linear(144, self.num_classes))


class Derived(Normed):
    """A buffer that is computed from weights when training mode is left."""

    def __init__(self, num_classes: int = 7, **options) -> None:
        super().__init__(num_classes, **options)
        self.register_buffer("total", torch.zeros(()))

    def train(self, mode: bool = True):
        if self.training and not mode:
            self.total.copy_(self.backbone[0].weight.detach().sum())
        return super().train(mode)


class Nothing(CLIPZeroShot):
    """What zero-shot does in a training, around another network."""

    image_size = 8

    def build(self, **_) -> nn.Module:
        visual = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
        return nn.Sequential(OrderedDict(visual=visual, head=nn.Linear(144, self.num_classes)))

    def __init__(self, num_classes: int = 7, **options) -> None:
        Classifier.__init__(self, num_classes, **options)
        self.requires_grad_(requires_grad=False)
        self._untaught = False


class Seeded(Callback):
    """The same dropout in the same batch, whatever was drawn before."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(100 * trainer.current_epoch + batch_idx)


class Steps(Callback):
    """The weights after every step of the optimizer, and those that every validation sees."""

    def __init__(self) -> None:
        self.after: dict[int, dict] = {}
        self.validated: list[dict] = []

    def on_train_start(self, trainer, pl_module):
        self.after[trainer.global_step] = copied(pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.after.setdefault(trainer.global_step, copied(pl_module))

    def on_validation_epoch_start(self, trainer, pl_module):
        self.validated.append(copied(pl_module))

    def on_validation_epoch_end(self, trainer, pl_module):
        assert_same(self.validated[-1], copied(pl_module))


def copied(model) -> dict:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def assert_near(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.double(), expected[name], atol=1e-6, rtol=1e-5, msg=name)


def by_hand(after: dict[int, dict], decay: float, *, warmup: bool) -> list[dict]:
    """The average before the first and after every step, in float64; counts are the last ones."""
    average = {name: tensor.double() for name, tensor in after[0].items()}
    found = [average]
    for step in range(1, len(after)):
        d = min(decay, step / (step + 9)) if warmup else decay
        average = {
            name: after[step][name].double()
            if name.endswith("num_batches_tracked")
            else d * average[name] + (1 - d) * after[step][name].double()
            for name in average
        }
        found.append(average)
    return found


def trained(kind=Normed, *, decay=0.6, warmup=False, epochs=3, options=None, callbacks=(), **more):
    """A training with an average, and what it has gone through."""
    torch.manual_seed(0)
    model = kind(**{"optimizer": ADAM, **(options or {})})
    average, steps = WeightAverage(decay, warmup=warmup), Steps()
    run = trainer(
        max_epochs=epochs,
        callbacks=[steps, *callbacks, average],
        enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
        **more,
    )
    torch.manual_seed(1)
    run.fit(model, loader(*BATCHES), loader(UNSEEN))
    return run, model, average, steps


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"warmup": True, "decay": 0.5},
        {"accumulate_grad_batches": 2},
        {"accumulate_grad_batches": 3},
        {"options": {"optimizer": {"name": "sam", "base": "adam", "lr": 1e-2}}},
        {"kind": Frozen},
        {"precision": "bf16-mixed"},
        {"decay": 0},
    ],
    ids=str,
)
def test_the_average_is_that_of_a_slow_loop_over_all_steps(case):
    run, model, average, steps = trained(**case)
    expected = by_hand(steps.after, case.get("decay", 0.6), warmup=case.get("warmup", False))
    assert average.updates == run.global_step == len(steps.after) - 1
    assert_near(copied(model), expected[-1])
    per_epoch = run.global_step // 3
    for epoch, seen in enumerate(steps.validated, start=1):
        assert_near(seen, expected[epoch * per_epoch])


def test_training_goes_on_from_its_own_weights():
    _, _, _, steps = trained()
    _, model, _, without = trained(decay=None)
    for step, weights in without.after.items():
        assert_same(weights, steps.after[step])
    assert_same(copied(model), without.after[12])
    assert_same(without.validated[-1], without.after[12])


@pytest.mark.parametrize("place", [0, -1])
def test_the_order_of_callbacks_does_not_matter(place, tmp_path):
    torch.manual_seed(0)
    model, steps = Normed(optimizer=ADAM), Steps()
    callbacks = [ModelCheckpoint(tmp_path, filename="last"), steps]
    callbacks.insert(place % 3, WeightAverage(0.6, warmup=False))
    torch.manual_seed(1)
    run = trainer(max_epochs=3, callbacks=callbacks, enable_checkpointing=True)
    run.fit(model, loader(*BATCHES), loader(UNSEEN))
    expected = by_hand(steps.after, 0.6, warmup=False)
    assert_near(steps.validated[1], expected[8])
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert_near(content["state_dict"], expected[-1])


def test_checkpoints_hold_the_average_and_what_a_training_goes_on_from(tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, monitor="val/loss")
    _, _, _, steps = trained(callbacks=[keep])
    expected = by_hand(steps.after, 0.6, warmup=False)
    for epoch in range(3):
        path = tmp_path / f"epoch={epoch}.ckpt"
        content = torch.load(path, weights_only=True)
        assert_near(copied(load_checkpoint(path)), expected[4 * epoch + 4])
        last = steps.after[4 * epoch + 4]
        assert_same(
            content[TRAINED],
            {name: last[name] for name in last if "num_batches" not in name},
        )


def test_without_averaging_a_checkpoint_is_as_it_was(tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="last")
    trained(decay=None, callbacks=[keep])
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert TRAINED not in content
    assert [name for name in content["callbacks"] if "Average" in name] == []


def test_passes_after_the_training_see_the_average_of_their_checkpoint(tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, monitor="val/loss")
    run, model, _, steps = trained(callbacks=[keep])
    expected = by_hand(steps.after, 0.6, warmup=False)
    first = tmp_path / "epoch=0.ckpt"
    kept = load_checkpoint(first)
    with torch.inference_mode():
        loss = nn.functional.cross_entropy(kept(UNSEEN["image"]), UNSEEN["label"])
    for name in ("validate", "test"):
        getattr(run, name)(model, loader(UNSEEN), ckpt_path=first, verbose=False, weights_only=True)
        figure = "val/loss" if name == "validate" else "test/loss"
        assert float(run.callback_metrics[figure]) == pytest.approx(float(loss), rel=1e-6)
        assert_near(copied(model), expected[4])


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 3}])
def test_a_resumed_training_equals_an_unbroken_one_bit_for_bit(tmp_path, options):
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, monitor="val/loss")
    seed = Seeded()
    whole, unbroken, _, _ = trained(epochs=4, warmup=True, callbacks=[keep, seed], **options)
    torch.manual_seed(5)
    model, average = Normed(optimizer=ADAM), WeightAverage(0.6, warmup=True)
    again = ModelCheckpoint(tmp_path / "again", filename="last")
    run = trainer(
        max_epochs=4, enable_checkpointing=True, callbacks=[again, seed, average], **options
    )
    run.fit(
        model,
        loader(*BATCHES),
        loader(UNSEEN),
        ckpt_path=tmp_path / "epoch=1.ckpt",
        weights_only=True,
    )
    assert_same(copied(model), copied(unbroken))
    assert average.updates == run.global_step == whole.global_step
    assert run.callback_metrics["val/loss"] == whole.callback_metrics["val/loss"]
    contents = [
        torch.load(path, weights_only=True)
        for path in (tmp_path / "epoch=3.ckpt", tmp_path / "again" / "last.ckpt")
    ]
    for part in ("state_dict", TRAINED):
        assert_same(contents[0][part], contents[1][part])


def test_resuming_an_averaged_training_without_averaging_is_refused(tmp_path):
    trained(callbacks=[ModelCheckpoint(tmp_path, filename="last")], epochs=1)
    run = trainer(max_epochs=2, callbacks=[WeightAverage(None)])
    with pytest.raises(ConfigError, match="averages its weights"):
        run.fit(Normed(), loader(*BATCHES), ckpt_path=tmp_path / "last.ckpt", weights_only=True)


def test_averaging_may_begin_when_a_training_is_resumed(tmp_path):
    trained(decay=None, callbacks=[ModelCheckpoint(tmp_path, filename="last")], epochs=1)
    begun = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    model, steps, average = Normed(optimizer=ADAM), Steps(), WeightAverage(0.6, warmup=False)
    run = trainer(max_epochs=2, callbacks=[steps, average])
    run.fit(model, loader(*BATCHES), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert_same(steps.after[4], begun)
    after = {step - 4: weights for step, weights in steps.after.items()}
    assert_near(copied(model), by_hand(after, 0.6, warmup=False)[-1])


def test_a_callback_serves_two_trainings_one_after_the_other():
    average = WeightAverage(0.6, warmup=True)
    for _ in range(2):
        model, steps = Normed(optimizer=ADAM), Steps()
        trainer(callbacks=[steps, average]).fit(model, loader(*BATCHES))
        assert average.updates == 4
        assert_near(copied(model), by_hand(steps.after, 0.6, warmup=True)[-1])


def test_a_validation_that_is_broken_off_leaves_the_weights_that_learn(tmp_path):
    class Stopped(Callback):
        def on_validation_batch_end(self, trainer, *_):
            if trainer.current_epoch == 1:
                raise ValueError("stopped")

    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_on_exception=True)
    torch.manual_seed(0)
    model, steps = Normed(optimizer=ADAM), Steps()
    callbacks = [steps, Stopped(), WeightAverage(0.6, warmup=False), keep]
    run = trainer(max_epochs=3, callbacks=callbacks, enable_checkpointing=True)
    with pytest.raises(ValueError, match="stopped"):
        run.fit(model, loader(*BATCHES), loader(UNSEEN))
    assert_same(copied(model), steps.after[8])
    saved = [torch.load(path, weights_only=True) for path in tmp_path.glob("*.ckpt")]
    (content,) = [each for each in saved if each["global_step"] == 8]
    assert_near(content["state_dict"], by_hand(steps.after, 0.6, warmup=False)[8])


def test_what_is_computed_from_weights_follows_the_average(tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="last")
    _, model, _, steps = trained(Derived, callbacks=[keep])
    path = tmp_path / "last.ckpt"
    models = [*steps.validated, copied(model.eval()), copied(load_checkpoint(path))]
    for state in models:
        torch.testing.assert_close(state["total"], state["backbone.0.weight"].sum())
    assert "total" not in torch.load(path, weights_only=True)[TRAINED]


def test_what_is_frozen_is_neither_averaged_nor_saved_twice(tmp_path):
    trained(Frozen, callbacks=[ModelCheckpoint(tmp_path, filename="last")], epochs=1)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    left_out = set(content["state_dict"]) - set(content[TRAINED])
    assert left_out == {
        "backbone.0.weight",
        "backbone.0.bias",
        "backbone.1.num_batches_tracked",
    }


def test_a_model_that_learns_nothing_stays_as_it_is():
    _, model, _, steps = trained(Nothing, epochs=1)
    assert_same(copied(model), steps.after[0])


@pytest.mark.parametrize("decay", [1, -0.1, 1.5, "much", True, float("nan")])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ConfigError, match="decay"):
        WeightAverage(decay)


class Kept(Callback):
    """Every process leaves the weights of all its steps in a file."""

    def __init__(self, folder) -> None:
        self.folder, self.steps = folder, Steps()

    def on_train_start(self, trainer, pl_module):
        self.steps.on_train_start(trainer, pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.steps.on_train_batch_end(trainer, pl_module)

    def on_train_end(self, trainer, pl_module):
        torch.save(self.steps.after, self.folder / f"{trainer.global_rank}.pt")


class Shared(Normed):
    """Half of the batches for each of two processes."""

    def train_dataloader(self):
        return loader(*BATCHES[self.trainer.global_rank :: 2])


@pytest.mark.slow
def test_two_processes_average_alike(tmp_path):
    torch.manual_seed(0)
    model, average = Shared(optimizer=ADAM), WeightAverage(0.6, warmup=False)
    run = trainer(
        max_epochs=2,
        callbacks=[Kept(tmp_path), average],
        strategy="ddp_spawn",
        devices=2,
        use_distributed_sampler=False,
    )
    run.fit(model)
    after = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for step, weights in after[0].items():
        for name, _ in model.named_parameters():
            assert torch.equal(weights[name], after[1][step][name])
    assert len(after[0]) == 5
    assert_near(copied(model), by_hand(after[0], 0.6, warmup=False)[-1])
