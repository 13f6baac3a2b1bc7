from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.fft
import skimage.data
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from fer_lab.data.assets import assets
from fer_lab.data.pixels.duplicates import (
    SIDE,
    find_duplicates,
    leakage,
    perceptual_hash,
)
from fer_lab.data.pixels.look_alikes import RADIUS, look_alikes
from fer_lab.data.sources import read


def bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def hash_of(image: Image.Image) -> tuple[int, int]:
    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    found = perceptual_hash(np.asarray(grey))
    assert found is not None
    return found


def alike(one: Image.Image, other: Image.Image) -> bool:
    pairs = zip(hash_of(one), hash_of(other), strict=True)
    return all(bits(a, b) <= RADIUS for a, b in pairs)


def stored(image: Image.Image, **options: object) -> Image.Image:
    file = io.BytesIO()
    image.save(file, **options)
    return Image.open(file)


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Photographs, and drawn faces, which are more alike than those of people."""
    manifest = read("synthetic", train=40, val=0, test=0, seed=3)
    reader = assets(manifest).readers["synthetic"]
    faces = [reader.read(path, 112).image for path in manifest["path"]]
    photographs = [skimage.data.astronaut(), skimage.data.camera(), skimage.data.coins()]
    photographs += [skimage.data.coffee(), skimage.data.chelsea(), *load_sample_images().images]
    return [Image.fromarray(pixels).convert("RGB") for pixels in [*photographs, *faces]]


@pytest.fixture(scope="module")
def portraits() -> list[Image.Image]:
    """100 faces of Labeled Faces in the Wild, small and grey."""
    stored_with_scikit_image = Path(skimage.data.__file__).parent / "lfw_subset.npy"
    pixels = np.clip(np.load(stored_with_scikit_image)[:100] * 255, 0, 255).astype(np.uint8)
    faces = [Image.fromarray(face).convert("RGB") for face in pixels]
    return [face.resize((100, 100), Image.Resampling.BICUBIC) for face in faces]


SAME = {
    "compressed": lambda image: stored(image, format="JPEG", quality=50),
    "compressed hard and doubled": lambda image: stored(
        image.resize((2 * image.width, 2 * image.height)), format="JPEG", quality=40
    ),
    "halved": lambda image: image.resize((image.width // 2, image.height // 2)),
    "48 pixels": lambda image: image.resize((48, 48), Image.Resampling.LANCZOS),
    "grey": lambda image: image.convert("L"),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.15),
    "as PNG": lambda image: stored(image, format="PNG"),
}
OTHER = {
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned": lambda image: image.rotate(90),
    "negative": lambda image: ImageOps.invert(image.convert("RGB")),
    "cropped": lambda image: ImageOps.crop(image, image.width // 8),
}


@pytest.mark.parametrize("change", SAME)
def test_an_image_stored_anew_is_a_near_duplicate(pictures, portraits, change):
    every = pictures + portraits
    assert [alike(picture, SAME[change](picture)) for picture in every].count(False) == 0


@pytest.mark.parametrize("change", OTHER)
def test_another_view_of_an_image_is_none(pictures, portraits, change):
    every = pictures + portraits
    assert [alike(picture, OTHER[change](picture)) for picture in every].count(True) == 0


def test_different_faces_are_no_near_duplicates(pictures, portraits):
    every = pictures + portraits
    hashes = np.array([hash_of(picture) for picture in every], dtype=np.uint64)
    assert len(np.unique(look_alikes(hashes).part)) == len(every)


@pytest.mark.parametrize(
    ("share", "lowest", "highest"), [(0.01, 0.95, 1), (0.02, 0.6, 0.9), (0.04, 0, 0.2)]
)
def test_a_crop_of_a_face_is_found_as_often_as_the_guide_says(portraits, share, lowest, highest):
    edge = 100 * share
    inner = (edge, edge, 100 - edge, 100 - edge)
    crops = [face.resize((100, 100), Image.Resampling.BICUBIC, box=inner) for face in portraits]
    found = np.mean([alike(*pair) for pair in zip(portraits, crops, strict=True)])
    assert lowest <= found <= highest


def test_the_second_hash_is_that_of_the_cosine_transform(pictures):
    for picture in pictures[:5]:
        grey = picture.convert("L").resize((SIDE, SIDE))
        spectrum = scipy.fft.dctn(np.asarray(grey, dtype=float), type=2)[:8, :8].ravel()
        expected = spectrum > np.median(spectrum[1:])
        expected[0] = False
        number = int("".join("1" if bit else "0" for bit in expected), 2)
        found = perceptual_hash(np.asarray(grey))
        assert found is not None
        assert found[1] == number


def test_the_first_hash_compares_neighbouring_cells():
    rising = np.tile(np.arange(SIDE, dtype=np.uint8) * 3, (SIDE, 1))
    found, mirrored = perceptual_hash(rising), perceptual_hash(rising[:, ::-1])
    assert found is not None
    assert mirrored is not None
    assert (found[0], mirrored[0]) == (2**64 - 1, 0)


def test_a_picture_of_one_colour_has_no_hash():
    assert perceptual_hash(np.full((SIDE, SIDE), 200, dtype=np.uint8)) is None


def of(*hashes: int) -> np.ndarray:
    return np.array([(value, value) for value in hashes], dtype=np.uint64).reshape(-1, 2)


def test_groups_of_the_same_bytes_and_of_the_same_look():
    far = 0xFFFF0000FFFF0000
    contents = ["a", "b", "a", "c", "d", "a"]
    hashes = of(0, 0b111, 0, far, 0xFF00FF00FF00FF00, 0)
    table, _ = find_duplicates(contents, hashes, np.ones(6, dtype=bool), 3)
    assert table[table["kind"] == "exact"][["row", "group", "distance"]].to_numpy().tolist() == [
        [0, 1, 0],
        [2, 1, 0],
        [5, 1, 0],
    ]
    assert table[table["kind"] == "near"][["row", "group", "distance"]].to_numpy().tolist() == [
        [0, 2, 6],
        [1, 2, 6],
        [2, 2, 6],
        [5, 2, 6],
    ]


def test_near_groups_are_closed():
    hashes = of(0, 0b111, 0b111111, 0xFFFF0000FFFF0000)
    table, _ = find_duplicates(list("abcd"), hashes, np.ones(4, dtype=bool), 3)
    assert table["row"].tolist() == [0, 1, 2]
    assert table["group"].nunique() == 1


def test_different_files_of_one_hash_are_near_not_exact():
    table, _ = find_duplicates(["a", "b"], of(5, 5), np.ones(2, dtype=bool))
    assert table[["kind", "distance"]].to_numpy().tolist() == [["near", 0], ["near", 0]]


def test_images_without_a_hash_can_be_exact_duplicates_alone():
    table, _ = find_duplicates(["a", "a", "b"], of(0, 0, 0), np.zeros(3, dtype=bool))
    assert table[["row", "kind"]].to_numpy().tolist() == [[0, "exact"], [1, "exact"]]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_have_no_duplicates(count):
    table, _ = find_duplicates(["a"] * count, of(*[0] * count), np.ones(count, dtype=bool))
    assert table.empty
    assert list(table.columns) == ["row", "kind", "group", "distance"]


def test_a_picture_that_is_there_very_often_is_compared_once():
    count = 200_000
    contents = np.where(np.arange(count) % 2, "x", "y").tolist()
    table, _ = find_duplicates(contents, of(*[7] * count), np.ones(count, dtype=bool))
    assert table["kind"].value_counts().to_dict() == {"exact": count, "near": count}
    assert table["group"].nunique() == 3


def test_leakage_counts_the_images_with_a_double_elsewhere():
    table = pd.DataFrame(
        [
            ("exact", 1, "train"),
            ("exact", 1, "test"),
            ("exact", 1, "test"),
            ("exact", 2, "train"),
            ("exact", 2, "train"),
            ("near", 3, "val"),
            ("near", 3, "test"),
            ("near", 4, "train"),
            ("near", 4, "val"),
            ("near", 4, "test"),
        ],
        columns=["kind", "group", "split"],
    )
    assert leakage(table).to_numpy().tolist() == [
        ["exact", "test", "train", 2],
        ["near", "test", "train", 1],
        ["near", "test", "val", 2],
        ["near", "val", "train", 1],
    ]


def test_duplicates_of_one_split_are_no_leakage():
    table = pd.DataFrame({"kind": "exact", "group": [1, 1], "split": ["train", "train"]})
    assert leakage(table).empty
    assert leakage(table.iloc[:0]).empty
