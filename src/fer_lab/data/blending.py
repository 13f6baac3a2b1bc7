"""Images laid over images, wholly inside of boxes or to a degree."""

from __future__ import annotations

import torch
from torch import Tensor


def blended(image: Tensor, other: Tensor, amount: Tensor) -> Tensor:
    """Images with some of others in them.

    Args:
        image: ``[B, 3, H, W]``.
        other: the same shape; used up.
        amount: share of ``other``, in [0, 1], ``[B, 1, H, W]`` or ``[B, 1, 1, 1]``; 0 and 1 give
            exactly the one or the other.
    """
    # Half the time of torch.lerp and torch.where, whose loops over channels last are slow.
    return (image * (1 - amount)).add_(other.mul_(amount))


def box_mask(across: tuple[Tensor, Tensor], down: tuple[Tensor, Tensor], size: int) -> Tensor:
    """Which pixels are inside the boxes, one of which each image has.

    Args:
        across: first column inside and first column beyond, whole numbers ``[B]`` each.
        down: the same of rows.
        size: height and width of the images, in pixels.

    Returns:
        bool ``[B, 1, size, size]``.
    """
    return (_within(down, size)[:, :, None] & _within(across, size)[:, None, :])[:, None]


def _within(bounds: tuple[Tensor, Tensor], size: int) -> Tensor:
    first, beyond = (bound[:, None] for bound in bounds)
    places = torch.arange(size, device=first.device)
    return (places >= first) & (places < beyond)
