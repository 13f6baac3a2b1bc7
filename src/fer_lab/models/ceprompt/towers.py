"""CLIP's two towers with learned tokens in their first layers."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fer_lab.models.ceprompt.prompts import with_prompt


class PromptedText(nn.Module):
    """The text tower, frozen, over the prompts of all classes, as embeddings of unit length.

    The prompts are kept as embedded tokens, so that the table of all words (25.3 million
    parameters) is not needed; they end with the longest one, since no token looks ahead.

    Args:
        clip: ``open_clip.CLIP``, whose text tower is taken.
        rows: the tokens of each class' prompt, from its start to its end.
    """

    words: Tensor
    mask: Tensor
    ends: Tensor

    def __init__(self, clip: Any, rows: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.transformer = clip.transformer
        self.positional_embedding = clip.positional_embedding
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection
        self.requires_grad_(requires_grad=False)
        length = max(len(row) for row in rows)
        padded = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
        with torch.no_grad():
            self.register_buffer("words", clip.token_embedding(padded))
        ends = torch.tensor([len(row) - 1 for row in rows])
        self.register_buffer("ends", ends, persistent=False)
        self.register_buffer("mask", clip.attn_mask[:length, :length].clone(), persistent=False)

    def forward(self, prompts: Sequence[Tensor]) -> Tensor:
        """Class embeddings ``[C, D]`` with the tokens of each layer in place of the first words."""
        first, *deeper = prompts
        tokens = with_prompt(self.words, first)
        tokens = tokens + self.positional_embedding[: tokens.shape[1]]
        for layer, block in enumerate(self.transformer.resblocks):
            if 0 < layer <= len(deeper):
                tokens = with_prompt(tokens, deeper[layer - 1])
            tokens = block(tokens, attn_mask=self.mask)
        places = torch.arange(len(self.ends), device=tokens.device)
        last = self.ln_final(tokens[places, self.ends])
        return F.normalize(last @ self.text_projection, dim=1)


class PromptedImage(nn.Module):
    """The image tower, frozen, with learned tokens between the class token and the patches.

    In the first layer they are inserted, in the following ones they replace what came of those
    before, and after these they are carried on. The learned tokens stand for no place:
    ``patches`` is a module that only the patches pass, normalised as the last block reads them.

    Args:
        visual: ``open_clip.transformer.VisionTransformer``.
        tuned_blocks: how many of its last blocks there are a second time, to be tuned.
    """

    def __init__(self, visual: Any, tuned_blocks: int) -> None:
        super().__init__()
        self.visual = visual.requires_grad_(requires_grad=False)
        self.patches = nn.Identity()
        blocks = visual.transformer.resblocks
        self.shared = len(blocks) - tuned_blocks
        self.tuned = deepcopy(blocks[self.shared :]).requires_grad_(requires_grad=True)

    def begin(self, image: Tensor, prompts: Sequence[Tensor]) -> Tensor:
        """Tokens ``[B, 1 + P + h·w, W]`` after all blocks that are there once."""
        visual = self.visual
        patches = visual.conv1(image).flatten(2).transpose(1, 2)
        one = visual.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        tokens = torch.cat([one, patches], dim=1) + visual.positional_embedding.to(patches.dtype)
        blocks = list(visual.transformer.resblocks)[: self.shared]
        return self._through(visual.ln_pre(tokens), blocks, 0, prompts)

    def end(self, tokens: Tensor, prompts: Sequence[Tensor], *, tuned: bool) -> Tensor:
        """Tokens after the last block, normalised and projected: ``[B, 1 + P + h·w, D]``.

        Args:
            tokens: of ``begin``.
            prompts: of all layers.
            tuned: through the copied blocks, not the frozen ones.
        """
        visual = self.visual
        blocks = self.tuned if tuned else list(visual.transformer.resblocks)[self.shared :]
        tokens = self._through(tokens, list(blocks), self.shared, prompts)
        projected: Tensor = visual.ln_post(tokens) @ visual.proj
        return projected

    def _through(
        self, tokens: Tensor, blocks: Sequence[Any], first: int, prompts: Sequence[Tensor]
    ) -> Tensor:
        last = len(self.visual.transformer.resblocks) - 1
        for layer, block in enumerate(blocks, first):
            if layer < len(prompts):
                tokens = with_prompt(tokens, prompts[layer], inserted=layer == 0)
            tokens = self._tapped(block, tokens, prompts) if layer == last else block(tokens)
        return tokens

    def _tapped(self, block: Any, tokens: Tensor, prompts: Sequence[Tensor]) -> Tensor:
        """What ``block`` makes of tokens, with the patches it reads passing ``patches``."""
        normed = block.ln_1(tokens)
        ahead = 1 + prompts[0].shape[0]
        normed = torch.cat([normed[:, :ahead], self.patches(normed[:, ahead:])], dim=1)
        tokens = tokens + block.ls_1(block.attention(q_x=normed))
        result: Tensor = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
        return result
