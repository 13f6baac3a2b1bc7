"""Shard by shard, mixed within a window: every row once, few shards at a time."""

from __future__ import annotations

import numpy as np
import pytest

from fer_lab.data.shards.order import StreamSampler, shard_order

SHARDS = np.repeat(np.arange(10), [30, 41, 30, 29, 30, 7, 30, 30, 30, 33])


def open_at_once(visited: np.ndarray) -> int:
    """The most shards of which a row was visited and another is still to come, by counting."""
    most = 0
    for place in range(len(visited)):
        before, after = set(visited[: place + 1]), set(visited[place:])
        most = max(most, len((before & after) - {-1}))
    return most


@pytest.mark.parametrize("window", [1, 3, 10])
def test_every_row_comes_once_and_no_more_shards_are_open_than_the_window(window):
    order = shard_order(SHARDS, window, seed=1, epoch=0)
    assert sorted(order) == list(range(len(SHARDS)))
    assert open_at_once(SHARDS[order]) <= window


def test_a_window_mixes_neighbours_and_not_their_rows_in_turn():
    visited = SHARDS[shard_order(SHARDS, 4, seed=1, epoch=0)]
    for start in range(0, 256, 64):
        assert len(set(visited[start : start + 64])) >= 3


def test_order_depends_on_seed_and_epoch_alone():
    orders = [
        tuple(shard_order(SHARDS, 3, seed, epoch)) for seed, epoch in ((1, 0), (1, 1), (2, 0))
    ]
    assert len(set(orders)) == 3
    assert tuple(shard_order(SHARDS, 3, 1, 0)) == orders[0]


def test_rows_outside_shards_come_at_any_time():
    mixed = np.concatenate([SHARDS, np.full(300, -1)])
    order = shard_order(mixed, 2, seed=3, epoch=5)
    assert sorted(order) == list(range(len(mixed)))
    assert open_at_once(mixed[order]) <= 2
    halves = np.flatnonzero(mixed[order] == -1) >= len(mixed) // 2
    assert 0.3 < halves.mean() < 0.7


def sampler(rank: int = 0, world: int = 1, told: list | None = None, **options) -> StreamSampler:
    return StreamSampler(
        np.arange(len(SHARDS)) + 1000,
        SHARDS,
        window=3,
        ahead=2,
        follow=lambda *what: None if told is None else told.append(what),
        seed=1,
        rank=rank,
        world=world,
        **options,
    )


@pytest.mark.parametrize("world", [2, 3, 4])
def test_shares_of_a_training_hold_every_row_and_share_few_shards(world):
    shares = [list(sampler(rank, world, shuffle=True)) for rank in range(world)]
    assert {len(share) for share in shares} == {-(-len(SHARDS) // world)}
    assert set().union(*shares) == set(range(1000, 1000 + len(SHARDS)))
    read = [set(SHARDS[np.array(share) - 1000]) for share in shares]
    # Where two shares meet both read the window; the last goes on with rows from the beginning.
    assert sum(map(len, read)) <= 10 + (3 + 1) * (world - 1)


def test_shares_of_an_evaluation_hold_every_row_once():
    shares = [list(sampler(rank, 3)) for rank in range(3)]
    assert sorted(row for share in shares for row in share) == list(range(1000, 1000 + len(SHARDS)))


def test_what_comes_is_told_before_it_is_needed_and_never_what_is_done():
    told: list[tuple[list[int], list[int]]] = []
    followed = sampler(told=told, shuffle=True)
    whole = list(followed)
    for skip in (0, 100):
        told.clear()
        followed.skip = skip
        known: set[int] = set()
        left = []
        for row in followed:
            known |= set(told[-1][0])
            left.append(row)
            assert SHARDS[row - 1000] in known
        assert left == whole[skip:]
        needed = {SHARDS[row - 1000] for row in left}
        assert {shard for coming, _ in told for shard in coming} == needed
        assert all(len(set(coming) - set(held)) <= 2 for coming, held in told)


def test_shards_are_held_until_rows_on_their_way_are_read():
    told: list[tuple[list[int], list[int]]] = []
    followed = sampler(told=told)  # in order: shard 0 has rows 0 to 29
    followed.in_flight = 16
    seen = {}
    for row in followed:
        seen[row - 1000] = told[-1][1]
    assert 0 in seen[29 + 16]
    assert 0 not in seen[29 + 17]
