from __future__ import annotations

import numpy as np
import torch

from fer_lab.explain.clustering import heatmap_distances
from fer_lab.explain.merged import (
    Merged,
    MergedSums,
    block_of,
    difference,
    difference_floor,
    noise_floor,
    resampled_heatmaps,
)

SIZE = (6, 5)
CELLS = (("female", "happy"), ("male", "happy"))


def maps(count: int = 400, signal: float = 1.0, seed: int = 0):
    """Noisy maps, a pixel unknown here and there, and the cell and block of each."""
    rng = np.random.default_rng(seed)
    shape = rng.normal(size=(2, SIZE[1], SIZE[0]))
    cell = rng.integers(0, 2, count)
    values = signal * shape[cell] + rng.normal(size=(count, SIZE[1], SIZE[0]))
    values[rng.random(values.shape) < 0.02] = np.nan
    block = block_of([f"face/{number}" for number in range(count)])
    return values.astype(np.float32), cell, block


def merged_of(values, cell, block) -> Merged:
    sums = MergedSums(len(CELLS), SIZE)
    for part in np.array_split(np.arange(len(values)), 7):
        sums.update(*(torch.from_numpy(each[part]) for each in (values, cell, block)))
    return Merged(CELLS, sums.total.numpy(), sums.count.numpy())


def test_heatmaps_are_means_over_the_images_of_a_cell():
    values, cell, block = maps()
    found = merged_of(values, cell, block).heatmaps()
    for number in range(2):
        np.testing.assert_allclose(
            found[number], np.nanmean(values[cell == number], axis=0), atol=1e-5
        )


def test_maps_without_a_cell_are_left_out():
    values, cell, block = maps(50)
    cell[:10] = -1
    found = merged_of(values, cell, block).heatmaps()[0]
    np.testing.assert_allclose(found, np.nanmean(values[cell == 0], axis=0), atol=1e-5)


def test_a_cell_without_images_is_unknown():
    values, cell, block = maps(40)
    found = merged_of(values, np.zeros_like(cell), block).heatmaps()
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[0]).all()


def test_blocks_depend_on_the_id_alone_and_are_even():
    ids = [f"rafdb/{number}" for number in range(20_000)]
    block = block_of(ids)
    np.testing.assert_array_equal(block[::-1], block_of(ids[::-1]))
    counts = np.bincount(block, minlength=20)
    assert counts.min() > 850
    assert counts.max() < 1150


def test_draws_repeat_whole_blocks_in_all_models_alike():
    one = merged_of(*maps(seed=1))
    both = list(resampled_heatmaps([one, one], samples=5, seed=3))
    for each in both:
        np.testing.assert_array_equal(each[:2], each[2:])
    assert not np.array_equal(both[0], both[1])
    again = next(resampled_heatmaps([one], samples=5, seed=3))
    np.testing.assert_array_equal(again, both[0][:2])


def test_noise_floor_parts_what_is_there_from_what_is_not():
    clear, empty = merged_of(*maps(signal=1.0)), merged_of(*maps(signal=0.0))
    distance = heatmap_distances(clear.heatmaps())[0, 1]
    assert noise_floor(clear).max() < 0.2 * distance
    # Where maps hold nothing but noise, halves are as far apart as the two cells are.
    nothing = heatmap_distances(empty.heatmaps())[0, 1]
    assert noise_floor(empty).min() > 0.6 * nothing


def test_difference_images_are_three_times_the_parts_of_the_difference():
    first, second = (np.array([[0.2, 0.5]], np.float32), np.array([[0.4, 0.1]], np.float32))
    absolute, one, other = difference(first, second)
    np.testing.assert_allclose(absolute, [[0.6, 1.2]], rtol=1e-6)
    np.testing.assert_allclose(one, [[0.0, 1.2]], rtol=1e-6)
    np.testing.assert_allclose(other, [[0.6, 0.0]], rtol=1e-6)


def test_difference_floor_covers_most_pixels_where_nothing_differs():
    values, cell, block = maps(2000, signal=0.0)
    merged = merged_of(values, cell, block)
    floor = difference_floor((merged, 0), (merged, 1))
    shown = difference(*merged.heatmaps()).absolute > floor
    assert shown.mean() < 0.25
    planted = values.copy()
    planted[cell == 0, 0] += 1
    merged = merged_of(planted, cell, block)
    shown = difference(*merged.heatmaps()).absolute > difference_floor((merged, 0), (merged, 1))
    assert shown[0].all()
