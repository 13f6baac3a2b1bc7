"""Datasets read each by itself and merged, from folders in their published layouts."""

from __future__ import annotations

import pandas as pd
import pytest

from fer_lab.data import read
from fer_lab.data.audit_rows import Wanted
from fer_lab.data.side_by_side import read_sides
from fer_lab.data.splitting.split_options import Split
from fer_lab.errors import ConfigError, DataError
from tests.layouts import affectnet, expw, jaffe, rafdb

HARMONISE = {
    "gender": {},
    "race": {"rafdb": {"caucasian": "white", "african_american": "black", "asian": "asian"}},
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    place = tmp_path_factory.mktemp("datasets")
    affectnet.write_csv_release(place / "affectnet", odd=False)
    rafdb.write_list_form(place / "rafdb", odd=False)
    expw.write(place / "expw", odd=False)
    return {name: {"root": str(place / name)} for name in ("affectnet", "rafdb", "expw")}


def sides(sources, tmp_path, *, split="mixed", rows="all", classes=7, target="expression", **more):
    options = {"attributes": ["gender", "age", "race"], "cache_dir": tmp_path, **more}
    wanted = Wanted(rows=rows, split=Split.of(split), classes=classes, target=target)
    return {side.name: side for side in read_sides(sources, wanted, **options)}


def inferred(place, images, **columns):
    table = pd.DataFrame({"image_path": images, "dataset": "expw", **columns})
    path = place / "inferred.csv"
    table.to_csv(path, index=False)
    return [{"kind": "demographics", "file": str(path), "source": "FairFace"}]


def test_every_dataset_keeps_its_own_groups(roots, tmp_path):
    found = sides(roots, tmp_path)
    assert list(found) == ["affectnet", "rafdb", "expw", "merged"]
    assert found["rafdb"].groups["race"] == ("caucasian", "african_american", "asian")
    assert found["affectnet"].groups == {"gender": ("female", "male")}
    assert found["expw"].groups == {}
    assert found["expw"].absent["gender"] == "not known for any face of expw"


def test_merged_rows_are_those_of_the_datasets_with_what_nobody_knows_unknown(roots, tmp_path):
    found = sides(roots, tmp_path)
    merged = found.pop("merged")
    assert merged.rows["id"].tolist() == [i for side in found.values() for i in side.rows["id"]]
    assert merged.groups["gender"] == ("female", "male")
    expected = sum((side.rows["gender"] == "female").sum() for side in found.values())
    assert (merged.rows["gender"] == "female").sum() == expected
    assert (merged.rows["gender"] == "unknown").sum() >= len(found["expw"].rows)


def test_one_dataset_has_nothing_to_be_merged_with(roots, tmp_path):
    assert list(sides({"rafdb": roots["rafdb"]}, tmp_path)) == ["rafdb"]


def test_other_groups_or_sources_leave_an_attribute_out_of_the_merged_rows(roots, tmp_path):
    ids = read("expw", roots["expw"]["root"])["id"].str.removeprefix("expw/")
    notes = inferred(tmp_path, ids, gender="Woman", race="White")
    merged = sides(roots, tmp_path, annotations=notes)["merged"]
    assert list(merged.groups) == ["age"]
    assert "FairFace" in merged.absent["gender"]
    assert "african_american" in merged.absent["race"]
    assert "data.harmonise" in merged.absent["race"]
    assert (merged.rows["race"] == "unknown").all()


def test_harmonised_groups_stand_in_every_side(roots, tmp_path):
    ids = read("expw", roots["expw"]["root"])["id"].str.removeprefix("expw/")
    races = ["White", "Black", "Asian"] * len(ids)
    notes = inferred(tmp_path, ids, gender="Woman", race=races[: len(ids)])
    found = sides(roots, tmp_path, annotations=notes, harmonise=HARMONISE)
    assert found["rafdb"].groups["race"] == ("white", "black", "asian")
    assert found["merged"].absent == {}
    assert found["merged"].sources_of["race"] == "annotated and FairFace"
    counts = {name: side.rows["race"].value_counts() for name, side in found.items()}
    for race in ("white", "black", "asian"):
        parts = [counts[name].get(race, 0) for name in ("affectnet", "rafdb", "expw")]
        assert counts["merged"][race] == sum(parts) > 0


def test_a_code_without_a_group_becomes_unknown_and_is_noted(roots, tmp_path):
    table = {"race": {"rafdb": {"caucasian": "white"}}}
    found = sides({"rafdb": roots["rafdb"]}, tmp_path, harmonise=table)["rafdb"]
    assert found.groups["race"] == ("white",)
    assert "asian" in found.notes[0]


def test_annotations_leave_datasets_alone_that_they_do_not_speak_of(roots, tmp_path):
    ids = read("expw", roots["expw"]["root"])["id"].str.removeprefix("expw/")
    notes = inferred(tmp_path, ids, gender=["Woman", "Man"] * (len(ids) // 2) + ["Man"], age=30)
    before, after = sides(roots, tmp_path), sides(roots, tmp_path, annotations=notes)
    for name in ("affectnet", "rafdb"):
        pd.testing.assert_frame_equal(before[name].rows, after[name].rows)
    assert after["expw"].sources_of == {"gender": "FairFace", "age": "FairFace"}
    assert set(after["expw"].rows["age"]) == {"16-32"}


def test_what_is_known_gives_way_only_where_that_is_asked_for(roots, tmp_path):
    one = {"affectnet": roots["affectnet"]}
    ids = read("affectnet", roots["affectnet"]["root"])["id"]
    (notes,) = inferred(tmp_path, ids, gender="Woman")
    table = pd.read_csv(notes["file"]).assign(dataset="affectnet")
    table.to_csv(notes["file"], index=False)
    with pytest.raises(DataError, match="gender of affectnet is known already"):
        sides(one, tmp_path, annotations=[notes])
    replaced = sides(one, tmp_path, annotations=[{**notes, "replace": True}])["affectnet"]
    assert set(replaced.rows["gender"]) == {"female"}


@pytest.mark.parametrize("rows", ["train", "val", "test"])
def test_the_rows_of_a_split_are_those_of_a_training(roots, tmp_path, rows):
    from fer_lab.data.loading import choose_rows

    found = sides({"rafdb": roots["rafdb"]}, tmp_path, rows=rows)["rafdb"]
    selection = choose_rows(
        {"rafdb": roots["rafdb"]},
        classes=7,
        attributes=["gender"],
        split=Split.of("mixed"),
        test_split=Split.of("mixed", "test_split"),
        cache_dir=tmp_path,
        verify=False,
    ).selection
    expected = selection.manifest["id"].iloc[getattr(selection, rows)]
    assert sorted(found.rows["id"]) == sorted(expected)
    assert len(found.rows) + found.dropped["in other splits"] == 70


def test_a_filter_takes_rows_of_all_splits_and_counts_the_others(roots, tmp_path):
    found = sides({"affectnet": roots["affectnet"]}, tmp_path, split="female")["affectnet"]
    assert set(found.rows["gender"]) == {"female"}
    assert found.dropped["outside split.where"] > 0


def test_a_balanced_draw_has_as_many_of_each(roots, tmp_path):
    split = {"name": "balanced", "balance": ["gender", "label"]}
    options = {"split": split, "rows": "train"}
    found = sides({"affectnet": roots["affectnet"]}, tmp_path, **options)["affectnet"]
    cells = found.rows.groupby(["gender", "label"], observed=True).size()
    assert cells.nunique() == 1
    with pytest.raises(ConfigError, match="a balanced draw is made of training rows"):
        sides({"affectnet": roots["affectnet"]}, tmp_path, split=split)


def test_labels_outside_the_classes_are_counted(roots, tmp_path):
    found = sides({"affectnet": roots["affectnet"]}, tmp_path)["affectnet"]
    assert found.dropped["label contempt not among the classes"] == 12


def test_unreadable_files_are_set_aside_only_when_files_are_looked_at(tmp_path):
    written = affectnet.write_csv_release(tmp_path / "affectnet")
    source = {"affectnet": {"root": str(written.root)}}
    lax = sides(source, tmp_path)["affectnet"]
    wanted = Wanted(rows="all", split=Split.of("mixed"), classes=7, verified_in=tmp_path)
    options = {"attributes": ["gender"], "cache_dir": tmp_path}
    (strict,) = read_sides(source, wanted, **options)
    lost = set(lax.rows["id"]) - set(strict.rows["id"])
    assert lost == {f"affectnet/{image}" for image in written.unreadable}


def test_people_of_different_datasets_are_not_one(tmp_path):
    written = jaffe.write_jaffe(tmp_path / "jaffe", odd=False)
    source = {"root": str(written.root)}
    twice = {"jaffe": source, "again": {**source, "source": "jaffe", "root": f"{written.root}/"}}
    found = sides(twice, tmp_path, attributes=["gender"])
    people = found["jaffe"].rows["subject"].nunique()
    assert found["merged"].rows["subject"].nunique() == 2 * people


def test_what_is_told_apart_is_not_an_attribute_of_itself(roots, tmp_path):
    found = sides({"rafdb": roots["rafdb"]}, tmp_path, target="gender")["rafdb"]
    assert found.classes == ("female", "male")
    assert found.absent == {"gender": "it is the label itself"}


def test_mistakes_are_named(roots, tmp_path):
    one = {"rafdb": roots["rafdb"]}
    with pytest.raises(ConfigError, match="did you mean 'gender'"):
        sides(one, tmp_path, attributes=["gendr"])
    with pytest.raises(ConfigError, match="rows=tset is no choice of rows"):
        sides(one, tmp_path, rows="tset")
    with pytest.raises(ConfigError, match="never 'asian_'"):
        sides(one, tmp_path, harmonise={"race": {"rafdb": {"asian_": "asian"}}})
    with pytest.raises(DataError, match="none of the 70 rows of rafdb is left"):
        sides(one, tmp_path, classes=["contempt", "happy"], split="female", rows="val")


def test_annotations_of_no_face_are_counted(roots, tmp_path):
    notes = inferred(tmp_path, ["nobody.jpg", "nobody-else.jpg"], gender="Woman")
    found = sides({"expw": roots["expw"]}, tmp_path, annotations=notes)["expw"]
    assert found.dropped["demographics of no listed image"] == 2
