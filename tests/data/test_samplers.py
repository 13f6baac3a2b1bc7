from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader

from fer_lab.data.samplers import EpochSampler

ROWS = np.array([3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377])


def test_each_epoch_is_another_permutation_and_comes_again() -> None:
    sampler = EpochSampler(ROWS, seed=1, shuffle=True)
    orders = []
    for epoch in (0, 1, 2, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert all(sorted(order) == ROWS.tolist() for order in orders)
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3
    assert list(EpochSampler(ROWS, seed=2, shuffle=True)) != orders[0]


def test_the_permutation_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    list(EpochSampler(ROWS, shuffle=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("world", [1, 2, 3, 4, 16])
def test_training_shares_are_of_equal_length_and_cover_all_rows(world: int) -> None:
    samplers = [EpochSampler(ROWS, 1, 4, rank, world, shuffle=True) for rank in range(world)]
    shares = [list(sampler) for sampler in samplers]
    assert {len(share) for share in shares} == {len(samplers[0])} == {-(-11 // world)}
    assert {row for share in shares for row in share} == set(ROWS.tolist())
    assert sum(map(len, shares)) - 11 < world


def test_with_drop_last_no_row_comes_twice() -> None:
    samplers = [EpochSampler(ROWS, 1, 0, r, 4, shuffle=True, drop_last=True) for r in range(4)]
    shares = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [2, 2, 2, 2]
    assert len({row for share in shares for row in share}) == 8


@pytest.mark.parametrize("world", [1, 2, 3, 4, 16])
def test_evaluation_shares_hold_every_row_exactly_once(world: int) -> None:
    samplers = [EpochSampler(ROWS, rank=rank, world=world) for rank in range(world)]
    shares = [list(sampler) for sampler in samplers]
    assert sorted(row for share in shares for row in share) == ROWS.tolist()
    assert [len(sampler) for sampler in samplers] == [len(share) for share in shares]
    assert shares[0] == ROWS[::world].tolist()


def test_finished_samples_are_left_out_once() -> None:
    sampler = EpochSampler(ROWS, seed=1, epoch=2, shuffle=True)
    whole = list(sampler)
    sampler.skip = 4
    assert list(sampler) == whole[4:]
    sampler.set_epoch(2)
    assert list(sampler) == whole[4:]
    assert len(sampler) == 11  # of the whole epoch, as Lightning counts it
    sampler.set_epoch(3)
    assert len(sampler) == len(list(sampler)) == 11


def test_no_rows_are_an_empty_share() -> None:
    assert list(EpochSampler(np.empty(0, dtype=np.int64), shuffle=True)) == []


def test_a_loader_finds_the_sampler_where_lightning_looks_for_set_epoch() -> None:
    from lightning_fabric.utilities.data import _set_sampler_epoch

    sampler = EpochSampler(ROWS, shuffle=True)
    loader = DataLoader(list(range(400)), batch_size=4, sampler=sampler)
    assert isinstance(loader.batch_sampler, BatchSampler)
    _set_sampler_epoch(loader, 6)
    assert sampler.epoch == 6
