from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from fer_lab.explain import attribute
from fer_lab.explain.faithfulness import (
    deletion_curve,
    insertion_curve,
    randomisation_check,
    region_ablation,
)
from fer_lab.models import BaselineCNN

SIDE = 32
PATCH = (slice(4, 12), slice(18, 26))
TARGET = torch.tensor([1, 1, 1])


class LooksAtOnePatch(nn.Module):
    """The logit of class 1 is the contrast inside one patch, whatever else the image shows."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        contrast = image[:, :, PATCH[0], PATCH[1]].std((1, 2, 3))
        return torch.stack([torch.zeros_like(contrast), 40 * (contrast - 0.15)], dim=1)


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def the_patch(count: int = 3) -> torch.Tensor:
    heat = torch.zeros(count, SIDE, SIDE)
    heat[:, PATCH[0], PATCH[1]] = 1
    return heat


def another_patch() -> torch.Tensor:
    return the_patch().roll((14, -12), (1, 2))


@pytest.mark.parametrize("baseline", ["blur", "mean"])
def test_deletion_falls_at_once_where_the_map_is_right(baseline):
    right, wrong = (
        deletion_curve(LooksAtOnePatch(), images(), heat, TARGET, baseline=baseline)
        for heat in (the_patch(), another_patch())
    )
    assert (right.area < right.random_area - 0.15).all()
    assert (right.area < wrong.area - 0.15).all()
    assert (right.probability[:, 0] > 0.9).all()
    # The patch is a sixteenth of the pixels: after a tenth nothing is left of it.
    assert (right.probability[:, 2] < 0.1).all()


def test_insertion_rises_at_once_where_the_map_is_right():
    right, wrong = (
        insertion_curve(LooksAtOnePatch(), images(), heat, TARGET, random_maps=8)
        for heat in (the_patch(), another_patch())
    )
    assert (right.area > right.random_area + 0.15).all()
    assert (right.area > wrong.area + 0.15).all()
    assert (right.probability[:, 2] > 0.9).all()


def test_both_curves_end_where_the_other_begins():
    model, heat = LooksAtOnePatch(), torch.rand(3, SIDE, SIDE)
    down = deletion_curve(model, images(), heat, TARGET, steps=4)
    up = insertion_curve(model, images(), heat, TARGET, steps=4)
    assert down.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    torch.testing.assert_close(down.probability[:, 0], up.probability[:, -1])
    torch.testing.assert_close(down.probability[:, -1], up.probability[:, 0])
    torch.testing.assert_close(down.probability[:, 0], model(images()).softmax(1)[:, 1])


def test_deletion_is_that_of_a_loop_over_images_and_pixels():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5))
    image, target = torch.rand(2, 3, 4, 4), torch.tensor([3, 0])
    heat = torch.randperm(16).float().view(1, 4, 4).repeat(2, 1, 1)
    heat[1] = heat[0].T
    curve = deletion_curve(model, image, heat, target, steps=16, baseline="mean")
    for number in range(2):
        seen = image[number].clone()
        colour = seen.mean((1, 2))
        expected = [model(seen[None]).softmax(1)[0, target[number]].item()]
        for place in sorted(range(16), key=lambda each: -heat[number].flatten()[each]):
            seen[:, place // 4, place % 4] = colour
            expected.append(model(seen[None]).softmax(1)[0, target[number]].item())
        assert curve.probability[number].tolist() == pytest.approx(expected, abs=1e-6)
        area = sum((a + b) / 2 / 16 for a, b in pairwise(expected))
        assert curve.area[number].item() == pytest.approx(area, abs=1e-6)


def test_an_image_has_the_same_curve_whatever_it_is_batched_with():
    heat = torch.rand(3, SIDE, SIDE)
    together = deletion_curve(LooksAtOnePatch(), images(), heat, TARGET)
    alone = deletion_curve(LooksAtOnePatch(), images()[1:2], heat[1:2], TARGET[:1])
    torch.testing.assert_close(together.area[1:2], alone.area)


def test_a_constant_map_orders_nothing_and_is_left_out():
    heat = the_patch()
    heat[1] = 0
    curve = insertion_curve(LooksAtOnePatch(), images(), heat, TARGET)
    assert curve.area.isnan().tolist() == [False, True, False]
    assert not curve.random_area.isnan().any()


def test_without_random_maps_there_is_nothing_beside():
    curve = deletion_curve(LooksAtOnePatch(), images(), the_patch(), TARGET, random_maps=0)
    assert curve.random_area.isnan().all()


def test_hiding_the_region_that_the_model_looks_at_costs_more_than_its_shape_elsewhere():
    regions = (the_patch() * 3).to(torch.uint8)
    regions[:, 20:, :10] = 5
    heat = the_patch() * 0.8 + 0.1
    found = region_ablation(LooksAtOnePatch(), images(), heat, TARGET, regions, num_regions=6)
    assert found.region.tolist() == [3, 3, 3]
    assert found.area.tolist() == pytest.approx([64 / SIDE**2] * 3)
    assert (found.drop > 0.9).all()
    assert (found.random_drop < 0.6).all()


def test_a_wrong_map_names_a_region_that_costs_nothing():
    regions = (another_patch() * 3).to(torch.uint8)
    found = region_ablation(LooksAtOnePatch(), images(), another_patch(), TARGET, regions)
    assert found.region.tolist() == [3, 3, 3]
    assert found.drop.tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_map_that_is_all_zero_has_no_region():
    heat, regions = the_patch(), the_patch().to(torch.uint8)
    heat[2] = 0
    found = region_ablation(LooksAtOnePatch(), images(), heat, TARGET, regions)
    assert found.region.tolist() == [1, 1, -1]
    for figure in (found.area, found.drop, found.random_drop):
        assert figure.isnan().tolist() == [False, False, True]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * SIDE * SIDE, 2),
    ).eval()


def gradient_times_input(model: nn.Module, image: torch.Tensor, target: torch.Tensor):
    image = image.clone().requires_grad_()
    score = model(image).gather(1, target[:, None]).sum()
    return (torch.autograd.grad(score, image)[0] * image.detach()).sum(1)


def edges(model: nn.Module, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Nothing of the model is in it."""
    return image.mean(1).diff(dim=2, append=image.mean(1)[:, :, :1]).abs()


