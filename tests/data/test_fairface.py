from __future__ import annotations

import pytest

from fer_lab.data import FairFaceDataModule
from fer_lab.data.manifest import group_values
from fer_lab.data.sources import fairface, read
from fer_lab.errors import DataError
from tests.layouts.fairface import AGES, GENDERS, RACES, write_fairface

AGE_NAMES = (*AGES[:-1], "70+")
RACE_NAMES = {
    "White": "white",
    "Black": "black",
    "Latino_Hispanic": "latino_hispanic",
    "East Asian": "east_asian",
    "Southeast Asian": "southeast_asian",
    "Indian": "indian",
    "Middle Eastern": "middle_eastern",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write_fairface(tmp_path_factory.mktemp("fairface") / "a")


def test_validation_is_the_test_set(copy):
    manifest = read("fairface", copy.root)
    of_val = manifest["id"].str.startswith("fairface/val/")
    assert set(manifest["split"][of_val]) == {"test"}
    assert set(manifest["split"][~of_val]) == {"train"}


@pytest.mark.parametrize(("text", "name"), zip(AGES, AGE_NAMES, strict=True))
def test_every_age_has_its_group(text, name, copy):
    check(copy, 1, text, "age", name)


@pytest.mark.parametrize(("text", "name"), RACE_NAMES.items())
def test_every_race_has_its_name(text, name, copy):
    check(copy, 3, text, "race", name)


@pytest.mark.parametrize(("text", "name"), [("Male", "male"), ("Female", "female")])
def test_every_gender_has_its_name(text, name, copy):
    check(copy, 2, text, "gender", name)


@pytest.mark.parametrize(("text", "name"), [("True", "yes"), ("False", "no")])
def test_the_service_test_is_an_attribute(text, name, copy):
    check(copy, 4, text, "attribute_service_test", name)


def check(copy, place, text, column, name):
    """Rows with a text in some cell, and no others, have a name in some column."""
    manifest = read("fairface", copy.root).set_index("id")
    expected = {f"fairface/{image}" for image, row in copy.rows.items() if row[place] == text}
    assert expected
    assert set(manifest.index[manifest[column] == name]) == expected


def test_the_codes_of_the_layout_are_all_known():
    assert set(AGES) | {"70+"} == set(fairface.AGE_CODES)
    assert set(GENDERS) == set(fairface.GENDER_CODES)
    assert set(RACES) == set(fairface.RACE_CODES)
    assert fairface.AGE_CODES["70+"] == "70+"


def test_groups_are_in_their_order_and_empty_cells_unknown(copy):
    manifest = read("fairface", copy.root)
    assert group_values(manifest, "age") == AGE_NAMES
    assert group_values(manifest, "race") == tuple(RACE_NAMES.values())
    broken = manifest.set_index("id").loc["fairface/train/broken.jpg"]
    assert (broken["age"], broken["race"], broken["gender"]) == ("unknown", "unknown", "male")
    for name in ("gender", "age", "race"):
        assert set(manifest[f"{name}_source"]) == {"annotated"}


def test_images_may_lie_in_a_folder_named_after_the_margin(copy, tmp_path):
    other = write_fairface(tmp_path / "b", margin="fairface-img-margin025-trainval")
    assert list(read("fairface", other.root)["id"]) == list(read("fairface", copy.root)["id"])


def test_a_race_classifier_has_seven_classes(copy, tmp_path):
    data = FairFaceDataModule(copy.root, image_size=16, batch_size=8, cache_dir=tmp_path)
    data.setup()
    assert data.classes == tuple(RACE_NAMES.values())
    assert "race" not in data.groups
    assert set(data.manifest["label"]) == set(data.classes)


def test_a_missing_list_is_named(tmp_path):
    write_fairface(tmp_path / "a", odd=False)
    (tmp_path / "a/fairface_label_val.csv").unlink()
    with pytest.raises(DataError, match=r"layout: fairface_label_val.csv not found"):
        read("fairface", tmp_path / "a")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("train/2.jpg,3-9", "train/2.jpg,9-Mar", r"'9-Mar' is no code for age(.|\n)*line 3"),
        ("Male,East Asian", "man,East Asian", r"'man' is no code for gender(.|\n)*line 2"),
        ("East Asian", "Martian", r"'Martian' is no code for race(.|\n)*line 2"),
        ("gender", "sex", r"no column gender(.|\n)*file, age, sex"),
    ],
)
def test_a_malformed_list_is_an_error_that_names_its_place(before, after, words, tmp_path):
    root = write_fairface(tmp_path / "a", odd=False).root
    path = root / "fairface_label_train.csv"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(DataError, match=words) as caught:
        read("fairface", root)
    assert "fairface_label_train.csv" in str(caught.value)


def test_a_folder_without_images_is_an_error(tmp_path):
    root = write_fairface(tmp_path / "a", train=2, val=1, odd=False).root
    for image in root.glob("*/*.jpg"):
        image.unlink()
    with pytest.raises(DataError, match=r"none of the 3 rows of FairFace.*image missing: 3"):
        read("fairface", root)
