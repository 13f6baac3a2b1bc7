from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError
from fer_lab.explain.patches import PatchCollector, top_patches


def faces(count: int = 6, height: int = 37, width: int = 26, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (count, 3, height, width), generator=generator).to(torch.uint8)
    attribution = torch.rand(count, height, width, generator=generator)
    regions = torch.randint(0, 4, (count, height, width), generator=generator).to(torch.uint8)
    return image, attribution, regions


def by_loop(attribution, regions, region: int, size: int) -> list[tuple[float, int, int, int]]:
    """(score, image, row, column) of every patch, best first."""
    count, height, width = attribution.shape
    found = []
    for image in range(count):
        for top in range(0, height - size + 1, size):
            for left in range(0, width - size + 1, size):
                score = 0.0
                for y in range(top, top + size):
                    for x in range(left, left + size):
                        if regions[image, y, x] == region:
                            score += float(attribution[image, y, x])
                found.append((score, image, top, left))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("per_image_best", [False, True])
def test_patches_equal_a_loop_over_pixels(per_image_best):
    image, attribution, regions = faces()
    found = top_patches(image, attribution, regions, size=8, k=5, per_image_best=per_image_best)
    assert list(found) == list(REGIONS[:4])
    for region, name in enumerate(found):
        expected = by_loop(attribution, regions, region, 8)
        if per_image_best:
            best = {i: max(row for row in expected if row[1] == i) for i in range(6)}
            expected = sorted(best.values(), reverse=True)
        patches = found[name]
        assert patches.image.shape == (5, 8, 8, 3)
        for rank, (score, index, top, left) in enumerate(expected[:5]):
            assert float(patches.score[rank]) == pytest.approx(score, rel=1e-4)
            assert int(patches.index[rank]) == index
            assert patches.position[rank].tolist() == [top, left]
            pixels = image[index, :, top : top + 8, left : left + 8].permute(1, 2, 0)
            assert torch.equal(patches.image[rank], pixels)


def test_floats_in_the_unit_range_give_the_same_pixels():
    image, attribution, regions = faces()
    one = top_patches(image, attribution, regions, size=8)
    other = top_patches(image.float() / 255, attribution, regions, size=8)
    assert all(torch.equal(one[name].image, other[name].image) for name in one)


def test_the_remainder_at_right_and_bottom_belongs_to_no_patch():
    image, _, regions = faces(height=20, width=20)
    attribution = torch.zeros(6, 20, 20)
    attribution[:, 16:, :] = 1
    attribution[:, :, 16:] = 1
    assert top_patches(image, attribution, regions, size=8) == {}


def test_regions_that_are_absent_or_unseen_are_left_out():
    image, attribution, regions = faces()
    attribution[regions == 2] = 0
    assert list(top_patches(image, attribution, regions, size=8)) == ["background", "skin", "eye_g"]


def test_fewer_patches_than_asked_for_are_all_given():
    image, attribution, regions = faces(count=1, height=16, width=16)
    found = top_patches(image, attribution, regions, size=8, k=20)
    assert len(found["skin"].score) == 4
    assert (found["skin"].score.diff() <= 0).all()


@pytest.mark.parametrize("per_image_best", [False, True])
def test_batches_and_processes_find_what_one_pass_finds(per_image_best):
    image, attribution, regions = faces(count=12)
    options = {"size": 8, "k": 7, "per_image_best": per_image_best}
    whole = top_patches(image, attribution, regions, **options)
    ranks = [PatchCollector(**options), PatchCollector(**options)]
    for start in range(0, 12, 3):
        part = slice(start, start + 3)
        ranks[start // 3 % 2].update(
            image[part], attribution[part], regions[part], torch.arange(12)[part]
        )
    ranks[1].merge(ranks[0].state())
    merged = ranks[1].compute()
    assert list(merged) == list(whole)
    for name, patches in whole.items():
        for one, other in zip(merged[name], patches, strict=True):
            assert torch.equal(one, other)


def test_gathering_over_processes_merges_every_share():
    image, attribution, regions = faces(count=4)
    whole = PatchCollector(8, 5)
    whole.update(image, attribution, regions)
    shares = [PatchCollector(8, 5), PatchCollector(8, 5)]
    for rank, share in enumerate(shares):
        rows = torch.arange(4)[rank::2]
        share.update(image[rows], attribution[rows], regions[rows], rows)

    class TwoProcesses:
        """all_gather of the state tensors in the order in which they are asked for."""

        root_device = torch.device("cpu")
        order = iter(shares[0].state())

        def all_gather(self, tensor):
            name = next(self.order)
            return torch.stack([share.state()[name][None] for share in shares])

    gathered = shares[0].gather(TwoProcesses()).compute()
    for name, patches in whole.compute().items():
        assert torch.equal(gathered[name].score, patches.score)
        assert torch.equal(gathered[name].image, patches.image)


def test_equal_scores_stand_in_the_order_of_images_and_places():
    collector = PatchCollector(4, 4)
    image, regions = torch.zeros(1, 3, 8, 8), torch.ones(1, 8, 8)
    for index in (3, 1):
        collector.update(image, torch.ones(1, 8, 8), regions, torch.tensor([index]))
    best = collector.compute()["skin"]
    assert best.index.tolist() == [1, 1, 1, 1]
    assert best.position.tolist() == [[0, 0], [0, 4], [4, 0], [4, 4]]


def test_arrays_are_readable_without_pickle(tmp_path):
    image, attribution, regions = faces()
    collector = PatchCollector(8, 3)
    collector.update(image, attribution, regions, torch.arange(6) + 10)
    ids = [f"faces/{number}" for number in range(16)]
    np.savez(tmp_path / "p.npz", **collector.arrays(ids))
    with np.load(tmp_path / "p.npz", allow_pickle=False) as stored:
        best = collector.compute()["nose"]
        assert stored["nose/id"].tolist() == [ids[i] for i in best.index]
        assert stored["nose/image"].shape == (3, 8, 8, 3)
        assert stored["nose/image"].dtype == np.uint8
        np.testing.assert_array_equal(stored["nose/position"], best.position.numpy())


def test_images_smaller_than_a_patch_are_refused():
    with pytest.raises(ConfigError, match="smaller than a patch"):
        top_patches(*faces(height=10), size=16)


def test_an_empty_batch_changes_nothing():
    collector = PatchCollector(8)
    collector.update(*(part[:0] for part in faces()))
    assert collector.compute() == {}
