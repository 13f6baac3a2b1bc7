"""Cross-fusion transformer of POSTER: tokens of image and landmarks at three widths.

Both streams ride in one tensor ``[B, 100, C]``: a summary token and 49 tokens of the image, then
the same of the landmarks.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from torch import Tensor, nn

TOKENS = 49
WIDTH = 512
HEADS = 8
MLP_RATIO = 2

# A stream is its tokens and their mean.
_STREAM = TOKENS + 1
_BOTH = 2 * _STREAM

_Norm = partial(nn.LayerNorm, eps=1e-6)


class CrossAttention(nn.Module):
    """Attention in which the tokens of one stream query another as they are, unprojected.

    Source: Zheng et al. 2023 (POSTER), cross-fusion multi-head self-attention, as their code has
    it: the paper's equation projects the queries, the code does not.
    """

    def __init__(self, width: int, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """``[B, Q, C]`` for ``query`` ``[B, Q, C]`` and ``context`` ``[B, K, C]``."""
        key, value = self.kv(context).chunk(2, dim=-1)
        attended = F.scaled_dot_product_attention(
            self._by_head(query), self._by_head(key), self._by_head(value)
        )
        projected: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return projected

    def _by_head(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        return tokens.reshape(batch, count, self.heads, width // self.heads).transpose(1, 2)


class FusionBlock(nn.Module):
    """One transformer block: attention across streams and MLP in each, then a mix of all tokens.

    In the image stream landmark tokens query the image's keys and values, in the landmark stream
    the reverse; each stream's first norm is applied to both.
    """

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = _Norm(width), _Norm(width)
        self.norm3, self.norm4 = _Norm(width), _Norm(width)
        self.attn_img, self.attn_lm = CrossAttention(width), CrossAttention(width)
        self.mlp1 = Mlp(width, MLP_RATIO * width)
        self.mlp2 = Mlp(width, MLP_RATIO * width)
        self.drop_path = DropPath(drop_path)
        self.conv = nn.Conv1d(_BOTH, _BOTH, kernel_size=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``[B, 100, C]`` of tokens of that shape."""
        image, landmarks = _streams(tokens)
        own, other = _streams(self.norm1(tokens))
        image = image + self.drop_path(self.attn_img(query=other, context=own))
        image = image + self.drop_path(self.mlp1(self.norm2(image)))
        other, own = _streams(self.norm3(tokens))
        landmarks = landmarks + self.drop_path(self.attn_lm(query=other, context=own))
        landmarks = landmarks + self.drop_path(self.mlp2(self.norm4(landmarks)))
        mixed: Tensor = self.conv(torch.cat((image, landmarks), dim=1))
        return mixed


class PyramidBlock(nn.Module):
    """A fusion block a width; the narrow ones are widened and added to the next."""

    def __init__(self, drop_path: float) -> None:
        super().__init__()
        self.block_l = FusionBlock(WIDTH, drop_path)
        self.block_m = FusionBlock(WIDTH // 2, drop_path)
        self.block_s = FusionBlock(WIDTH // 4, drop_path)
        self.upsample_m = nn.ConvTranspose1d(_BOTH, _BOTH, kernel_size=2, stride=2)
        self.upsample_s = nn.ConvTranspose1d(_BOTH, _BOTH, kernel_size=2, stride=2)

    def forward(self, large: Tensor, medium: Tensor, small: Tensor) -> tuple[Tensor, ...]:
        """Tokens ``[B, 100, 512]``, ``[B, 100, 256]`` and ``[B, 100, 128]`` of such."""
        small = self.block_s(small)
        medium = self.block_m(medium) + self.upsample_s(small)
        large = self.block_l(large) + self.upsample_m(medium)
        return large, medium, small


class PyramidFusion(nn.Module):
    """Two streams of 49 tokens -> one feature: the image's summary token after all blocks.

    Names of parameters are those of the published weights, where a class token that is never used
    stands beside them.

    Args:
        depth: number of pyramid blocks.
        drop_path: share of samples whose branch is skipped in the last block, rising from 0.

    Source: Zheng et al. 2023 (POSTER).
    """

    def __init__(self, depth: int, drop_path: float) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, _STREAM, WIDTH))
        self.downsample_m = nn.Conv1d(_BOTH, _BOTH, kernel_size=2, stride=2)
        self.downsample_s = nn.Conv1d(_BOTH, _BOTH, kernel_size=4, stride=4)
        rates = [drop_path * block / max(depth - 1, 1) for block in range(depth)]
        self.blocks = nn.ModuleList(PyramidBlock(rate) for rate in rates)
        self.norm = _Norm(WIDTH)

    def forward(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """``[B, 512]`` of tokens ``[B, 49, 512]`` of each stream."""
        large = torch.cat(
            (
                torch.cat((image.mean(1, keepdim=True), image), dim=1) + self.pos_embed,
                landmarks.mean(1, keepdim=True),
                landmarks,
            ),
            dim=1,
        )
        medium, small = self.downsample_m(large), self.downsample_s(large)
        for block in self.blocks:
            large, medium, small = block(large, medium, small)
        feature: Tensor = self.norm(large[:, 0])
        return feature


def _streams(tokens: Tensor) -> tuple[Tensor, Tensor]:
    return tokens[:, :_STREAM], tokens[:, _STREAM:]
