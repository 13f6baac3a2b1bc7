from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator

from fer_lab.data import read
from fer_lab.data.vocabulary import LANDMARK_FLIP
from fer_lab.explain.face_space import normal_triangles, normalize, normalized
from fer_lab.explain.normal_form import face_points, normal_landmarks, normal_points

SMALL = (56, 69)


@pytest.fixture(scope="module")
def faces():
    """Grey pictures of drawn faces, ``[N, 96, 96]``, and their landmarks."""
    manifest = read("synthetic", train=0, val=0, test=6)
    (reader,) = manifest.attrs["assets"].readers.values()
    samples = [reader.read(path, 96) for path in manifest["path"]]
    images = np.stack([sample.image for sample in samples]).astype(np.float32).mean(-1) / 255
    landmarks = np.stack([sample.landmarks for sample in samples])
    return torch.from_numpy(images), torch.from_numpy(landmarks)


def by_pixel(value, landmarks, size) -> np.ndarray:
    """One map in face space, pixel by pixel: first triangle that holds it, solved by hand."""
    height, width = value.shape
    normal = normal_points(size).astype(float)
    own = face_points(landmarks[None], (width, height))[0].numpy().astype(float)
    read_at = RegularGridInterpolator((np.arange(height), np.arange(width)), value.numpy())
    result = np.full((size[1], size[0]), np.nan)
    for y in range(size[1]):
        for x in range(size[0]):
            for triangle in normal_triangles(size):
                system = np.vstack([normal[triangle].T, np.ones(3)])
                weights = np.linalg.solve(system, [x, y, 1.0])
                if weights.min() >= -1e-9:
                    a, b, c = own[triangle]
                    twice = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
                    if twice > 0:
                        across, down = weights @ own[triangle]
                        inside = np.clip([down, across], 0, [height - 1, width - 1])
                        result[y, x] = read_at(inside)[0]
                    break
    return result


def test_maps_equal_a_reference_that_solves_each_pixel(faces):
    images, landmarks = faces
    found = normalize(images[:2], landmarks[:2], SMALL).numpy()
    for number in range(2):
        expected = by_pixel(images[number], landmarks[number], SMALL)
        both = np.isfinite(found[number]) & np.isfinite(expected)
        # On an edge between a folded triangle and a good one, either answer is right.
        assert both.mean() > 0.95
        assert (np.isfinite(found[number]) != np.isfinite(expected)).mean() < 0.005
        np.testing.assert_allclose(found[number][both], expected[both], atol=1e-4)


def test_a_face_in_normal_form_stays_as_it_is():
    width, height = 224, 275
    ramp = torch.rand(1, height, width, generator=torch.Generator().manual_seed(1))
    landmarks = torch.from_numpy(normal_landmarks((width, height)))[None]
    found = normalized(ramp, landmarks)
    assert found.folded.tolist() == [0]
    torch.testing.assert_close(found.values, ramp, atol=1e-3, rtol=0)


def test_features_of_different_faces_come_to_one_place(faces):
    images, landmarks = faces
    normal = normal_landmarks()
    for number in range(len(images)):
        spot = torch.zeros_like(images[:1])
        across, down = landmarks[number, 30].round().long().tolist()
        spot[0, down - 1 : down + 2, across - 1 : across + 2] = 1
        found = normalize(spot, landmarks[number : number + 1])[0].nan_to_num()
        y, x = divmod(int(found.argmax()), found.shape[1])
        assert np.hypot(x - normal[30, 0], y - normal[30, 1]) < 12


def test_the_normal_form_is_symmetric():
    normal = normal_landmarks()
    mirrored = normal[list(LANDMARK_FLIP)] * (-1, 1) + (223, 0)
    np.testing.assert_allclose(mirrored, normal, atol=1e-3)


def test_top_of_the_head_is_the_jaw_mirrored_over_the_brows():
    points = face_points(torch.from_numpy(normal_landmarks())[None] * 0.2 + 90, (224, 275))[0]
    brows = points[17:27, 1].mean()
    torch.testing.assert_close(points[68:85, 0], points[:17, 0])
    torch.testing.assert_close(points[68:85, 1], 2 * brows - points[:17, 1])


def test_top_of_the_head_stays_inside_a_tight_crop(faces):
    _, landmarks = faces
    shifted = landmarks - landmarks.amin(1, keepdim=True) + torch.tensor([0.5, 8.0])
    points = face_points(shifted, (96, 96))
    assert ((points[:, 68:85] >= 0) & (points[:, 68:85] <= 95)).all()
    crown = points[:, 68 + 8]
    assert (crown[:, 1] > 0).all()
    assert (crown[:, 1] < points[:, 17:27, 1].mean(1) - 5).all()


def test_faces_with_landmarks_missing_or_outside_are_set_aside(faces):
    images, landmarks = faces
    broken = landmarks[:3].clone()
    broken[1] = torch.nan
    broken[2, 8, 1] = 96.5
    found = normalized(images[:3], broken)
    assert found.usable.tolist() == [True, False, False]
    assert found.values[1:].isnan().all()
    torch.testing.assert_close(
        found.values[:1], normalize(images[:1], landmarks[:1]), equal_nan=True
    )


def test_a_folded_triangle_is_unknown_and_counted(faces):
    images, landmarks = faces
    folded = landmarks[:1].clone()
    folded[0, 30, 1] = folded[0, 51, 1] + 5  # the tip of the nose below the lips
    found = normalized(images[:1], folded)
    before = normalized(images[:1], landmarks[:1])
    assert found.folded > before.folded
    assert found.values.isnan().sum() > before.values.isnan().sum()


def test_a_batch_is_the_same_as_one_by_one(faces):
    images, landmarks = faces
    together = normalize(images, landmarks, SMALL)
    for number in range(len(images)):
        alone = normalize(images[number : number + 1], landmarks[number : number + 1], SMALL)
        torch.testing.assert_close(together[number], alone[0], equal_nan=True)