@pytest.mark.parametrize("cascading", [True, False])
def test_weights_drawn_anew_unmask_a_map_that_does_not_depend_on_them(cascading):
    check = partial(randomisation_check, image=images(), target=TARGET, cascading=cascading)
    honest = check(small_network(), gradient_times_input)
    blind = check(small_network(), edges)
    assert honest.modules == ["6", "3", "1", "0"]
    assert len(honest.correlation) == (4 if cascading else 1)
    assert (honest.correlation[-1].abs() < 0.2).all()
    assert (blind.correlation == 1).all()
    assert (blind.chance.abs() < 0.3).all()


def test_correlation_after_one_module_is_that_of_scipy():
    model, seen = small_network(), []

    def explain(model, image, target):
        seen.append(gradient_times_input(model, image, target))
        return seen[-1]

    found = randomisation_check(model, explain, images(), TARGET, modules=["6"])
    before, after = (maps.flatten(1).numpy() for maps in seen)
    expected = [spearmanr(*pair).statistic for pair in zip(before, after, strict=True)]
    assert found.correlation[0].tolist() == pytest.approx(expected)


def test_the_projects_own_maps_depend_on_the_weights():
    torch.manual_seed(0)
    explain = partial(attribute, method="hirescam")
    image = torch.rand(3, 3, 64, 64)
    found = randomisation_check(BaselineCNN(7), explain, image, TARGET, cascading=False)
    assert (found.correlation.nan_to_num(0) < 0.6).all()


@pytest.mark.parametrize("fails", [False, True])
def test_model_and_random_numbers_are_left_as_they_were(fails):
    model = small_network().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    calls = []

    def explain(model, image, target):
        calls.append(image)
        if fails and len(calls) == 3:
            raise RuntimeError("out of memory")
        return edges(model, image, target)

    try:
        randomisation_check(model, explain, images(), TARGET)
    except RuntimeError:
        assert fails
    deletion_curve(model, images(), the_patch(), TARGET, steps=2)
    insertion_curve(model, images(), the_patch(), TARGET, steps=2)
    region_ablation(model, images(), the_patch(), TARGET, the_patch().to(torch.uint8))
    assert torch.equal(torch.rand(3), expected)
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: deletion_curve(m, images(), the_patch(2), TARGET), r"attribution \[N, H, W\]"),
        (lambda m: deletion_curve(m, images(), the_patch(), TARGET, steps=0), "steps is 1 or more"),
        (lambda m: insertion_curve(m, images(), the_patch(), TARGET, baseline="noise"), "'blur'"),
        (lambda m: randomisation_check(m, edges, images(), TARGET, modules=["fc"]), "module 'fc'"),
        (lambda _: randomisation_check(nn.ReLU(), edges, images(), TARGET), "with parameters"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(small_network())


def test_an_images_draws_are_its_own_whatever_batch_it_comes_in():
    def figures(kept: slice) -> list[torch.Tensor]:
        own = {"seed": [11, 12, 13][kept]}
        model, image, heat = LooksAtOnePatch(), images()[kept], the_patch()[kept]
        curve = deletion_curve(model, image, heat, TARGET[kept], steps=4, **own)
        regions = (heat > 0).to(torch.uint8)
        hidden = region_ablation(model, image, heat, TARGET[kept], regions, num_regions=2, **own)
        return [curve.probability, curve.random_probability, hidden.random_drop]

    together = figures(slice(None))
    for place in range(3):
        alone = figures(slice(place, place + 1))
        for one, all_of_them in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], all_of_them[place], rtol=0, atol=1e-5)
    assert together[1][0].ne(together[1][1]).any()


def test_a_seed_is_missing():
    with pytest.raises(ValueError, match="3 images need as many seeds, not 2"):
        deletion_curve(LooksAtOnePatch(), images(), the_patch(), TARGET, seed=[1, 2])
