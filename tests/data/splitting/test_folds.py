from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lab.data.manifest import validate
from fer_lab.data.splitting.folds import assign_folds, hold_out
from fer_lab.data.splitting.partition import partition
from fer_lab.data.splitting.split_options import Split
from fer_lab.data.splitting.splits import assign_test
from fer_lab.errors import ConfigError
from tests.data.splitting.test_splits import cells, drawn, validation

people_and_rows = given(
    people=st.integers(6, 40),
    folds=st.integers(2, 5),
    seed=st.integers(0, 1000),
    data=st.integers(0, 5),
)


def with_subjects(rows: int, people: int, seed: int, **columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    numbers = np.r_[np.arange(people), rng.integers(0, people, rows - people)]
    return drawn(rows, seed, subject=[f"s{number}" for number in numbers], **columns)


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(5, 400),
    folds=st.integers(2, 5),
    seed=st.integers(0, 2**40),
    data=st.integers(0, 5),
)
def test_every_stratum_is_dealt_out_evenly_to_within_one(count, folds, seed, data):
    manifest = drawn(count, data)
    fold = assign_folds(manifest, folds, seed)
    assert set(fold) == set(range(folds))
    per_fold = [cells(manifest[fold == number]) for number in range(folds)]
    for cell in cells(manifest):
        sizes = [each[cell] for each in per_fold]
        assert max(sizes) - min(sizes) <= 1
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= 1


@settings(max_examples=40, deadline=None)
@people_and_rows
def test_a_subject_stands_in_one_fold_and_no_fold_is_empty(people, folds, seed, data):
    manifest = with_subjects(200, people, data)
    fold = assign_folds(manifest, folds, seed)
    assert set(fold) == set(range(folds))
    assert (manifest.assign(fold=fold).groupby("subject")["fold"].nunique() == 1).all()


def test_folds_of_subjects_are_stratified_as_well_as_those_of_scikit_learn():
    from sklearn.model_selection import StratifiedGroupKFold

    def unevenness(manifest: pd.DataFrame, fold: np.ndarray) -> float:
        table = pd.crosstab([manifest["label"], manifest["gender"]], fold).to_numpy()
        return float((table / table.sum(axis=1, keepdims=True)).std(axis=1).mean())

    ours, theirs = [], []
    for seed in range(5):
        manifest = with_subjects(1500, 60, seed)
        ours.append(unevenness(manifest, assign_folds(manifest, 5, seed)))
        reference = np.empty(len(manifest), dtype=np.int64)
        strata = manifest["label"] + manifest["gender"].astype(str)
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for number, (_, rows) in enumerate(
            splitter.split(manifest, strata, groups=manifest["subject"])
        ):
            reference[rows] = number
        theirs.append(unevenness(manifest, reference))
    assert np.mean(ours) <= 1.1 * np.mean(theirs)


@pytest.mark.parametrize("subjects", [False, True])
def test_folds_depend_on_seed_and_ids_not_on_the_order_of_rows(subjects):
    manifest = with_subjects(300, 30, 0) if subjects else drawn(300)
    shuffled = validate(manifest.sample(frac=1, random_state=3))
    fold = pd.Series(assign_folds(manifest, 5, 1), manifest["id"])
    again = pd.Series(assign_folds(shuffled, 5, 1), shuffled["id"])
    assert (fold == again[fold.index]).all()
    other = pd.Series(assign_folds(manifest, 5, 2), manifest["id"])
    assert (fold != other).mean() > 0.5


def test_which_fold_a_row_is_in_is_fixed_for_good():
    manifest = drawn(12, label=["happy", "sad"] * 6, gender="female")
    assert assign_folds(manifest, 3, 1).tolist() == [1, 1, 1, 2, 0, 2, 0, 0, 2, 0, 2, 1]


