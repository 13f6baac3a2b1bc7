from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fer_lab.metrics import FairnessReport, permutation
from fer_lab.metrics import functional as F  # noqa: N812
from fer_lab.metrics.permutation import permuted_tables
from fer_lab.metrics.resampling import bootstrap_tables
from tests.metrics.samples import Samples, random_samples


def largest_gap(confusion: Tensor) -> Tensor:
    return F.equal_opportunity(confusion).nan_to_num(-1.0).amax(-1)


def accuracy_gap(confusion: Tensor) -> Tensor:
    """Signed: second group minus first."""
    by_group = F.accuracy(confusion)
    return by_group[..., 1] - by_group[..., 0]


def overall_accuracy(confusion: Tensor) -> Tensor:
    return F.accuracy(confusion.sum(-3))


def permutation_draws(confusion: Tensor, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    pairs = list(permuted_tables(confusion, samples, np.random.default_rng(seed)))
    return torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])


def shuffled_tables(samples: Samples, within_label: bool, count: int) -> Tensor:
    """The slow way: shuffle the groups of the samples."""
    generator = torch.Generator().manual_seed(1)
    tables = []
    for _ in range(count):
        group = samples.group.clone()
        for label in range(samples.num_classes) if within_label else [None]:
            rows = (samples.label == label if label is not None else group >= 0).nonzero()[:, 0]
            group[rows] = group[rows[torch.randperm(len(rows), generator=generator)]]
        tables.append(samples._replace(group=group).confusion())
    return torch.stack(tables)


@pytest.mark.parametrize("within_label", [True, False])
def test_permuted_tables_are_distributed_as_shuffled_groups(within_label: bool) -> None:
    samples = random_samples(0, count=90, num_classes=3, num_groups=3)
    count = 3000
    slow = shuffled_tables(samples, within_label, count).double().flatten(1)
    fast = permutation_draws(samples.confusion(), count, 0)[0 if within_label else 1]
    fast = fast.double().flatten(1)
    error = (slow.var(0) / count + fast.var(0) / count).sqrt()
    assert ((fast.mean(0) - slow.mean(0)).abs() <= 4 * error + 1e-12).all()
    torch.testing.assert_close(fast.T.cov(), slow.T.cov(), rtol=0, atol=0.45)
    assert (slow.var(0) - fast.var(0)).abs().max() < 0.2 * slow.var(0).max()


def test_permuted_tables_keep_their_margins() -> None:
    table = random_samples(1, num_groups=5, absent=[2]).confusion()
    within, overall = permutation_draws(table, 50, 3)
    for drawn in (within, overall):
        assert (drawn >= 0).all()
        assert (drawn.sum(1) == table.sum(0)).all()
        assert (drawn.sum((2, 3)) == table.sum((1, 2))).all()
    assert (within.sum(-1) == table.sum(-1)).all()
    assert (overall.sum(-1) != table.sum(-1)).any()


def test_both_permutations_of_a_pair_come_from_one_order() -> None:
    table = random_samples(2, num_groups=2, count=2000).confusion()
    within, overall = (accuracy_gap(part) for part in permutation_draws(table, 1000, 0))
    assert torch.corrcoef(torch.stack([within, overall]))[0, 1] > 0.9


def test_bootstrap_tables_are_multinomial() -> None:
    table = torch.tensor([[[30, 10], [0, 60]], [[5, 15], [40, 40]]])
    rng = np.random.default_rng(0)
    drawn = torch.cat(list(bootstrap_tables(table, 20_000, rng))).double()
    assert (drawn.sum((1, 2, 3)) == 200).all()
    torch.testing.assert_close(drawn.mean(0), table.double(), rtol=0, atol=0.3)
    torch.testing.assert_close(
        drawn.var(0), table * (1 - table.double() / 200), rtol=0.05, atol=1e-9
    )


def test_interval_is_two_values_minus_quantiles() -> None:
    table = random_samples(3).confusion()
    interval = F.bootstrap(table, overall_accuracy, samples=500, level=0.9, seed=4)
    tables = torch.cat(list(bootstrap_tables(table, 500, np.random.default_rng(4))))
    draws = np.array([overall_accuracy(drawn).item() for drawn in tables])
    lower, upper = np.quantile(draws, [0.05, 0.95])
    assert interval.value == pytest.approx(overall_accuracy(table).item())
    assert interval.low == pytest.approx(2 * interval.value - upper)
    assert interval.high == pytest.approx(2 * interval.value - lower)


def test_interval_of_a_proportion_agrees_with_the_normal_one() -> None:
    interval = F.bootstrap(torch.tensor([[[700, 300], [0, 0]]]), overall_accuracy, samples=4000)
    half = 1.96 * math.sqrt(0.7 * 0.3 / 1000)
    assert interval.low == pytest.approx(0.7 - half, abs=0.003)
    assert interval.high == pytest.approx(0.7 + half, abs=0.003)


@pytest.mark.parametrize("seed", range(5))
def test_interval_of_a_gap_stays_in_range_and_contains_it(seed: int) -> None:
    table = random_samples(seed, count=60, num_groups=3).confusion()
    interval = F.bootstrap(table, largest_gap, samples=200)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_range_is_left_open_for_ratios_and_signed_differences() -> None:
    table = torch.tensor([[[90, 10], [1, 99]], [[50, 50], [10, 90]]])
    ratio = F.bootstrap(
        table, lambda counts: F.treatment_equality(counts, balance="count_ratio").nanmean(-1)
    )
    assert ratio.value > 1
    assert ratio.high > ratio.value
    difference = F.bootstrap(table, accuracy_gap)
    assert difference.low < difference.value < difference.high < 0


