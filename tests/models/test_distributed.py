"""Two processes with unequal shares report what one process reports."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning import Callback
from torch import nn
from torch.utils.data import DataLoader

from fer_lab.models import POSTER, BaselineCNN, MobileNetV1
from fer_lab.models.epoch_figures import EvaluationFigures, TrainingFigures, training_means
from tests.models.batches import batch, trainer

ROWS = 9


class OtherProcess:
    """A trainer of two processes, the other of which has these sums."""

    world_size = 2

    def __init__(self, *sums: float) -> None:
        self.strategy = self
        self.root_device = torch.device("cpu")
        self.sums = torch.tensor(sums, dtype=torch.float64)

    def reduce(self, tensor, reduce_op):
        assert reduce_op == "sum"
        return tensor + self.sums


def test_evaluation_adds_sums_not_means():
    figures = EvaluationFigures()
    figures.add(
        loss=torch.tensor([1.0, 2.0, 30.0]),
        correct=torch.tensor([True, False, False]),
        monitored=torch.tensor([True, True, False]),
    )
    loss, accuracy, counted = figures.compute(OtherProcess(7.0, 1.0, 4.0, 5.0))
    assert float(loss) == pytest.approx((1 + 2 + 7) / 3)
    assert float(accuracy) == pytest.approx((1 + 4) / 8)
    assert counted


def test_a_process_without_a_sample_still_takes_part():
    loss, accuracy, counted = EvaluationFigures().compute(OtherProcess(6.0, 3.0, 2.0, 4.0))
    assert (float(loss), float(accuracy), counted) == (2.0, 0.5, True)


def test_no_monitored_sample_anywhere_gives_nan_and_says_so():
    figures = EvaluationFigures()
    nobody = torch.zeros(2, dtype=torch.bool)
    figures.add(loss=torch.ones(2), correct=nobody, monitored=nobody)
    loss, accuracy, counted = figures.compute(trainer())
    assert loss.isnan()
    assert (float(accuracy), counted) == (0.0, False)


def test_training_means_weigh_processes_by_their_samples():
    figures = TrainingFigures()
    for size, value in ((4, 2.0), (1, 7.0)):
        figures.add(epoch=0, batch=0, size=size, loss=torch.tensor(value), correct=torch.tensor(1))
    loss, accuracy = training_means(figures, OtherProcess(10.0, 3.0, 5.0))
    assert float(loss) == pytest.approx((4 * 2 + 7 + 10) / 10)
    assert float(accuracy) == pytest.approx(5 / 10)


class Shared(BaselineCNN):
    """Reads this process' share of the rows, one row shorter on the second."""

    def val_dataloader(self):
        rows = batch(ROWS)
        mine = torch.arange(ROWS)[self.trainer.global_rank :: self.trainer.world_size]
        share = {name: value[mine] for name, value in rows.items()}
        parts = [
            {name: value[i : i + 2] for name, value in share.items()} for i in range(0, ROWS, 2)
        ]
        return DataLoader([part for part in parts if len(part["label"])], batch_size=None)


@pytest.mark.slow
def test_two_processes_validate_like_one():
    figures = []
    for options in ({}, {"strategy": "ddp_spawn", "devices": 2}):
        torch.manual_seed(0)
        model = Shared(image_size=16)
        run = trainer(use_distributed_sampler=False, **options)
        run.validate(model, verbose=False)
        figures.append({k: float(v) for k, v in run.callback_metrics.items()})
    assert figures[0] == pytest.approx(figures[1], rel=1e-6)


