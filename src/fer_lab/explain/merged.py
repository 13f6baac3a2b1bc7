"""Merged explanations: means in face space by cell (a test set and an expression), and their noise.

Maps are summed in blocks of images, chosen by the image's id: any two models put the same images
into the same blocks, and leaving out or repeating blocks tells how far a mean can be believed.

Source: the gender-split study on AffectNet with LIME, merged heatmaps; the noise is added here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_lab.explain.clustering import heatmap_distances

Floats = NDArray[np.float32]

BLOCKS = 20


class MergedSums:
    """The sums of maps in face space, by cell and block, over batches.

    Args:
        cells: number of cells.
        size: width and height of the maps.
        blocks: into how many blocks images fall.

    Attributes:
        total: sums over images, ``[cells, blocks, height, width]``.
        count: in how many images each pixel is known, of the same shape.
    """

    def __init__(
        self, cells: int, size: tuple[int, int], *, blocks: int = BLOCKS, device: str = "cpu"
    ) -> None:
        shape = (cells * blocks, size[1], size[0])
        self.blocks = blocks
        self._total = torch.zeros(shape, device=device)
        self._count = torch.zeros(shape, device=device)

    def update(self, values: Tensor, cell: Tensor, block: Tensor) -> None:
        """Add maps.

        Args:
            values: in face space, ``[N, height, width]``, NaN where unknown.
            cell: of each map, int64 ``[N]``; -1 leaves it out.
            block: of each map, int64 ``[N]``, see `block_of`.
        """
        inside = cell >= 0
        place = (cell * self.blocks + block)[inside]
        known = values[inside].to(self._total)
        unknown = known.isnan()
        self._total.index_add_(0, place, known.masked_fill(unknown, 0))
        self._count.index_add_(0, place, (~unknown).to(self._count))

    @property
    def total(self) -> Tensor:
        """``[cells, blocks, height, width]``."""
        return self._total.view(-1, self.blocks, *self._total.shape[1:])

    @property
    def count(self) -> Tensor:
        """``[cells, blocks, height, width]``."""
        return self._count.view(-1, self.blocks, *self._count.shape[1:])


@dataclass(frozen=True)
class Merged:
    """The merged heatmaps of one model.

    Attributes:
        cells: a name for each cell, such as ``("female", "happy")``.
        total: sums over images, ``[cells, blocks, height, width]``.
        count: images behind each pixel, of the same shape.
    """

    cells: tuple[tuple[str, ...], ...]
    total: Floats
    count: Floats

    def heatmaps(self, weights: NDArray[np.float64] | None = None) -> Floats:
        """Means over images, ``[cells, height, width]``; NaN where no image is known.

        Args:
            weights: how often each block counts, ``[blocks]``; once by default.
        """
        if weights is None:
            weights = np.ones(self.total.shape[1])
        share = weights.astype(np.float32)
        total = np.einsum("cbhw,b->chw", self.total, share)
        count = np.einsum("cbhw,b->chw", self.count, share)
        with np.errstate(invalid="ignore", divide="ignore"):
            means: Floats = np.where(count > 0, total / count, np.nan).astype(np.float32)
        return means


class Difference(NamedTuple):
    """Where two heatmaps differ, as the study shows it.

    Attributes:
        absolute: ``3·|a − b|``, ``[H, W]``.
        first: ``3·max(a − b, 0)``, where the first is hotter.
        second: ``3·max(b − a, 0)``.
    """

    absolute: Floats
    first: Floats
    second: Floats


def difference(first: Floats, second: Floats, gain: float = 3.0) -> Difference:
    """The three difference images of two heatmaps ``[H, W]``, each times ``gain``.

    Source: gender-split study, FE-FE against MA-MA.
    """
    signed = gain * (first - second)
    return Difference(np.abs(signed), np.maximum(signed, 0), np.maximum(-signed, 0))


def block_of(ids: Sequence[str], blocks: int = BLOCKS) -> NDArray[np.int64]:
    """The block of each image, from its id alone, ``[N]``."""
    digests = (blake2b(name.encode(), digest_size=8).digest() for name in ids)
    return np.array([int.from_bytes(digest) % blocks for digest in digests], dtype=np.int64)


def resampled_heatmaps(
    merged: Sequence[Merged], samples: int = 200, seed: int = 0
) -> Iterator[Floats]:
    """Heatmaps of several models when whole blocks of images are drawn anew, with replacement.

    All models see the same draw, so that what they share with each other stays shared.

    Args:
        merged: heatmaps with the same number of blocks.
        samples: how many draws.
        seed: of the draws.

    Yields:
        ``[all cells, height, width]``.
    """
    rng = np.random.default_rng(seed)
    blocks = merged[0].total.shape[1]
    for _ in range(samples):
        weights = rng.multinomial(blocks, np.full(blocks, 1 / blocks)).astype(np.float64)
        yield np.concatenate([each.heatmaps(weights) for each in merged])


def noise_floor(merged: Merged, splits: int = 20, seed: int = 0) -> NDArray[np.float64]:
    """How far apart two halves of one cell's images are: no smaller distance means anything.

    Halves hold half the images each, so the floor is rather too high than too low.

    Args:
        merged: the heatmaps.
        splits: random divisions of the blocks into halves.
        seed: of the divisions.

    Returns:
        The mean distance over divisions, ``[cells]``; NaN for a cell without variation.
    """
    rng = np.random.default_rng(seed)
    blocks, cells = merged.total.shape[1], len(merged.cells)
    found = []
    for _ in range(splits):
        half = np.zeros(blocks)
        half[rng.permutation(blocks)[: blocks // 2]] = 1
        pair = np.concatenate([merged.heatmaps(half), merged.heatmaps(1 - half)])
        found.append(np.diagonal(heatmap_distances(pair)[:cells, cells:]))
    mean: NDArray[np.float64] = np.mean(found, axis=0)
    return mean


def difference_floor(
    first: tuple[Merged, int],
    second: tuple[Merged, int],
    samples: int = 200,
    seed: int = 0,
    gain: float = 3.0,
) -> Floats:
    """The 95th percentile of ``gain·|a − b|`` that chance alone gives at each pixel, ``[H, W]``.

    Both heatmaps are drawn anew by whole blocks of images; what remains around their own difference
    is noise. Where ``absolute`` of `difference` is below, nothing is shown.

    Args:
        first: heatmaps and the cell taken of them.
        second: the same of the other.
        samples: how many draws.
        seed: of the draws.
        gain: as in `difference`.
    """
    pair = [_cell(*first), _cell(*second)]
    own, other = (each.heatmaps()[0] for each in pair)
    draws = resampled_heatmaps(pair, samples, seed)
    noise = np.stack([np.abs((a - b) - (own - other)) for a, b in draws])
    # Percentiles that pass over NaN are slow: only pixels with one need them.
    limit = np.percentile(noise, 95, axis=0)
    gaps = np.isnan(limit)
    if gaps.any():
        limit[gaps] = np.nanpercentile(noise[:, gaps], 95, axis=0)
    floor: Floats = gain * limit.astype(np.float32)
    return floor


def _cell(merged: Merged, cell: int) -> Merged:
    part = slice(cell, cell + 1)
    return Merged(merged.cells[part], merged.total[part], merged.count[part])
