from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from fer_lab.data import loading
from fer_lab.data.datamodule import CelebAMaskHQDataModule, FaceDataModule
from fer_lab.data.manifest import assets, fingerprint
from fer_lab.data.sources import read
from fer_lab.data.sources.celebamask_hq import mask_path
from fer_lab.data.verification import verify
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import DataError
from tests.data.flat_faces import flat_manifest
from tests.layouts.celeba import BOXES, NAMES, write_celeba, write_celebamask_hq, write_mask


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("celebamask")
    celeba = write_celeba(folder / "celeba", train=8, val=4, test=4)
    return celeba, write_celebamask_hq(folder / "hq", celeba)


@pytest.fixture
def small(tmp_path):
    celeba = write_celeba(tmp_path / "celeba", train=2, val=1, test=1, odd=False)
    return celeba, write_celebamask_hq(tmp_path / "hq", celeba, odd=False)


def test_every_image_is_kept_or_counted(copies):
    celeba, copy = copies
    manifest = read("celebamask_hq", copy.root, celeba_root=celeba.root)
    expected = {f"celebamask_hq/{image}" for image in (*copy.values, "3003.jpg")}
    assert set(manifest["id"]) == expected
    assert assets(manifest).dropped == copy.dropped


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
    reader = pickle.loads(pickle.dumps(assets(manifest).readers["celebamask_hq"]))
    path = manifest.set_index("id")["path"]["celebamask_hq/2001.jpg"]
    sample = reader.read(path, 512)
    expected = np.zeros((512, 512), dtype=np.uint8)
    for region in REGIONS:
        if region in BOXES:
            left, top, right, bottom = BOXES[region]
            expected[top:bottom, left:right] = REGIONS.index(region)
    assert (sample.regions == expected).all()
    assert set(np.unique(expected)) == {0, *(REGIONS.index(name) for name in BOXES)}
    smaller = reader.read(path, 128)
    assert smaller.image.shape == (128, 128, 3)
    assert (smaller.regions != expected[2::4, 2::4]).mean() < 0.02


@pytest.mark.parametrize("region", REGIONS[1:])
def test_every_region_has_its_index(region, small):
    celeba, copy = small
    for name in BOXES:
        (copy.root / f"CelebAMask-HQ-mask-anno/0/00001_{name}.png").unlink()
    write_mask(copy.root, 1, region, (0, 0, 512, 512))
    manifest = read("celebamask_hq", copy.root, celeba_root=celeba.root).set_index("id")
    reader = assets(manifest).readers["celebamask_hq"]
    sample = reader.read(manifest["path"]["celebamask_hq/1.jpg"], 32)
    assert (sample.regions == REGIONS.index(region)).all()


def test_masks_lie_in_folders_of_two_thousand():
    assert mask_path("m", 1999, "nose") == "m/0/01999_nose.png"
    assert mask_path("m", 2000, "nose") == "m/1/02000_nose.png"


def test_unusable_images_are_set_aside_and_the_rest_is_trained_on(copies, tmp_path):
    celeba, copy = copies
    manifest = read("celebamask_hq", copy.root, celeba_root=celeba.root)
    _, unreadable = verify(manifest, tmp_path)
    assert dict(zip(unreadable["id"], unreadable["reason"], strict=True)) == {
        f"celebamask_hq/{image}": reason for image, reason in copy.unreadable.items()
    }
    data = CelebAMaskHQDataModule(
        copy.root,
        celeba_root=celeba.root,
        attributes=["smiling"],
        image_size=32,
        batch_size=4,
        cache_dir=tmp_path,
    )
    data.setup()
    assert data.has_regions
    assert data.classes == ("female", "male")
    assert data.dropped["gender unknown"] == 1
    for batch in (*data.val_dataloader(), *data.test_dataloader()):
        regions = batch["regions"].numpy()
        assert regions.shape == (len(batch["label"]), 32, 32)
        assert set(np.unique(regions)) == {0, *(REGIONS.index(name) for name in BOXES)}
        for row, label in zip(batch["index"].tolist(), batch["label"].tolist(), strict=True):
            assert data.manifest["gender"][row] == data.classes[label]


def test_the_fingerprint_goes_with_the_files_and_not_with_their_folder(tmp_path):
    first = write_celeba(tmp_path / "a", train=2, val=1, test=1, odd=False)
    copies = [write_celebamask_hq(tmp_path / name, first, odd=False) for name in ("b", "c")]
    options = {"celeba_root": first.root}
    prints = [fingerprint(read("celebamask_hq", copy.root, **options)) for copy in copies]
    assert prints[0] == prints[1]
    write_mask(copies[1].root, 0, "hat", (10, 10, 90, 40))
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


@pytest.mark.parametrize("damage", ["text", "size"])
def test_a_damaged_mask_is_named(damage, small):
    celeba, copy = small
    path = copy.root / "CelebAMask-HQ-mask-anno/0/00001_nose.png"
    if damage == "text":
        path.write_bytes(b"not a mask")
    else:
        Image.new("L", (10, 10), 255).save(path)
    manifest = read("celebamask_hq", copy.root, celeba_root=celeba.root).set_index("id")
    reader = assets(manifest).readers["celebamask_hq"]
    with pytest.raises(DataError, match=r"a region mask (.|\n)*00001_nose.png"):
        reader.read(manifest["path"]["celebamask_hq/1.jpg"], 32)


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