def test_faces_of_one_photograph_are_in_one_fold_whatever_is_filtered_later():
    scenes = [f"p{number // 3}" if number < 240 else None for number in range(300)]
    manifest = drawn(300, scene=scenes)
    fold = pd.Series(assign_folds(manifest, 5, 1), manifest["id"])
    in_scene = manifest.assign(fold=fold.to_numpy()).groupby("scene")["fold"]
    assert (in_scene.nunique() == 1).all()
    assert in_scene.first().value_counts().tolist() == [16] * 5
    shuffled = validate(manifest.sample(frac=1, random_state=3))
    again = pd.Series(assign_folds(shuffled, 5, 1), shuffled["id"])
    assert (fold == again[fold.index]).all()
    tested = {
        gender: set(divided["id"][divided["split"] == "test"])
        for gender in ("female", "male")
        for divided in [
            partition(
                manifest,
                Split.of({"folds": 5, "fold": 2, "seed": 1, "where": {"gender": [gender]}}),
            ).manifest
        ]
    }
    assert tested["female"] == tested["male"] == set(fold.index[fold == 2])
    apart = manifest.assign(fold=assign_folds(manifest, 5, 1, by="image"))
    assert (apart.groupby("scene")["fold"].nunique() > 1).any()


def test_each_dataset_is_dealt_out_by_itself():
    manifest = drawn(60, dataset=["a"] * 40 + ["b"] * 20, subject=["s1", "s2"] * 20 + [None] * 20)
    fold = assign_folds(manifest, 2, 1)
    assert np.bincount(fold[40:]).tolist() == [10, 10]
    assert set(fold[:40:2]) != set(fold[1:40:2])


def test_fewer_subjects_than_folds_are_refused_with_a_way_out():
    manifest = with_subjects(40, 3, 0)
    with pytest.raises(ConfigError, match=r"3 subjects, fewer than 5(.|\n)*split.by=image"):
        assign_folds(manifest, 5, 1)
    assert set(assign_folds(manifest, 5, 1, by="image")) == set(range(5))
    with pytest.raises(ConfigError, match="3 rows, fewer than 5"):
        assign_folds(drawn(3), 5, 1)


def test_the_held_out_fold_is_the_test_and_stands_in_the_manifest():
    manifest = drawn(50, split=["train", "val", "test", "train", "train"] * 10)
    fold = assign_folds(manifest, 5, 1)
    divided = hold_out(manifest, fold, 3)
    assert divided["fold"].dtype == "Int64"
    assert divided["fold"].tolist() == fold.tolist()
    assert (divided["split"] == "test").tolist() == (fold == 3).tolist()
    assert set(divided["split"][fold != 3]) == {"train"}
    assert "fold" in validate(divided)


def test_all_folds_together_test_every_row_once_and_never_learn_from_it():
    manifest = drawn(200)
    tested: list[str] = []
    for number in range(5):
        divided = partition(manifest, Split(folds=5, fold=number)).manifest
        there = divided["split"] == "test"
        tested += divided["id"][there].tolist()
        assert (divided["split"] == "val").sum() == round(0.1 * 160)
    assert sorted(tested) == sorted(manifest["id"])


@settings(max_examples=30, deadline=None)
@people_and_rows
def test_validation_beside_folds_has_subjects_of_its_own(people, folds, seed, data):
    divided = partition(
        with_subjects(200, people, data), Split(folds=folds, fold=folds - 1, seed=seed)
    )
    assert (divided.manifest.groupby("subject")["split"].nunique() == 1).all()
    assert set(divided.manifest["split"]) == {"train", "val", "test"}
    assert divided.warnings == []


def test_rows_drawn_by_image_are_called_leaky():
    manifest = with_subjects(200, 10, 0)
    divided = partition(manifest, Split(folds=5, by="image"))
    assert len(divided.warnings) == 1
    assert divided.warnings[0].startswith("leaky: images of 10 of 10 subjects")
    assert partition(drawn(50), Split(folds=5, by="image")).warnings == []
    assert partition(manifest, Split(by="image")).warnings != []


def test_published_test_rows_stay_and_other_datasets_get_drawn_ones():
    manifest = drawn(
        120,
        dataset=["a"] * 60 + ["b"] * 60,
        split=["train"] * 50 + ["test"] * 10 + ["train"] * 60,
    )
    divided = partition(manifest, Split())
    split, dataset = divided.manifest["split"], divided.manifest["dataset"]
    assert divided.manifest["id"][(split == "test") & (dataset == "a")].tolist() == [
        f"a/{number}" for number in range(50, 60)
    ]
    assert ((split == "test") & (dataset == "b")).sum() == 12
    assert ((split == "val") & (dataset == "b")).sum() == round(0.1 * 48)
    assert divided.notes == [
        "b has no published test rows: 12 of its 60 training rows are drawn "
        "(split.test_fraction=0.2)"
    ]
    assert divided.used.all()
    assert "fold" not in divided.manifest


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 300),
    fraction=st.floats(0, 0.9),
    seed=st.integers(0, 1000),
    data=st.integers(0, 5),
)
def test_a_drawn_test_set_has_its_share_of_every_stratum(count, fraction, seed, data):
    manifest = drawn(count, data)
    tested = cells((assigned := assign_test(manifest, fraction, seed))[assigned["split"] == "test"])
    assert abs(sum(tested.values()) - count * fraction) <= 0.5 + 1e-9
    for cell, size in cells(manifest).items():
        assert abs(tested[cell] - size * fraction) <= 1 + 1e-9


