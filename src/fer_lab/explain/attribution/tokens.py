"""Tokens of a vision transformer as a map over the image."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

# Class, distillation and register tokens: no published transformer has more.
_MOST = 16


class Tokens(NamedTuple):
    """How a row of tokens divides: ``prefix`` that stand for no place, then a grid row by row."""

    prefix: int
    grid: tuple[int, int]


def tokens_of(tokens: int, size: tuple[int, int]) -> Tokens | None:
    """The division of so many tokens of an image with square patches, None if there is none.

    The number says it: 197 tokens of a square image are 14 × 14 and one for the class.

    Args:
        tokens: with those that stand for no place.
        size: height and width of the image in pixels.

    >>> tokens_of(197, (224, 224))
    Tokens(prefix=1, grid=(14, 14))
    """
    height, width = size
    for prefix in range(min(_MOST, tokens - 1) + 1):
        places = tokens - prefix
        rows = round((places * height / width) ** 0.5)
        if rows and places % rows == 0:
            columns = places // rows
            if height // rows == width // columns > 0:
                return Tokens(prefix, (rows, columns))
    return None


def as_map(tokens: Tensor, division: Tokens) -> Tensor:
    """``[N, P + h·w, K]`` without its first P as ``[N, K, h, w]``."""
    places = tokens[:, division.prefix :].transpose(1, 2)
    return places.reshape(*places.shape[:2], *division.grid)
