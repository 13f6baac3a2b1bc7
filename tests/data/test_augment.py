from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy.ndimage import map_coordinates
from torch import Tensor

from fer_lab.data.augment import Augment
from fer_lab.data.dataset import Batch
from fer_lab.data.expansion import Expansion
from fer_lab.data.randomness import uniform
from fer_lab.data.vocabulary import LANDMARK_FLIP, REGION_FLIP, REGIONS
from fer_lab.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf" / "augment"
STRONG = Augment(flip=0.5, rotation=10, zoom=0.1, shift=0.05, brightness=0.1, contrast=0.1)
EVERY = Expansion(gamma=(0.5, 1, 1.5, 2), shift=(-4, 0, 4))


def smooth_batch(count: int = 6, size: int = 32) -> Batch:
    """Smooth images, so that interpolation can be compared, with regions and landmarks."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    image = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    return {
        "image": image.contiguous(memory_format=torch.channels_last),
        "label": torch.zeros(count, dtype=torch.int64),
        "group": {},
        "index": torch.arange(count) * 7,
        "monitored": torch.ones(count, dtype=torch.bool),
        "regions": torch.randint(
            0, 19, (count, size, size), generator=generator, dtype=torch.uint8
        ),
        "landmarks": torch.rand(count, 68, 2, generator=generator) * (size - 1),
    }


def face(size: int = 64) -> Batch:
    """One face whose eyes differ in colour; regions and landmarks agree with the colours."""
    image = torch.zeros(1, 3, size, size)
    regions = torch.zeros(1, size, size, dtype=torch.uint8)
    landmarks = torch.full((1, 68, 2), float("nan"))
    for channel, name, points, column in (
        (0, "l_eye", range(36, 42), 18),
        (1, "r_eye", range(42, 48), 44),
    ):
        image[:, channel, 20:25, column - 2 : column + 3] = 1
        regions[:, 20:25, column - 2 : column + 3] = REGIONS.index(name)
        landmarks[:, list(points)] = torch.tensor([column, 22.0])
    return {
        "image": image,
        "label": torch.zeros(1, dtype=torch.int64),
        "group": {},
        "index": torch.zeros(1, dtype=torch.int64),
        "monitored": torch.ones(1, dtype=torch.bool),
        "regions": regions,
        "landmarks": landmarks,
    }


def fitted_motion(before: Tensor, after: Tensor) -> np.ndarray:
    """The affine map ``[3, 2]`` that takes points ``[68, 2]`` to others, by least squares."""
    points = np.c_[before.numpy(), np.ones(68)]
    motion, residual, *_ = np.linalg.lstsq(points, after.numpy(), rcond=None)
    assert residual.max() < 1e-4
    return motion


def unswapped(landmarks: Tensor, flipped: bool) -> Tensor:
    return landmarks[list(LANDMARK_FLIP)] if flipped else landmarks


def test_without_strengths_the_batch_itself_comes_back() -> None:
    batch = smooth_batch()
    assert Augment()(batch, seed=1, epoch=0) is batch
    assert not Augment().active


def test_a_flip_is_the_mirrored_image_with_left_and_right_swapped() -> None:
    batch = smooth_batch(40, 9)
    changed = Augment(flip=0.5)(batch, seed=1, epoch=2)
    flipped = uniform(1, 2, batch["index"], 1)[:, 0] < 0.5
    assert 8 < int(flipped.sum()) < 32
    for row in range(40):
        image, regions = batch["image"][row], batch["regions"][row]
        points = batch["landmarks"][row]
        if flipped[row]:
            image = torch.from_numpy(image.numpy()[:, :, ::-1].copy())
            named = [[REGION_FLIP[value] for value in reversed(line)] for line in regions.tolist()]
            regions = torch.tensor(named, dtype=torch.uint8)
            mirrored = [[8 - x, y] for x, y in points.tolist()]
            points = torch.tensor([mirrored[old] for old in LANDMARK_FLIP])
        assert torch.equal(changed["image"][row], image)
        assert torch.equal(changed["regions"][row], regions)
        assert torch.allclose(changed["landmarks"][row], points, atol=1e-5)


@pytest.mark.parametrize("augment", [Augment(flip=1), Augment(flip=1, zoom=1e-12)])
def test_flipping_twice_is_the_identity(augment: Augment) -> None:
    batch = smooth_batch()
    twice = augment(augment(batch, seed=1, epoch=0), seed=1, epoch=0)
    assert torch.allclose(twice["image"], batch["image"], atol=2e-5)
    assert torch.equal(twice["regions"], batch["regions"])
    assert torch.allclose(twice["landmarks"], batch["landmarks"], atol=1e-4)


@pytest.mark.parametrize("augment", [Augment(flip=1), Augment(flip=1, rotation=1e-9)])
def test_after_a_flip_the_left_eye_is_again_on_the_left(augment: Augment) -> None:
    changed = augment(face(), seed=1, epoch=0)
    left = changed["regions"][0] == REGIONS.index("l_eye")
    # The red eye was on the left and is now on the right: there it is the image's right eye.
    assert float(changed["image"][0, 1][left].min()) > 0.99
    assert float(changed["image"][0, 0][left].max()) < 0.01
    assert left.nonzero().float().mean(0).tolist() == [22, 63 - 44]
    assert torch.allclose(changed["landmarks"][0, 36:42], torch.tensor([19.0, 22.0]), atol=1e-4)
    assert torch.allclose(changed["landmarks"][0, 42:48], torch.tensor([45.0, 22.0]), atol=1e-4)


def test_landmarks_move_exactly_as_pixels_do() -> None:
    batch = smooth_batch()
    augment = Augment(flip=0.5, rotation=25, zoom=0.2, shift=0.1)
    changed = augment(batch, seed=4, epoch=1)
    flipped = uniform(4, 1, batch["index"], 1)[:, 0] < 0.5
    assert 0 < int(flipped.sum()) < 6
    rows, columns = np.mgrid[:32, :32]
    for face_number in range(6):
        after = unswapped(changed["landmarks"][face_number], bool(flipped[face_number]))
        back = fitted_motion(after, batch["landmarks"][face_number])
        places = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ back
        at = [places[..., 1].clip(0, 31), places[..., 0].clip(0, 31)]
        for channel in range(3):
            expected = map_coordinates(
                batch["image"][face_number, channel].numpy(), at, order=1, mode="nearest"
            )
            assert np.allclose(changed["image"][face_number, channel], expected, atol=2e-3)
        nearest = batch["regions"][face_number].numpy()[
            np.rint(at[0]).astype(int), np.rint(at[1]).astype(int)
        ]
        if flipped[face_number]:
            nearest = np.array(REGION_FLIP)[nearest]
        assert (changed["regions"][face_number].numpy() == nearest).mean() > 0.99


def test_motions_stay_within_their_strengths_and_reach_them() -> None:
    batch = smooth_batch(400, 8)
    changed = Augment(rotation=10, zoom=0.1, shift=0.05)(batch, seed=1, epoch=0)
    motions = [
        fitted_motion(after, before)
        for before, after in zip(batch["landmarks"], changed["landmarks"], strict=True)
    ]
    angles = np.degrees([np.arctan2(m[0, 1], m[0, 0]) for m in motions])
    scales = np.array([np.hypot(m[0, 0], m[0, 1]) for m in motions])
    shifts = np.array([[3.5, 3.5, 1] @ m - 3.5 for m in motions]) / 8
    for values, largest in (
        (angles, 10),
        (scales - 1, 0.1),
        (shifts[:, 0], 0.05),
        (shifts[:, 1], 0.05),
    ):
        assert 0.95 * largest < np.abs(values).max() < largest * 1.001
        assert abs(values.mean()) < largest * 0.12


def test_colours_equal_a_slow_loop() -> None:
    batch = smooth_batch()
    augment = Augment(brightness=0.3, contrast=0.4, gamma=1.0)
    changed = augment(batch, seed=9, epoch=3)
    draws = uniform(9, 3, batch["index"], 8).double().numpy() * 2 - 1
    for row, image in enumerate(batch["image"].double().numpy()):
        image = image ** (2.0 ** draws[row, 7])
        image = (image - image.mean()) * (1 + 0.4 * draws[row, 6]) + image.mean()
        image = np.clip(image + 0.3 * draws[row, 5], 0, 1)
        assert np.allclose(changed["image"][row], image, atol=1e-5)


def test_a_sample_changes_in_the_same_way_in_any_batch() -> None:
    batch = smooth_batch(8)
    whole = STRONG(batch, seed=1, epoch=5)
    some = torch.tensor([6, 2])
    part: Batch = {
        "image": batch["image"][some],
        "label": batch["label"][some],
        "group": {},
        "index": batch["index"][some],
        "monitored": batch["monitored"][some],
    }
    changed = STRONG(part, seed=1, epoch=5)
    assert torch.allclose(changed["image"], whole["image"][some], atol=1e-6)
    other = STRONG(part, seed=1, epoch=6)
    assert not torch.allclose(changed["image"], other["image"], atol=1e-2)


def test_the_result_is_in_range_channels_last_and_leaves_the_input_alone() -> None:
    batch = smooth_batch()
    before = {name: batch[name].clone() for name in ("image", "regions", "landmarks")}  # type: ignore[literal-required]
    for augment in (STRONG, Augment(brightness=1), Augment(flip=0.5), Augment(contrast=1)):
        changed = augment(batch, seed=1, epoch=0)
        assert float(changed["image"].min()) >= 0
        assert float(changed["image"].max()) <= 1
        assert changed["image"].is_contiguous(memory_format=torch.channels_last)
        assert changed["image"].dtype == torch.float32
        assert changed["regions"].dtype == torch.uint8
    for name, value in before.items():
        assert torch.equal(batch[name], value)  # type: ignore[literal-required]


def test_nothing_is_read_back_from_the_device() -> None:
    # A value of a meta tensor cannot be read: whatever waits for the device fails here.
    batch = smooth_batch()
    moved: Batch = {
        "image": batch["image"].to("meta"),
        "label": batch["label"].to("meta"),
        "group": {},
        "index": batch["index"].to("meta"),
        "monitored": batch["monitored"].to("meta"),
        "regions": batch["regions"].to("meta"),
        "landmarks": batch["landmarks"].to("meta"),
    }
    for augment in (
        STRONG,
        Augment(flip=0.5, gamma=0.5),
        Augment(erasing=0.5, mixup=0.2, cutmix=1.0),
        Augment(expand=EVERY),
    ):
        moved["variant"] = moved["index"] % augment.expand.count
        assert augment(moved, seed=1, epoch=0)["image"].shape == (6, 3, 32, 32)


def test_what_is_erased_mixed_or_expanded_changes_no_other_draw() -> None:
    batch = smooth_batch(30)
    plain = STRONG(batch, seed=1, epoch=5)
    erasing = replace(STRONG, erasing=1.0)(batch, seed=1, epoch=5)
    gone = (erasing["image"] != plain["image"]).any(1)
    assert 0.1 < float(gone.float().mean()) < 0.3
    assert torch.equal(erasing["regions"], plain["regions"])
    assert torch.equal(erasing["landmarks"], plain["landmarks"])
    mixing = replace(STRONG, mixup=0.3)(batch, seed=1, epoch=5)
    share = mixing["second_share"][:, None, None, None]
    expected = (1 - share) * plain["image"] + share * plain["image"].roll(1, 0)
    torch.testing.assert_close(mixing["image"], expected)
    alone = replace(STRONG, expand=Expansion(gamma=(2.0,)))
    squared = STRONG({**batch, "image": batch["image"] ** 2}, seed=1, epoch=5)
    one = alone({**batch, "variant": torch.zeros(30, dtype=torch.int64)}, seed=1, epoch=5)
    torch.testing.assert_close(one["image"], squared["image"])


@pytest.mark.parametrize("augment", [Augment(erasing=1.0), Augment(mixup=1.0), Augment(cutmix=1.0)])
def test_boxes_and_mixtures_are_drawn_anew_in_each_epoch_and_for_each_seed(
    augment: Augment,
) -> None:
    batch = smooth_batch()
    image = augment(batch, seed=1, epoch=5)["image"]
    assert torch.equal(augment(batch, seed=1, epoch=5)["image"], image)
    for seed, epoch in ((1, 6), (2, 5)):
        assert not torch.equal(augment(batch, seed=seed, epoch=epoch)["image"], image)


def test_variants_of_an_image_are_changed_each_by_its_own_draws() -> None:
    batch = smooth_batch(4)
    for name in ("image", "index"):
        batch[name] = batch[name][:1].expand_as(batch[name])  # type: ignore[literal-required]
    batch["variant"] = torch.arange(4)
    # Without what tells the variants apart: the draws alone.
    same = Expansion(gamma=(1.0, 1.0 + 1e-7, 1.0 + 2e-7, 1.0 + 4e-7))
    changed = Augment(brightness=0.5, expand=same)(batch, seed=1, epoch=0)["image"]
    assert len({float(image.mean()) for image in changed}) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip": 1.5}, r"augment\.flip=1\.5"),
        ({"rotation": -1}, r"augment\.rotation"),
        ({"zoom": 1.0}, r"augment\.zoom"),
        ({"gamma": float("nan")}, r"augment\.gamma"),
        ({"hue": 0.1}, "unknown augmentation: hue"),
        ({"erase": 0.5}, "unknown augmentation: erase; did you mean erasing"),
        ({"erasing": 2}, r"augment\.erasing=2"),
        ({"mixup": -0.2}, r"augment\.mixup"),
        ({"cutmix": float("inf")}, r"augment\.cutmix"),
        ({"mix_probability": 1.1}, r"augment\.mix_probability"),
        ({"cut_mix": 1}, "did you mean cutmix"),
        ({"mixup": "often"}, "mixup=often is no number"),
        ({"flip": True}, "flip=True is no number"),
        ({"expand": 3}, "3 says nothing of exponents and shifts"),
        ({"expand": {"gama": [1]}}, "no expansion by gama; did you mean gamma"),
        ({"expand": {"gamma": [0.5, 0]}}, "an exponent is a positive number"),
        ({"expand": {"gamma": []}}, "no value"),
        ({"expand": {"gamma": ["dark"]}}, "'dark' is no number"),
        ({"expand": {"shift": [1, 1]}}, "the same value twice"),
        ({"expand": {"shift": [0.5]}}, "0.5 is no whole number"),
        ({"expand": {"shift": [float("nan")]}}, "nan is no whole number"),
    ],
)
def test_impossible_options_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Augment.of(options)


def test_the_shipped_options_are_what_they_say() -> None:
    none, standard, strong, olate, gender = (
        yaml.safe_load((CONF / f"{name}.yaml").read_text())
        for name in ("none", "standard", "strong", "olate_transfer", "gender_split")
    )
    assert not Augment.of(none).active
    assert Augment.of(standard) == Augment(flip=0.5, brightness=0.1, contrast=0.1)
    assert strong.pop("defaults") == ["standard"]
    assert Augment.of({**standard, **strong}) == STRONG
    assert olate.pop("defaults") == gender.pop("defaults") == ["none"]
    assert Augment.of({**none, **olate}) == Augment(
        flip=0.5, rotation=10, zoom=0.1, brightness=0.1, contrast=0.1, erasing=0.5
    )
    assert Augment.of({**none, **gender}) == Augment(expand=EVERY)
    assert none.keys() == standard.keys() == {each.name for each in fields(Augment)}
    assert Augment.of(None) == Augment()
