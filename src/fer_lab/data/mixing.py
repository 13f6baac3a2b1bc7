"""Two faces in one image: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from fer_lab.data.blending import blended, box_mask
from fer_lab.data.randomness import combine, uniform

if TYPE_CHECKING:
    from fer_lab.data.dataset import Batch

# Draws of its own, so that the other changes of an image do not depend on it.
_STREAM: Final = 13


def mixed(
    batch: Batch,
    key: Tensor,
    *,
    mixup: float,
    cutmix: float,
    probability: float,
    cutmix_probability: float,
    seed: int,
    epoch: int,
) -> Batch:
    """A batch in which a second face is blended or cut into each image.

    The second face is that of the sample before, and of the last one for the first: training
    batches are shuffled, so it is any other. Its share is drawn for each image from a symmetric
    Beta distribution; in CutMix it is the share of the pixels that the box covers inside the
    image. Where it would be above a half, the two change roles: what else the batch says of a
    sample (label, groups, regions …) is of the face that has at least half of the image.

    Args:
        batch: ``image`` float32 ``[B, 3, H, W]`` with H = W, ``label``, and ``weight`` if any.
        key: what the draws of an image depend on, int64 ``[B]``.
        mixup: a of Beta(a, a), from which the shares of blended faces are drawn; 0 blends none.
        cutmix: the same for boxes; 0 cuts none.
        probability: of an image to get a second face, in [0, 1].
        cutmix_probability: of a box rather than a blend, where there are both, in [0, 1].
        seed: the run's seed.
        epoch: number of the epoch.

    Returns:
        A new batch with ``second_label`` and ``second_share``, and ``second_weight`` where the
        batch has weights.

    Source: Zhang et al. 2018, Eq. 1; Yun et al. 2019, Eq. 1 and 2.
    """
    image = batch["image"]
    draws = uniform(combine(seed, _STREAM), epoch, key, 6).unbind(1)
    boxes = cutmix_probability if mixup and cutmix else float(cutmix > 0)
    cut = draws[1] < boxes
    share = symmetric_beta(draws[2], draws[3], torch.where(cut, cutmix, mixup))
    share = share.where(draws[0] < probability, 0.0)
    second = torch.minimum(share, 1 - share)
    amount = second[:, None, None, None]
    if boxes:
        box = _box(share, draws[4], draws[5], image.shape[-1])
        covered = box.float().mean((1, 2, 3))
        box = box ^ (covered > 0.5)[:, None, None, None]
        amount = torch.where(cut[:, None, None, None], box.to(image.dtype), amount)
        second = torch.where(cut, torch.minimum(covered, 1 - covered), second)
    changed = batch.copy()
    changed["image"] = blended(image, image.roll(1, 0), amount)
    changed["second_label"] = batch["label"].roll(1)
    changed["second_share"] = second
    if "weight" in batch:
        changed["second_weight"] = batch["weight"].roll(1)
    return changed


def symmetric_beta(radius: Tensor, angle: Tensor, concentration: Tensor | float) -> Tensor:
    """Draws from Beta(a, a), each made of two uniform numbers.

    If T has Student's t-distribution with 2a degrees of freedom, T / sqrt(2a + T²) + 1 is twice
    such a draw, and T has a polar form.

    Args:
        radius: uniform in [0, 1), any shape.
        angle: uniform in [0, 1), the same shape.
        concentration: a, positive, a number or one for each draw.

    Returns:
        Values in [0, 1], the same shape; small ones are exact to the last digits.

    Source: Bailey 1994 (polar method), Devroye 1996 (from t to Beta).
    """
    cosine = torch.cos(2 * math.pi * angle)
    ratio = 1 / torch.expm1(-torch.log(radius) / concentration)
    hypotenuse = torch.sqrt(cosine**2 + ratio)
    smaller = ratio / (2 * hypotenuse * (hypotenuse + cosine.abs()))
    return torch.where(cosine < 0, smaller, 1 - smaller)


def _box(share: Tensor, across: Tensor, down: Tensor, size: int) -> Tensor:
    """A box of a share of each image around any pixel, without what is outside the image."""
    half = (torch.sqrt(share) * (size / 2)).floor()
    bounds = []
    for place in (across, down):
        centre = (place * size).floor()
        bounds.append(((centre - half).clamp_min(0), (centre + half).clamp_max(size)))
    return box_mask(bounds[0], bounds[1], size)
