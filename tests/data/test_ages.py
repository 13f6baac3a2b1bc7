from __future__ import annotations

import numpy as np
import pytest

from fer_lab.data.ages import age_range, age_ranges, cut_years
from fer_lab.data.sources import fairface, rafdb
from fer_lab.data.vocabulary import AGE_GROUPS
from fer_lab.errors import ConfigError

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("group", "years"),
    [
        ("20-39", (20, 39)),
        ("20–39", (20, 39)),
        (" 3 - 9 ", (3, 9)),
        ("70+", (70, INFINITE)),
        ("more than 70", (70, INFINITE)),
        ("More than 70", (70, INFINITE)),
        ("7", (7, 7)),
        ("0-2", (0, 2)),
        ("child", None),
        ("20-", None),
        ("-3", None),
        ("", None),
    ],
)
def test_a_group_is_a_range_of_years(group, years):
    assert age_range(group) == years


def test_the_groups_of_every_vocabulary_leave_no_year_out():
    for groups in (
        AGE_GROUPS,
        list(rafdb.AGE_CODES.values()),
        list(dict.fromkeys(fairface.AGE_CODES.values())),
    ):
        ranges = age_ranges(groups, "here")
        assert [low for low, _ in ranges] == [0, *(high + 1 for _, high in ranges[:-1])]
        assert ranges[-1][1] == INFINITE


def test_years_are_cut_as_a_slow_loop_does():
    years = np.r_[np.arange(0, 110, 0.25), np.nan, -1]
    for year, group in zip(years, cut_years(years), strict=True):
        if np.isnan(year) or year < 0:
            assert group == "unknown"
            continue
        low, _, high = group.partition("-")
        assert int(low.rstrip("+")) <= int(year) <= int(high or 1000)


def test_a_year_between_two_groups_is_in_none():
    cut = cut_years(np.array([9.0, 10, 20.9, 21]), ["0-9", "20-29"])
    assert list(cut) == ["0-9", "unknown", "20-29", "20-29"]
    assert list(cut.categories) == ["0-9", "20-29", "unknown"]


@pytest.mark.parametrize("groups", [["0-15", "15-32"], ["9-0"], ["10-19", "0-9"], ["young"], []])
def test_groups_that_do_not_follow_each_other_are_an_error(groups):
    with pytest.raises(ConfigError, match=r"one after the other(.|\n)*data\.harmonise\.age"):
        cut_years(np.array([1.0]), groups, where="data.harmonise.age")
