from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lab.data.manifest import Assets, validate
from fer_lab.data.pixels.images import FileImages, JoinedImages, Pixels, face_crop, resize
from fer_lab.errors import DataError


def gradient(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards, blue is constant."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([columns * 255 // (width - 1), rows * 255 // (height - 1)], axis=-1)
    return np.concatenate([image, np.full((height, width, 1), 40)], axis=-1).astype(np.uint8)


def file_manifest(
    paths: list[Path],
    boxes: list[list[float] | None] | None = None,
    landmarks: np.ndarray | None = None,
) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "id": [f"files/{n}" for n in range(len(paths))],
            "dataset": "files",
            "path": [str(path) for path in paths],
            "label": "happy",
            "split": "train",
        }
    )
    arrays = {}
    if boxes is not None:
        arrays["box"] = np.array([box for box in boxes if box is not None], dtype=np.float32)
        known = np.array([box is not None for box in boxes])
        frame["box"] = np.where(known, known.cumsum() - 1, -1)
    if landmarks is not None:
        arrays["landmarks"] = landmarks.astype(np.float32)
        frame["landmarks"] = np.r_[np.arange(len(landmarks)), [-1] * (len(paths) - len(landmarks))]
    frame.attrs["assets"] = Assets(arrays=arrays)
    return validate(frame)


def save(path: Path, image: np.ndarray) -> Path:
    Image.fromarray(image).save(path)
    return path


def test_a_file_is_read_as_rgb_at_the_size_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", gradient(40, 40))
    images = FileImages(file_manifest([path]), 20)
    pixels = images.read(np.array([0, 0]))
    assert pixels.image.shape == (2, 20, 20, 3)
    assert pixels.image.dtype == np.uint8
    # Each output pixel is the mean of 2×2 input pixels.
    expected = gradient(40, 40).reshape(20, 2, 20, 2, 3).mean(axis=(1, 3))
    assert np.abs(pixels.image[1] - expected).max() <= 1
    assert pixels.regions is None
    assert pixels.landmarks is None
    assert not images.has_regions
    assert not images.has_landmarks


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([40, 40, 20, 20], (37, 37, 63, 63)),
        ([0, 0, 100, 100], (0, 0, 100, 100)),
        ([90, 50, 20, 10], (87, 48, 100, 62)),
        ([-30, 10, 40, 40], (0, 4, 16, 56)),
        ([99.6, 99.6, 0.1, 0.1], (99, 99, 100, 100)),
    ],
)
def test_a_box_is_widened_and_clipped(
    box: list[float], expected: tuple[int, int, int, int]
) -> None:
    assert face_crop(np.array(box, dtype=np.float32), 100, 100) == expected


def test_only_rows_with_a_box_are_cropped(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", gradient(100, 100))
    manifest = file_manifest([path, path], [None, [40, 20, 20, 20]])
    whole, cropped = FileImages(manifest, 26).read(np.array([0, 1])).image
    assert np.array_equal(cropped, gradient(100, 100)[17:43, 37:63])
    assert whole[0, 0].max() < 45
    assert whole[-1, -1, :2].min() > 245


def test_landmarks_follow_the_crop(tmp_path: Path) -> None:
    image = np.zeros((100, 80, 3), np.uint8)
    image[60:62, 30:32] = 255  # centred on (30.5, 60.5)
    path = save(tmp_path / "a.png", image)
    points = np.full((1, 68, 2), (30.5, 60.5))
    manifest = file_manifest([path, path], [[20, 50, 20, 20], None], points)
    images = FileImages(manifest, 52)
    pixels = images.read(np.array([0, 1]))
    assert images.has_landmarks
    assert pixels.landmarks is not None
    weights = pixels.image[0, ..., 0].astype(float)
    rows, columns = np.mgrid[:52, :52]
    centre = [(columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()]
    assert np.allclose(pixels.landmarks[0], centre, atol=0.02)
    assert np.isnan(pixels.landmarks[1]).all()


def test_enlarging_interpolates(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 200
    enlarged = resize(image, 8)
    assert np.all(np.diff(enlarged[0, :, 0].astype(int)) >= 0)
    assert len(set(enlarged[0, :, 0].tolist())) > 2
    assert resize(enlarged, 8) is enlarged


def test_a_file_that_disappeared_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", gradient(8, 8))
    images = FileImages(file_manifest([path]), 8)
    path.unlink()
    with pytest.raises(DataError, match="cannot be used: file missing") as caught:
        images.read(np.array([0]))
    assert str(path) in str(caught.value)


class Numbered:
    """Images that are told apart by a number."""

    size = 4

    def __init__(self, start: int, *, regions: bool, landmarks: bool) -> None:
        self.start = start
        self.has_regions = regions
        self.has_landmarks = landmarks

    def read(self, rows: np.ndarray) -> Pixels:
        value = (self.start + rows)[:, None, None, None]
        image = np.broadcast_to(value, (len(rows), 4, 4, 3)).astype(np.uint8)
        return Pixels(
            image,
            image[..., 0] if self.has_regions else None,
            np.broadcast_to(value[..., 0], (len(rows), 68, 2)).astype(np.float32)
            if self.has_landmarks
            else None,
        )


def test_joined_parts_keep_the_order_of_the_rows() -> None:
    parts = [
        Numbered(0, regions=True, landmarks=True),
        Numbered(100, regions=True, landmarks=False),
    ]
    part, row = np.array([0, 1, 0, 1, 1]), np.array([5, 0, 6, 2, 1])
    joined = JoinedImages(parts, part, row)
    pixels = joined.read(np.array([4, 0, 3, 2]))
    assert pixels.image[:, 0, 0, 0].tolist() == [101, 5, 102, 6]
    assert pixels.regions is not None
    assert pixels.regions[:, 3, 3].tolist() == [101, 5, 102, 6]
    assert pixels.landmarks is not None
    assert np.isnan(pixels.landmarks[[0, 2]]).all()
    assert pixels.landmarks[[1, 3], 0, 0].tolist() == [5, 6]


def test_faces_of_a_part_without_regions_are_in_none() -> None:
    parts = [
        Numbered(0, regions=True, landmarks=False),
        Numbered(100, regions=False, landmarks=False),
    ]
    joined = JoinedImages(parts, np.array([0, 1]), np.array([1, 1]))
    pixels = joined.read(np.array([1, 0]))
    assert joined.has_regions
    assert pixels.regions is not None
    assert pixels.regions[:, 2, 1].tolist() == [255, 1]
    assert pixels.image[:, 0, 0, 0].tolist() == [101, 1]
    assert not JoinedImages(parts[1:], np.array([0]), np.array([1])).has_regions
