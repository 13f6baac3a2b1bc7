"""Answered shares of groups, beside those of groups drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from fer_lab.asking.evenness import uneven


@pytest.mark.parametrize("answered", [(20, 28), (25, 28), (30, 11)])
def test_of_two_equal_groups_it_is_fishers_exact_test(answered):
    table = [[n, 30 - n] for n in answered]
    assert uneven([30, 30], answered) == pytest.approx(fisher_exact(table).pvalue, abs=0.02)


def test_of_several_groups_it_is_what_shuffling_gives():
    asked, answered = np.array([12, 20, 8]), np.array([4, 17, 6])
    flags = np.repeat([1, 0], [answered.sum(), (asked - answered).sum()])
    group = np.repeat(np.arange(3), asked)

    def statistic(flags):
        said = np.bincount(group, flags, 3)
        expected = asked * flags.mean()
        missing = asked - expected
        return ((said - expected) ** 2 / expected + (said - expected) ** 2 / missing).sum()

    own = ((answered - asked * flags.mean()) ** 2 / (asked * flags.mean())).sum()
    own += ((answered - asked * flags.mean()) ** 2 / (asked * (1 - flags.mean()))).sum()
    generator = np.random.default_rng(1)
    drawn = [statistic(generator.permutation(flags)) for _ in range(4000)]
    assert uneven(asked, answered) == pytest.approx(
        np.mean(np.array(drawn) >= own - 1e-9), abs=0.02
    )


@pytest.mark.parametrize(
    ("asked", "answered"), [((5, 0), (3, 0)), ((5, 5), (5, 5)), ((5, 5), (0, 0)), ((), ())]
)
def test_where_nothing_can_differ_there_is_no_p(asked, answered):
    assert uneven(asked, answered) is None
