from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster
from scipy.stats import pearsonr

from fer_lab.explain.clustering import branch_support, heatmap_distances, ward


def heatmaps(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(5, 9, 7))


def test_distance_is_one_minus_pearson():
    maps = heatmaps()
    found = heatmap_distances(maps)
    for i in range(5):
        for j in range(5):
            expected = 1 - pearsonr(maps[i].ravel(), maps[j].ravel()).statistic
            assert found[i, j] == pytest.approx(expected, abs=1e-10)


def test_unknown_pixels_are_left_out_pair_by_pair():
    maps = heatmaps()
    maps[0, :3] = np.nan
    maps[2, 2:5] = np.nan
    found = heatmap_distances(maps)
    for i, j in [(0, 2), (0, 1), (2, 4)]:
        both = np.isfinite(maps[i]) & np.isfinite(maps[j])
        expected = 1 - pearsonr(maps[i][both], maps[j][both]).statistic
        assert found[i, j] == pytest.approx(expected, abs=1e-10)


def test_a_common_level_loses_no_precision():
    maps = heatmaps()
    np.testing.assert_allclose(heatmap_distances(maps + 1e6), heatmap_distances(maps), atol=1e-6)


def test_a_heatmap_without_variation_has_no_distance_and_no_tree():
    maps = heatmaps()
    maps[3] = 0.25
    found = heatmap_distances(maps)
    assert np.isnan(found[3]).all()
    assert np.isfinite(np.delete(np.delete(found, 3, 0), 3, 1)).all()
    with pytest.raises(ValueError, match=r"\[3\]"):
        ward(found)


def test_ward_finds_planted_clusters():
    rng = np.random.default_rng(1)
    kinds = rng.normal(size=(2, 40))
    maps = kinds[[0, 1, 0, 1, 0]] + 0.3 * rng.normal(size=(5, 40))
    clusters = fcluster(ward(heatmap_distances(maps[:, None])), 2, "maxclust")
    assert len({clusters[0], clusters[2], clusters[4]}) == 1
    assert clusters[1] == clusters[3] != clusters[0]


def test_support_counts_the_trees_that_have_a_branch():
    # In two trees 0 and 1 are joined first, in the third 1 and 2.
    near = np.array([[0, 1, 4, 5], [1, 0, 4, 5], [4, 4, 0, 2], [5, 5, 2, 0]], dtype=float)
    other = near[np.ix_([2, 0, 1, 3], [2, 0, 1, 3])]
    trees = [ward(near), ward(near), ward(other)]
    np.testing.assert_allclose(branch_support(trees[0], trees), [2 / 3, 2 / 3, 1])
    with pytest.raises(ValueError, match="no resampled"):
        branch_support(trees[0], [])
