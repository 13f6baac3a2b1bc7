from __future__ import annotations

from pathlib import Path

import pytest

from fer_lab.data.manifest import assets, group_values
from fer_lab.data.sources import rafdb, read
from fer_lab.errors import ConfigError, DataError
from tests.layouts.rafdb import (
    ATTRIBUTES,
    EXPRESSIONS,
    write_attributes,
    write_folders_form,
    write_list_form,
)

GENDERS = {0: "male", 1: "female", 2: "unknown"}
RACES = {0: "caucasian", 1: "african_american", 2: "asian"}
AGES = {0: "0-3", 1: "4-19", 2: "20-39", 3: "40-69", 4: "70+"}


@pytest.fixture(scope="module")
def list_copy(tmp_path_factory):
    return write_list_form(tmp_path_factory.mktemp("rafdb") / "list")


@pytest.fixture(scope="module")
def folders_copy(tmp_path_factory):
    return write_folders_form(tmp_path_factory.mktemp("rafdb") / "folders")


def by_stem(manifest):
    return manifest.set_index(manifest["id"].str.removeprefix("rafdb/"))


def small_copy(root: Path, *lines: str) -> Path:
    """A list form of one image of each split and ``lines``."""
    write_list_form(root, train=1, test=1, odd=False)
    path = root / "EmoLabel" / "list_patition_label.txt"
    path.write_text("\n".join(["train_00001.jpg 1", "test_0001.jpg 1", *lines]) + "\n")
    return root


@pytest.mark.parametrize("form", ["list", "folders"])
def test_every_row_is_kept_or_counted(form, list_copy, folders_copy):
    copy = list_copy if form == "list" else folders_copy
    manifest = read("rafdb", copy.root)
    assert by_stem(manifest)["label"].to_dict() == copy.labels
    assert assets(manifest).dropped == copy.dropped
    assert all(Path(path).is_file() for path in manifest["path"])


@pytest.mark.parametrize("form", ["list", "folders"])
@pytest.mark.parametrize(("code", "name"), EXPRESSIONS.items())
def test_every_code_has_its_expression(form, code, name, list_copy, folders_copy):
    """Image n of a split has the code 1 + (n - 1) % 7."""
    manifest = by_stem(read("rafdb", (list_copy if form == "list" else folders_copy).root))
    for split, last in (("train_{:05d}", 49), ("test_{:04d}", 21)):
        stems = [split.format(number) for number in range(code, last + 1, 7)]
        assert set(manifest.loc[stems, "label"]) == {name}


def test_the_name_of_an_image_is_its_split_and_there_is_no_validation_set(list_copy):
    manifest = by_stem(read("rafdb", list_copy.root))
    assert manifest["split"].tolist() == [stem.partition("_")[0] for stem in manifest.index]
    assert manifest["split"].value_counts().to_dict() == {"train": 51, "test": 22, "val": 0}


def test_every_demographic_code_has_its_group(list_copy):
    manifest = by_stem(read("rafdb", list_copy.root))
    assert set(list_copy.attributes.values()) == set(ATTRIBUTES)
    for stem, (gender, race, age) in list_copy.attributes.items():
        row = manifest.loc[stem]
        assert (row["gender"], row["race"], row["age"]) == (
            GENDERS[gender],
            RACES[race],
            AGES[age],
        )
    assert group_values(manifest, "gender") == ("female", "male")
    assert group_values(manifest, "race") == tuple(RACES.values())
    assert group_values(manifest, "age") == tuple(AGES.values())
    for name in ("gender", "race", "age"):
        assert set(manifest[f"{name}_source"]) == {"annotated"}


def test_faces_without_whole_attributes_are_unknown(list_copy):
    manifest = by_stem(read("rafdb", list_copy.root))
    unknown = manifest.loc[["train_90001", "test_9002", "train_ünï 1"]]
    assert (unknown[["gender", "race", "age"]] == "unknown").all(axis=None)


def test_without_attribute_files_nothing_is_known(folders_copy):
    manifest = read("rafdb", folders_copy.root)
    assert set(manifest["gender"]) == {"unknown"}
    assert set(manifest["race_source"]) == {"none"}


def test_attribute_files_beside_the_folders_are_read(tmp_path):
    copy = write_folders_form(tmp_path, train=1, test=1, odd=False)
    write_attributes(tmp_path, "train_00003", (1, 2, 4))
    manifest = by_stem(read("rafdb", copy.root))
    assert manifest.loc["train_00003", ["gender", "race", "age"]].tolist() == [
        "female",
        "asian",
        "70+",
    ]
    assert assets(manifest).dropped == {"attribute file missing, face kept": 13}


@pytest.mark.parametrize(
    ("codes", "name"), [((3, 0, 0), "gender"), ((0, 3, 0), "race"), ((0, 0, 5), "age")]
)
def test_an_unknown_demographic_code_names_the_file(tmp_path, codes, name):
    root = small_copy(tmp_path)
    write_attributes(root, "test_0001", codes)
    with pytest.raises(DataError) as caught:
        read("rafdb", root)
    for words in (str(max(codes)), f"a {name}", "Annotation/manual/test_0001_manu_attri.txt"):
        assert words in str(caught.value)


def test_originals_have_the_same_rows_and_other_files(list_copy):
    aligned, original = (
        read("rafdb", list_copy.root),
        read("rafdb", list_copy.root, images="original"),
    )
    assert list(aligned["id"]) == list(original["id"])
    assert aligned["path"].str.endswith("_aligned.jpg").all()
    assert original["path"].str.contains("/Image/original/").all()
    assert not original["path"].str.contains("_aligned").any()


