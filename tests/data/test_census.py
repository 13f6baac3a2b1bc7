from __future__ import annotations

import pandas as pd

from fer_lab.data.census import census, reasons
from fer_lab.data.manifest import validate

CLASSES = ("neutral", "happy", "sad")
GROUPS = {"gender": ("female", "male"), "glasses": ("no", "yes")}

ROWS = [
    ("happy", "train", "female", "no"),
    ("happy", "train", "female", "no"),
    ("sad", "train", "male", "yes"),
    ("sad", "train", "unknown", "no"),
    ("neutral", "test", "male", "no"),
]


def manifest() -> pd.DataFrame:
    labels, splits, genders, glasses = zip(*ROWS, strict=True)
    return validate(
        pd.DataFrame(
            {
                "id": [f"a/{number}" for number in range(len(ROWS))],
                "dataset": "a",
                "path": "x.jpg",
                "label": labels,
                "split": splits,
                "gender": pd.Categorical(genders, ["female", "male", "unknown"]),
                "gender_source": "annotated",
                "attribute_glasses": pd.Categorical(glasses, ["no", "yes", "unknown"]),
            }
        )
    )


def cell(table: pd.DataFrame, split: str, attribute: str, group: str, label: str) -> int:
    (count,) = table[
        (table["split"] == split)
        & (table["attribute"] == attribute)
        & (table["group"] == group)
        & (table["label"] == label)
    ]["count"]
    return int(count)


def test_cells_are_counted_as_by_hand():
    table = census(manifest(), CLASSES, GROUPS)
    assert cell(table, "train", "all", "all", "happy") == 2
    assert cell(table, "train", "all", "all", "sad") == 2
    assert cell(table, "train", "gender", "female", "happy") == 2
    assert cell(table, "train", "gender", "unknown", "sad") == 1
    assert cell(table, "train", "glasses", "yes", "sad") == 1
    assert cell(table, "test", "gender", "male", "neutral") == 1


def test_a_cell_without_a_face_is_zero_not_absent():
    table = census(manifest(), CLASSES, GROUPS)
    assert cell(table, "test", "gender", "female", "happy") == 0
    assert cell(table, "test", "gender", "unknown", "sad") == 0


def test_every_attribute_counts_every_row_once():
    table = census(manifest(), CLASSES, GROUPS)
    assert table.groupby("attribute")["count"].sum().to_dict() == dict.fromkeys(
        ("all", "gender", "glasses"), len(ROWS)
    )


def test_unknown_is_left_out_where_everything_is_known():
    table = census(manifest(), CLASSES, GROUPS)
    assert list(table[table["attribute"] == "glasses"]["group"].unique()) == ["no", "yes"]


def test_splits_without_a_row_are_left_out():
    assert list(census(manifest(), CLASSES, {})["split"].unique()) == ["train", "test"]


def test_reasons_are_sorted_by_count_and_zeros_left_out():
    table = reasons({"b": 2, "a": 2, "much": 9, "nothing": 0})
    assert table.to_numpy().tolist() == [["much", 9], ["a", 2], ["b", 2]]
    assert reasons({}).empty
