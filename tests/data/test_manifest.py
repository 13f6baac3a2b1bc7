from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest

from fer_lab.data.manifest import (
    Assets,
    Sample,
    assets,
    attribute_column,
    fingerprint,
    group_values,
    merge,
    validate,
)
from fer_lab.errors import ConfigError, DataError


class FlatReader:
    def __init__(self, value: int) -> None:
        self.value = value

    def key(self) -> str:
        return f"flat-{self.value}"

    def read(self, path: str, size: int) -> Sample:
        return Sample(np.full((size, size, 3), self.value, np.uint8))


def faces(dataset: str = "a", count: int = 4, **columns: object) -> pd.DataFrame:
    table = {
        "id": [f"{dataset}/{number}" for number in range(count)],
        "dataset": dataset,
        "path": [f"/data/{dataset}/{number}.jpg" for number in range(count)],
        "label": ["happy", "sad"] * (count // 2),
        "split": "train",
    }
    return pd.DataFrame(table | columns)


def test_missing_demographics_are_unknown_and_say_that_nobody_gave_them():
    manifest = validate(faces())
    for name, groups in {
        "gender": ("female", "male"),
        "age": ("0-15", "16-32", "33-53", "54+"),
        "race": ("white", "black", "asian", "indian", "latinx", "middle_eastern"),
    }.items():
        assert (manifest[name] == "unknown").all()
        assert (manifest[f"{name}_source"] == "none").all()
        assert group_values(manifest, name) == groups
    assert manifest["subject"].isna().all()


def test_the_result_has_a_fresh_index_and_the_input_is_left_alone():
    frame = faces().iloc[[2, 0]]
    before = frame.copy()
    manifest = validate(frame)
    assert list(manifest.index) == [0, 1]
    assert list(manifest["id"]) == ["a/2", "a/0"]
    pd.testing.assert_frame_equal(frame, before)


def test_validating_twice_changes_nothing():
    once = validate(faces(gender=["female", "male"] * 2, gender_source="annotated"))
    pd.testing.assert_frame_equal(validate(once), once)
    assert fingerprint(validate(once)) == fingerprint(once)


def test_text_and_missing_cells_become_groups_with_unknown_last():
    manifest = validate(
        faces(
            gender=["female", None, "unknown", "female"],
            gender_source="annotated",
            race=["martian", "black", "black", None],
            race_source="annotated",
        )
    )
    assert list(manifest["gender"].cat.categories) == ["female", "male", "unknown"]
    assert list(manifest["gender"]) == ["female", "unknown", "unknown", "female"]
    assert list(manifest["race"].cat.categories) == ["black", "martian", "unknown"]


def test_a_categorical_keeps_its_order():
    ages = pd.Categorical(["old", "young"] * 2, categories=["young", "old"])
    manifest = validate(faces(age=ages, age_source="annotated"))
    assert group_values(manifest, "age") == ("young", "old")


def test_truth_values_of_an_attribute_become_no_and_yes():
    manifest = validate(faces(attribute_glasses=[True, False, True, True]))
    assert list(manifest["attribute_glasses"]) == ["yes", "no", "yes", "yes"]
    assert list(manifest["attribute_glasses"].cat.categories) == ["no", "yes", "unknown"]
    assert attribute_column(manifest, "glasses") == "attribute_glasses"
    assert group_values(manifest, "glasses") == ("no", "yes")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"label": ["happy", "hapy", "sad", "sad"]}, ["'hapy'", "row 1", "a/1", "surprise"]),
        ({"split": ["train", "train", "test", "tset"]}, ["'tset'", "row 3", "a/3"]),
        ({"id": ["a/0", "a/1", "a/1", "a/3"]}, ["a/1", "rows 1, 2"]),
        ({"path": ["x", None, "y", "z"]}, ["path is empty", "row 1"]),
        ({"gender": ["female", "male", "F", "male"], "gender_source": "x"}, ["'F'", "row 2"]),
        ({"gender": ["female", "male"] * 2}, ["gender_source"]),
        ({"box": [0, 0, 1, 0]}, ["box", "none of the 1 rows", "row 2"]),
        ({"box": [0, -2, 0, 0]}, ["row 1"]),
        ({"landmarks": [0, -1, -1, -1]}, ["landmarks", "none of the 0 rows", "row 0"]),
    ],
)
def test_a_wrong_row_is_named(changed, words):
    frame = faces(**changed)
    frame.attrs["assets"] = Assets(arrays={"box": np.zeros((1, 4), np.float32)})
    with pytest.raises(DataError) as caught:
        validate(frame)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_column_is_named_with_those_that_are_there():
    with pytest.raises(DataError, match=r"no column label, split(.|\n)*id, dataset, path"):
        validate(faces().drop(columns=["label", "split"]))


