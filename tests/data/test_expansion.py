from __future__ import annotations

from collections import Counter
from itertools import chain, product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fer_lab.callbacks import Throughput
from fer_lab.data.augment import Augment
from fer_lab.data.dataset import Batch
from fer_lab.data.expansion import Expansion
from fer_lab.errors import ConfigError
from fer_lab.models import BaselineCNN
from tests.data.processes import Make, as_process, ready, trainer

GAMMA, SHIFT = (0.5, 1.0, 2.0), (-2, 0, 2)
EXPAND = {"gamma": list(GAMMA), "shift": list(SHIFT)}
VARIANTS = list(product(GAMMA, SHIFT, SHIFT))  # exponent, down, across


def visits(loader: Any) -> list[tuple[int, int]]:
    return [
        (row, variant)
        for batch in loader
        for row, variant in zip(batch["index"].tolist(), batch["variant"].tolist(), strict=True)
    ]


def slow_variant(image: Tensor, gamma: float, down: int, across: int) -> np.ndarray:
    """A variant pixel by pixel; what has left the frame shows its edge again."""
    pixels, size = image.double().numpy(), image.shape[-1]
    found = np.empty_like(pixels)
    for row, column in product(range(size), repeat=2):
        from_row = min(max(row - down, 0), size - 1)
        from_column = min(max(column - across, 0), size - 1)
        found[:, row, column] = pixels[:, from_row, from_column] ** gamma
    return found


def patterned(count: int, size: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(2)
    return {
        "image": torch.rand(count, 3, size, size, generator=generator),
        "label": torch.zeros(count, dtype=torch.int64),
        "group": {},
        "index": torch.arange(count),
        "variant": torch.arange(count) % len(VARIANTS),
        "monitored": torch.ones(count, dtype=torch.bool),
        "regions": torch.randint(0, 19, (count, size, size), generator=generator).byte(),
        "landmarks": torch.rand(count, 68, 2, generator=generator) * size,
    }


def test_variants_equal_a_slow_loop() -> None:
    batch = patterned(len(VARIANTS))
    before = batch["image"].clone()
    changed = Expansion.of(EXPAND)(batch)
    for row, (gamma, down, across) in enumerate(VARIANTS):
        expected = slow_variant(batch["image"][row], gamma, down, across)
        np.testing.assert_allclose(changed["image"][row], expected, atol=1e-6)
        moved = slow_variant(batch["regions"][row][None], 1, down, across)[0]
        assert changed["regions"][row].tolist() == moved.tolist()
        motion = (changed["landmarks"] - batch["landmarks"])[row]
        torch.testing.assert_close(motion, torch.tensor([across, down]).float().expand(68, 2))
    assert torch.equal(batch["image"], before)
    assert changed["image"].is_contiguous(memory_format=torch.channels_last)


def test_the_study_has_36_variants_one_of_them_the_image_itself() -> None:
    study = Expansion(gamma=(0.5, 1, 1.5, 2), shift=(-4, 0, 4))
    assert study.count == 36
    batch = patterned(1, 16)
    itself = 0
    for variant in range(36):
        batch["variant"] = torch.tensor([variant])
        itself += bool(torch.allclose(study(batch)["image"], batch["image"]))
    assert itself == 1


def test_without_variants_the_batch_itself_comes_back() -> None:
    batch = patterned(3)
    assert Expansion.of(None)(batch) is batch
    assert not Augment.of({"expand": {"gamma": [1], "shift": [0]}}).active
    assert Augment.of({"expand": {"gamma": 2, "shift": None}}).expand == Expansion(gamma=(2.0,))


@pytest.mark.parametrize("world", [1, 2])
def test_an_epoch_visits_every_image_in_every_variant_once(flat: Make, world: int) -> None:
    shares = []
    for rank in range(world):
        data = as_process(ready(flat(55, augment={"expand": EXPAND}, num_workers=2)), rank, world)
        loader = data.train_dataloader()
        found = visits(loader)
        assert len(loader) == -(-len(found) // 16)
        shares.append(found)
    counted = Counter(visit for share in shares for visit in share)
    rows = data.train_rows.tolist()
    expected = {(row, variant) for row in rows for variant in range(len(VARIANTS))}
    assert counted.keys() == expected
    # 33 rows in 27 variants are 891 visits: of two processes one repeats a single one.
    assert len(expected) == 891
    assert {len(share) for share in shares} == {-(-891 // world)}
    assert counted.total() == 891 + (world - 1)


def test_batches_hold_different_images_in_an_order_that_depends_on_the_epoch(flat: Make) -> None:
    loader = ready(flat(100, augment={"expand": EXPAND}, batch_size=60)).train_dataloader()
    rows = [batch["index"].tolist() for batch in loader]
    # 60 visits drawn from 27 of each of 60 rows meet 38 different ones on average.
    assert min(len(set(part)) for part in rows) > 25
    loader.sampler.set_epoch(1)
    again = [batch["index"].tolist() for batch in loader]
    assert again != rows
    assert Counter(chain(*again)) == Counter(chain(*rows))


def test_a_visit_is_the_same_whatever_the_batch(flat: Make) -> None:
    seen: list[dict[tuple[int, int], Tensor]] = []
    for size in (16, 7):
        options = {"expand": EXPAND, "brightness": 0.3, "erasing": 0.5}
        data = ready(flat(30, augment=options, batch_size=size))
        as_process(data, 0, 1).trainer.training = True  # type: ignore[union-attr]
        images = {}
        for batch in data.train_dataloader():
            moved = data.on_after_batch_transfer(batch, 0)
            for number, visit in enumerate(visits([moved])):
                images[visit] = moved["image"][number]
        seen.append(images)
    assert seen[0].keys() == seen[1].keys()
    assert len(seen[0]) == 18 * 27
    for visit, image in seen[0].items():
        torch.testing.assert_close(image, seen[1][visit], atol=1e-6, rtol=0)


def test_rows_labels_and_pixels_of_a_visit_belong_together(flat: Make) -> None:
    data = ready(flat(40, augment={"expand": EXPAND}))
    for batch in data.train_dataloader():
        rows = data.manifest.iloc[batch["index"].numpy()]
        numbers = rows["path"].str.removeprefix("flat#").astype(int)
        assert batch["image"][:, 0, 4, 4].tolist() == numbers.tolist()
        assert [data.classes[n] for n in batch["label"]] == rows["label"].tolist()


def test_only_training_is_expanded(flat: Make) -> None:
    data = ready(flat(augment={"expand": EXPAND}))
    loaders = data.val_dataloader(), data.test_dataloader(), data.audit_dataloader("test", 8)
    for loader, rows in zip(loaders, (20, 20, 8), strict=True):
        batches = list(loader)
        assert sum(len(batch["index"]) for batch in batches) == rows
        assert all("variant" not in batch for batch in batches)


def test_a_training_counts_visits_and_says_how_many(
    flat: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="fer_lab")
    data = flat(40, augment={"expand": EXPAND}, image_size=16, batch_size=50)
    throughput = Throughput()
    fit = trainer(max_epochs=2, callbacks=[throughput])
    fit.fit(BaselineCNN(2, image_size=16), datamodule=data)
    assert fit.num_training_batches == -(-24 * 27 // 50)
    assert fit.global_step == 2 * 13
    assert throughput.images == 2 * 24 * 27
    assert "each training image comes in 27 variants: 648 in an epoch" in caplog.text


def test_shifts_as_wide_as_the_image_are_refused(flat: Make) -> None:
    with pytest.raises(ConfigError, match=r"leave nothing of images of 8 px"):
        flat(augment={"expand": {"shift": [-8, 0]}})
