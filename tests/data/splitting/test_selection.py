from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from fer_lab.data.manifest import validate
from fer_lab.data.splitting.selection import Selection, plain, select
from fer_lab.data.splitting.split_options import Split
from fer_lab.errors import ConfigError, DataError
from tests.data.flat_faces import flat_manifest

MIXED = Split()


def chosen(frame: pd.DataFrame, **options: Any) -> Selection:
    settings = {
        "classes": ("happy", "sad"),
        "attributes": ("gender",),
        "split": MIXED,
        "test_split": MIXED,
        "good": np.ones(len(frame), dtype=bool),
    } | options
    good = settings.pop("good")
    return select(frame, good, **settings)


def test_a_split_filters_training_and_what_is_monitored_but_not_validation_or_test() -> None:
    frame = flat_manifest(100)
    selection = chosen(frame, split=Split.of("female"))
    women = (frame["gender"] == "female").to_numpy()
    for name, rows in (
        ("train", selection.train),
        ("val", selection.val),
        ("test", selection.test),
    ):
        everyone = np.flatnonzero((frame["split"] == name).to_numpy())
        expected = everyone[women[everyone]] if name == "train" else everyone
        assert rows.tolist() == expected.tolist()
    assert selection.monitored.tolist() == women.tolist()


def test_a_test_split_narrows_the_test_alone() -> None:
    frame = flat_manifest(100)
    selection = chosen(frame, test_split=Split.of("male", "test_split"))
    assert set(frame["gender"].iloc[selection.test]) == {"male"}
    assert set(frame["gender"].iloc[selection.train]) == {"female", "male"}
    assert selection.monitored.all()


def test_labels_outside_the_classes_and_unreadable_rows_are_left_out() -> None:
    frame = flat_manifest(40)
    frame.loc[[0, 1, 2], "label"] = "contempt"
    frame.loc[3, "label"] = "fear"
    good = np.ones(40, dtype=bool)
    good[[0, 20]] = False
    selection = chosen(frame, good=good)
    assert selection.kept.tolist() == [n for n in range(40) if n not in (0, 1, 2, 3, 20)]
    assert selection.manifest["id"].tolist() == [f"flat/{n}" for n in selection.kept]
    assert selection.manifest.index.tolist() == list(range(35))
    # Row 0 is unreadable, and contempt: it is counted once, with the files.
    assert selection.dropped == {
        "label contempt not among the classes": 2,
        "label fear not among the classes": 1,
    }
    assert len(np.r_[selection.train, selection.val, selection.test]) == 35


@pytest.mark.parametrize(
    ("part", "options", "expected"),
    [
        ("train", {"split": "female"}, "split=female leaves none of the 60 training rows"),
        ("val", {"split": "female"}, "split=female leaves none of the 20 validation rows"),
        ("test", {"test_split": "female"}, "test_split=female leaves none of the 20 test rows"),
    ],
)
def test_a_filter_that_leaves_nothing_is_an_error_with_the_counts(
    part: str, options: dict[str, str], expected: str
) -> None:
    frame = flat_manifest(100)
    here = (frame["split"] == part).to_numpy()
    frame.loc[here, "gender"] = "male"
    frame.loc[np.flatnonzero(here)[:2], "gender"] = "unknown"
    splits = {name: Split.of(value, name) for name, value in options.items()}
    with pytest.raises(DataError) as caught:
        chosen(frame, **splits)
    message = str(caught.value)
    assert expected in message
    assert f"gender male {here.sum() - 2}, unknown 2" in message
    assert "where: gender=['female']" in message


def test_no_row_left_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="none of the 10 rows is left"):
        chosen(flat_manifest(10), classes=("anger", "fear"))


def test_an_attribute_or_value_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no attribute 'gendre'"):
        chosen(flat_manifest(10), attributes=("gendre",))
    with pytest.raises(ConfigError, match="never 'femal'"):
        chosen(flat_manifest(10), split=Split(where={"gender": ["femal"]}))


def test_a_group_without_validation_rows_is_a_warning() -> None:
    frame = flat_manifest(100)
    frame.loc[(frame["split"] == "val").to_numpy(), "gender"] = "male"
    selection = chosen(frame)
    assert len(selection.warnings) == 1
    assert "nobody in validation is of gender female" in selection.warnings[0]
    assert selection.groups == {"gender": ("female", "male")}


def test_an_attribute_of_which_nothing_is_known_is_not_audited() -> None:
    selection = chosen(flat_manifest(20), attributes=("gender", "race"))
    assert selection.groups == {"gender": ("female", "male")}
    assert selection.sources_of == {"gender": "annotated"}
    assert selection.warnings == ["race is not known for any face: it is not audited"]


def test_any_categorical_column_can_be_audited() -> None:
    frame = flat_manifest(20)
    frame["attribute_glasses"] = ["yes", "no"] * 10
    selection = chosen(validate(frame), attributes=("glasses", "dataset"))
    assert selection.groups == {"glasses": ("no", "yes"), "dataset": ("flat",)}


def test_containers_of_omegaconf_become_plain() -> None:
    configuration = OmegaConf.create({"a": {"b": [1, "${c}"]}, "c": 5})
    content = plain(configuration)
    assert content == {"a": {"b": [1, 5]}, "c": 5}
    assert type(content["a"]) is dict
    assert type(content["a"]["b"]) is list


