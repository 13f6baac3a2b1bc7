from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from fer_lab.data.manifest import validate
from fer_lab.data.selection import Selection, Split, plain, select
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
    assert selection.dropped == {
        "label contempt not among the classes": 3,
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


def test_a_split_is_made_from_a_name_or_options() -> None:
    assert Split.of("mixed").where == {}
    assert Split.of("male").where == {"gender": ["male"]}
    given = {"name": "old", "where": {"age": ["54+"], "race": None}, "seed": 4}
    split = Split.of(given)
    assert (split.name, split.seed, split.val_fraction) == ("old", 4, 0.1)
    assert str(split) == "age=['54+']"
    assert Split.of(split) is split
    assert Split.of({"where": None}).where == {}
    with pytest.raises(ConfigError, match="no split 'women'"):
        Split.of("women")
    with pytest.raises(ConfigError, match="did you mean 'where'"):
        Split.of({"were": {}})


def test_containers_of_omegaconf_become_plain() -> None:
    configuration = OmegaConf.create({"a": {"b": [1, "${c}"]}, "c": 5})
    content = plain(configuration)
    assert content == {"a": {"b": [1, 5]}, "c": 5}
    assert type(content["a"]) is dict
    assert type(content["a"]["b"]) is list
