"""Attribution maps at the image's size, in [0, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def scaled(heat: Tensor, size: torch.Size) -> Tensor:
    """``heat`` [N, h, w] enlarged to ``size`` and stretched to [0, 1]; flat maps become zero."""
    enlarged = F.interpolate(heat[:, None], size=tuple(size), mode="bilinear", align_corners=False)
    flat = enlarged.flatten(1)
    low, high = flat.aminmax(dim=1, keepdim=True)
    spread = high - low
    scale = torch.where(spread > 0, 1 / spread, torch.zeros_like(spread))
    return ((flat - low) * scale).clamp_(0, 1).view(enlarged.shape[0], *size)
