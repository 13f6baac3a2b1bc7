"""Datasets in shards are the datasets: the same rows, bytes and pixels."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import webdataset

from fer_lab.data.assets import assets
from fer_lab.data.datamodule import SyntheticDataModule
from fer_lab.data.pixels.images import FileImages
from fer_lab.data.shards.writing import write_shards
from fer_lab.data.sources import read
from fer_lab.errors import ConfigError, DataError
from tests.data.processes import ready
from tests.data.shards.conftest import SIZE, into_shards
from tests.layouts.celeba import write_celeba, write_celebamask_hq
from tests.layouts.rafdb import write_list_form


def by_id(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("id", ignore_index=True)


def members(folder, *suffixes: str) -> dict[str, bytes]:
    """The members with one of the suffixes, by the id that the JSON beside them gives."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as shard:
            for member in shard:
                key, _, rest = member.name.partition(".")
                found.setdefault(key, {})[rest] = shard.extractfile(member).read()
    return {
        json.loads(parts["json"])["id"]: parts[suffix]
        for parts in found.values()
        for suffix in suffixes
        if suffix in parts
    }


def test_files_are_copied_byte_for_byte(affectnet):
    copied = members(affectnet.folder, "jpg", "png")
    assert len(copied) == len(affectnet.manifest) > 150
    for name, path in zip(affectnet.manifest["id"], affectnet.manifest["path"], strict=True):
        assert copied[name] == Path(path).read_bytes()


def test_the_manifest_is_that_of_the_dataset(affectnet):
    found = by_id(read("shards", affectnet.folder))
    expected = by_id(affectnet.manifest)
    beside = ["path", "box", "landmarks"]
    pd.testing.assert_frame_equal(found.drop(columns=beside), expected.drop(columns=beside))
    for name in ("box", "landmarks"):
        assert ((found[name] < 0) == (expected[name] < 0)).all()
        has = (found[name] >= 0).to_numpy()
        ours, theirs = assets(found).arrays[name], assets(expected).arrays[name]
        np.testing.assert_array_equal(ours[found[name][has]], theirs[expected[name][has]])
    assert assets(found).dropped == assets(affectnet.manifest).dropped


def test_pixels_are_those_of_the_files(affectnet):
    found = read("shards", affectnet.folder)
    rows = pd.Index(affectnet.manifest["id"]).get_indexer(found["id"])
    expected = FileImages(affectnet.manifest, SIZE).read(rows)
    reader = assets(found).readers["affectnet"]
    pixels = reader.images(found, SIZE).read(np.arange(len(found)))
    np.testing.assert_array_equal(pixels.image, expected.image)
    np.testing.assert_array_equal(pixels.landmarks, expected.landmarks)
    one = reader.read(found["path"][5], SIZE)
    np.testing.assert_array_equal(one.image, expected.image[5])


def test_region_masks_in_parts_go_along_as_one(tmp_path):
    copy = write_celebamask_hq(tmp_path / "hq", write_celeba(tmp_path / "celeba"), odd=False)
    manifest = read("celebamask_hq", copy.root)
    kept = into_shards(manifest, tmp_path / "shards", tmp_path / "cache")
    assert kept["mask_path"].notna().any()
    found = read("shards", tmp_path / "shards")
    rows = pd.Index(kept["id"]).get_indexer(found["id"])
    expected = FileImages(kept, SIZE).read(rows)
    pixels = assets(found).readers["celebamask_hq"].images(found, SIZE).read(np.arange(len(found)))
    np.testing.assert_array_equal(pixels.regions, expected.regions)
    assert len(np.unique(pixels.regions)) > 2


def test_drawn_faces_are_stored_with_regions_and_landmarks(tmp_path):
    counts = {"train": 12, "val": 4, "test": 5}
    manifest = read("synthetic", **counts)
    write_shards(manifest, tmp_path / "shards", shard_size=30_000, image_size=48)
    direct = ready(SyntheticDataModule(**counts, image_size=48, batch_size=30))
    batch = next(iter(direct.test_dataloader()))
    found = read("shards", tmp_path / "shards")
    reader = assets(found).readers["synthetic"]
    for place, row in enumerate(batch["index"].tolist()):
        path = found["path"][(found["id"] == direct.manifest["id"][row]).to_numpy()].iloc[0]
        face = reader.read(path, 48)
        np.testing.assert_array_equal(face.image, batch["image"][place].permute(1, 2, 0).numpy())
        np.testing.assert_array_equal(face.regions, batch["regions"][place].numpy())
        np.testing.assert_allclose(face.landmarks, batch["landmarks"][place].numpy(), atol=1e-4)


def test_webdataset_reads_the_shards(affectnet):
    urls = sorted(str(path) for path in affectnet.folder.glob("*.tar"))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    told = {json.loads(sample["json"])["id"]: sample for sample in samples}
    assert set(told) == set(affectnet.manifest["id"])
    image = affectnet.manifest["path"][affectnet.manifest["path"].str.endswith(".jpg")].index[0]
    row = affectnet.manifest.loc[image]
    assert told[row["id"]]["jpg"] == Path(row["path"]).read_bytes()


def test_members_say_the_manifest_and_no_path_of_the_machine(affectnet):
    first = affectnet.manifest.iloc[0]
    said = json.loads(members(affectnet.folder, "json")[first["id"]])
    assert (said["label"], said["gender"]) == (first["label"], first["gender"])
    assert len(said["box"]) == 4
    assert str(affectnet.root) not in json.dumps(said)


def test_splits_lie_in_shards_of_their_own_and_classes_are_mixed(affectnet):
    found = read("shards", affectnet.folder)
    shard = found["path"].str.extract(r"/([a-z]+)-\d+\.tar#")[0]
    assert (shard == found["split"].astype("str")).all()
    first = found[found["path"].str.contains("train-00000", regex=False)]
    assert first["label"].nunique() >= 3


def test_the_same_dataset_gives_the_same_shards(affectnet, tmp_path):
    into_shards(read("affectnet", affectnet.root), tmp_path / "again", tmp_path / "cache")
    for path in affectnet.folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_unreadable_files_stay_out_and_a_folder_that_is_there_is_left_alone(tmp_path):
    copy = write_list_form(tmp_path / "files")
    manifest = read("rafdb", copy.root)
    into_shards(manifest, tmp_path / "100% shards", tmp_path / "cache")
    found = read("shards", tmp_path / "100% shards")
    assert len(found) == len(manifest) - len(copy.unreadable)
    with pytest.raises(ConfigError, match="there already"):
        write_shards(manifest, tmp_path / "100% shards", shard_size=1, image_size=1)


def test_a_writing_that_fails_leaves_nothing(affectnet, tmp_path):
    gone = affectnet.manifest.copy(deep=False)
    gone.loc[7, "path"] = str(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match="cannot be read"):
        write_shards(gone, tmp_path / "shards", shard_size=20_000, image_size=8)
    assert list(tmp_path.iterdir()) == []


def test_shards_of_shards_and_several_datasets_are_refused(affectnet, tmp_path):
    with pytest.raises(ConfigError, match="in shards already"):
        write_shards(read("shards", affectnet.folder), tmp_path / "a", shard_size=1, image_size=8)
    two = affectnet.manifest.copy(deep=False)
    two["dataset"] = ["affectnet", *["other"] * (len(two) - 1)]
    with pytest.raises(ConfigError, match="one dataset, not 2"):
        write_shards(two, tmp_path / "b", shard_size=1, image_size=8)