class Kept(Callback):
    """Leaves each process' weights, once trained."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, pl_module):
        torch.save(pl_module.state_dict(), self.folder / f"{trainer.global_rank}.pt")


class HalfOfEachBatch(BaselineCNN):
    """Of each batch of eight, a process learns from its equal share."""

    def train_dataloader(self):
        whole = [batch(8, seed=number) for number in range(3)]
        mine = slice(self.trainer.global_rank, None, self.trainer.world_size)
        shares = [{name: value[mine] for name, value in each.items()} for each in whole]
        return DataLoader(shares, batch_size=None)


def gradients(model, sample):
    """Of the mean loss of a batch, one after the other."""
    loss = nn.functional.cross_entropy(model(sample["image"]), sample["label"])
    return torch.autograd.grad(loss, list(model.parameters()))


def climbing_alone(model, *, rho, lr):
    """SAM if each of two processes went up the gradient of its own share."""
    model.train()
    for number in range(3):
        whole, found = batch(8, seed=number), []
        for rank in range(2):
            share = {name: value[rank::2] for name, value in whole.items()}
            start = [p.detach().clone() for p in model.parameters()]
            uphill = gradients(model, share)
            length = torch.stack([g.norm() for g in uphill]).norm()
            with torch.no_grad():
                for p, g in zip(model.parameters(), uphill, strict=True):
                    p += rho * g / length
            found.append(gradients(model, share))
            with torch.no_grad():
                for p, value in zip(model.parameters(), start, strict=True):
                    p.copy_(value)
        with torch.no_grad():
            for p, one, other in zip(model.parameters(), *found, strict=True):
                p -= lr * (one + other) / 2


@pytest.mark.slow
def test_sam_on_two_processes_climbs_by_the_gradient_of_both(tmp_path):
    """As in one process with the joint batch, not as each would by its own share."""
    options = {"name": "sam", "base": "sgd", "rho": 0.5, "lr": 0.1}
    trained = {}
    for place, more in {"one": {}, "two": {"strategy": "ddp_spawn", "devices": 2}}.items():
        torch.manual_seed(0)
        trained[place] = HalfOfEachBatch(image_size=16, dropout=0.0, optimizer=options)
        (tmp_path / place).mkdir()
        run = trainer(use_distributed_sampler=False, callbacks=[Kept(tmp_path / place)], **more)
        run.fit(trained[place])
    both = [torch.load(tmp_path / "two" / f"{rank}.pt") for rank in range(2)]
    alone = torch.load(tmp_path / "one" / "0.pt")
    torch.manual_seed(0)
    apart = HalfOfEachBatch(image_size=16, dropout=0.0)
    climbing_alone(apart, rho=0.5, lr=0.1)
    for name, expected in alone.items():
        assert torch.equal(both[0][name], both[1][name]), name
        torch.testing.assert_close(both[0][name], expected, atol=1e-6, rtol=1e-4)
    difference = apart.backbone.dense.weight - alone["backbone.dense.weight"]
    assert difference.abs().max() > 1e-4


class SharedPoster(POSTER):
    """Each process has batches of its own."""

    def train_dataloader(self):
        seeds = (number * 2 + self.trainer.global_rank for number in range(2))
        return DataLoader([batch(2, size=64, seed=seed) for seed in seeds], batch_size=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "sam"])
def test_two_processes_train_poster_without_looking_for_unused_parameters(name, tmp_path):
    torch.manual_seed(0)
    model = SharedPoster(size="small", optimizer={"name": name, "lr": 1e-4})
    before = {key: value.clone() for key, value in model.state_dict().items()}
    # The second step fails where a parameter without gradient is waited for.
    run = trainer(
        max_steps=2,
        strategy="ddp_spawn",
        devices=2,
        use_distributed_sampler=False,
        callbacks=[Kept(tmp_path)],
    )
    run.fit(model)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for key, parameter in model.named_parameters():
        assert torch.equal(one[key], other[key]), key
        assert torch.equal(one[key], before[key]) is not parameter.requires_grad, key
    frozen = [key for key in before if key.startswith("backbone.face_landback.")]
    assert all(torch.equal(one[key], before[key]) for key in frozen)


class Validated(Callback):
    """Leaves what each process validates with, and how often anything was sent meanwhile."""

    def __init__(self, folder):
        self.folder = folder
        self.sent = 0

    def on_validation_batch_start(self, trainer, pl_module, *_):
        if not self.sent:
            send = pl_module.trainer.strategy.model._sync_buffers

            def counted():
                self.sent += 1
                send()

            pl_module.trainer.strategy.model._sync_buffers = counted

    def on_validation_epoch_end(self, trainer, pl_module):
        kept = {"weights": pl_module.state_dict(), "sent": self.sent}
        torch.save(kept, self.folder / f"{trainer.global_rank}.pt")


class Normed(MobileNetV1):
    """Each process has images of its own, so statistics of its own, and the first more of them."""

    def train_dataloader(self):
        return DataLoader([batch(4, size=32, seed=self.trainer.global_rank)], batch_size=None)

    def val_dataloader(self):
        count = 3 - self.trainer.global_rank
        return DataLoader([batch(4, size=32, seed=9)] * count, batch_size=None)


@pytest.mark.slow
def test_processes_validate_with_the_statistics_that_checkpoints_keep_sent_once(tmp_path):
    torch.manual_seed(0)
    run = trainer(
        strategy="ddp_spawn",
        devices=2,
        use_distributed_sampler=False,
        callbacks=[Validated(tmp_path)],
    )
    run.fit(Normed(image_size=32))
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert any("running_mean" in name for name in one["weights"])
    for name, value in one["weights"].items():
        assert torch.equal(value, other["weights"][name]), name
    assert (one["sent"], other["sent"]) == (0, 0)
