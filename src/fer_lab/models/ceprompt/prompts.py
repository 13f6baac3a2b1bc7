"""Learned tokens for both towers of CLIP, as in CEPrompt's Conception-Appearance Tuner (CAT)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Prompts(nn.Module):
    """Tokens of the text tower's first layers, and what linear layers make of them for the image's.

    The first layer's are words of the prompts and start as such; deeper ones start as normal noise
    with deviation 0.02, as in the authors' code.

    Args:
        context: embedded words that the first layer's tokens start as, ``[P, text width]``.
        depth: number of layers with learned tokens, the first one counted.
        image_width: of the image tower's tokens.

    Source: Zhou et al. 2024 and the code they publish (HaoliangZhou/CEPrompt, ``models/cat.py``).
    """

    def __init__(self, context: Tensor, depth: int, image_width: int) -> None:
        super().__init__()
        tokens, width = context.shape
        self.context = nn.Parameter(context.detach().clone())
        self.deep = nn.ParameterList(
            nn.Parameter(torch.empty(tokens, width).normal_(std=0.02)) for _ in range(depth - 1)
        )
        self.projections = nn.ModuleList(nn.Linear(width, image_width) for _ in range(depth))

    def text(self) -> list[Tensor]:
        """Tokens ``[P, text width]`` of each layer with some."""
        return [self.context, *self.deep]

    def image(self) -> list[Tensor]:
        """Tokens ``[P, image width]`` of each layer with some."""
        both = zip(self.projections, self.text(), strict=True)
        return [projection(tokens) for projection, tokens in both]


def with_prompt(tokens: Tensor, prompt: Tensor, *, inserted: bool = False) -> Tensor:
    """A row of tokens with learned ones behind the first.

    Args:
        tokens: ``[B, N, W]``.
        prompt: ``[P, W]``, the same in every row.
        inserted: between the first and the second; otherwise in place of the P after the first.

    Returns:
        ``[B, N + P, W]`` if inserted, otherwise ``[B, N, W]``.
    """
    rows = prompt.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
    after = 1 if inserted else 1 + prompt.shape[0]
    return torch.cat([tokens[:, :1], rows, tokens[:, after:]], dim=1)
