from __future__ import annotations

import math

import pytest
import torch

from fer_lab.explain.regions import intersection_over_region, region_statistics


def maps(count: int = 4, height: int = 11, width: int = 13, seed: int = 0):
    """Attributions with zeros among them, and regions of which some are absent."""
    generator = torch.Generator().manual_seed(seed)
    attribution = torch.rand(count, height, width, generator=generator)
    attribution[torch.rand(count, height, width, generator=generator) < 0.3] = 0
    regions = torch.randint(0, 5, (count, height, width), generator=generator)
    regions[0][regions[0] == 4] = 2
    return attribution, regions.to(torch.uint8)


def by_pixel(attribution, regions, region: int) -> dict[str, float]:
    """The figures of one image and region, pixel by pixel."""
    pixels = [
        (float(attribution[y, x]), int(regions[y, x]))
        for y in range(attribution.shape[0])
        for x in range(attribution.shape[1])
    ]
    inside = [value for value, index in pixels if index == region]
    total = sum(value for value, _ in pixels)
    positive = [value for value, _ in pixels if value > 0]
    mean = sum(positive) / len(positive)
    if not inside:
        nothing = dict.fromkeys(("ior", "ior_above_mean", "lift"), math.nan)
        return {**nothing, "area": 0.0, "share": 0.0}
    ior = sum(inside) / len(inside)
    return {
        "ior": ior,
        "ior_above_mean": sum(value > mean for value in inside) / len(inside),
        "area": len(inside) / len(pixels),
        "share": sum(inside) / total,
        "lift": ior / (total / len(pixels)),
    }


def test_statistics_equal_a_loop_over_pixels():
    attribution, regions = maps()
    found = region_statistics(attribution, regions, num_regions=6)
    for image in range(4):
        for region in range(6):
            expected = by_pixel(attribution[image], regions[image], region)
            for name, value in expected.items():
                figure = float(getattr(found, name)[image, region])
                assert figure == pytest.approx(value, rel=1e-4, abs=1e-6, nan_ok=True), name


@pytest.mark.parametrize(("variant", "name"), [("mean", "ior"), ("above_mean", "ior_above_mean")])
def test_both_variants_are_the_statistics_of_that_name(variant, name):
    attribution, regions = maps(seed=3)
    found = intersection_over_region(attribution, regions, variant=variant)
    expected = getattr(region_statistics(attribution, regions), name)
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_an_absent_region_is_nan_not_zero():
    attribution, regions = maps()
    ior = intersection_over_region(attribution, regions)
    assert ior.shape == (4, 19)
    assert ior[0, 4].isnan()
    assert ior[:, 5:].isnan().all()
    assert not ior[1:, :5].isnan().any()


def test_an_all_zero_map_has_no_lift_and_says_so():
    _, regions = maps()
    found = region_statistics(torch.zeros(4, 11, 13), regions, num_regions=5)
    assert (found.heat == 0).all()
    assert found.lift.isnan().all()
    assert found.share.isnan().all()
    assert (found.ior[1:] == 0).all()
    assert (found.ior_above_mean[1:] == 0).all()


def test_shares_and_areas_add_up_to_one():
    attribution, regions = maps()
    found = region_statistics(attribution, regions)
    torch.testing.assert_close(found.area.sum(1), torch.ones(4))
    torch.testing.assert_close(found.share.sum(1), torch.ones(4))


def test_pixels_of_no_region_count_for_none_but_belong_to_the_image():
    attribution, regions = maps()
    regions[:, 0] = 255
    found = region_statistics(attribution, regions, num_regions=5)
    assert float(found.area[0].sum()) == pytest.approx(10 / 11)
    inside = attribution[1][regions[1] == 3]
    assert float(found.ior[1, 3]) == pytest.approx(float(inside.mean()), rel=1e-5)


def test_scaling_the_map_changes_ior_but_not_lift():
    attribution, regions = maps()
    one = region_statistics(attribution, regions, num_regions=5)
    half = region_statistics(attribution / 2, regions, num_regions=5)
    torch.testing.assert_close(half.ior, one.ior / 2, equal_nan=True)
    torch.testing.assert_close(half.lift, one.lift, equal_nan=True)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="above_mean"):
        intersection_over_region(*maps(), variant="median")
