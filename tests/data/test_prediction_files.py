"""Tables of predictions made by any program: one form, or an error that names the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_lab.data.predictions import is_inferred, read_prediction_file
from fer_lab.errors import ConfigError, DataError

ROWS = {
    "id": ["a", "b", "c", "d"],
    "label": ["sad", "happy", "happy", "sad"],
    "prediction": ["sad", "happy", "sad", "sad"],
    "gender": ["male", "female", "female", None],
}
SHARES = {"prob_sad": [0.9, 0.2, 0.6, 0.7], "prob_happy": [0.1, 0.8, 0.4, 0.3]}


@pytest.fixture(params=["csv", "parquet"])
def written(request, tmp_path):
    """Write a table in either form; a column of None is left out."""

    def write(**columns):
        rows = {name: cells for name, cells in {**ROWS, **columns}.items() if cells is not None}
        path = tmp_path / f"predictions.{request.param}"
        frame = pd.DataFrame(rows)
        if request.param == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
        return path

    return write


def test_classes_come_in_the_vocabularys_order_and_groups_in_theirs(written):
    read = read_prediction_file(written())
    assert read.classes == ("happy", "sad")
    assert read.groups == {"gender": ("female", "male")}
    assert list(read.frame["label"]) == ROWS["label"]
    assert list(read.frame["gender"]) == ["male", "female", "female", "unknown"]
    assert read.sources == {"gender": "annotated"}
    assert read.warnings == ()


def test_a_prediction_is_the_class_of_the_highest_probability(written):
    read = read_prediction_file(written(prediction=None, **SHARES))
    assert list(read.frame["prediction"]) == ["sad", "happy", "sad", "sad"]
    np.testing.assert_allclose(read.frame["prob_happy"], SHARES["prob_happy"], rtol=1e-6)


def test_a_prediction_that_is_not_the_likeliest_counts_and_is_said(written):
    read = read_prediction_file(written(prediction=["sad", "sad", "sad", "sad"], **SHARES))
    assert list(read.frame["prediction"]) == ["sad"] * 4
    assert any("1 rows" in warning for warning in read.warnings)


def test_columns_and_labels_of_other_names_are_mapped(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("truth,p0,p1,sex\n0,0.7,0.3,F\n1,0.4,0.6,M\n1.0,0.8,0.2,\n")
    read = read_prediction_file(
        path,
        columns={"label": "truth", "prob_happy": "p0", "prob_sad": "p1", "gender": "sex"},
        labels={0: "happy", 1: "sad"},
    )
    assert list(read.frame["label"]) == ["happy", "sad", "sad"]
    assert list(read.frame["prediction"]) == ["happy", "sad", "happy"]
    assert list(read.frame["gender"]) == ["F", "M", "unknown"]
    assert list(read.frame["id"]) == ["2", "3", "4"]
    assert any("no column id" in warning for warning in read.warnings)


def test_labels_that_are_no_class_are_listed_with_counts_and_rows(written):
    path = written(label=["sad", "hapy", "hapy", "boredom"])
    with pytest.raises(DataError) as error:
        read_prediction_file(path)
    assert "3 of 4 rows" in error.value.what
    assert "hapy (2), boredom (1)" in error.value.what
    assert "labels={hapy: happy}" in error.value.hint
    assert "3, 4, 5" in error.value.where or "2, 3, 4" in error.value.where


def test_classes_may_be_anything_that_is_named(written):
    path = written(label=["x", "y", "y", "x"], prediction=["x", "x", "y", "x"])
    assert read_prediction_file(path).classes == ("x", "y")
    assert read_prediction_file(path, classes=["z", "y", "x"]).classes == ("z", "y", "x")
    with pytest.raises(DataError, match="label that is not among"):
        read_prediction_file(path, classes=7)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"prob_sad": [0.9, 0.2, 0.6, 0.75]}, "1 of 4 rows do not add up to 1, the first to 1.05"),
        ({"prob_sad": [0.9, None, 0.6, 0.7]}, "prob_sad is no number in 1 of 4 rows"),
        ({"prob_sad": [9.0, -8.2, 0.6, 0.7]}, "2 of 4 rows"),
        ({"prob_sad": [1.5, 0.2, 0.6, 0.7], "prob_happy": [-0.5, 0.8, 0.4, 0.3]}, "1 of 4 rows"),
    ],
)
def test_probabilities_that_are_none_are_counted(written, shares, said):
    with pytest.raises(DataError, match=said):
        read_prediction_file(written(**{**SHARES, **shares}))


def test_sums_within_a_thousandth_of_one_are_rounding(written):
    read_prediction_file(written(prob_sad=[0.9009, 0.2, 0.6, 0.7], prob_happy=SHARES["prob_happy"]))
    with pytest.raises(DataError, match="add up"):
        read_prediction_file(
            written(prob_sad=[0.9011, 0.2, 0.6, 0.7], prob_happy=SHARES["prob_happy"])
        )


def test_a_probability_without_a_column_names_it(written):
    with pytest.raises(DataError, match="no column prob_fear"):
        read_prediction_file(written(**SHARES), classes=["happy", "sad", "fear"])


def test_an_id_in_two_rows_is_refused(written):
    with pytest.raises(DataError, match="b for one"):
        read_prediction_file(written(id=["a", "b", "b", "d"]))


@pytest.mark.parametrize("name", ["label", "prediction", "id"])
def test_an_empty_cell_is_refused(written, name):
    with pytest.raises(DataError, match=f"{name} is empty in 1"):
        read_prediction_file(written(**{name: [None, *ROWS[name][1:]]}))


def test_a_missing_column_names_the_near_one(written):
    with pytest.raises(DataError) as error:
        read_prediction_file(written(label=None, lable=ROWS["label"]))
    assert "did you mean 'lable'" in error.value.what
    assert "columns={label: lable}" in error.value.hint
    with pytest.raises(DataError, match="did you mean 'gender'"):
        read_prediction_file(written(), attributes=["gendr"])
    with pytest.raises(DataError, match="no column prediction"):
        read_prediction_file(written(prediction=None))


def test_an_attribute_of_which_nothing_is_known_is_left_out_and_said(written):
    read = read_prediction_file(written(gender=[None] * 4))
    assert read.groups == {}
    assert any("gender is not known" in warning for warning in read.warnings)


def test_columns_of_names_are_attributes_and_others_are_not(written):
    path = written(
        site=["north", "south", "north", "south"],
        path=["1.jpg", "2.jpg", "3.jpg", "4.jpg"],
        score=[0.1, 0.2, 0.3, 0.4],
        subject=["p1", "p1", "p2", "p3"],
    )
    read = read_prediction_file(path)
    assert list(read.groups) == ["gender", "site"]
    assert list(read.frame["subject"]) == ["p1", "p1", "p2", "p3"]


def test_what_has_too_many_values_is_no_attribute(tmp_path):
    rows = 30
    frame = pd.DataFrame(
        {
            "label": ["happy", "sad"] * 15,
            "prediction": ["happy"] * rows,
            "note": [f"note {n}" for n in range(rows)],
            "age": range(20, 20 + rows),
        }
    )
    frame.to_csv(tmp_path / "many.csv", index=False)
    assert read_prediction_file(tmp_path / "many.csv").groups == {}
    with pytest.raises(DataError, match="30 different values"):
        read_prediction_file(tmp_path / "many.csv", attributes=["age"])


def test_ages_come_in_the_order_of_years(written):
    read = read_prediction_file(written(age=["20-39", "3-9", "70+", "3-9"]))
    assert read.groups["age"] == ("3-9", "20-39", "70+")


def test_a_source_is_that_of_its_column_else_that_of_the_option(written):
    path = written(gender_source=["deepface"] * 4, race=["white", "black", "white", "black"])
    read = read_prediction_file(path, demographics_source="fairface_model")
    assert read.sources == {"gender": "deepface", "race": "fairface_model"}
    assert is_inferred("deepface")
    assert not is_inferred("annotated")


def test_files_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="neither"):
        read_prediction_file(tmp_path / "predictions.json")
    with pytest.raises(DataError, match="no such file"):
        read_prediction_file(tmp_path / "nowhere.csv")
    (tmp_path / "broken.parquet").write_text("label,prediction")
    with pytest.raises(DataError, match="no parquet file"):
        read_prediction_file(tmp_path / "broken.parquet")
    (tmp_path / "empty.csv").write_text("label,prediction\n")
    with pytest.raises(DataError, match="no rows"):
        read_prediction_file(tmp_path / "empty.csv")
    (tmp_path / "nothing.csv").write_text("")
    with pytest.raises(DataError):
        read_prediction_file(tmp_path / "nothing.csv")
