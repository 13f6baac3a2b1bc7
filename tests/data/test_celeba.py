from __future__ import annotations

from pathlib import Path

import pytest

from fer_lab.data.manifest import assets
from fer_lab.data.sources import celeba, read
from fer_lab.errors import DataError
from tests.layouts.celeba import NAMES, Written, line, write_celeba, write_celebamask_hq


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_celeba(tmp_path_factory.mktemp("celeba") / "a")


def changed(root: Path, name: str, before: str, after: str) -> Path:
    """A small copy of which one list is edited."""
    write_celeba(root, train=2, val=1, test=1, odd=False)
    text = (root / name).read_text()
    assert before in text
    (root / name).write_text(text.replace(before, after, 1))
    return root


def test_there_are_forty_attributes(copy):
    manifest = read("celeba", copy.root)
    columns = [name for name in manifest if name.startswith("attribute_")]
    assert columns == [f"attribute_{name.lower()}" for name in NAMES]
    assert len(columns) == 40


@pytest.mark.parametrize(("place", "name"), enumerate(NAMES))
def test_every_attribute_has_its_values(place, name, copy):
    manifest = read("celeba", copy.root).set_index("id")
    column = manifest[f"attribute_{name.lower()}"]
    assert list(column.cat.categories) == ["no", "yes", "unknown"]
    meaning = {-1: "no", 1: "yes"}
    for image, values in copy.values.items():
        assert column[f"celeba/{image}"] == meaning[values[place]]


def test_gender_is_that_of_male(copy):
    manifest = read("celeba", copy.root).set_index("id")
    male = NAMES.index("Male")
    for image, values in copy.values.items():
        expected = {-1: "female", 1: "male"}[values[male]]
        assert manifest["gender"][f"celeba/{image}"] == expected
    assert set(manifest["gender_source"]) == {"annotated"}
    assert set(manifest["age"]) == set(manifest["race"]) == {"unknown"}


def test_the_partition_codes_are_those_published(copy):
    assert celeba.PARTITION_CODES == {"0": "train", "1": "val", "2": "test"}
    manifest = read("celeba", copy.root).set_index("id")
    for image, split in copy.splits.items():
        assert manifest["split"][f"celeba/{image}"] == split


def test_identities_are_subjects_where_they_are_known(copy, tmp_path):
    manifest = read("celeba", copy.root).set_index("id")
    assert manifest["subject"]["celeba/000001.jpg"] == "1"
    assert manifest["subject"]["celeba/000002.jpg"] == "1"
    assert manifest["subject"].isna()["celeba/900001.jpg"]
    bare = write_celeba(tmp_path / "bare", odd=False)
    (bare.root / "identity_CelebA.txt").unlink()
    assert read("celeba", bare.root)["subject"].isna().all()


def test_lists_may_lie_in_the_folders_of_the_download(copy, tmp_path):
    download = write_celeba(tmp_path / "download", folders=True)
    assert list(read("celeba", download.root)["id"]) == list(read("celeba", copy.root)["id"])


def test_images_of_celebamask_hq_are_left_out(copy, tmp_path):
    some = Written(copy.root, values=dict(list(copy.values.items())[:5]), splits=copy.splits)
    other = write_celebamask_hq(tmp_path / "hq", some, odd=False)
    manifest = read("celeba", copy.root, exclude=other.root / "CelebA-HQ-to-CelebA-mapping.txt")
    assert assets(manifest).dropped["image of CelebAMask-HQ"] == 5
    left = set(copy.values) - set(list(copy.values)[:5])
    assert set(manifest["id"]) == {f"celeba/{image}" for image in left}


def test_a_mapping_that_is_none_is_an_error(copy, tmp_path):
    (tmp_path / "mapping.txt").write_text("0 1 000001.jpg\n")
    with pytest.raises(DataError, match=r"idx, orig_idx and orig_file(.|\n)*mapping.txt, line 1"):
        read("celeba", copy.root, exclude=tmp_path / "mapping.txt")
    (tmp_path / "mapping.txt").write_text("idx orig_idx orig_file\n0 1 000002.jpg\nx 1 1.jpg\n")
    with pytest.raises(DataError, match=r"'x' is no number(.|\n)*line 3"):
        read("celeba", copy.root, exclude=tmp_path / "mapping.txt")


def test_a_missing_list_is_named(tmp_path):
    write_celeba(tmp_path, odd=False)
    (tmp_path / "list_eval_partition.txt").unlink()
    with pytest.raises(DataError, match=r"layout: list_eval_partition.txt not found"):
        read("celeba", tmp_path)


def test_an_unknown_attribute_value_names_its_line(tmp_path):
    root = changed(tmp_path, "list_attr_celeba.txt", line("000002.jpg", []), "000002.jpg 7 ")
    text = (root / "list_attr_celeba.txt").read_text().splitlines()
    text[3] = "000002.jpg 7 " + " ".join(text[3].split()[-39:])
    (root / "list_attr_celeba.txt").write_text("\n".join(text))
    with pytest.raises(DataError, match=r"'7' is no code for 5_o_Clock_Shadow(.|\n)*line 4"):
        read("celeba", root)


def test_an_unknown_partition_names_its_line(tmp_path):
    root = changed(tmp_path, "list_eval_partition.txt", "000002.jpg 0", "000002.jpg 3")
    with pytest.raises(DataError, match=r"'3' is no code for a partition(.|\n)*line 2"):
        read("celeba", root)


def test_a_list_without_its_first_lines_is_an_error(tmp_path):
    root = changed(tmp_path, "list_attr_celeba.txt", "4\n", "")
    with pytest.raises(DataError, match="does not begin with a count and a line of names"):
        read("celeba", root)


def test_a_list_that_is_not_whole_is_read_with_a_warning(tmp_path, caplog):
    root = changed(tmp_path, "list_attr_celeba.txt", "4\n", "5\n")
    assert len(read("celeba", root)) == 4
    assert "says it has 5 lines and has 4" in caplog.text


def test_a_line_without_a_partition_is_counted(tmp_path):
    root = changed(tmp_path, "list_eval_partition.txt", "000002.jpg 0", "000002.jpg")
    manifest = read("celeba", root)
    assert len(manifest) == 3
    assert assets(manifest).dropped == {"no partition": 1}


def test_a_folder_without_images_is_an_error(tmp_path):
    root = changed(tmp_path, "list_attr_celeba.txt", "4\n", "4\n")
    for image in (root / "img_align_celeba").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"none of the 4 rows of CelebA.*\(image missing: 4"):
        read("celeba", root)
