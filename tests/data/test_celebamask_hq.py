from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_lab.data import CelebAMaskHQDataModule, FaceDataModule, loading
from fer_lab.data.manifest import assets, fingerprint
from fer_lab.data.pixels.images import FileImages
from fer_lab.data.pixels.masks import NO_REGION, UNUSABLE
from fer_lab.data.pixels.packed import pack
from fer_lab.data.sources import read
from fer_lab.data.sources.celebamask_hq import mask_path
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import DataError
from tests.data.flat_faces import flat_manifest
from tests.layouts.celeba import BOXES, NAMES, write_celeba, write_celebamask_hq, write_mask

# Images that only a copy with errors has.
ODD = ("3001.jpg", "3002.jpg", "3003.jpg")


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("celebamask")
    celeba = write_celeba(folder / "celeba", train=8, val=4, test=4)
    return celeba, write_celebamask_hq(folder / "hq", celeba)


@pytest.fixture
def small(tmp_path):
    celeba = write_celeba(tmp_path / "celeba", train=2, val=1, test=1, odd=False)
    return celeba, write_celebamask_hq(tmp_path / "hq", celeba, odd=False)


def regions_of(manifest, image, size):
    """The pixels and regions of an image, from its files."""
    (row,) = np.flatnonzero(manifest["id"] == f"celebamask_hq/{image}")
    pixels = FileImages(manifest, size).read(np.array([row]))
    return pixels.image[0], pixels.regions[0]


def test_every_image_is_there_in_the_order_of_the_numbers(copies):
    celeba, copy = copies
    manifest = read("celebamask_hq", copy.root, celeba_root=celeba.root)
    numbers = [int(image.removesuffix(".jpg")) for image in (*copy.values, *ODD)]
    assert list(manifest["id"]) == [f"celebamask_hq/{number}.jpg" for number in sorted(numbers)]
    assert assets(manifest).dropped == {}


def test_the_mapping_gives_partition_attributes_and_identities(copies):
    celeba, copy = copies
    manifest = read("celebamask_hq", copy.root, celeba_root=celeba.root).set_index("id")
    male, smiling = NAMES.index("Male"), NAMES.index("Smiling")
    for image, values in copy.values.items():
        row = manifest.loc[f"celebamask_hq/{image}"]
        assert row["split"] == copy.splits[image]
        assert row["gender"] == {-1: "female", 1: "male"}[values[male]]
        assert row["attribute_smiling"] == {-1: "no", 1: "yes"}[values[smiling]]
    stranger = manifest.loc["celebamask_hq/3003.jpg"]
    assert (stranger["split"], stranger["gender"], stranger["gender_source"]) == (
        "test",
        "unknown",
        "none",
    )
    assert manifest["subject"].notna().sum() == len(copy.values)


def test_the_releases_own_list_gives_attributes_without_celeba(tmp_path, caplog):
    celeba = write_celeba(tmp_path / "celeba", odd=False)
    copy = write_celebamask_hq(tmp_path / "hq", celeba, own_list=True, odd=False)
    manifest = read("celebamask_hq", copy.root).set_index("id")
    assert set(manifest["split"]) == {"test"}
    assert "list_eval_partition.txt" in caplog.text
    male = NAMES.index("Male")
    for image, values in copy.values.items():
        gender = manifest["gender"][f"celebamask_hq/{image}"]
        assert gender == {-1: "female", 1: "male"}[values[male]]
    both = read("celebamask_hq", copy.root, celeba_root=celeba.root).set_index("id")
    assert (both["gender"] == manifest["gender"]).all()
    assert set(both["split"]) == {"train", "val", "test"}


def test_masks_become_one_by_name_the_later_name_on_top(copies):
    celeba, copy = copies
    manifest = read("celebamask_hq", copy.root, celeba_root=celeba.root)
    _, regions = regions_of(manifest, "2001.jpg", 512)
    expected = np.zeros((512, 512), dtype=np.uint8)
    for region in REGIONS:
        if region in BOXES:
            left, top, right, bottom = BOXES[region]
            expected[top:bottom, left:right] = REGIONS.index(region)
    assert (regions == expected).all()
    assert set(np.unique(expected)) == {0, *(REGIONS.index(name) for name in BOXES)}
    image, smaller = regions_of(manifest, "2001.jpg", 128)
    assert image.shape == (128, 128, 3)
    assert (smaller == expected[2::4, 2::4]).all()


@pytest.mark.parametrize("region", REGIONS[1:])
def test_every_region_has_its_index(region, small):
    celeba, copy = small
    for name in BOXES:
        (copy.root / f"CelebAMask-HQ-mask-anno/0/00001_{name}.png").unlink()
    write_mask(copy.root, 1, region, (0, 0, 512, 512))
    manifest = read("celebamask_hq", copy.root, celeba_root=celeba.root)
    assert (regions_of(manifest, "1.jpg", 32)[1] == REGIONS.index(region)).all()


def test_masks_lie_in_folders_of_two_thousand():
    assert mask_path("m", 1999, "nose") == "m/0/01999_nose.png"
    assert mask_path("m", 2000, "nose") == "m/1/02000_nose.png"
    assert mask_path("m", 2000) == "m/1/02000_*.png"


