from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lab.data.manifest import validate
from fer_lab.data.splitting.draws import draw_units
from fer_lab.data.splitting.splits import assign_validation, where
from fer_lab.data.splitting.subsets import balanced_subset, equal_cells
from fer_lab.errors import ConfigError, DataError

LABELS = ("happy", "sad", "fear")
GENDERS = ("female", "male", "unknown")


def drawn(count: int, seed: int = 0, **columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return validate(
        pd.DataFrame(
            {
                "id": [f"a/{number}" for number in range(count)],
                "dataset": "a",
                "path": "x.jpg",
                "label": rng.choice(LABELS, count, p=(0.6, 0.3, 0.1)),
                "split": "train",
                "gender": rng.choice(GENDERS, count),
                "gender_source": "annotated",
            }
            | columns
        )
    )


def validation(manifest: pd.DataFrame) -> set[str]:
    return set(manifest["id"][manifest["split"] == "val"])


def cells(manifest: pd.DataFrame) -> Counter[tuple[str, str]]:
    return Counter(zip(manifest["label"], manifest["gender"], strict=True))


def test_a_filter_takes_rows_that_satisfy_every_attribute():
    manifest = drawn(200, attribute_glasses=["no", "yes"] * 100)
    chosen = where(manifest, {"gender": ["female", "unknown"], "glasses": ["yes"], "age": None})
    expected = [
        gender in ("female", "unknown") and glasses == "yes"
        for gender, glasses in zip(manifest["gender"], manifest["attribute_glasses"], strict=True)
    ]
    assert chosen.tolist() == expected
    assert where(manifest, {}).all()


def test_a_single_value_and_yaml_truth_values_stand_for_a_list():
    manifest = drawn(20, attribute_glasses=["no", "yes"] * 10)
    assert (where(manifest, {"gender": "male"}) == (manifest["gender"] == "male")).all()
    assert where(manifest, {"glasses": [True]}).tolist() == [False, True] * 10
    assert where(manifest, {"glasses": False}).tolist() == [True, False] * 10


def test_an_empty_list_takes_nothing():
    assert not where(drawn(5), {"gender": []}).any()


def test_a_misspelt_value_names_the_near_miss_and_the_values():
    with pytest.raises(ConfigError, match=r"'femal'; did you mean 'female'(.|\n)*male, unknown"):
        where(drawn(5), {"gender": ["femal"]})
    with pytest.raises(ConfigError, match="did you mean 'gender'"):
        where(drawn(5), {"gendr": ["female"]})


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(1, 400),
    fraction=st.floats(0, 0.9),
    seed=st.integers(0, 2**40),
    data_seed=st.integers(0, 5),
)
def test_every_stratum_gives_its_share_to_within_one(count, fraction, seed, data_seed):
    manifest = drawn(count, data_seed)
    assigned = assign_validation(manifest, fraction, seed)
    total, held_out = cells(manifest), cells(assigned[assigned["split"] == "val"])
    assert abs(sum(held_out.values()) - count * fraction) <= 0.5 + 1e-9
    for cell, size in total.items():
        assert abs(held_out[cell] - size * fraction) <= 1 + 1e-9
    assert (manifest["split"] == "train").all()
    assert assigned.drop(columns="split").equals(manifest.drop(columns="split"))


def test_the_draw_depends_on_seed_and_ids_not_on_the_order_of_rows():
    manifest = drawn(300)
    shuffled = validate(manifest.sample(frac=1, random_state=3))
    assert validation(assign_validation(manifest, 0.2, 1)) == validation(
        assign_validation(shuffled, 0.2, 1)
    )
    assert validation(assign_validation(manifest, 0.2, 1)) != validation(
        assign_validation(manifest, 0.2, 2)
    )


def test_which_rows_are_drawn_is_fixed_for_good():
    manifest = drawn(40, label=["happy", "sad"] * 20, gender="female")
    assert sorted(validation(assign_validation(manifest, 0.1, 1))) == [
        "a/13",
        "a/14",
        "a/2",
        "a/3",
    ]


