"""Random erasing (Zhong et al. 2020): a rectangle of an image filled with noise."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from fer_lab.data.blending import blended, box_mask
from fer_lab.data.randomness import combine, uniform

# Share of the image, and height over width, as in torchvision.
_AREAS: Final = (0.02, 0.33)
_ASPECTS: Final = (0.3, 3.3)

# Draws of its own, so that the other changes of an image do not depend on it.
_BOXES: Final = 11
_NOISE: Final = 12


def erased(image: Tensor, key: Tensor, *, probability: float, seed: int, epoch: int) -> Tensor:
    """Images with a box of noise in some of them.

    Areas are uniform in 2 to 33 % of the image, aspects log-uniform in 0.3 to 3.3 (of the largest
    boxes a little less, so that they fit), places uniform among those where the whole box is
    inside. Every value in a box is uniform in [0, 1), each pixel's and channel's by itself; to one
    field of noise an epoch each image adds a number of its own, and what is above 1 starts at 0.

    Args:
        image: float32 ``[B, 3, H, W]`` in [0, 1] with H = W.
        key: what the draws of an image depend on, int64 ``[B]``.
        probability: of an image to lose a box, in [0, 1].
        seed: the run's seed.
        epoch: number of the epoch.

    Returns:
        New images, channels last in memory where ``image`` is.

    Source: Zhong et al. 2020, Algorithm 1; the ranges are torchvision's.
    """
    size = image.shape[-1]
    draws = uniform(combine(seed, _BOXES), epoch, key, 6).unbind(1)
    area = _AREAS[0] + draws[1] * (_AREAS[1] - _AREAS[0])
    lowest, highest = map(math.log, _ASPECTS)
    aspect = torch.exp(lowest + draws[2] * (highest - lowest))
    aspect = torch.maximum(torch.minimum(aspect, 1 / area), area)
    height = (torch.sqrt(area * aspect) * size).round().clamp(1, size)
    width = (torch.sqrt(area / aspect) * size).round().clamp(1, size)
    top = (draws[3] * (size - height + 1)).floor()
    left = (draws[4] * (size - width + 1)).floor()
    box = box_mask((left, left + width), (top, top + height), size)
    box = box & (draws[0] < probability)[:, None, None, None]
    places = torch.arange(size * size, device=key.device)
    field = uniform(combine(seed, _NOISE), epoch, places, 3).view(1, size, size, 3)
    noise = (field + draws[5][:, None, None, None]).frac_().permute(0, 3, 1, 2)
    return blended(image, noise, box.to(image.dtype))
