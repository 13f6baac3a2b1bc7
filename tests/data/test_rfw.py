from __future__ import annotations

import pytest

from fer_lab.data.datamodule import RFWDataModule
from fer_lab.data.manifest import assets
from fer_lab.data.sources import read
from fer_lab.data.verification import verify
from fer_lab.errors import DataError
from tests.layouts.rfw import RACES, write_rfw


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write_rfw(tmp_path_factory.mktemp("rfw") / "a")


def test_every_image_is_kept_and_what_lists_promise_is_counted(copy):
    manifest = read("rfw", copy.root)
    assert set(manifest["id"]) == {f"rfw/{image}" for image in copy.images}
    assert assets(manifest).dropped == copy.dropped
    assert set(manifest["split"]) == {"test"}
    assert set(manifest["label"]) == {"unknown"}


def test_unusable_images_are_found_by_verification(copy, tmp_path):
    manifest = read("rfw", copy.root)
    _, unreadable = verify(manifest, tmp_path)
    assert dict(zip(unreadable["id"], unreadable["reason"], strict=True)) == {
        f"rfw/{image}": reason for image, reason in copy.unreadable.items()
    }


@pytest.mark.parametrize("folder", RACES)
def test_every_folder_has_its_race(folder, copy):
    manifest = read("rfw", copy.root)
    inside = manifest["id"].str.startswith(f"rfw/{folder}/")
    assert inside.sum() == sum(image.startswith(folder) for image in copy.images)
    assert set(manifest["race"][inside]) == {folder.lower()}
    assert folder.lower() not in set(manifest["race"][~inside])
    assert set(manifest["race_source"]) == {"annotated"}


def test_identities_are_subjects(copy):
    manifest = read("rfw", copy.root)
    of_folder = manifest["id"].str.split("/").str[2]
    assert (manifest["subject"] == of_folder).all()
    assert manifest["subject"].nunique() == 8


def test_root_may_be_the_folder_test_and_lists_may_be_missing(copy, tmp_path):
    assert list(read("rfw", copy.root / "test")["id"]) == list(read("rfw", copy.root)["id"])
    other = write_rfw(tmp_path / "b")
    for path in other.root.glob("test/txts/*/*.txt"):
        path.unlink()
    assert assets(read("rfw", other.root)).dropped == {}


def test_all_of_it_is_tested_on(copy, tmp_path):
    data = RFWDataModule(copy.root, image_size=16, cache_dir=tmp_path)
    data.setup()
    assert data.classes == ("african", "asian", "caucasian", "indian")
    assert len(data.test_rows) == len(copy.images) - len(copy.unreadable)
    assert len(data.train_rows) == len(data.val_rows) == 0


@pytest.mark.parametrize("root", [None, "nowhere"])
def test_a_missing_folder_says_what_is_expected_there(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        read("rfw", root)
    for word in ("RFW not found", "test/data/{African,Asian,Caucasian,Indian}", "dataset.root="):
        assert word in str(caught.value)


def test_a_missing_group_is_named(tmp_path):
    for race in RACES[:3]:
        (tmp_path / "test/data" / race).mkdir(parents=True)
    with pytest.raises(DataError, match="layout: no folder Indian"):
        read("rfw", tmp_path)
    (tmp_path / "test/data/Indian").mkdir()
    with pytest.raises(DataError, match="folders have no image"):
        read("rfw", tmp_path)


def test_a_line_without_landmarks_names_its_place(tmp_path):
    root = write_rfw(tmp_path / "a", odd=False).root
    path = root / "test/txts/Indian/Indian_lmk.txt"
    path.write_text(path.read_text() + "Indian/m.1/m.1_0001.jpg 0 1.0\n")
    with pytest.raises(DataError, match=r"without five landmarks(.|\n)*Indian_lmk.txt, line 5"):
        read("rfw", root)
