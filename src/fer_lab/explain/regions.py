"""How much of an explanation falls on each face region: intersection over region (IoR) and kin.

Source: FaceX, and the authors' tool for the variant ``above_mean``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Variant = Literal["mean", "above_mean"]


class RegionStatistics(NamedTuple):
    """Per image and region, NaN where a figure is undefined.

    Attributes:
        ior: mean of the attribution over the region, ``[N, R]`` in [0, 1]; NaN if absent.
        ior_above_mean: share of the region's pixels whose attribution exceeds the mean of the
            image's positive attributions, ``[N, R]`` in [0, 1]; NaN if absent.
        area: share of the image's pixels, ``[N, R]`` in [0, 1]; 0 if absent.
        share: share of the image's attribution, ``[N, R]`` in [0, 1]; 0 if absent, NaN for an
            all-zero map.
        lift: ``ior`` over the image's mean attribution, ``[N, R]``; 1 where the region is as hot
            as the image; NaN if absent or for an all-zero map.
        heat: mean attribution of the image, ``[N]`` in [0, 1]; 0 marks an all-zero map, which
            belongs in no mean.
    """

    ior: Tensor
    ior_above_mean: Tensor
    area: Tensor
    share: Tensor
    lift: Tensor
    heat: Tensor


def intersection_over_region(
    attribution: Tensor, regions: Tensor, num_regions: int = 19, variant: Variant = "mean"
) -> Tensor:
    """IoR of each image and region: ``Σ(G⊙M_r) / ΣM_r``.

    Args:
        attribution: ``[N, H, W]`` in [0, 1].
        regions: index of each pixel's region, ``[N, H, W]``; indices from ``num_regions`` on mean
            no region.
        num_regions: number of regions R.
        variant: ``mean`` (the equation), or ``above_mean``: the share of the region's pixels whose
            attribution exceeds the mean of the image's positive attributions.

    Returns:
        ``[N, R]`` in [0, 1], NaN where the region is absent.

    Source: FaceX, IoR.

    >>> attribution = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
    >>> regions = torch.tensor([[[0, 0], [1, 1]]])
    >>> intersection_over_region(attribution, regions, num_regions=3)
    tensor([[0.7500, 0.0000,    nan]])
    """
    if variant not in ("mean", "above_mean"):
        raise ValueError(f"variant is 'mean' or 'above_mean', not {variant!r}")
    index = _index(regions, num_regions)
    values = attribution.flatten(1)
    count, above = _counts(values, index, num_regions)
    return (above if variant == "above_mean" else _sums(values, index, num_regions)) / count


def region_statistics(
    attribution: Tensor, regions: Tensor, num_regions: int = 19
) -> RegionStatistics:
    """Both IoR variants and what they must be read beside (see ``RegionStatistics``).

    IoR grows with the map's overall heat and says nothing about the region's size: compare groups
    and runs on ``lift``.

    Args:
        attribution: ``[N, H, W]`` in [0, 1].
        regions: index of each pixel's region, ``[N, H, W]``; indices from ``num_regions`` on mean
            no region.
        num_regions: number of regions R.

    Source: FaceX, IoR; area, share and lift are added here to read it beside.
    """
    index = _index(regions, num_regions)
    values = attribution.flatten(1)
    count, above = _counts(values, index, num_regions)
    total = _sums(values, index, num_regions)
    ior = total / count
    heat = values.mean(1, keepdim=True)
    return RegionStatistics(
        ior=ior,
        ior_above_mean=above / count,
        area=count / values.shape[1],
        share=total / values.sum(1, keepdim=True),
        lift=ior / torch.where(heat > 0, heat, torch.nan),
        heat=heat.squeeze(1),
    )


def _index(regions: Tensor, num_regions: int) -> Tensor:
    return regions.flatten(1).to(torch.int64).clamp_max_(num_regions)


def _sums(values: Tensor, index: Tensor, num_regions: int) -> Tensor:
    """Sum of ``values`` [N, P] over each region, ``[N, R]``."""
    total = values.new_zeros(len(values), num_regions + 1)
    return total.scatter_add_(1, index, values)[:, :num_regions]


def _counts(values: Tensor, index: Tensor, num_regions: int) -> tuple[Tensor, Tensor]:
    """Pixels of each region, and those above the mean of the image's positive ones; ``[N, R]``."""
    # The sum of the positive values is the sum of all: an attribution has no negative ones.
    mean = values.sum(1, keepdim=True) / (values > 0).sum(1, keepdim=True)
    images, slots = len(values), 2 * (num_regions + 1)
    first = torch.arange(images, device=index.device)[:, None] * slots
    # One count of (image, region, above or not) is several times faster than two sums.
    cell = index.mul(2).add_(values > mean).add_(first)
    counts = torch.bincount(cell.flatten(), minlength=images * slots)
    counts = counts.view(images, num_regions + 1, 2)[:, :num_regions].to(values.dtype)
    return counts.sum(2), counts[..., 1]
