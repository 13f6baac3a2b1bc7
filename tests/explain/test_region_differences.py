from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError, DataError
from fer_lab.explain.region_differences import COLUMNS, group_differences, holm, run_differences
from fer_lab.explain.summary import FIGURES, tidy


def table_of(lift, ids=None, regions=("skin", "nose", "mouth")) -> pd.DataFrame:
    """A table as runs write it; ``ior`` is half the lift, NaN marks an absent region."""
    lift = np.asarray(lift, dtype=np.float32)
    figures = np.repeat(lift[:, None], len(FIGURES), axis=1)
    figures[:, FIGURES.index("ior")] = lift / 2
    return tidy(figures, ids or [f"i{n}" for n in range(len(lift))], regions)


def halves(count: int) -> pd.Series:
    return pd.Series(["f"] * count + ["m"] * count, index=[f"i{n}" for n in range(2 * count)])


def row(found: pd.DataFrame, region: str, figure: str = "lift") -> pd.Series:
    return found[(found["region"] == region) & (found["figure"] == figure)].iloc[0]


def two_groups(count: int = 30, shift: float = 0.5, seed: int = 0):
    rng = np.random.default_rng(seed)
    lift = rng.gamma(4, 0.25, size=(2 * count, 3))
    lift[:count, 0] += shift
    lift[rng.random(2 * count) < 0.4, 2] = np.nan
    return lift


def test_means_counts_and_differences_are_those_of_pandas():
    table, groups = table_of(two_groups()), halves(30)
    found = group_differences(table, groups, "f", "m", samples=20)
    for figure in ("lift", "ior"):
        means = table.groupby([table["id"].map(groups), "region"], observed=True)[figure]
        for region in ("skin", "nose", "mouth"):
            at = row(found, region, figure)
            assert at["first"] == pytest.approx(means.mean()["f", region])
            assert at["second"] == pytest.approx(means.mean()["m", region])
            assert at["difference"] == pytest.approx(at["first"] - at["second"])
            assert at["present_first"] == means.size()["f", region]
            assert at["present_second"] == means.size()["m", region]


def test_p_and_interval_of_groups_agree_with_scipy():
    lift = two_groups(shift=0.2)
    found = group_differences(table_of(lift), halves(30), "f", "m", samples=20_000)

    def gap(x, y, axis):
        return x.mean(axis=axis) - y.mean(axis=axis)

    for position, region in enumerate(("skin", "nose")):
        data = (lift[:30, position], lift[30:, position])
        p = stats.permutation_test(data, gap, vectorized=True, n_resamples=20_000, rng=1).pvalue
        expected = stats.bootstrap(
            data, gap, vectorized=True, method="percentile", n_resamples=20_000, rng=1
        ).confidence_interval
        at = row(found, region)
        assert at["p"] == pytest.approx(p, abs=0.015)
        assert (at["low"], at["high"]) == pytest.approx(tuple(expected), abs=0.02)