@pytest.mark.parametrize("cache", ["none", "packed"])
def test_unusable_images_are_set_aside_and_the_rest_is_trained_on(copies, tmp_path, cache):
    celeba, copy = copies
    data = CelebAMaskHQDataModule(
        copy.root,
        celeba_root=celeba.root,
        attributes=["smiling"],
        image_size=32,
        batch_size=4,
        cache=cache,
        cache_dir=tmp_path,
    )
    data.setup()
    assert dict(zip(data.unreadable["id"], data.unreadable["reason"], strict=True)) == {
        f"celebamask_hq/{image}": reason for image, reason in copy.unreadable.items()
    }
    assert data.has_regions
    assert data.classes == ("female", "male")
    assert data.dropped[UNUSABLE] == len(copy.without_mask)
    # So many masks are packed whatever the cache is.
    assert data.val_dataloader().num_workers == 0
    for batch in (*data.val_dataloader(), *data.test_dataloader()):
        regions = batch["regions"].numpy()
        assert regions.shape == (len(batch["label"]), 32, 32)
        assert set(np.unique(regions)) == {0, *(REGIONS.index(name) for name in BOXES)}
        for row, label in zip(batch["index"].tolist(), batch["label"].tolist(), strict=True):
            assert data.manifest["gender"][row] == data.classes[label]


DAMAGES = {
    "text": lambda path: path.write_bytes(b"not a mask"),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-60]),
    "size": lambda path: Image.new("L", (10, 10), 255).save(path),
    "depth": lambda path: Image.fromarray(np.ones((512, 512), np.uint16)).save(path),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_face_with_a_damaged_mask_keeps_its_pixels_and_is_counted(damage, small, tmp_path):
    celeba, copy = small
    path = Path(mask_path(copy.root / "CelebAMask-HQ-mask-anno", 1, "nose"))
    DAMAGES[damage](path)
    manifest = read("celebamask_hq", copy.root, celeba_root=celeba.root)
    with pytest.raises(DataError, match=r"a region mask (.|\n)*00001_nose.png"):
        regions_of(manifest, "1.jpg", 32)
    data = CelebAMaskHQDataModule(
        copy.root, celeba_root=celeba.root, image_size=32, batch_size=4, cache_dir=tmp_path / "c"
    )
    data.setup()
    assert data.dropped[UNUSABLE] == 1
    assert len(data.unreadable) == 0
    assert len(data.manifest) == len(manifest) == 4
    damaged = list(data.manifest["id"]).index("celebamask_hq/1.jpg")
    dataset = data.val_dataloader().dataset
    faces = {index: dataset[index] for index in range(4)}
    for index, face in faces.items():
        assert face["image"].any()
        assert (np.unique(face["regions"]).tolist() == [NO_REGION]) == (index == damaged)


@pytest.mark.parametrize("change", ["content", "time", "added", "removed"])
def test_masks_that_changed_are_packed_again(change, small, tmp_path):
    celeba, copy = small
    masks = copy.root / "CelebAMask-HQ-mask-anno"

    def packed():
        return pack(read("celebamask_hq", copy.root, celeba_root=celeba.root), 64, tmp_path / "c")

    before = packed()
    assert packed().folder == before.folder
    nose = Path(mask_path(masks, 2, "nose"))
    if change == "content":
        Image.new("L", (512, 512)).save(nose)
    elif change == "time":
        os.utime(nose, ns=(1, 1))
    elif change == "added":
        write_mask(copy.root, 2, "hat", (0, 0, 512, 40))
    else:
        nose.unlink()
    after = packed()
    assert after.folder != before.folder
    rows = np.arange(4)
    same = np.array_equal(after.read(rows).regions, before.read(rows).regions)
    assert same == (change == "time")


def test_the_fingerprint_goes_with_the_files_and_not_with_their_folder(tmp_path):
    first = write_celeba(tmp_path / "a", train=2, val=1, test=1, odd=False)
    copies = [write_celebamask_hq(tmp_path / name, first, odd=False) for name in ("b", "c")]
    options = {"celeba_root": first.root}
    prints = [fingerprint(read("celebamask_hq", copy.root, **options)) for copy in copies]
    assert prints[0] == prints[1]
    (copies[1].root / "CelebA-HQ-img/0.jpg").unlink()
    assert fingerprint(read("celebamask_hq", copies[1].root, **options)) != prints[0]


@pytest.mark.parametrize("root", [None, "nowhere"])
def test_a_missing_folder_says_what_is_expected_there(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        read("celebamask_hq", root)
    for word in ("CelebAMask-HQ not found", "CelebA-HQ-img", "_<region>.png", "dataset.root="):
        assert word in str(caught.value)


def test_another_layout_names_what_is_missing(tmp_path):
    (tmp_path / "CelebA-HQ-img").mkdir()
    with pytest.raises(DataError, match="layout: CelebAMask-HQ-mask-anno not found"):
        read("celebamask_hq", tmp_path)
    (tmp_path / "CelebAMask-HQ-mask-anno").mkdir()
    with pytest.raises(DataError, match="none of CelebAMask-HQ's 0 images has region masks"):
        read("celebamask_hq", tmp_path)


def test_a_mask_of_an_unknown_region_is_an_error(small):
    celeba, copy = small
    write_mask(copy.root, 1, "beard", (0, 0, 9, 9))
    with pytest.raises(DataError, match=r"'beard' is no code for a region(.|\n)*0/00001_beard.png"):
        read("celebamask_hq", copy.root, celeba_root=celeba.root)


def test_none_of_it_may_be_left_beside_a_dataset_with_expressions(small, tmp_path, monkeypatch):
    celeba, copy = small
    frames = {
        "flat": flat_manifest(40),
        "celebamask_hq": read("celebamask_hq", copy.root, celeba_root=celeba.root),
    }
    monkeypatch.setattr(loading, "read", lambda name, **_: frames[name])
    data = FaceDataModule(
        {"celebamask_hq": {}, "flat": {}}, image_size=16, batch_size=8, cache_dir=tmp_path / "c"
    )
    data.setup()
    assert set(data.manifest["dataset"]) == {"flat"}
    assert data.dropped["expression unknown"] == 4
    assert len(next(iter(data.val_dataloader()))["label"]) == 8
