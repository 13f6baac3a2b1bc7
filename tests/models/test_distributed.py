"""Two processes with unequal shares report what one process reports."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from fer_lab.models import BaselineCNN
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