def test_an_array_of_another_shape_is_refused():
    frame = faces(landmarks=0)
    frame.attrs["assets"] = Assets(arrays={"landmarks": np.zeros((1, 67, 2), np.float32)})
    with pytest.raises(DataError, match=r"\[1, 67, 2\](.|\n)*68, 2"):
        validate(frame)


def test_assets_survive_what_pandas_does_to_a_frame():
    frame = validate(faces())
    beside = assets(frame)
    assert copy.deepcopy(beside) is beside
    assert copy.copy(beside) is beside
    assert assets(frame.iloc[1:].reset_index(drop=True)) is beside
    assert assets(pd.concat([frame, frame])) is beside
    assert Assets() != Assets()


def test_an_unknown_attribute_names_the_near_miss_and_the_known():
    manifest = validate(faces(attribute_glasses="no"))
    with pytest.raises(ConfigError, match=r"did you mean 'gender'(.|\n)*glasses"):
        attribute_column(manifest, "gendre")
    with pytest.raises(ConfigError):
        attribute_column(manifest, "split")
    with pytest.raises(ConfigError):
        attribute_column(manifest, "label")


def test_merging_counts_array_rows_on():
    first, second = faces("a", box=[0, 1, -1, 0]), faces("b", box=[1, -1, 0, 2])
    third = faces("c")
    first.attrs["assets"] = Assets(arrays={"box": np.array([[1.0] * 4, [2.0] * 4], np.float32)})
    second.attrs["assets"] = Assets(
        arrays={"box": np.array([[3.0] * 4, [4.0] * 4, [5.0] * 4], "f")}
    )
    merged = merge([first, third, second])
    boxes = assets(merged).arrays["box"]
    assert list(merged["box"]) == [0, 1, -1, 0, -1, -1, -1, -1, 3, -1, 2, 4]
    assert [boxes[row, 0] for row in merged["box"] if row >= 0] == [1, 2, 1, 4, 3, 5]
    assert list(merged["dataset"].cat.categories) == ["a", "c", "b"]
    assert list(merged.index) == list(range(12))
    assert list(first["box"]) == [0, 1, -1, 0]


def test_parts_of_one_manifest_share_its_arrays_when_merged():
    frame = faces("a", box=[0, 1, 1, 0])
    frame.attrs["assets"] = Assets(arrays={"box": np.arange(8, dtype="f").reshape(2, 4)})
    merged = merge([frame.iloc[:2], frame.iloc[2:]])
    assert len(assets(merged).arrays["box"]) == 2
    assert list(merged["box"]) == [0, 1, 1, 0]


def test_merging_keeps_optional_columns_and_fills_them():
    merged = merge(
        [
            faces("a", attribute_glasses="yes", intensity=np.float32(0.5), subject="s1"),
            faces("b", au_12=0.25),
        ]
    )
    assert list(merged["attribute_glasses"]) == ["yes"] * 4 + ["unknown"] * 4
    assert merged["intensity"].isna().tolist() == [False] * 4 + [True] * 4
    assert merged["subject"].isna().tolist() == [False] * 4 + [True] * 4
    assert merged["au_12"].isna().tolist() == [True] * 4 + [False] * 4