def test_p_and_interval_of_two_runs_agree_with_scipy():
    rng = np.random.default_rng(5)
    one = rng.gamma(4, 0.25, size=(12, 3))
    two = one - rng.normal(0.1, 0.2, size=one.shape)
    found = run_differences(table_of(one), table_of(two), samples=20_000)
    for position, region in enumerate(("skin", "nose", "mouth")):
        gaps = (one - two)[:, position]
        exact = stats.permutation_test(
            (gaps,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        expected = stats.bootstrap(
            (gaps,), np.mean, method="percentile", n_resamples=20_000, rng=1
        ).confidence_interval
        at = row(found, region)
        assert at["difference"] == pytest.approx(gaps.mean(), abs=1e-6)
        assert at["p"] == pytest.approx(exact, abs=0.015)
        assert (at["low"], at["high"]) == pytest.approx(tuple(expected), abs=0.01)


def test_runs_are_compared_on_images_with_the_region_in_both():
    nan, regions = math.nan, ["skin", "nose"]
    one = table_of([[1, 1], [2, 1], [nan, 1], [9, 1]], ["a", "b", "c", "only one"], regions)
    two = table_of([[5, 1], [1.5, 1], [0.5, 1]], ["c", "b", "a"], regions)
    found = run_differences(one, two, samples=50)
    skin = row(found, "skin")
    assert (skin["present_first"], skin["present_second"]) == (2, 2)
    assert (skin["first"], skin["second"], skin["difference"]) == (1.5, 1.0, 0.5)
    assert row(found, "nose")["present_first"] == 3


def test_p_is_never_zero_and_group_names_may_be_categories():
    table, groups = table_of(two_groups(shift=9.0)), halves(30)
    found = group_differences(table, groups, "f", "m", samples=99)
    assert row(found, "skin")["p"] == pytest.approx(1 / 100)
    same = group_differences(table, groups.astype("category"), "f", "m", samples=99)
    pd.testing.assert_frame_equal(found, same)


def test_a_region_absent_in_a_group_is_nan_with_its_count():
    lift = two_groups(5)
    lift[:5, 2] = np.nan
    lift[5:, 2] = 1.5
    found = group_differences(table_of(lift), halves(5), "f", "m", samples=50)
    at = row(found, "mouth")
    assert at[["first", "difference", "low", "high", "p", "p_holm"]].isna().all()
    assert (at["second"], at["present_first"], at["present_second"]) == (1.5, 0, 5)
    assert row(found, "hat")[["first", "second"]].isna().all()
    assert list(found.columns) == list(COLUMNS)
    assert list(found["region"]) == [*REGIONS, *REGIONS]


def test_one_image_gives_a_difference_without_noise_figures():
    lift = two_groups(5)
    lift[1:5, 2] = np.nan
    lift[[0, 5, 6], 2] = 3.0, 1.0, 2.0
    lift[7:, 2] = np.nan
    at = row(group_differences(table_of(lift), halves(5), "f", "m", samples=50), "mouth")
    assert at["difference"] == 1.5
    assert at[["low", "high", "p"]].isna().all()


def test_an_all_zero_map_is_in_no_mean():
    table, groups = table_of(two_groups()), halves(30)
    blank = table["id"] == "i3"
    zero = table.assign(lift=table["lift"].mask(blank), ior=table["ior"].mask(blank, 0))
    expected = group_differences(table[~blank], groups, "f", "m", samples=50)
    pd.testing.assert_frame_equal(group_differences(zero, groups, "f", "m", samples=50), expected)


def test_correction_is_holms_over_the_regions_of_a_figure():
    found = group_differences(table_of(two_groups()), halves(30), "f", "m", samples=500)
    for _, part in found.groupby("figure"):
        tested = part.dropna(subset="p").sort_values("p")
        assert len(tested) == 3
        by_hand, worst = [], 0.0
        for rank, p in enumerate(tested["p"]):
            worst = max(worst, min(1.0, (3 - rank) * p))
            by_hand.append(worst)
        assert tested["p_holm"].tolist() == pytest.approx(by_hand)


def test_holm_of_a_published_example():
    # Wright 1992: four tests, worked out by hand.
    found = holm([0.01, 0.02, 0.03, 0.04])
    assert found.tolist() == pytest.approx([0.04, 0.06, 0.06, 0.06])


def test_many_images_of_one_subject_are_one_observation():
    # Six people of ten equal images each: as images the groups differ beyond doubt.
    people = [1.3, 1.4, 1.2, 0.8, 1.1, 0.9]
    lift = np.repeat(people, 10)[:, None]
    table, groups = table_of(lift, regions=["skin"]), halves(30)
    subjects = pd.Series([f"s{n // 10}" for n in range(60)], index=groups.index)
    alone = row(group_differences(table, groups, "f", "m", samples=4000), "skin")
    found = group_differences(table, groups, "f", "m", subjects=subjects, samples=4000)
    together = row(found, "skin")
    exact = stats.permutation_test(
        (people[:3], people[3:]), lambda x, y: np.mean(x) - np.mean(y), n_resamples=np.inf
    ).pvalue
    assert alone["p"] < 0.001
    assert together["p"] == pytest.approx(exact, abs=0.03)
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])


def test_swapping_runs_keeps_a_subjects_images_together():
    gaps = np.repeat([0.3, 0.2, 0.4, -0.1, 0.25], 8)
    one, two = (
        table_of((1 + gaps)[:, None], regions=["nose"]),
        table_of(np.ones((40, 1)), regions=["nose"]),
    )
    subjects = pd.Series([n // 8 for n in range(40)], index=[f"i{n}" for n in range(40)])
    exact = stats.permutation_test(
        (gaps[::8],), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    found = row(run_differences(one, two, subjects=subjects, samples=4000), "nose")
    assert found["p"] == pytest.approx(exact, abs=0.03)


def test_under_no_difference_small_p_are_rare():
    low = [
        row(group_differences(table_of(two_groups(15, 0.0, seed)), halves(15), "f", "m",
                              samples=200), "skin")["p"] <= 0.1
        for seed in range(100)
    ]  # fmt: skip
    assert stats.binomtest(sum(low), len(low), 0.1).pvalue > 0.01


def test_the_same_seed_gives_the_same_figures():
    table, groups = table_of(two_groups()), halves(30)
    first, again, other = (
        group_differences(table, groups, "f", "m", samples=100, seed=seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first["low"].equals(other["low"])


def test_mistakes_are_named():
    table, groups = table_of(two_groups(4)), halves(4)
    with pytest.raises(ConfigError, match="groups of these images: f, m"):
        group_differences(table, groups, "f", "male")
    with pytest.raises(ConfigError, match="with itself"):
        group_differences(table, groups, "f", "f")
    with pytest.raises(ConfigError, match="samples=0"):
        group_differences(table, groups, "f", "m", samples=0)
    with pytest.raises(DataError, match="lacks lift"):
        group_differences(table.drop(columns="lift"), groups, "f", "m")
    with pytest.raises(DataError, match="second row"):
        group_differences(pd.concat([table, table]), groups, "f", "m")
    with pytest.raises(DataError, match="'chin' is no region"):
        group_differences(table.assign(region="chin"), groups, "f", "m")
    with pytest.raises(DataError, match="'i0' is there twice"):
        group_differences(table, pd.concat([groups, groups]), "f", "m")
    with pytest.raises(DataError, match="in common"):
        run_differences(table, table.assign(id="x" + table["id"]))
