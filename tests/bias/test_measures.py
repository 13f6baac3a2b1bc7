from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cityblock, jensenshannon
from scipy.stats import entropy, skew
from sklearn.metrics import mutual_info_score

from fer_lab.bias import (
    MEASURES,
    ZERO_AT_INDEPENDENCE,
    conditional_entropy_bias,
    group_normalized_mutual_information,
    jensen_shannon_divergence,
    normalized_label_skewness,
    normalized_shannon_entropy,
    sparsity_index,
    wasserstein_distance,
)
from fer_lab.bias.measures import all_measures
from tests.bias.loops import published

rng = np.random.default_rng(0)
TABLES = [
    np.array([[30, 5, 5], [10, 20, 0]]),
    np.array([[1, 0], [0, 1], [3, 4]]),
    rng.integers(0, 100, (4, 7)),
    rng.integers(0, 3, (6, 8)) + np.eye(6, 8, dtype=np.int64),
    rng.multinomial(300_000, rng.dirichlet(np.ones(48))).reshape(6, 8),
]
VARIANTS = ("equation", "published")
names = pytest.mark.parametrize("name", MEASURES)
tables = pytest.mark.parametrize("counts", TABLES, ids=lambda counts: str(counts.shape))

counts_of_groups = st.tuples(st.integers(1, 6), st.integers(2, 8)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.one_of(st.just(0), st.integers(0, 5000)))
)


def shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(1, keepdims=True)


def test_measures_stand_in_the_order_of_the_study():
    assert list(MEASURES) == [
        "wasserstein_distance",
        "jensen_shannon_divergence",
        "conditional_entropy_bias",
        "sparsity_index",
        "normalized_shannon_entropy",
        "normalized_label_skewness",
        "group_normalized_mutual_information",
    ]


@tables
def test_wasserstein_is_the_mean_city_block_distance_over_labels_and_pairs(counts):
    pairs = [cityblock(p, q) for p, q in combinations(shares(counts), 2)]
    assert wasserstein_distance(counts) == pytest.approx(np.mean(pairs) / counts.shape[1])


@tables
def test_jensen_shannon_equals_scipy(counts):
    pairs = [jensenshannon(p, q, base=2) ** 2 for p, q in combinations(shares(counts), 2)]
    assert jensen_shannon_divergence(counts) == pytest.approx(np.mean(pairs))
    assert jensen_shannon_divergence(counts, per_label=True) == pytest.approx(
        np.mean(pairs) / counts.shape[1]
    )


@tables
def test_conditional_entropy_bias_by_scipy(counts):
    whole = entropy(counts.sum(0), base=2)
    terms = [max(0.0, 1 - entropy(row, base=2) / whole) for row in counts]
    assert conditional_entropy_bias(counts) == pytest.approx(np.mean(terms))


def test_conditional_entropy_bias_is_clipped_group_by_group():
    # By hand: H(Y) of 3:1 is 0.8113 bits; the even group (1 bit) counts 0, the pure one 1.
    assert conditional_entropy_bias([[2, 2], [4, 0]]) == pytest.approx(0.5)


@tables
def test_sparsity_is_the_chance_that_two_samples_of_a_group_are_alike_above_that_of_even_labels(
    counts,
):
    even = 1 / counts.shape[1]
    alike = np.array([sum((cell / row.sum()) ** 2 for cell in row) for row in counts])
    assert sparsity_index(counts) == pytest.approx(((alike - even) / (1 - even)).mean())


@tables
def test_shannon_entropy_by_scipy(counts):
    lacking = [1 - entropy(row, base=counts.shape[1]) for row in counts]
    expected = np.average(lacking, weights=counts.sum(1)) / len(counts)
    assert normalized_shannon_entropy(counts) == pytest.approx(expected)


@tables
def test_skewness_by_scipy(counts):
    skewness = np.abs(skew(shares(counts), axis=1))
    assert normalized_label_skewness(counts) == pytest.approx(np.mean(skewness / (1 + skewness)))


@tables
def test_mutual_information_by_scikit_learn(counts):
    shared = mutual_info_score(None, None, contingency=counts)
    expected = shared / math.sqrt(entropy(counts.sum(0)) * entropy(counts.sum(1)))
    assert group_normalized_mutual_information(counts) == pytest.approx(expected)


@tables
@names
def test_published_variant_by_a_loop(counts, name):
    assert MEASURES[name](counts, variant="published") == pytest.approx(published(counts)[name])