def faces(cells: dict[tuple[str, str], int]) -> pd.DataFrame:
    """As many training rows as asked of each gender and expression, with two other splits."""
    rows = [cell for cell, count in cells.items() for _ in range(count)]
    rows += [("female", "happy"), ("male", "sad")] * 4
    frame = flat_manifest(len(rows))
    frame["gender"] = pd.Categorical([gender for gender, _ in rows], ["female", "male", "unknown"])
    frame["label"] = [label for _, label in rows]
    frame["split"] = ["train"] * (len(rows) - 8) + ["val", "val", "test", "test"] * 2
    return validate(frame)


UNEVEN = {
    ("female", "happy"): 30,
    ("female", "sad"): 9,
    ("male", "happy"): 12,
    ("male", "sad"): 7,
    ("unknown", "happy"): 20,
}


def learnt(selection: Selection) -> dict[tuple[str, str], int]:
    rows = selection.manifest.iloc[selection.train]
    return {
        (str(gender), str(label)): int(count)
        for (gender, label), count in rows.groupby(["gender", "label"], observed=True)
        .size()
        .items()
    }


def test_balanced_training_has_as_many_of_each_gender_and_expression_as_the_rarest() -> None:
    frame = faces(UNEVEN)
    selection = chosen(frame, split=Split(balance=["gender", "label"]))
    assert learnt(selection) == {
        (gender, label): 7 for gender in ("female", "male") for label in ("happy", "sad")
    }
    assert len(selection.val) == 4
    assert len(selection.test) == 4
    assert selection.notes == [
        "split.balance draws 28 of the 78 training rows: 7 of each gender × label, "
        "as many as the rarest has"
    ]


def test_one_gender_of_the_balanced_draw_is_a_half_of_the_mixed_one() -> None:
    frame = faces(UNEVEN)
    drawn = {
        name: set(
            chosen(
                frame,
                split=Split.of({"where": where, "balance": ["gender", "label"]}),
            ).train.tolist()
        )
        for name, where in {
            "mixed": None,
            "female": {"gender": ["female"]},
            "male": {"gender": ["male"]},
        }.items()
    }
    assert len(drawn["female"]) == len(drawn["male"]) == 14
    assert drawn["female"] | drawn["male"] == drawn["mixed"]


def test_mixed_matched_has_the_size_of_one_gender_and_both_genders() -> None:
    frame = faces(UNEVEN)
    selection = chosen(frame, split=Split.of("mixed_matched"))
    counts = learnt(selection)
    assert sum(counts.values()) == 14
    for label in ("happy", "sad"):
        assert {counts["female", label], counts["male", label]} == {3, 4}
    # The odd row goes to one gender for one expression, to the other for the next.
    assert counts["female", "happy"] + counts["female", "sad"] == 7
    balanced = chosen(frame, split=Split(balance=["gender", "label"]))
    assert set(selection.train) < set(balanced.train)
    assert "as many as one gender has where each gender × label has 7" in selection.notes[0]


def test_a_balanced_draw_depends_on_seed_and_ids_not_on_the_order_of_rows() -> None:
    frame = faces(UNEVEN)
    shuffled = validate(frame.sample(frac=1, random_state=5))

    def ids(table: pd.DataFrame, seed: int) -> set[str]:
        split = Split.of({"balance": ["gender", "label"], "match": "gender", "seed": seed})
        selection = chosen(table, split=split)
        return set(selection.manifest["id"].iloc[selection.train])

    assert ids(frame, 1) == ids(shuffled, 1)
    assert ids(frame, 1) != ids(frame, 2)


def test_unreadable_rows_are_not_drawn() -> None:
    frame = faces(UNEVEN)
    good = np.ones(len(frame), dtype=bool)
    rarest = ((frame["gender"] == "male") & (frame["label"] == "sad")).to_numpy()
    good[np.flatnonzero(rarest & (frame["split"] == "train").to_numpy())[:2]] = False
    selection = chosen(frame, good=good, split=Split(balance=["gender", "label"]))
    assert set(learnt(selection).values()) == {5}


def test_the_test_rows_can_be_balanced_too() -> None:
    frame = flat_manifest(200)
    frame.loc[(frame["split"] == "test").to_numpy() & (frame.index < 60), "gender"] = "female"
    selection = chosen(frame, test_split=Split(balance=["gender"]))
    counts = frame["gender"].iloc[selection.test].value_counts()
    assert counts["female"] == counts["male"] < 20
    assert selection.notes[0].startswith("test_split.balance draws")


def test_a_cell_without_rows_is_named() -> None:
    frame = faces({("female", "happy"): 3, ("female", "sad"): 2, ("male", "happy"): 4})
    with pytest.raises(DataError, match="no row is gender male, label sad"):
        chosen(frame, split=Split(balance=["gender", "label"]))


def test_filters_of_several_attributes_are_an_intersection() -> None:
    frame = flat_manifest(120)
    frame["attribute_glasses"] = (["yes"] * 3 + ["no"] * 4) * 17 + ["yes"]
    frame["race"] = (["white"] * 5 + ["black"] * 6) * 10 + ["black"] * 10
    frame["race_source"] = "annotated"
    frame = validate(frame)
    wanted = {"gender": ["female"], "glasses": [True], "race": ["black"]}
    selection = chosen(
        frame,
        split=Split.of({"where": wanted}),
        test_split=Split.of({"where": {"race": ["white"], "glasses": ["no"]}}, "test_split"),
    )
    expected = [
        row
        for row in range(120)
        if frame["split"][row] == "train"
        and frame["gender"][row] == "female"
        and frame["attribute_glasses"][row] == "yes"
        and frame["race"][row] == "black"
    ]
    assert expected
    assert selection.train.tolist() == expected
    assert {(frame["race"][row], frame["attribute_glasses"][row]) for row in selection.test} == {
        ("white", "no")
    }
