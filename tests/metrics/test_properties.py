from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from fer_lab.metrics import GroupConfusion
from fer_lab.metrics import functional as F  # noqa: N812
from tests.metrics.samples import random_samples

MEASURES = [
    lambda table, measure=measure, reduction=reduction: measure(table, reduction=reduction)
    for measure in (
        F.equalized_odds,
        F.equal_opportunity,
        F.demographic_parity,
        F.treatment_equality,
    )
    for reduction in ("range", "mean_pairwise", "to_overall")
]

tables = st.tuples(st.integers(2, 5), st.integers(2, 4)).flatmap(
    lambda sizes: arrays.arrays("int64", (sizes[0], sizes[1], sizes[1]), elements=st.integers(0, 9))
)
seeds = st.integers(0, 10_000)


def same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12, equal_nan=True)


@given(tables.map(torch.from_numpy), seeds)
@settings(deadline=None)
def test_order_of_groups_does_not_matter(table: Tensor, seed: int) -> None:
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))
    for measure in MEASURES:
        same(measure(table[order]), measure(table))


@given(tables.map(torch.from_numpy), seeds)
@settings(deadline=None)
def test_order_of_expressions_only_reorders_values(table: Tensor, seed: int) -> None:
    order = torch.randperm(table.shape[1], generator=torch.Generator().manual_seed(seed))
    for measure in MEASURES:
        same(measure(table[:, order][:, :, order]), measure(table)[order])


@given(tables.map(torch.from_numpy), st.integers(2, 5))
@settings(deadline=None)
def test_duplicating_all_samples_changes_nothing(table: Tensor, times: int) -> None:
    for measure in MEASURES:
        same(measure(table * times), measure(table))


@given(tables.map(torch.from_numpy))
@settings(deadline=None)
def test_gaps_of_bounded_rates_lie_between_0_and_1(table: Tensor) -> None:
    for measure in MEASURES:
        values = measure(table)
        assert ((values >= 0) & (values <= 1) | values.isnan()).all()


@given(tables.map(torch.from_numpy))
@settings(deadline=None)
def test_equal_groups_have_no_gap(table: Tensor) -> None:
    alike = table[:1].expand_as(table)
    for measure in MEASURES[:9]:  # treatment equality, too, up to undefined classes
        assert (measure(alike).nan_to_num(0.0) < 1e-12).all()


@given(tables.map(torch.from_numpy))
@settings(deadline=None)
def test_perfect_predictions_give_0(table: Tensor) -> None:
    perfect = torch.diag_embed(table.diagonal(dim1=-2, dim2=-1))
    for reduction in ("range", "mean_pairwise", "to_overall"):
        for measure in (F.equal_opportunity, F.equalized_odds):
            values = measure(perfect, reduction=reduction)
            assert (values[~values.isnan()] == 0).all()
    assert F.treatment_equality(perfect).isnan().all()


@given(seeds, st.integers(1, 60))
@settings(deadline=None, max_examples=40)
def test_neither_order_nor_batches_of_samples_matter(seed: int, batch_size: int) -> None:
    samples = random_samples(seed, count=100, unknown=0.1)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(seed))
    metric = GroupConfusion(num_classes=5, num_groups=4)
    for batch in order.split(batch_size):
        metric.update(samples.prediction[batch], samples.label[batch], samples.group[batch])
    assert torch.equal(metric.compute(), samples.confusion())