def test_draws_of_different_seeds_are_unrelated():
    manifest = drawn(2000)
    sets = [validation(assign_validation(manifest, 0.5, seed)) for seed in range(6)]
    for first, second in pairwise(sets):
        assert 0.45 < len(first & second) / len(first) < 0.55


def test_a_dataset_that_has_a_validation_set_keeps_it_and_others_get_one():
    manifest = drawn(
        100, dataset=["a", "b"] * 50, split=["train"] * 96 + ["train", "val", "test", "val"]
    )
    assigned = assign_validation(manifest, 0.1, 1)
    of_a, of_b = (assigned[assigned["dataset"] == name] for name in "ab")
    assert set(of_b["id"][of_b["split"] == "val"]) == {"a/97", "a/99"}
    assert (of_a["split"] == "val").sum() == round(0.1 * 49)
    assert list(assigned["split"][manifest["split"] == "test"]) == ["test"]


def test_test_rows_are_never_drawn():
    manifest = drawn(50, split=["test", "train"] * 25)
    assigned = assign_validation(manifest, 0.5, 1)
    assert (assigned["split"][::2] == "test").all()


@settings(max_examples=50, deadline=None)
@given(
    people=st.integers(2, 30),
    fraction=st.floats(0.05, 0.6),
    seed=st.integers(0, 1000),
    data_seed=st.integers(0, 5),
)
def test_no_subject_stands_on_both_sides(people, fraction, seed, data_seed):
    rng = np.random.default_rng(data_seed)
    subjects = [f"s{number}" for number in rng.integers(0, people, 200)]
    assigned = assign_validation(drawn(200, data_seed, subject=subjects), fraction, seed)
    per_subject = assigned.groupby("subject")["split"].agg(lambda split: split.nunique())
    assert (per_subject == 1).all()
    if assigned["subject"].nunique() > 1:
        assert {"train", "val"} == set(assigned["split"])


def test_subjects_drawn_come_near_the_fraction_of_every_stratum():
    subjects = [f"s{number // 20}" for number in range(4000)]
    manifest = drawn(4000, subject=subjects)
    assigned = assign_validation(manifest, 0.25, 1)
    total, held_out = cells(manifest), cells(assigned[assigned["split"] == "val"])
    for cell, size in total.items():
        assert held_out[cell] / size == pytest.approx(0.25, abs=0.04)


def test_ten_subjects_with_equal_rows_give_one_for_a_tenth():
    manifest = drawn(
        120,
        subject=[f"s{number // 12}" for number in range(120)],
        label=["happy", "sad", "fear"] * 40,
    )
    assigned = assign_validation(manifest, 0.1, 1)
    assert assigned["subject"][assigned["split"] == "val"].nunique() == 1


def test_subjects_of_the_same_name_in_two_datasets_are_two():
    manifest = drawn(80, dataset=["a"] * 40 + ["b"] * 40, subject=["s1", "s2", "s3", "s4"] * 20)
    assigned = assign_validation(manifest, 0.25, 4)
    pairs = assigned[assigned["split"] == "val"][["dataset", "subject"]].drop_duplicates()
    assert set(pairs["dataset"]) == {"a", "b"}
    assert len(pairs) == 2


def test_rows_without_a_subject_are_drawn_one_by_one():
    subjects = [f"s{number // 10}" if number < 100 else None for number in range(300)]
    assigned = assign_validation(drawn(300, subject=subjects), 0.1, 1)
    alone = assigned[assigned["subject"].isna()]
    assert (alone["split"] == "val").sum() == 20