def test_undefined_draws_are_skipped() -> None:
    # One sample of the second class in a group: without it in a third of the draws.
    table = torch.tensor([[[20, 5], [0, 1]], [[20, 2], [5, 20]]])
    tables = torch.cat(list(bootstrap_tables(table, 300, np.random.default_rng(0))))
    draws = F.equal_opportunity(tables)[:, 1]
    assert 60 < draws.isnan().sum() < 160
    interval = F.bootstrap(table, lambda counts: F.equal_opportunity(counts)[..., 1], samples=300)
    assert math.isfinite(interval.low)
    assert math.isfinite(interval.high)


def test_undefined_statistic_has_undefined_interval_and_null() -> None:
    table = torch.zeros(2, 3, 3, dtype=torch.int64)
    table[0, 0, 0] = 9
    interval = F.bootstrap(table, lambda counts: F.equal_opportunity(counts)[..., 0], samples=20)
    assert [math.isnan(v) for v in (interval.value, interval.low, interval.high)] == [True] * 3
    null = F.permutation_null(
        table, lambda counts: F.equal_opportunity(counts)[..., 0], within_label=True, samples=20
    )
    numbers = (null.value, null.mean, null.p95, null.p, null.excess)
    assert [math.isnan(number) for number in numbers] == [True] * 5


def test_null_is_summary_of_the_permuted_values() -> None:
    table = random_samples(4, num_groups=3).confusion()
    null = F.permutation_null(table, largest_gap, within_label=True, samples=400, seed=7)
    draws = largest_gap(permutation_draws(table, 400, 7)[0]).numpy()
    value = largest_gap(table).item()
    assert null.mean == pytest.approx(draws.mean())
    assert null.p95 == pytest.approx(np.quantile(draws, 0.95))
    assert null.p == pytest.approx((1 + (draws >= value - 1e-9).sum()) / 401)
    assert null.excess == pytest.approx(value - draws.mean())


def test_p_is_1_when_every_permutation_is_alike() -> None:
    perfect = torch.tensor([[[5, 0], [0, 5]], [[7, 0], [0, 3]]])
    null = F.permutation_null(perfect, largest_gap, within_label=True, samples=50)
    assert (null.value, null.mean, null.p95, null.p, null.excess) == (0, 0, 0, 1, 0)


def test_statistic_of_a_single_table_gives_the_same() -> None:
    table = random_samples(5, num_groups=2).confusion()

    def unbatched(counts: Tensor) -> Tensor:
        if counts.ndim == 3:
            return largest_gap(counts)
        return F.equal_opportunity(counts).max()

    assert F.bootstrap(table, unbatched, samples=40) == F.bootstrap(table, largest_gap, samples=40)
    assert F.permutation_null(table, unbatched, False, samples=40) == F.permutation_null(
        table, largest_gap, False, samples=40
    )


def test_same_seed_same_draws_whatever_came_before() -> None:
    table = random_samples(6).confusion()
    first = F.bootstrap(table, largest_gap, samples=50, seed=1)
    null = F.permutation_null(table, largest_gap, True, samples=50, seed=1)
    np.random.default_rng().random()
    torch.rand(3)
    assert F.bootstrap(table, largest_gap, samples=50, seed=1) == first
    assert F.bootstrap(table, largest_gap, samples=50, seed=2) != first
    assert F.permutation_null(table, largest_gap, True, samples=50, seed=1) == null


def test_tables_come_in_chunks_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation, "_CHUNK_CELLS", 1000)
    table = random_samples(7).confusion()  # 100 cells
    rng = np.random.default_rng(0)
    assert [len(tables) for tables in bootstrap_tables(table, 25, rng)] == [10, 10, 5]
    assert [len(pair[0]) for pair in permuted_tables(table, 5, rng)] == [2, 2, 1]
    whole = F.bootstrap(table, largest_gap, samples=25)
    monkeypatch.undo()
    assert F.bootstrap(table, largest_gap, samples=25) == whole


def test_senseless_requests_are_refused() -> None:
    table = torch.ones(2, 2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="scalar"):
        F.bootstrap(table, F.equal_opportunity)
    with pytest.raises(ValueError, match="level"):
        F.bootstrap(table, largest_gap, level=95)
    with pytest.raises(ValueError, match="samples=0"):
        F.permutation_null(table, largest_gap, True, samples=0)


def test_group_at_the_floor_is_in_every_draw_of_the_interval() -> None:
    # Both groups have exactly 40 samples and 20 positives of either class.
    table = torch.tensor([[[15, 5], [2, 18]], [[10, 10], [6, 14]]])
    rows = table.nonzero().repeat_interleave(table[table > 0], dim=0)
    found = []
    for min_count in (1, 20):
        report = FairnessReport(("happy", "sad"), {"gender": ("female", "male")}, min_count)
        report.update(rows[:, 2], rows[:, 1], {"gender": rows[:, 0]})
        entry = report.report(samples=200)["attributes"]["gender"]["metrics"]["equal_opportunity"]
        found.append((entry["value"], entry["low"], entry["high"]))
    assert found[0] == found[1]
    assert found[0][0] == pytest.approx(0.25)