def test_published_mutual_information_is_the_same_whoever_has_which_label():
    apart, alike = [[6, 2, 0], [0, 2, 6]], [[6, 2, 0], [6, 2, 0]]
    values = [group_normalized_mutual_information(t, "published") for t in (apart, alike)]
    assert values[0] == values[1] > 0.8


@pytest.mark.parametrize("labels", [[10, 20, 30, 5, 0, 1, 7], [3, 0, 0, 0, 0, 0, 0]])
def test_independent_groups_have_no_bias_where_groups_are_compared(labels):
    independent = np.outer([1, 4, 2, 7, 1, 1, 3], labels)
    values = {name: measure(independent) for name, measure in MEASURES.items()}
    assert all(values[name] == pytest.approx(0, abs=1e-12) for name in ZERO_AT_INDEPENDENCE)
    assert all(values[name] > 0.01 for name in set(MEASURES) - ZERO_AT_INDEPENDENCE)


def test_even_labels_have_no_bias_at_all():
    counts = np.outer([1, 7, 3], np.full(7, 11))
    assert [measure(counts) for measure in MEASURES.values()] == pytest.approx([0] * 7, abs=1e-12)
    assert normalized_label_skewness(counts * 0.1) == 0


def test_groups_told_apart_by_their_label_have_the_largest_bias():
    counts = [[9, 0], [0, 9]]
    expected = [1, 1, 1, 1, 0.5, 0, 1]
    assert [measure(counts) for measure in MEASURES.values()] == pytest.approx(expected)


@names
def test_empty_groups_are_left_out(name):
    for counts in TABLES:
        padded = np.vstack([np.zeros_like(counts[:1]), counts[:1], 0 * counts[:1], counts[1:]])
        for variant in VARIANTS:
            assert MEASURES[name](padded, variant) == pytest.approx(MEASURES[name](counts, variant))


@names
def test_one_group_cannot_be_compared(name):
    value = MEASURES[name]([[4, 2, 1], [0, 0, 0]])
    assert math.isnan(value) == (name in ZERO_AT_INDEPENDENCE)


@names
@pytest.mark.parametrize("shape", [(0, 3), (2, 3)])
def test_nothing_is_undefined_not_zero(name, shape):
    assert math.isnan(MEASURES[name](np.zeros(shape)))


@names
@pytest.mark.parametrize("variant", VARIANTS)
@given(counts=counts_of_groups)
@settings(max_examples=60, deadline=None)
def test_values_are_undefined_or_from_0_to_1(name, variant, counts):
    value = MEASURES[name](counts, variant)
    present = int((counts.sum(1) > 0).sum())
    assert math.isnan(value) == (present < (2 if name in ZERO_AT_INDEPENDENCE else 1))
    assert math.isnan(value) or 0 <= value <= 1


@given(counts=counts_of_groups, seed=st.integers(0, 99), variant=st.sampled_from(VARIANTS))
@settings(max_examples=60, deadline=None)
def test_order_of_groups_and_of_labels_does_not_matter(counts, seed, variant):
    shuffled = np.random.default_rng(seed).permuted(np.arange(counts.shape[0]))
    labels = np.random.default_rng(seed).permuted(np.arange(counts.shape[1]))
    np.testing.assert_allclose(
        all_measures(counts[shuffled][:, labels], variant),
        all_measures(counts, variant),
        atol=1e-9,
    )


@given(counts=counts_of_groups, times=st.integers(2, 1000))
@settings(max_examples=40, deadline=None)
def test_size_of_the_dataset_does_not_matter(counts, times):
    np.testing.assert_allclose(all_measures(counts * times), all_measures(counts), atol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_many_tables_at_once_are_each_of_them_alone(variant):
    batch = rng.integers(0, 4, (2, 30, 3, 4))
    batch[0, 0], batch[1, 2, 1] = 0, 0
    together = all_measures(batch, variant)
    assert together.shape == (2, 30, 7)
    alone = [[[m(t, variant) for m in MEASURES.values()] for t in row] for row in batch]
    np.testing.assert_allclose(together, alone, atol=1e-12)


@names
def test_what_is_no_table_of_counts_is_refused(name):
    measure = MEASURES[name]
    for counts in ([[1, -1], [2, 2]], [[1, math.nan], [2, 2]], [[1, math.inf], [2, 2]]):
        with pytest.raises(ValueError, match="negative"):
            measure(counts)
    for counts in ([1, 2], [[1], [2]], np.ones((2, 2, 2))):
        with pytest.raises(ValueError, match="at least two labels"):
            measure(counts)
    with pytest.raises(ValueError, match="equation or published"):
        measure([[1, 2], [2, 1]], variant="printed")