def test_faces_of_one_photograph_stand_on_one_side_unless_single_images_are_asked_for():
    scenes = [f"p{number // 4}" if number < 200 else "" for number in range(300)]
    manifest = drawn(300, scene=scenes)
    assigned = assign_validation(manifest, 0.2, 1)
    several = assigned[assigned["scene"] != ""]
    assert (several.groupby("scene")["split"].nunique() == 1).all()
    assert abs((several["split"] == "val").sum() - 40) <= 8
    assert (assigned["split"][200:] == "val").sum() == 20
    apart = assign_validation(manifest, 0.2, 1, by="image")
    assert (apart[:200].groupby("scene")["split"].nunique() == 2).any()


def test_the_only_face_of_a_photograph_is_drawn_like_a_row_without_one():
    manifest = drawn(200)
    alone = manifest.assign(scene=[f"p{number}" for number in range(200)])
    assert validation(assign_validation(alone, 0.2, 1)) == validation(
        assign_validation(manifest, 0.2, 1)
    )


def linked_by_hand(manifest: pd.DataFrame) -> list[set[int]]:
    """Rows that share a subject or a scene, directly or through others, joined one by one."""
    groups = [{row} for row in range(len(manifest))]
    for name in ("subject", "scene"):
        for rows in manifest.groupby(manifest[name].replace("", None)).groups.values():
            hit = [group for group in groups if group & set(rows)]
            groups = [group for group in groups if not group & set(rows)] + [set().union(*hit)]
    return groups


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(4, 60), seed=st.integers(0, 99), data=st.integers(0, 9))
def test_people_and_photographs_that_link_each_other_stay_together(rows, seed, data):
    rng = np.random.default_rng(data)
    manifest = drawn(
        rows,
        data,
        subject=[f"s{n}" if n < 12 else None for n in rng.integers(0, 24, rows)],
        scene=[f"p{n}" if n < 15 else None for n in rng.integers(0, 30, rows)],
    )
    units = draw_units(manifest, "subject").fillna(manifest["id"])
    found = {frozenset(group) for group in manifest.groupby(units).groups.values()}
    assert found == {frozenset(group) for group in linked_by_hand(manifest)}
    order = rng.permutation(rows)
    again = draw_units(manifest.iloc[order], "subject").fillna(manifest["id"])
    assert (again.loc[units.index] == units).all()
    assigned = assign_validation(manifest, 0.3, seed)
    for group in found:
        assert assigned["split"].iloc[list(group)].nunique() == 1


def test_a_set_drawn_of_nothing_usable_gets_one_more_person_and_others_stay():
    manifest = drawn(40, subject=[f"s{number // 10}" for number in range(40)])
    before = assign_validation(manifest, 0.25, 1)
    (person,) = before["subject"][before["split"] == "val"].unique()
    usable = (manifest["subject"] != person).to_numpy()
    after = assign_validation(manifest, 0.25, 1, usable=usable)
    assert {person} < set(after["subject"][after["split"] == "val"])
    assert (after["split"][usable] == "train").any()
    assert (after.groupby("subject")["split"].nunique() == 1).all()
    one = (manifest["subject"] == person).to_numpy()
    assert assign_validation(manifest, 0.25, 1, usable=one).equals(before)
    everyone = np.ones(40, dtype=bool)
    everyone[np.flatnonzero(~usable)[1:]] = False
    assert assign_validation(manifest, 0.25, 1, usable=everyone).equals(before)


def test_training_keeps_a_usable_person_when_all_would_be_drawn():
    manifest = drawn(30, subject=[f"s{number // 10}" for number in range(30)])
    before = assign_validation(manifest, 0.6, 1)
    inside = (before["split"] == "val").to_numpy()
    assert before["subject"][inside].nunique() == 2
    after = assign_validation(manifest, 0.6, 1, usable=inside)
    assert set(after["split"][inside]) == {"train", "val"}


