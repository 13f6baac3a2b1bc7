from __future__ import annotations

import numpy as np
import pytest

from fer_lab import data
from fer_lab.data.assets import assets
from fer_lab.data.pixels.masks import NO_REGION
from fer_lab.data.vocabulary import LANDMARK_FLIP, REGION_FLIP, REGIONS
from fer_lab.faces.polygons import DRAWN, landmark_regions, usable_landmarks

# Intersection over union with the true mask that docs/regions.md states, over all faces together.
LEVEL = {
    "skin": 0.80,
    "nose": 0.80,
    "l_brow": 0.70,
    "r_brow": 0.70,
    "l_eye": 0.85,
    "r_eye": 0.85,
    "mouth": 0.70,
    "u_lip": 0.80,
    "l_lip": 0.80,
}
SIZE = 112


@pytest.fixture(scope="module")
def faces():
    """Landmarks and true masks of drawn faces; the proportions were chosen on those of seed 11."""
    manifest = data.read("synthetic", train=80, val=0, test=0, seed=3)
    reader = assets(manifest).readers["synthetic"]
    samples = [reader.read(path, SIZE) for path in manifest["path"]]
    return np.stack([s.landmarks for s in samples]), np.stack([s.regions for s in samples])


def overlap(a, b) -> float:
    return float((a & b).sum() / (a | b).sum())


def seen(landmarks, truth):
    """The faces whose landmarks can be used, which are nearly all."""
    usable = usable_landmarks(landmarks, (SIZE, SIZE))
    assert usable.mean() > 0.9
    return landmarks[usable], truth[usable]


@pytest.mark.parametrize("region", DRAWN)
def test_regions_agree_with_the_true_masks_as_stated(faces, region):
    landmarks, truth = seen(*faces)
    code = REGIONS.index(region)
    found = landmark_regions(landmarks, (SIZE, SIZE)) == code
    # A true region may be hidden, by glasses or hair, which landmarks do not know.
    there = (truth == code).any(axis=(1, 2)) & found.any(axis=(1, 2))
    assert overlap(found[there], truth[there] == code) > LEVEL[region]


def test_the_inside_of_the_mouth_is_there_where_lips_part(faces):
    landmarks, truth = seen(*faces)
    code = REGIONS.index("mouth")
    found = (landmark_regions(landmarks, (SIZE, SIZE)) == code).any(axis=(1, 2))
    true = (truth == code).any(axis=(1, 2))
    assert 0.2 < true.mean() < 0.8
    assert (found == true).mean() > 0.9


def test_only_the_nine_regions_are_drawn(faces):
    found = landmark_regions(faces[0], (SIZE, SIZE))
    assert {REGIONS.index(name) for name in DRAWN} | {NO_REGION} == set(np.unique(found))
    assert found.dtype == np.uint8


def test_mirrored_landmarks_give_the_mirrored_mask(faces):
    landmarks, _ = seen(*faces)
    mirrored = landmarks.copy()
    mirrored[..., 0] = SIZE - 1 - mirrored[..., 0]
    mirrored = mirrored[:, list(LANDMARK_FLIP)]
    swap = np.arange(256, dtype=np.uint8)
    swap[: len(REGIONS)] = REGION_FLIP
    expected = swap[landmark_regions(landmarks, (SIZE, SIZE))][..., ::-1]
    found = landmark_regions(mirrored, (SIZE, SIZE))
    # OpenCV rounds a border pixel one way on one side and the other way on the other.
    assert (found == expected).mean() > 0.995
    for name in DRAWN:
        code = REGIONS.index(name)
        assert overlap(found == code, expected == code) > 0.9


def test_left_is_the_images_left(faces):
    landmarks, _ = seen(*faces)
    found = landmark_regions(landmarks, (SIZE, SIZE))
    for part in ("eye", "brow"):
        for mask in found:
            left, right = (
                np.nonzero(mask == REGIONS.index(f"{side}_{part}"))[1].mean() for side in "lr"
            )
            assert left < right


def test_a_face_turned_upside_down_gives_the_mask_turned(faces):
    landmarks, _ = seen(*faces)
    expected = landmark_regions(landmarks, (SIZE, SIZE))[:, ::-1, ::-1]
    turned = landmark_regions(SIZE - 1 - landmarks, (SIZE, SIZE))
    assert (turned == expected).mean() > 0.99


def test_faces_without_usable_landmarks_have_no_region_and_are_counted(faces):
    landmarks = seen(*faces)[0][:4].copy()
    landmarks[0, 30] = np.nan
    landmarks[1, 8, 1] = SIZE + 3
    landmarks[2, 0, 0] = -0.5
    found = landmark_regions(landmarks, (SIZE, SIZE))
    assert usable_landmarks(landmarks, (SIZE, SIZE)).tolist() == [False, False, False, True]
    assert (found[:3] == NO_REGION).all()
    assert (found[3] != NO_REGION).any()


def test_pictures_need_not_be_square(faces):
    landmarks = seen(*faces)[0][:3]
    wide = landmark_regions(landmarks, (SIZE, SIZE + 40))
    assert wide.shape == (3, SIZE, SIZE + 40)
    np.testing.assert_array_equal(wide[..., :SIZE], landmark_regions(landmarks, (SIZE, SIZE)))


def test_landmarks_all_at_one_place_are_drawn_without_a_warning():
    with np.errstate(all="raise"):
        found = landmark_regions(np.full((1, 68, 2), 5.0), (11, 11))
    assert (found != NO_REGION).sum() <= 4


def test_no_faces_give_no_masks_and_other_shapes_are_refused():
    assert landmark_regions(np.zeros((0, 68, 2)), (8, 9)).shape == (0, 8, 9)
    with pytest.raises(ValueError, match=r"\[N, 68, 2\], not \[68, 2\]"):
        landmark_regions(np.zeros((68, 2)), (8, 8))
