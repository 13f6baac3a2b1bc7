from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lab.data.datamodule import AffectNetDataModule
from fer_lab.data.pixels import packing
from fer_lab.data.pixels.decoding import REASONS
from fer_lab.data.pixels.images import FileImages
from fer_lab.data.pixels.packed import PackedImages, pack
from fer_lab.errors import ConfigError, DataError
from tests.data.pixels.test_images import file_manifest, save
from tests.layouts.affectnet import write_csv_release

ROOT = Path(__file__).parents[3]
BUILDER = """
import sys
from pathlib import Path
from fer_lab.data.pixels.packed import pack
from tests.data.pixels.test_images import file_manifest
paths = sorted(Path(sys.argv[1]).glob("*.jpg"))
print(pack(file_manifest(paths), 224, sys.argv[2]).folder, flush=True)
"""


def photographs(folder: Path, count: int, size: int = 40) -> list[Path]:
    rng = np.random.default_rng(0)
    folder.mkdir()
    noise = (rng.integers(0, 255, (size, size + 7, 3), dtype=np.uint8) for _ in range(count))
    return [save(folder / f"{number:04d}.jpg", image) for number, image in enumerate(noise)]


def reasons(images: PackedImages) -> list[str]:
    assert images.findings is not None
    return [REASONS[code] for code in images.findings[:, 2]]


def folders(cache: Path) -> list[Path]:
    return [path for path in (cache / "packed").glob("[!.]*") if path.is_dir()]


@pytest.mark.parametrize("processors", [1, 3])
def test_packed_files_equal_decoded_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    monkeypatch.setattr(packing, "processor_count", lambda: processors)
    paths = photographs(tmp_path / "images", 301)
    boxes: list[list[float] | None] = [[5, 5, 20, 20] if n % 3 else None for n in range(301)]
    points = np.random.default_rng(1).uniform(0, 40, (200, 68, 2))
    manifest = file_manifest(paths, boxes, points)
    rows = np.array([300, 0, 199, 200, 7])
    packed = pack(manifest, 24, tmp_path / "cache").read(rows)
    decoded = FileImages(manifest, 24).read(rows)
    assert np.array_equal(packed.image, decoded.image)
    assert packed.landmarks is not None
    assert np.array_equal(packed.landmarks, decoded.landmarks, equal_nan=True)
    assert packed.regions is None


def test_files_that_cannot_be_used_are_noted_and_black(tmp_path: Path) -> None:
    paths = photographs(tmp_path / "images", 6)
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    paths[2].write_bytes(b"")
    paths[3].write_bytes(b"<html>")
    paths[4].unlink()
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(bomb)
    images = pack(file_manifest([*paths, bomb]), 16, tmp_path / "cache")
    assert reasons(images) == [
        "",
        "truncated image",
        "empty file",
        "not an image",
        "file missing",
        "",
        "more than 80 megapixels",
    ]
    assert not images.read(np.array([1, 2, 3, 4, 6])).image.any()
    assert images.findings is not None
    assert images.findings[0, :2].tolist() == [47, 40]


def test_masks_that_cannot_be_used_are_noted_and_their_faces_packed(tmp_path: Path) -> None:
    paths = photographs(tmp_path / "images", 4)
    masks = [tmp_path / "good.png", tmp_path / "colours.png", tmp_path / "gone.png"]
    Image.fromarray(np.full((40, 47), 2, dtype=np.uint8)).save(masks[0])
    Image.fromarray(np.zeros((40, 47, 3), dtype=np.uint8)).save(masks[1])
    manifest = file_manifest(paths)
    manifest["mask_path"] = pd.Series([*map(str, masks), None], dtype="str")
    images = pack(manifest, 16, tmp_path / "cache")
    assert images.findings is not None
    assert images.findings[:, 3].tolist() == [1, 0, 0, -1]
    pixels = images.read(np.arange(4))
    assert pixels.image.any(axis=(1, 2, 3)).all()
    assert pixels.regions is not None
    assert [np.unique(regions).tolist() for regions in pixels.regions] == [[2], [255], [255], [255]]
    assert images.has_regions
    assert not pack(manifest.iloc[1:], 16, tmp_path / "cache").has_regions


def test_the_key_changes_with_files_boxes_and_size(tmp_path: Path) -> None:
    paths = photographs(tmp_path / "images", 3)
    cache = tmp_path / "cache"
    made = {pack(file_manifest(paths), size, cache).folder for size in (8, 9)}
    for box in ([1, 1, 9, 9], [1, 1, 9, 8]):
        made.add(pack(file_manifest(paths, [box, None, None]), 8, cache).folder)
    os.utime(paths[0], ns=(1, 1))
    made.add(pack(file_manifest(paths), 8, cache).folder)
    paths[0].write_bytes(paths[1].read_bytes() + b" ")
    os.utime(paths[0], ns=(1, 1))
    made.add(pack(file_manifest(paths), 8, cache).folder)
    assert len(made) == 6


@pytest.mark.parametrize("reason", ["file missing", "file cannot be opened"])
def test_a_file_that_comes_back_as_it_was_is_packed(tmp_path: Path, reason: str) -> None:
    paths = photographs(tmp_path / "images", 2)
    images = pack(file_manifest(paths), 8, tmp_path / "cache")
    findings = np.load(images.folder / "findings.npy", mmap_mode="r+")
    findings[1, 2] = REASONS.index(reason)
    findings.flush()
    assert reasons(pack(file_manifest(paths), 8, tmp_path / "cache")) == ["", ""]