@settings(max_examples=30, deadline=None)
@given(people=st.integers(3, 30), seed=st.integers(0, 1000), data=st.integers(0, 5))
def test_drawn_sets_share_no_subject(people, seed, data):
    divided = partition(with_subjects(150, people, data), Split(seed=seed))
    assert (divided.manifest.groupby("subject")["split"].nunique() == 1).all()
    assert set(divided.manifest["split"]) == {"train", "val", "test"}
    assert "subjects, are drawn" in divided.notes[0]


def test_a_test_set_that_is_not_wanted_is_not_drawn():
    divided = partition(drawn(50), Split(test_fraction=0))
    assert set(divided.manifest["split"]) == {"train", "val"}
    assert divided.notes == []
    with pytest.raises(ConfigError, match="test_fraction=1 is no share"):
        assign_test(drawn(5), 1, 1)


def three(splits: Callable[[str], list[str]]) -> pd.DataFrame:
    names = [name for name in "abc" for _ in range(40)]
    return drawn(120, dataset=names, split=[split for name in "abc" for split in splits(name)])


def test_a_dataset_left_out_is_tested_on_its_validation_rows():
    manifest = three(lambda _: ["train"] * 20 + ["val"] * 12 + ["test"] * 8)
    divided = partition(manifest, Split(leave_out="b"))
    rows = divided.manifest[divided.used]
    assert set(rows["dataset"][rows["split"] == "train"]) == {"a", "c"}
    assert set(rows["dataset"][rows["split"] == "val"]) == {"a", "c"}
    assert set(rows["id"][rows["split"] == "test"]) == {
        f"a/{number}" for number in range(40 + 20, 40 + 32)
    }
    assert rows["split"].value_counts().to_dict() == {"train": 40, "val": 24, "test": 12}
    assert divided.dropped == {
        "leave_out=b has no use for a: test rows": 8,
        "leave_out=b has no use for b: test rows": 8,
        "leave_out=b has no use for b: train rows": 20,
        "leave_out=b has no use for c: test rows": 8,
    }
    assert divided.notes == ["b is left out of training: 12 of its rows are the test"]


@pytest.mark.parametrize(
    ("published", "fraction", "tested"),
    [
        (["train"] * 30 + ["test"] * 10, 0.2, 10),
        (["train"] * 40, 0.25, 10),
        (["train"] * 40, 0, 40),
    ],
)
def test_without_validation_rows_others_of_the_dataset_left_out_are_tested(
    published, fraction, tested
):
    divided = partition(three(lambda _: published), Split(leave_out="c", test_fraction=fraction))
    rows = divided.manifest[divided.used]
    there = rows[rows["split"] == "test"]
    assert len(there) == tested
    assert set(there["dataset"]) == {"c"}
    assert set(rows["dataset"][rows["split"] != "test"]) == {"a", "b"}
    # Others get a validation set from their training rows, and lose none to a test set.
    learnt = (rows["split"] != "test").sum()
    assert learnt == 2 * published.count("train")
    assert (rows["split"] == "val").sum() == round(0.1 * learnt)


def test_a_dataset_that_cannot_be_left_out_is_an_error():
    with pytest.raises(ConfigError, match=r"no dataset 'rafbd'(.|\n)*datasets here: a"):
        partition(drawn(20), Split(leave_out="rafbd"))
    with pytest.raises(ConfigError, match="a is the only dataset"):
        partition(drawn(20), Split(leave_out="a"))


def test_the_division_does_not_depend_on_the_filter():
    manifest = drawn(200)
    sets = [
        validation(partition(manifest, Split.of({"where": {"gender": gender}})).manifest)
        for gender in (None, ["female"], ["male"])
    ]
    assert sets[0] == sets[1] == sets[2]
