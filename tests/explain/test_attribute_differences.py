from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_lab.explain.attribute_differences import attribute_differences
from fer_lab.explain.region_differences import group_differences


def faces(count: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    ids = [f"face-{n}" for n in range(count)]
    table = pd.DataFrame(
        {
            "id": np.repeat(ids, 2),
            "region": ["nose", "mouth"] * count,
            "lift": rng.random(2 * count).astype(np.float32),
            "ior": rng.random(2 * count).astype(np.float32),
        }
    )
    groups = pd.DataFrame(
        {
            "gender": ["female", "male"] * (count // 2),
            "age": (["young"] * 20 + ["old"] * 20 + ["grown"] * 15 + ["unknown"] * 5),
            "site": ["here"] * count,
        },
        index=ids,
    )
    return table, groups


def row(frame: pd.DataFrame, **wanted: str) -> pd.Series:
    kept = frame[np.all([frame[name] == value for name, value in wanted.items()], axis=0)]
    assert len(kept) == 1
    return kept.iloc[0]


def test_two_groups_meet_each_other_and_of_more_each_meets_the_rest():
    table, groups = faces()
    found = attribute_differences(table, groups, samples=50)
    pairs = set(zip(found["attribute"], found["first"], found["second"], strict=True))
    assert pairs == {
        ("gender", "female", "male"),
        *(("age", name, "others") for name in ("young", "old", "grown")),
    }
    nose = table[table["region"] == "nose"].set_index("id")["lift"]
    age = groups["age"]
    known = row(found, attribute="age", first="old", figure="lift", region="nose")
    others = nose[age.isin(["young", "grown"])]
    assert known["difference"] == pytest.approx(nose[age == "old"].mean() - others.mean(), abs=1e-6)
    assert (known["present_first"], known["present_second"]) == (20, 35)


def test_a_pair_is_what_group_differences_says_of_it():
    table, groups = faces()
    found = attribute_differences(table, groups[["gender"]], samples=50, seed=3)
    alone = group_differences(table, groups["gender"], "female", "male", samples=50, seed=3)
    np.testing.assert_allclose(found["low"], alone["low"])
    np.testing.assert_allclose(found["first_mean"], alone["first"])


def test_small_groups_are_none_and_nothing_to_compare_is_an_empty_table():
    table, groups = faces()
    found = attribute_differences(table, groups, samples=20, min_count=16)
    assert {"young", "old"} == set(found[found["attribute"] == "age"][["first", "second"]].iloc[0])
    empty = attribute_differences(table, groups[["site"]], samples=20)
    assert len(empty) == 0
    assert {"attribute", "first", "second", "difference", "p_holm"} <= set(empty.columns)
