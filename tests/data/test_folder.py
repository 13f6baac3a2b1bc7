from __future__ import annotations

import pytest

from fer_lab.data import FolderDataModule
from fer_lab.data.manifest import assets
from fer_lab.data.sources import read
from fer_lab.errors import ConfigError, DataError
from tests.layouts.table import write_folder, write_image

LABELS = {"trübe": "sad", "blurred": None}


def test_every_folder_is_mapped_by_name(tmp_path):
    written = write_folder(tmp_path)
    manifest = read("folder", written.root, labels=LABELS)
    assert sorted(manifest["id"]) == sorted(f"folder/{image}" for image in written.images)
    by_folder = manifest.groupby(manifest["id"].str.split("/").str[1])["label"].unique()
    assert {name: list(labels) for name, labels in by_folder.items()} == {
        "neutral": ["neutral"],
        "Happiness": ["happy"],
        "trübe": ["sad"],
        "surprise": ["surprise"],
        "fear": ["fear"],
        "disgust": ["disgust"],
        "angry": ["anger"],
    }
    assert assets(manifest).dropped == written.dropped


def test_without_splits_every_image_is_training(tmp_path):
    written = write_folder(tmp_path)
    assert set(read("folder", written.root, labels=LABELS)["split"]) == {"train"}


@pytest.mark.parametrize(
    "splits", [("train", "val", "test"), ("Training", "validation"), ("test",)]
)
def test_folders_named_as_splits_are_splits(tmp_path, splits):
    written = write_folder(tmp_path, splits=splits)
    manifest = read("folder", written.root, labels=LABELS)
    assert len(manifest) == len(splits) * (7 * 5 + 1)
    words = {"training": "train", "validation": "val"}
    for split in splits:
        rows = manifest[manifest["id"].str.startswith(f"folder/{split}/")]
        assert set(rows["split"]) == {words.get(split.lower(), split)}
    assert assets(manifest).dropped == written.dropped


def test_an_unknown_folder_names_itself_and_the_mapping(tmp_path):
    written = write_folder(tmp_path)
    with pytest.raises(DataError) as caught:
        read("folder", written.root, labels={"blurred": None})
    for word in ("'trübe'", str(tmp_path / "trübe"), "blurred set aside", "dataset.labels"):
        assert word in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean 'sad'"):
        read("folder", written.root, labels={"trübe": "sadd"})


def test_splits_beside_classes_are_an_error(tmp_path):
    write_image(tmp_path / "train/happy/a.png", 1)
    write_image(tmp_path / "sad/a.png", 1)
    with pytest.raises(DataError, match=r"splits and some are not(.|\n)*train beside sad"):
        read("folder", tmp_path)


def test_nothing_matched_says_what_was_expected(tmp_path):
    with pytest.raises(DataError, match=r"not found(.|\n)*dataset\.root(.|\n)*folder per class"):
        read("folder", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no image of the folder(.|\n)*folder per class"):
        read("folder", tmp_path)
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"no image of the folder(.|\n)*happy"):
        read("folder", tmp_path)


def test_folders_that_systems_leave_are_no_classes(tmp_path):
    for folder in ("train/happy", "__MACOSX/train", ".cache/sad", "train/__MACOSX"):
        write_image(tmp_path / folder / "a.png", 1)
    assert list(read("folder", tmp_path)["id"]) == ["folder/train/happy/a.png"]


def test_links_that_lead_to_themselves_end(tmp_path):
    write_image(tmp_path / "happy/a.png", 1)
    (tmp_path / "sad").symlink_to(tmp_path / "sad")
    (tmp_path / "happy/loop.png").symlink_to(tmp_path / "happy/loop.png")
    assert list(read("folder", tmp_path)["id"]) == ["folder/happy/a.png"]


def test_damaged_images_are_listed(tmp_path):
    written = write_folder(tmp_path, splits=("train", "val", "test"))
    data = FolderDataModule(written.root, labels=LABELS, image_size=16, batch_size=8, num_workers=0)
    data.setup()
    assert sorted(data.unreadable["id"]) == sorted(f"folder/{x}" for x in written.unreadable)
    assert len(next(iter(data.train_dataloader()))["label"]) == 8
