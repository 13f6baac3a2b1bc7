from __future__ import annotations

import numpy as np
import torch
from scipy.stats import kstest
from torch import Tensor

from fer_lab.data.erasing import erased

SIZE = 128


def boxes_of(result: Tensor) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of what is not -1 in images that were -1 everywhere."""
    found = []
    for image in result.numpy():
        gone = image[0] != -1
        if not gone.any():
            continue
        rows, columns = np.flatnonzero(gone.any(1)), np.flatnonzero(gone.any(0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        assert gone[top:bottom, left:right].all()
        assert (image != -1).all(0).sum() == gone.sum() == (bottom - top) * (right - left)
        found.append((top, bottom, left, right))
    return found


def erase(count: int, probability: float = 1.0, epoch: int = 0, size: int = SIZE) -> Tensor:
    image = torch.full((count, 3, size, size), -1.0)
    return erased(image, torch.arange(count), probability=probability, seed=1, epoch=epoch)


def test_one_box_is_erased_as_often_as_asked() -> None:
    assert torch.equal(erase(50, 0.0), torch.full((50, 3, SIZE, SIZE), -1.0))
    assert len(boxes_of(erase(50))) == 50
    # A binomial of 400 at 0.3 leaves this range once in 10,000 times.
    assert 85 < len(boxes_of(erase(400, 0.3, size=16))) < 156


def test_areas_and_aspects_are_those_of_the_study() -> None:
    boxes = np.array(boxes_of(erase(600)))
    height, width = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    area, aspect = height * width / SIZE**2, height / width
    assert 0.018 < area.min() < 0.03
    assert 0.32 < area.max() < 0.335
    assert kstest((area - 0.02) / 0.31, "uniform").pvalue > 0.01
    # Below this area no box has to be made to fit.
    free = np.log(aspect[area < 0.29])
    lowest, highest = np.log([0.3, 3.3])
    assert kstest((free - lowest) / (highest - lowest), "uniform").pvalue > 0.01


def test_boxes_lie_anywhere_inside_the_image() -> None:
    boxes = np.array(boxes_of(erase(600)))
    for first, beyond in (boxes[:, :2].T, boxes[:, 2:].T):
        room = SIZE - (beyond - first)
        place = (first[room > 20] + 0.5) / (room[room > 20] + 1)
        assert kstest(place, "uniform").pvalue > 0.01
    small = np.array(boxes_of(erase(300, size=16)))
    assert small.min(0)[[0, 2]].tolist() == [0, 0]
    assert small.max(0)[[1, 3]].tolist() == [16, 16]
    # No box leaves the image: its area would be too small.
    sides = (small[:, 1] - small[:, 0]) * (small[:, 3] - small[:, 2]) / 256
    assert kstest((sides - 0.02) / 0.31, "uniform").statistic < 0.1


def test_every_value_in_a_box_is_drawn() -> None:
    result = erase(40)
    values = result[result != -1]
    assert kstest(values.numpy()[::37], "uniform").pvalue > 0.01
    for (top, bottom, left, right), image in zip(boxes_of(result), result.numpy(), strict=True):
        inside = image[:, top:bottom, left:right]
        pairs = (inside[0], inside[1]), (inside[:, 1:], inside[:, :-1])
        for one, other in pairs:
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.25
    whole = erase(2, size=8)
    assert not torch.equal(whole[0], whole[1])


def test_draws_depend_on_the_image_and_the_epoch_alone() -> None:
    image = torch.full((30, 3, 16, 16), -1.0)
    key = torch.arange(30)
    state = torch.get_rng_state()
    whole = erased(image, key, probability=0.5, seed=3, epoch=4)
    assert torch.equal(torch.get_rng_state(), state)
    some = torch.tensor([17, 4, 4])
    again = erased(image[some], key[some], probability=0.5, seed=3, epoch=4)
    assert torch.equal(again, whole[some])
    for other in ({"seed": 4, "epoch": 4}, {"seed": 3, "epoch": 5}):
        assert not torch.equal(erased(image, key, probability=0.5, **other), whole)