def test_both_forms_have_the_same_ids(tmp_path):
    first = write_list_form(tmp_path / "a", train=1, test=1, odd=False)
    second = write_folders_form(tmp_path / "b", train=1, test=1, odd=False)
    assert set(read("rafdb", first.root)["id"]) == set(read("rafdb", second.root)["id"])


def test_folders_are_read_without_lists_and_without_the_folder_above(tmp_path):
    copy = write_folders_form(tmp_path, train=1, test=1, odd=False, lists=False)
    above, inside = read("rafdb", copy.root), read("rafdb", copy.root / "DATASET")
    assert by_stem(above)["label"].to_dict() == copy.labels
    assert list(above["id"]) == list(inside["id"])
    assert assets(above).dropped == {}


def test_the_folder_may_be_that_above_the_release(tmp_path):
    write_list_form(tmp_path / "basic", train=1, test=1, odd=False)
    lists = tmp_path / "basic" / "EmoLabel"
    (lists / "list_patition_label.txt").rename(lists / "list_partition_label.txt")
    manifest = read("rafdb", tmp_path)
    assert len(manifest) == 14
    assert (manifest["age"] != "unknown").all()


def test_another_layout_names_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"layout: EmoLabel/list_patition_label.txt and DATASET"):
        read("rafdb", tmp_path)
    for name in ("train", "test"):
        (tmp_path / "empty/DATASET" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="there is no image of RAF-DB"):
        read("rafdb", tmp_path / "empty")
    root = small_copy(tmp_path / "a")
    (root / "Image" / "aligned").rename(root / "Image" / "faces")
    with pytest.raises(DataError, match=r"no Image/aligned(.|\n)*rafdb.images=original"):
        read("rafdb", root)
    with pytest.raises(ConfigError, match="no images 'masked'"):
        read("rafdb", root, images="masked")


def test_of_an_image_in_two_folders_that_of_its_list_is_kept(tmp_path):
    root = write_folders_form(tmp_path, train=1, test=1, odd=False).root
    right = root / "DATASET/train/3/train_00003_aligned.jpg"
    (root / "DATASET/train/2" / right.name).write_bytes(right.read_bytes())
    manifest = by_stem(read("rafdb", root))
    assert manifest["label"]["train_00003"] == "disgust"
    assert assets(manifest).dropped == {"list and folder disagree": 1}


def test_folders_have_no_originals(folders_copy):
    with pytest.raises(ConfigError, match="aligned images only"):
        read("rafdb", folders_copy.root, images="original")


@pytest.mark.parametrize("code", ["0", "8", "1.5", "happy"])
def test_an_unknown_code_names_file_line_value_and_the_known(tmp_path, code):
    root = small_copy(tmp_path, f"train_00002.jpg {code}")
    with pytest.raises(DataError) as caught:
        read("rafdb", root)
    for words in (repr(code), "list_patition_label.txt, line 3", "1 surprise", "7 neutral"):
        assert words in str(caught.value)


def test_an_unknown_code_in_a_list_or_folder_names_it(tmp_path):
    copy = write_folders_form(tmp_path, train=1, test=1, odd=False)
    labels = tmp_path / "test_labels.csv"
    text = labels.read_text()
    labels.write_text(text + "test_0001_aligned.jpg,9\n")
    with pytest.raises(DataError, match=r"'9' is no code(.|\n)*test_labels.csv, line 9"):
        read("rafdb", copy.root)
    labels.write_text("file,label\n")
    with pytest.raises(DataError, match=r"test_labels.csv has no column image"):
        read("rafdb", copy.root)
    labels.write_text(text)
    (tmp_path / "DATASET/test/7").rename(tmp_path / "DATASET/test/happy")
    with pytest.raises(DataError, match=r"'happy' is no code(.|\n)*DATASET/test/happy"):
        read("rafdb", copy.root)


@pytest.mark.parametrize("line", ["/etc/train_1.jpg 1", "../train_1.jpg 1", "train_1/../../x 1"])
def test_paths_out_of_the_folder_are_refused_and_counted(tmp_path, line):
    manifest = read("rafdb", small_copy(tmp_path, line))
    assert len(manifest) == 2
    assert assets(manifest).dropped == {"path outside the folder of images": 1}


def test_nothing_usable_is_an_error_with_the_counts(tmp_path):
    root = small_copy(tmp_path)
    (root / "EmoLabel/list_patition_label.txt").write_text("train_1.jpg 1\n../train_2.jpg 2\n")
    with pytest.raises(DataError, match=r"image missing: 1; path outside the folder of images: 1"):
        read("rafdb", root)
    (root / "EmoLabel/list_patition_label.txt").write_text("\n")
    with pytest.raises(DataError, match="there is no image of RAF-DB"):
        read("rafdb", root)


def test_a_list_that_is_no_text_is_one_error(tmp_path):
    root = small_copy(tmp_path)
    (root / "EmoLabel/list_patition_label.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no text"):
        read("rafdb", root)


def test_the_published_codes():
    assert rafdb.EXPRESSION_CODES == EXPRESSIONS
    assert rafdb.GENDER_CODES == GENDERS
    assert rafdb.RACE_CODES == RACES
    assert rafdb.AGE_CODES == AGES


def test_the_named_datamodule_reads_the_dataset(list_copy, tmp_path):
    from fer_lab.data import RAFDBDataModule

    data = RAFDBDataModule(list_copy.root, image_size=32, cache_dir=tmp_path, num_workers=0)
    data.setup()
    assert data.groups["age"] == tuple(AGES.values())
    assert len(data.test_rows) == 21
    assert len(data.train_rows) + len(data.val_rows) == 50
    assert next(iter(data.test_dataloader()))["image"].shape[1:] == (3, 32, 32)