def test_a_dataset_without_an_attribute_merges_with_one_that_has_it():
    known = faces("a", race=["x", "y"] * 2, race_source="annotated")
    merged = merge([faces("b"), known])
    assert list(merged["race"]) == ["unknown"] * 4 + ["x", "y"] * 2
    assert {"x", "y"} <= set(group_values(merged, "race"))


@pytest.mark.parametrize(
    "second",
    [
        {"race": ["x", "z"] * 2, "race_source": "annotated"},
        {"race": ["x", "y"] * 2, "race_source": "a model"},
    ],
)
def test_other_groups_or_another_source_are_not_merged(second):
    first = faces("a", race=["x", "y"] * 2, race_source="annotated")
    with pytest.raises(DataError, match="race has different groups or sources"):
        merge([first, faces("b", **second)])


def test_other_values_of_an_attribute_are_not_merged():
    poses = [faces(name, attribute_pose=pose) for name, pose in (("a", "left"), ("b", "up"))]
    with pytest.raises(DataError, match="pose has different groups"):
        merge(poses)


def test_merging_twice_the_same_faces_is_refused():
    with pytest.raises(DataError, match="a/0"):
        merge([faces(), faces()])


def test_merged_assets_are_joined():
    first, second = faces("a"), faces("b")
    first.attrs["assets"] = Assets(
        readers={"a": FlatReader(1)}, dropped={"none": 2}, roots={"a": "/a"}
    )
    second.attrs["assets"] = Assets(dropped={"none": 1, "lost": 3}, roots={"b": "/b"})
    merged = assets(merge([first, second]))
    assert set(merged.readers) == {"a"}
    assert merged.dropped == {"none": 3, "lost": 3}
    assert merged.roots == {"a": "/a", "b": "/b"}


def test_one_dataset_with_two_settings_is_refused():
    first, second = faces("a"), faces("b")
    first.attrs["assets"] = Assets(readers={"a": FlatReader(1)})
    second.attrs["assets"] = Assets(readers={"a": FlatReader(2)})
    with pytest.raises(DataError, match="different settings"):
        merge([first, second])


def test_fingerprint_follows_content_and_order():
    manifest = validate(faces())
    same = validate(faces())
    assert fingerprint(manifest) == fingerprint(same)
    assert len(fingerprint(manifest)) == 16
    others = [
        validate(faces().iloc[::-1]),
        validate(faces(label="sad")),
        validate(faces(gender="female", gender_source="annotated")),
        validate(faces(intensity=0.5)),
        validate(faces(age=pd.Categorical([None] * 4, ["young"]), age_source="none")),
    ]
    assert len({fingerprint(each) for each in [manifest, *others]}) == 6


def test_fingerprint_follows_arrays_and_readers():
    seen = set()
    for value in (0, 1):
        for reader in (1, 2):
            frame = faces(box=0)
            boxes = np.full((1, 4), value, np.float32)
            frame.attrs["assets"] = Assets(arrays={"box": boxes}, readers={"a": FlatReader(reader)})
            seen.add(fingerprint(validate(frame)))
    assert len(seen) == 4


def test_fingerprint_stays_when_the_folder_moves():
    def at(root: str) -> pd.DataFrame:
        frame = faces(path=[f"{root}/{number}.jpg" for number in range(4)])
        frame.attrs["assets"] = Assets(roots={"a": root})
        return validate(frame)

    assert fingerprint(at("/data/a")) == fingerprint(at("/elsewhere"))


def test_an_empty_array_has_a_fingerprint():
    frame = faces(box=-1)
    frame.attrs["assets"] = Assets(arrays={"box": np.empty((0, 4), np.float32)})
    assert fingerprint(validate(frame)) != fingerprint(validate(faces(box=-1)))
