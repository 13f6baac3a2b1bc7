from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_lab.data import JAFFEDataModule
from fer_lab.data.images import decode
from fer_lab.data.manifest import assets, fingerprint
from fer_lab.data.sources import jaffe, read
from fer_lab.data.splits import assign_validation
from fer_lab.data.verification import verify
from fer_lab.errors import DataError
from tests.layouts.jaffe import CODES, SUBJECTS, write_grey, write_jaffe


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write_jaffe(tmp_path_factory.mktemp("jaffe"))


def test_every_image_is_kept_or_counted(copy):
    manifest = read("jaffe", copy.root)
    assert set(manifest["id"]) == {f"jaffe/{name}" for name in copy.images}
    assert assets(manifest).dropped == copy.dropped
    assert all(Path(path).is_file() for path in manifest["path"])


@pytest.mark.parametrize(("code", "name"), CODES.items())
def test_every_code_has_its_expression(code, name, copy):
    manifest = read("jaffe", copy.root)
    of_code = manifest["id"].str.fullmatch(rf"jaffe/..\.{code}\d\.\d+")
    assert of_code.sum() >= 6
    assert set(manifest["label"][of_code]) == {name}


def test_the_codes_are_those_of_the_description():
    assert jaffe.EXPRESSION_CODES == CODES


def test_the_person_is_in_the_name_and_everyone_is_a_woman(tmp_path):
    copy = write_jaffe(tmp_path, people=10, each=1, odd=False)
    manifest = read("jaffe", copy.root)
    shown = dict(zip(manifest["id"].str.removeprefix("jaffe/"), manifest["subject"], strict=True))
    assert shown == {name: subject for name, (subject, _) in copy.images.items()}
    assert set(manifest["subject"]) == set(SUBJECTS)
    assert set(manifest["gender"]) == {"female"}
    assert set(manifest["gender_source"]) == {"annotated"}
    assert set(manifest["race_source"]) == set(manifest["age_source"]) == {"none"}


def test_all_rows_are_training_and_validation_is_drawn_by_person(copy):
    manifest = read("jaffe", copy.root)
    assert set(manifest["split"]) == {"train"}
    drawn = assign_validation(manifest, 0.25, seed=1)
    people = drawn.groupby("split", observed=True)["subject"].agg(set)
    assert not people["train"] & people["val"]


def test_unusable_images_are_found_by_verification(copy, tmp_path):
    _, unreadable = verify(read("jaffe", copy.root), tmp_path)
    reasons = {f"jaffe/{name}": reason for name, reason in copy.unreadable.items()}
    assert dict(zip(unreadable["id"], unreadable["reason"], strict=True)) == reasons


def test_its_grey_tiff_files_are_decoded(copy):
    image = decode(str(copy.root / "KA.AN1.1.tiff"))
    assert image.shape == (64, 64, 3)
    assert (image[..., 0] == image[..., 2]).all()


def test_an_unknown_code_names_the_file(copy, tmp_path):
    root = write_jaffe(tmp_path, people=1, each=1, odd=False).root
    write_grey(root / "KA.XX1.77.tiff", 0, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"'XX' is no code(.|\n)*KA\.XX1\.77\.tiff(.|\n)*AN anger"):
        read("jaffe", root)


@pytest.mark.parametrize("root", [None, "", "nowhere"])
def test_a_missing_folder_says_what_is_expected_there(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"JAFFE not found(.|\n)*dataset.root=(.|\n)*KA.AN1.39"):
        read("jaffe", root)


def test_a_folder_without_its_images_is_an_error(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError, match=r"none of the 1 images found(.|\n)*another form: 1"):
        read("jaffe", tmp_path)


def test_the_manifest_does_not_depend_on_where_the_folder_is(tmp_path):
    first, second = (write_jaffe(tmp_path / name) for name in "ab")
    assert fingerprint(read("jaffe", first.root)) == fingerprint(read("jaffe", second.root))


def test_its_datamodule_splits_by_person(tmp_path):
    root = write_jaffe(tmp_path / "jaffe", people=10, odd=False).root
    data = JAFFEDataModule(root, image_size=48, batch_size=8, num_workers=0, cache_dir=tmp_path)
    data.setup()
    people = [
        set(data.manifest["subject"].iloc[rows])
        for rows in (data.train_rows, data.val_rows, data.test_rows)
    ]
    assert all(people)
    assert sum(map(len, people)) == len(set.union(*people))
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape[1:] == (3, 48, 48)
