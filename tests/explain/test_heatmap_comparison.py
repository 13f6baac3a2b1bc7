from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import pearsonr

from fer_lab.explain.heatmap_comparison import (
    compared,
    contrast,
    images_of,
    pairs_apart,
    pooled,
    side_by_side,
)
from fer_lab.explain.merged import Merged, difference_floor
from tests.report.merged_runs import LABELS, planted, three_way

CELLS = [(group, label) for group in ("female", "male") for label in LABELS]


@pytest.fixture(scope="module")
def study() -> Merged:
    parts = {
        split: planted(patterns, seed=number)
        for number, (split, patterns) in enumerate(three_way().items())
    }
    return side_by_side(parts, CELLS)[0]


def branches(tree: np.ndarray) -> set[frozenset[int]]:
    members = [frozenset([leaf]) for leaf in range(len(tree) + 1)]
    for row in tree:
        members.append(members[int(row[0])] | members[int(row[1])])
    return set(members[len(tree) + 1 :])


def test_distances_are_those_of_the_mean_maps(study):
    found = compared(study, samples=2).distances
    means = study.total.sum(1) / study.count.sum(1)
    for one, other in [(0, 1), (2, 9), (17, 3)]:
        expected = 1 - pearsonr(means[one].ravel(), means[other].ravel()).statistic
        assert found[one, other] == pytest.approx(expected, abs=1e-5)


def test_support_is_that_of_a_loop_over_draws(study):
    found = compared(study, samples=12, seed=5)
    rng = np.random.default_rng(5)
    trees = []
    for _ in range(12):
        times = rng.multinomial(20, np.full(20, 1 / 20))
        total = sum(times[b] * study.total[:, b].astype(np.float64) for b in range(20))
        count = sum(times[b] * study.count[:, b].astype(np.float64) for b in range(20))
        distances = 1 - np.corrcoef((total / count).reshape(len(total), -1))
        np.fill_diagonal(distances, 0)
        trees.append(linkage(squareform(distances, checks=False), "ward"))
    members = [frozenset([leaf]) for leaf in range(len(study.cells))]
    for number, row in enumerate(found.tree):
        members.append(members[int(row[0])] | members[int(row[1])])
        share = np.mean([members[-1] in branches(tree) for tree in trees])
        assert found.support[number] == pytest.approx(share)


def test_the_tree_joins_training_sets_that_share_a_pattern(study):
    found = compared(study, samples=30)
    for label in LABELS:
        places = [n for n, cell in enumerate(study.cells) if cell[2] == label]
        part = linkage(squareform(found.distances[np.ix_(places, places)], checks=False), "ward")
        cluster = fcluster(part, 2, "maxclust")
        strange = [study.cells[n][0] == "male" for n in places]
        assert len(set(zip(cluster.tolist(), strange, strict=True))) == 2
    assert found.support.min() >= 0
    assert found.support[-1] == 1


def test_models_that_learnt_the_same_differ_by_less_than_the_floor(study):
    found = compared(study, samples=2)
    same, other = [], []
    for one, two in pairs_apart(study.cells, 0):
        above = found.distances[one, two] > max(found.floors[one], found.floors[two])
        strange = "male" in (study.cells[one][0], study.cells[two][0])
        (other if strange else same).append(above)
    assert not any(same)
    assert all(other)


def test_draws_without_an_image_of_some_heatmap_are_left_out():
    patterns = three_way()["female"]
    few = planted(patterns, images={cell: 2 if cell[1] == "sad" else 200 for cell in CELLS})
    found = compared(few, samples=40)
    assert 0 < len(found.resampled) < 40
    assert np.isfinite(found.resampled).all()
    assert np.isfinite(found.support).all()


def test_a_single_heatmap_has_a_floor_and_no_tree():
    patterns = three_way()["female"]
    one = side_by_side({"mixed": planted(patterns)}, CELLS[:1])[0]
    found = compared(one, samples=3)
    assert found.tree is None
    assert found.support is None
    assert found.floors.shape == (1,)


def test_cells_are_those_asked_for_with_their_images():
    patterns = three_way()["female"]
    images = {cell: 40 + 10 * number for number, cell in enumerate(CELLS)}
    merged = planted(patterns, images=images)
    joined, counted = side_by_side({"a": merged, "b": merged}, [CELLS[4], CELLS[1]])
    assert joined.cells == (("a", *CELLS[4]), ("a", *CELLS[1]), ("b", *CELLS[4]), ("b", *CELLS[1]))
    assert counted.tolist() == [80, 50, 80, 50]
    np.testing.assert_array_equal(joined.total[2], merged.total[4])
    assert images_of(merged).tolist() == list(images.values())


def test_several_seeds_count_by_their_mean():
    patterns = three_way()["female"]
    parts = [planted(patterns, seed=seed) for seed in (1, 2, 3)]
    before = parts[0].total.copy()
    expected = np.mean([part.heatmaps() for part in parts], axis=0)
    np.testing.assert_allclose(pooled(parts).heatmaps(), expected, atol=1e-5)
    np.testing.assert_array_equal(parts[0].total, before)


def test_a_contrast_is_of_the_cells_it_names(study):
    one, other = study.cells.index(("female", *CELLS[0])), study.cells.index(("male", *CELLS[0]))
    found = contrast((study, one), (study, other), samples=30, seed=2)
    means = study.total.sum(1) / study.count.sum(1)
    np.testing.assert_allclose(found.first, means[one], atol=1e-5)
    np.testing.assert_allclose(found.second, means[other], atol=1e-5)
    floor = difference_floor((study, one), (study, other), samples=30, seed=2)
    np.testing.assert_array_equal(found.floor, floor)
    above = 3 * np.abs(means[one] - means[other]) > floor
    assert found.share_above == pytest.approx(above.mean())


def test_share_above_the_floor_is_small_where_nothing_differs(study):
    mixed = study.cells.index(("mixed", *CELLS[0]))
    one, other = (study.cells.index((split, *CELLS[0])) for split in ("female", "male"))
    alike = contrast((study, one), (study, mixed), samples=100)
    apart = contrast((study, one), (study, other), samples=100)
    assert alike.share_above < 0.12
    assert apart.share_above > 0.35


def test_pairs_differ_in_one_part_of_their_names():
    cells = [(run, *cell) for run in ("a", "b", "c") for cell in CELLS]
    for part in range(3):
        expected = [
            (i, j)
            for i in range(len(cells))
            for j in range(i + 1, len(cells))
            if [n for n in range(3) if cells[i][n] != cells[j][n]] == [part]
        ]
        assert pairs_apart(cells, part) == expected
