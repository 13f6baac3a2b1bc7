"""Mirroring and moving the images of a batch, with their regions and landmarks."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name for it)
from torch import Tensor

from fer_lab.data.vocabulary import LANDMARK_FLIP, REGION_FLIP

if TYPE_CHECKING:
    from fer_lab.data.dataset import Batch


def warp(
    batch: Batch,
    flipped: Tensor,
    signed: tuple[Tensor, ...],
    *,
    rotation: float,
    zoom: float,
    shift: float,
) -> None:
    """Mirror, rotate, zoom and shift by one sampling of the images, in place of those of the batch.

    Args:
        batch: ``image`` float32 ``[B, 3, H, W]`` with H = W; ``regions`` and ``landmarks`` if any.
        flipped: which images to mirror, bool ``[B]``.
        signed: draws in [-1, 1) for the angle, the scale and the shift along x and along y,
            ``[B]`` each.
        rotation: largest angle, in degrees.
        zoom: largest change of scale.
        shift: largest shift, as a share of the size.
    """
    angle = signed[0] * math.radians(rotation)
    scale = 1 + signed[1] * zoom
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    moved = torch.stack(signed[2:4], dim=1) * (2 * shift)
    sign = 1 - 2 * flipped.to(cosine)
    # Where an output place is found in the input, both in [-1, 1]: of the place's x, its y.
    of_x = torch.stack([sign * cosine, sine], dim=1)
    of_y = torch.stack([-sign * sine, cosine], dim=1)
    offset = torch.stack([sign, torch.ones_like(sign)], dim=1) * moved
    image = batch["image"]
    grid = _grid(of_x, of_y, offset, image.shape[-1])
    batch["image"] = F.grid_sample(
        image.contiguous(), grid, padding_mode="border", align_corners=False
    )
    if "regions" in batch:
        regions = F.grid_sample(
            batch["regions"][:, None].to(image.dtype),
            grid,
            mode="nearest",
            padding_mode="border",
            align_corners=False,
        )
        batch["regions"] = _swap_regions(regions[:, 0].to(torch.uint8), flipped)
    if "landmarks" in batch:
        half = image.shape[-1] / 2
        centred = (batch["landmarks"] + 0.5) / half - 1 - offset[:, None]
        # The inverse of a scaled rotation (and mirror) is its transpose over scale².
        of_both = torch.stack([of_x, of_y], dim=2) / (scale**2)[:, None, None]
        points = (torch.bmm(centred, of_both) + 1) * half - 0.5
        batch["landmarks"] = _swap_landmarks(points, flipped)


def mirror(batch: Batch, flipped: Tensor) -> None:
    """Mirror without interpolation the images that ``flipped`` (bool ``[B]``) names."""
    image = batch["image"]
    batch["image"] = torch.where(flipped[:, None, None, None], image.flip(-1), image)
    if "regions" in batch:
        regions = batch["regions"]
        mirrored = torch.where(flipped[:, None, None], regions.flip(-1), regions)
        batch["regions"] = _swap_regions(mirrored, flipped)
    if "landmarks" in batch:
        across, down = batch["landmarks"].unbind(-1)
        across = torch.where(flipped[:, None], image.shape[-1] - 1 - across, across)
        batch["landmarks"] = _swap_landmarks(torch.stack([across, down], dim=-1), flipped)


def _grid(of_x: Tensor, of_y: Tensor, offset: Tensor, size: int) -> Tensor:
    """Sampling places ``[B, size, size, 2]``, as ``affine_grid`` at half its cost."""
    centres = (torch.arange(size, device=of_x.device, dtype=of_x.dtype) + 0.5) * (2 / size) - 1
    along = centres[None, :, None] * of_x[:, None, :]
    down = centres[None, :, None] * of_y[:, None, :] + offset[:, None, :]
    return along[:, None, :, :] + down[:, :, None, :]


def _swap_regions(regions: Tensor, flipped: Tensor) -> Tensor:
    """Left regions become right ones where an image was mirrored."""
    swap, _ = _orders(regions.device)
    swapped = swap.index_select(0, regions.flatten().int()).view_as(regions)
    return torch.where(flipped[:, None, None], swapped, regions)


def _swap_landmarks(points: Tensor, flipped: Tensor) -> Tensor:
    """Bring mirrored points back into the common order."""
    _, order = _orders(points.device)
    return torch.where(flipped[:, None, None], points[:, order], points)


@cache
def _orders(device: torch.device) -> tuple[Tensor, Tensor]:
    """The mirrored regions and landmarks, copied to a device once: a copy a batch would wait."""
    return (
        # Beyond the regions stand values of no region, which stay what they are.
        torch.tensor(
            [*REGION_FLIP, *range(len(REGION_FLIP), 256)], dtype=torch.uint8, device=device
        ),
        torch.tensor(LANDMARK_FLIP, device=device),
    )
