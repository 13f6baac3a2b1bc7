"""Images with pixels taken away, and maps that know nothing of the model to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from fer_lab.data.randomness import combine

Baseline = Literal["blur", "mean"]

# Side of the grid from which random maps are enlarged: as coarse as a class-activation map.
_GRID = 7
# Standard deviation of the blur in shares of the image's side: no expression is left to see.
_BLUR = 1 / 16


def generators(seed: int | Sequence[int], count: int) -> list[Generator]:
    """A generator for each image, so that no draw depends on the images beside it.

    Args:
        seed: each image's own, or one that their places in the batch are added to.
        count: how many images there are.

    Raises:
        ValueError: for another number of seeds.
    """
    seeds = [combine(seed, place) for place in range(count)] if isinstance(seed, int) else seed
    if len(seeds) != count:
        raise ValueError(f"{count} images need as many seeds, not {len(seeds)}")
    return [Generator().manual_seed(each) for each in seeds]


def places(attribution: Tensor, draws: Sequence[Generator]) -> Tensor:
    """Position of each pixel when the highest attribution comes first, ``[N, H·W]``."""
    values = attribution.flatten(1)
    if not len(values):
        return values.to(torch.int64)
    # Sorting what was shuffled breaks ties at random; else a map's zeros would go row by row.
    shuffles = [torch.randperm(values.shape[1], generator=each) for each in draws]
    shuffle = torch.stack(shuffles).to(values.device)
    order = values.gather(1, shuffle).argsort(dim=1, descending=True, stable=True)
    order = shuffle.gather(1, order)
    steps = torch.arange(values.shape[1], device=values.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, steps)


def without_detail(image: Tensor, baseline: Baseline) -> Tensor:
    """What stands in a removed pixel's place: the image blurred, or its mean colour.

    Args:
        image: float ``[N, 3, H, W]``.
        baseline: ``blur`` or ``mean``.

    Raises:
        ValueError: for another baseline.
    """
    if baseline not in ("blur", "mean"):
        raise ValueError(f"baseline is 'blur' or 'mean', not {baseline!r}")
    if baseline == "mean":
        return image.mean((2, 3), keepdim=True).expand_as(image)
    sigma = max(image.shape[-2:]) * _BLUR
    reach = min(ceil(3 * sigma), min(image.shape[-2:]) - 1)
    steps = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    weight = torch.softmax(-0.5 * (steps / sigma) ** 2, 0).expand(image.shape[1], 1, 1, -1)
    padded = F.pad(image, (reach, reach, reach, reach), mode="reflect")
    across = F.conv2d(padded, weight, groups=image.shape[1])
    return F.conv2d(across, weight.transpose(2, 3), groups=image.shape[1])


def random_maps(image: Tensor, draws: Sequence[Generator]) -> Tensor:
    """Smooth noise ``[N, H, W]``: pixel noise would leave every face readable for long."""
    coarse = image.new_empty(len(image), 1, _GRID, _GRID)
    for place, each in enumerate(draws):
        coarse[place] = torch.rand(1, _GRID, _GRID, generator=each)
    return F.interpolate(coarse, size=image.shape[-2:], mode="bilinear")[:, 0]


def displaced(mask: Tensor, draws: Sequence[Generator]) -> Tensor:
    """Each mask ``[N, H, W]`` at a random place of its own, going on at the other side."""
    count, height, width = mask.shape
    moves = [
        [int(torch.randint(side, (), generator=each)) for side in (height, width)] for each in draws
    ]
    down, right = torch.tensor(moves, device=mask.device).view(count, 2, 1).unbind(1)
    rows = (torch.arange(height, device=mask.device) - down) % height
    columns = (torch.arange(width, device=mask.device) - right) % width
    image = torch.arange(count, device=mask.device)[:, None, None]
    return mask[image, rows[:, :, None], columns[:, None, :]]