def start_builder(images: Path, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(images), str(cache)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_two_builders_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    photographs(tmp_path / "images", 250)
    builders = [start_builder(tmp_path / "images", tmp_path / "cache") for _ in range(2)]
    outputs = [builder.communicate(timeout=60)[0] for builder in builders]
    assert outputs[0] == outputs[1]
    (folder,) = folders(tmp_path / "cache")
    assert set(reasons(PackedImages(folder))) == {""}


def test_a_killed_builder_leaves_nothing_that_reads_as_whole(tmp_path: Path) -> None:
    paths = photographs(tmp_path / "images", 300, size=300)
    builder = start_builder(tmp_path / "images", tmp_path / "cache")
    deadline = time.monotonic() + 30
    while not list((tmp_path / "cache").glob("packed/.[!l]*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(builder.pid, signal.SIGKILL)
    builder.communicate(timeout=10)
    assert folders(tmp_path / "cache") == []
    images = pack(file_manifest(paths), 224, tmp_path / "cache")
    assert images.read(np.arange(300)).image.any(axis=(1, 2, 3)).all()
    assert not list((tmp_path / "cache").glob("packed/.[!l]*"))


@pytest.mark.parametrize("cache", ["none", "packed"])
def test_a_folder_with_damaged_files_trains_and_lists_all_of_them(
    tmp_path: Path, cache: str
) -> None:
    release = write_csv_release(tmp_path / "affectnet", train=10, test=3, odd=False)
    images = release.root / "Manually_Annotated_Images"
    listed = [*release.images["train"], *release.images["test"]]
    damaged = listed[::20]
    for number, image in enumerate(damaged):
        content = (images / image).read_bytes()
        (images / image).write_bytes((b"", b"no image", content[: len(content) // 2])[number % 3])
    data = AffectNetDataModule(
        release.root,
        image_size=16,
        batch_size=8,
        classes=8,
        cache=cache,
        cache_dir=tmp_path / "cache",
    )
    data.prepare_data()
    data.setup()
    assert sorted(data.unreadable["path"]) == sorted(str(images / image) for image in damaged)
    assert sum(data.dropped[reason] for reason in set(data.unreadable["reason"])) == len(damaged)
    assert len(data.manifest) == len(listed) - len(damaged)
    loader = data.train_dataloader()
    assert (loader.num_workers == 0) == (cache == "packed")
    seen = [row for batch in loader for row in batch["index"].tolist()]
    assert sorted(seen) == data.train_rows.tolist()


def test_both_caches_give_the_same_rows_and_batches(tmp_path: Path) -> None:
    release = write_csv_release(tmp_path / "affectnet")
    images = release.root / "Manually_Annotated_Images"
    (images / release.images["train"][0]).write_bytes(b"no image")
    found = []
    for cache in ("none", "packed"):
        data = AffectNetDataModule(
            release.root, image_size=24, batch_size=8, cache=cache, cache_dir=tmp_path / cache
        )
        data.setup()
        found.append((data, next(iter(data.val_dataloader()))))
    (none, first), (packed, second) = found
    assert first.keys() == second.keys()
    assert first["image"].equal(second["image"])
    assert first["index"].equal(second["index"])
    assert np.array_equal(first["landmarks"], second["landmarks"], equal_nan=True)
    assert none.dropped == packed.dropped
    assert "box outside the image" in none.dropped
    assert none.unreadable.equals(packed.unreadable)
    assert none.fingerprint == packed.fingerprint


def test_packing_is_the_only_look_at_a_file(tmp_path: Path) -> None:
    release = write_csv_release(tmp_path / "affectnet", odd=False)
    image = release.root / "Manually_Annotated_Images" / release.images["train"][0]
    image.write_bytes(b"no image")
    data = AffectNetDataModule(
        release.root, cache="packed", cache_dir=tmp_path / "cache", image_size=8
    )
    data.setup()
    assert data.unreadable["path"].tolist() == [str(image)]
    # What a look of its own finds is remembered; nothing was looked at but by packing.
    assert list((tmp_path / "cache").glob("verified-*")) == []


def test_without_verification_an_unusable_file_is_an_error(tmp_path: Path) -> None:
    release = write_csv_release(tmp_path / "affectnet", odd=False)
    image = release.root / "Manually_Annotated_Images" / release.images["train"][0]
    image.write_bytes(b"")
    data = AffectNetDataModule(
        release.root, cache="packed", cache_dir=tmp_path / "cache", image_size=8, verify=False
    )
    with pytest.raises(DataError, match="cannot be packed: empty file") as caught:
        data.setup()
    assert str(image) in str(caught.value)


def test_another_cache_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no cache 'packd'"):
        AffectNetDataModule(tmp_path, cache="packd")


def test_files_are_not_put_together_from_frames_of_several_datasets(tmp_path: Path) -> None:
    frame = file_manifest(photographs(tmp_path / "images", 2))
    frame["dataset"] = pd.Categorical(["a", "b"])
    with pytest.raises(ConfigError, match="one dataset"):
        pack(frame, 8, tmp_path / "cache")
