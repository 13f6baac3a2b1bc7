from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import skimage.data
from PIL import Image

from fer_lab.data.assets import Assets, Sample
from fer_lab.data.manifest import validate
from fer_lab.data.pixels import hashing
from fer_lab.data.pixels.hashing import hash_faces
from fer_lab.data.pixels.look_alikes import RADIUS


def manifest_of(*paths: Path | str, boxes=None, readers=None) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "id": [f"a/{number}" for number in range(len(paths))],
            "dataset": "a",
            "path": [str(path) for path in paths],
            "label": "happy",
            "split": "train",
        }
    )
    arrays = {}
    if boxes is not None:
        frame["box"] = np.arange(len(boxes))
        arrays["box"] = np.array(boxes, dtype=np.float32)
    frame.attrs["assets"] = Assets(arrays=arrays, readers=readers)
    return validate(frame)


def photograph(path: Path, image: Image.Image | None = None, **options: object) -> Path:
    (image or Image.fromarray(skimage.data.astronaut())).save(path, **options)
    return path


def apart(hashes: np.ndarray, one: int, other: int) -> int:
    return int(np.bitwise_count(hashes[one] ^ hashes[other]).max())


def test_the_same_bytes_have_the_same_content_whatever_their_name(tmp_path):
    first = photograph(tmp_path / "a.jpg")
    second = tmp_path / "b.png"
    second.write_bytes(first.read_bytes())
    third = photograph(tmp_path / "c.jpg", quality=60)
    contents, hashes, hashed = hash_faces(manifest_of(first, second, third), tmp_path / "cache")
    assert contents[0] == contents[1] != contents[2]
    assert hashed.all()
    assert apart(hashes, 0, 1) == 0
    assert apart(hashes, 0, 2) <= RADIUS


def test_faces_of_one_photograph_are_different_faces(tmp_path):
    path = photograph(tmp_path / "group.jpg")
    boxes = [(170, 60, 110, 130), (20, 300, 110, 130), (170, 60, 110, 130)]
    contents, hashes, _ = hash_faces(manifest_of(path, path, path, boxes=boxes), tmp_path / "cache")
    assert contents[0] == contents[2] != contents[1]
    assert apart(hashes, 0, 2) == 0
    assert apart(hashes, 0, 1) > RADIUS


def test_a_face_is_found_in_a_resized_copy_with_a_box_of_its_own(tmp_path):
    whole = Image.fromarray(skimage.data.astronaut())
    paths = [
        photograph(tmp_path / "whole.jpg", whole, quality=95),
        photograph(tmp_path / "half.jpg", whole.resize((256, 256)), quality=95),
    ]
    boxes = [(160, 60, 120, 120), (80, 30, 60, 60)]
    _, hashes, _ = hash_faces(manifest_of(*paths, boxes=boxes), tmp_path / "cache")
    assert apart(hashes, 0, 1) <= RADIUS


def test_a_photograph_turned_by_exif_looks_like_the_upright_one(tmp_path):
    whole = Image.fromarray(skimage.data.astronaut()).crop((0, 0, 512, 400))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = photograph(tmp_path / "t.jpg", whole.rotate(90, expand=True), exif=exif, quality=95)
    upright = photograph(tmp_path / "u.jpg", whole, quality=95)
    boxes = [(160, 60, 120, 120)] * 2
    _, hashes, _ = hash_faces(manifest_of(turned, upright, boxes=boxes), tmp_path / "cache")
    assert apart(hashes, 0, 1) <= RADIUS


def test_what_was_hashed_is_not_read_again(tmp_path, monkeypatch):
    path = photograph(tmp_path / "a.jpg")
    manifest = manifest_of(path)
    before = hash_faces(manifest, tmp_path / "cache")
    monkeypatch.setattr(hashing, "_hash_file", lambda *_: (_ for _ in ()).throw(AssertionError))
    after = hash_faces(manifest, tmp_path / "cache")
    assert before[0].tolist() == after[0].tolist()
    assert (before[1] == after[1]).all()


def test_a_changed_file_is_hashed_again(tmp_path):
    path = photograph(tmp_path / "a.jpg")
    manifest = manifest_of(path)
    (before,) = hash_faces(manifest, tmp_path / "cache")[0]
    photograph(path, quality=30)
    os.utime(path, ns=(1, 1))
    (after,) = hash_faces(manifest, tmp_path / "cache")[0]
    assert before != after


def test_a_file_that_went_away_is_like_no_other(tmp_path):
    there = photograph(tmp_path / "a.jpg")
    contents, _, hashed = hash_faces(
        manifest_of(there, tmp_path / "gone.jpg", tmp_path / "away.jpg"), tmp_path / "cache"
    )
    assert contents.nunique() == 3
    assert hashed.tolist() == [True, False, False]


def test_rows_of_a_reader_are_hashed_by_their_pixels(tmp_path):
    class Reader:
        def key(self) -> str:
            return "r"

        def read(self, path: str, size: int) -> Sample:
            turns = int(path.removeprefix("r#")) % 2
            image = Image.fromarray(skimage.data.astronaut()).resize((size, size))
            return Sample(np.rot90(np.asarray(image), turns).copy())

    manifest = manifest_of("r#0", "r#1", "r#2", readers={"a": Reader()})
    contents, hashes, _ = hash_faces(manifest, tmp_path / "cache")
    assert contents[0] == contents[2] != contents[1]
    assert apart(hashes, 0, 1) > RADIUS


def test_no_rows_have_no_hashes(tmp_path):
    path = photograph(tmp_path / "a.jpg")
    contents, hashes, hashed = hash_faces(manifest_of(path).iloc[:0], tmp_path / "cache")
    assert (len(contents), hashes.shape, len(hashed)) == (0, (0, 2), 0)


def test_16_bits_look_like_the_8_highest_of_them(tmp_path):
    grey = Image.fromarray(skimage.data.camera())
    deep = Image.fromarray(skimage.data.camera().astype(np.uint16) * 257)
    paths = photograph(tmp_path / "8.png", grey), photograph(tmp_path / "16.png", deep)
    _, hashes, hashed = hash_faces(manifest_of(*paths), tmp_path)
    assert hashed.all()
    assert apart(hashes, 0, 1) == 0