@pytest.mark.parametrize("fraction", [-0.1, 1, 2])
def test_a_fraction_that_leaves_nothing_is_refused(fraction):
    with pytest.raises(ConfigError, match="val_fraction"):
        assign_validation(drawn(10), fraction, 1)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 250),
    rows=st.integers(0, 200),
    seed=st.integers(0, 99),
    data=st.integers(0, 5),
)
def test_a_balanced_subset_is_as_equal_as_the_rows_allow(count, rows, seed, data):
    manifest = drawn(rows, data) if rows else drawn(1).iloc[:0]
    chosen = balanced_subset(manifest, count, seed=seed)
    assert len(chosen) == min(count, rows)
    assert (np.diff(chosen) > 0).all()
    total, taken = cells(manifest), cells(manifest.iloc[chosen])
    # A cell may have fewer than another by more than one only if it is used up.
    most = max(taken.values(), default=0)
    for cell, size in total.items():
        assert taken[cell] >= min(size, most - 1)


def test_the_subset_depends_on_seed_and_ids_not_on_the_order_of_rows():
    manifest = drawn(300)
    shuffled = validate(manifest.sample(frac=1, random_state=3))
    first = set(manifest["id"].iloc[balanced_subset(manifest, 50, seed=1)])
    assert first == set(shuffled["id"].iloc[balanced_subset(shuffled, 50, seed=1)])
    assert first != set(manifest["id"].iloc[balanced_subset(manifest, 50, seed=2)])


def test_smaller_subsets_lie_inside_larger_ones():
    manifest = drawn(300)
    sizes = [set(balanced_subset(manifest, count, seed=1)) for count in (10, 40, 160)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_no_count_takes_every_row():
    assert balanced_subset(drawn(7), None).tolist() == list(range(7))
    with pytest.raises(ConfigError):
        balanced_subset(drawn(7), -1)


def test_the_cells_can_be_of_any_attributes():
    manifest = drawn(100, attribute_glasses=["yes"] * 10 + ["no"] * 90)
    chosen = balanced_subset(manifest, 20, by=("glasses",))
    assert Counter(manifest["attribute_glasses"].iloc[chosen]) == {"yes": 10, "no": 10}


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(40, 300), seed=st.integers(0, 99), data=st.integers(0, 5))
def test_equal_cells_are_equal_and_as_large_as_the_rarest(rows, seed, data):
    manifest = drawn(rows, data)
    counts = cells(manifest)
    labels = sorted(set(manifest["label"]))
    rarest = min(counts[label, gender] for label in labels for gender in ("female", "male"))
    if rarest == 0:
        with pytest.raises(DataError, match="no row is label fear"):
            equal_cells(manifest, ("label", "gender"), seed)
        return
    chosen, size = equal_cells(manifest, ("label", "gender"), seed)
    assert size == rarest
    assert set(cells(manifest.iloc[chosen]).values()) == {rarest}
    assert "unknown" not in set(manifest["gender"].iloc[chosen])
    assert (np.diff(chosen) > 0).all()
    matched, _ = equal_cells(manifest, ("label", "gender"), seed, match="gender")
    assert set(matched) <= set(chosen)
    assert Counter(manifest["label"].iloc[matched]) == dict.fromkeys(labels, rarest)
    for label in labels:
        of_label = manifest.iloc[matched][manifest["label"].iloc[matched] == label]
        assert abs((of_label["gender"] == "female").sum() - rarest / 2) <= 0.5


def test_matching_the_only_balanced_attribute_keeps_the_size_of_one_group():
    manifest = drawn(60, gender=["female"] * 20 + ["male"] * 40)
    matched, _ = equal_cells(manifest, ("gender",), 1, match="gender")
    assert Counter(manifest["gender"].iloc[matched]) == {"female": 10, "male": 10}


def test_nothing_known_leaves_nothing_to_balance():
    with pytest.raises(DataError, match="nothing is left to balance"):
        equal_cells(drawn(5, gender="unknown"), ("gender", "label"))
    with pytest.raises(ConfigError, match="not among the balanced"):
        equal_cells(drawn(5), ("label",), match="gender")
