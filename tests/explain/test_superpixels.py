from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
import torch
from skimage.measure import label

from fer_lab.explain.attribution.superpixels import (
    balanced_design,
    mean_colours,
    perturbed,
    superpixels,
)


def noise(size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed))


def test_superpixels_are_connected_and_numbered_without_gaps():
    index = superpixels(noise(48), 30, 20.0)
    assert index.shape == (48, 48)
    assert sorted(np.unique(index)) == list(range(index.max() + 1))
    assert 15 <= index.max() + 1 <= 45
    for number in range(index.max() + 1):
        assert label(index == number, connectivity=1).max() == 1


def test_superpixels_follow_colours():
    image = torch.zeros(3, 40, 40)
    image[0, :, 23:] = 1
    index = superpixels(image, 12, 5.0)
    left, right = set(index[:, :22].flat), set(index[:, 24:].flat)
    assert not left & right


@pytest.mark.parametrize("features", [1, 2, 7, 8, 50, 63])
def test_rows_come_in_pairs_that_show_what_the_other_hides(features):
    design = balanced_design(features, 100, np.random.default_rng(0))
    assert design.shape == (100, features)
    assert (design[0::2] ^ design[1::2]).all()


def test_in_whole_blocks_any_three_features_occur_in_all_combinations_equally_often():
    design = balanced_design(7, 32, np.random.default_rng(1))
    for columns in combinations(range(7), 3):
        for values in product([False, True], repeat=3):
            assert (design[:, columns] == values).all(1).sum() == 4


def test_each_row_by_itself_is_a_uniform_draw():
    draws = [tuple(balanced_design(3, 1, np.random.default_rng(seed))[0]) for seed in range(1600)]
    counts = [draws.count(values) for values in product([False, True], repeat=3)]
    assert min(counts) > 140  # 200 expected, standard deviation 13
    assert max(counts) < 260


def test_hidden_superpixels_are_replaced_and_others_are_not():
    image = noise(12)
    index = torch.arange(4).repeat_interleave(3).expand(12, 12)
    shown = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    flat = mean_colours(image, index)
    found = torch.cat(list(perturbed(image, flat, index, shown, batch_size=2)))
    expected = image.expand(3, 3, 12, 12).clone()
    for row, column, number in product(range(12), range(12), range(3)):
        cell = int(index[row, column])
        if not shown[number, cell]:
            place = index == cell
            expected[number, :, row, column] = torch.stack([c[place].mean() for c in image])
    torch.testing.assert_close(found, expected)
