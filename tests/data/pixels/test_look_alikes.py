from __future__ import annotations

import numpy as np
import pytest

from fer_lab.data.pixels.look_alikes import NO_OTHER, look_alikes


def bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def copies(count: int, seed: int) -> np.ndarray:
    """Hashes of which many are copies of others with a few bits changed."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, (count, 2), dtype=np.uint64)
    for row in range(count // 2, count):
        hashes[row] = hashes[rng.integers(count // 2)]
        for _ in range(rng.integers(0, 10)):
            hashes[row, rng.integers(2)] ^= np.uint64(1) << np.uint64(rng.integers(64))
    return np.unique(hashes, axis=0)


def skewed(count: int, ones: float, varying: int, seed: int = 0) -> np.ndarray:
    """Hashes that share all but some bits, which are mostly the same, too."""
    rng = np.random.default_rng(seed)
    chances = np.zeros((2, 64))
    chances[:, rng.permutation(64)[:varying]] = ones
    drawn = rng.random((count, 2, 64)) < chances
    places = np.uint64(1) << np.arange(64, dtype=np.uint64)
    return np.unique((drawn * places).sum(-1, dtype=np.uint64), axis=0)


def slow(hashes: np.ndarray, radius: int) -> tuple[list[int], list[int]]:
    """Groups (each by its first row) and nearest distances, pair by pair."""
    group, nearest = list(range(len(hashes))), [NO_OTHER] * len(hashes)
    for i in range(len(hashes)):
        for j in range(i):
            apart = [bits(int(hashes[i, k]), int(hashes[j, k])) for k in range(2)]
            if max(apart) <= radius:
                nearest[i] = min(nearest[i], sum(apart))
                nearest[j] = min(nearest[j], sum(apart))
                joined = sorted((group[i], group[j]))
                group = [joined[0] if each == joined[1] else each for each in group]
    return group, nearest


def by_first_row(part: np.ndarray) -> list[int]:
    _, first, inverse = np.unique(part, return_index=True, return_inverse=True)
    return first[inverse.ravel()].tolist()


@pytest.mark.parametrize("radius", [0, 1, 3, 6, 9, 16])
def test_groups_and_nearest_images_are_those_of_a_slow_loop(radius):
    for hashes in (copies(160, radius), skewed(150, 0.5, 24), skewed(150, 0.1, 64)):
        hashes = np.random.default_rng(radius).permuted(hashes, axis=0)
        group, nearest = slow(hashes, radius)
        found = look_alikes(hashes, radius)
        assert by_first_row(found.part) == group
        assert found.nearest.tolist() == nearest
        assert not found.crowded.any()


def test_the_slow_loop_has_something_to_find():
    hashes = copies(160, 6)
    group, _ = slow(hashes, 6)
    assert 80 < len(set(group)) < 160


def test_a_small_budget_marks_what_it_leaves_out_and_finds_nothing_that_is_not_there():
    hashes = skewed(600, 0.1, 40)
    whole, bounded = look_alikes(hashes), look_alikes(hashes, budget=200_000)
    assert not whole.crowded.any()
    assert (bounded.nearest >= whole.nearest).all()
    # What is marked as compared with all has the distance it has when all are compared.
    sure = ~bounded.crowded
    assert (bounded.nearest[sure] == whole.nearest[sure]).all()
    assert (bounded.nearest > whole.nearest).any()
    for part in np.unique(bounded.part):
        assert len(np.unique(whole.part[bounded.part == part])) == 1


def test_what_is_alike_everywhere_is_one_group_even_when_few_pairs_are_compared():
    hashes = skewed(3000, 0.02, 64)
    found = look_alikes(hashes, budget=3_000_000)
    assert found.crowded.mean() > 0.9
    whole = look_alikes(hashes)
    sizes = np.bincount(found.part), np.bincount(whole.part)
    assert sizes[0].max() >= 0.99 * sizes[1].max()


def test_a_crowd_does_not_hide_duplicates_outside_of_it():
    far = copies(200, 3) | np.uint64(2**63 + 2**62)
    crowd = skewed(3000, 0.02, 50) & np.uint64(2**50 - 1)
    crowd = np.unique(crowd, axis=0)
    alone = look_alikes(far)
    together = look_alikes(np.concatenate([far, crowd]), budget=5_000_000)
    assert together.crowded[len(far) :].any()
    assert not together.crowded[: len(far)].any()
    assert together.nearest[: len(far)].tolist() == alone.nearest.tolist()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_have_none_like_them(count):
    found = look_alikes(np.zeros((count, 2), dtype=np.uint64))
    assert (len(found.part), len(found.nearest), len(found.crowded)) == (count,) * 3
    assert (found.nearest == NO_OTHER).all()
