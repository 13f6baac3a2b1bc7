"""Superpixels of an image, designs that hide some of them, and the images that are left."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard
from skimage.segmentation import slic
from torch import Tensor

Generator = np.random.Generator


def superpixels(image: Tensor, count: int, compactness: float) -> NDArray[np.int64]:
    """About ``count`` connected superpixels of like colour, which no random number decides.

    Args:
        image: ``[3, H, W]`` in [0, 1].
        count: how many are asked for; what comes out depends on the image.
        compactness: how much nearness counts against likeness of colour.

    Returns:
        Index of each pixel's superpixel, ``[H, W]``, from 0 on without gaps.

    Source: SLIC (Achanta et al. 2012), by scikit-image.
    """
    pixels = image.detach().float().cpu().permute(1, 2, 0).numpy()
    # Without smoothing, the noise of a small photograph ends in one superpixel.
    labels = slic(
        pixels,
        n_segments=count,
        compactness=compactness,
        sigma=1,
        start_label=0,
        channel_axis=-1,
    )
    _, index = np.unique(labels, return_inverse=True)
    return index.reshape(labels.shape).astype(np.int64)


def balanced_design(features: int, samples: int, generator: Generator) -> NDArray[np.bool_]:
    """Which features each sample shows: independent fair coins, but balanced over the samples.

    Each row by itself is a uniform draw, as in LIME. Rows come in pairs that show what the other
    hides, which removes what pairs of features do together from the estimate of single ones, and
    from blocks of an orthogonal array, in which any three features occur in all combinations
    equally often.

    Args:
        features: number of columns.
        samples: number of rows.
        generator: draws the order and the signs.

    Returns:
        ``[samples, features]``, True where the feature is shown.

    Source: Plackett & Burman 1946 folded over (Box & Wilson 1951), on Sylvester's matrices.
    """
    order = 2 ** max(features, 1).bit_length()
    signs = hadamard(order)[:, 1:] > 0
    blocks: list[NDArray[np.bool_]] = []
    while sum(map(len, blocks)) < samples:
        columns = generator.permutation(order - 1)[:features]
        block = signs[generator.permutation(order)][:, columns] ^ (generator.random(features) < 0.5)
        blocks.append(np.stack([block, ~block], axis=1).reshape(2 * order, features))
    return np.concatenate(blocks)[:samples]


def mean_colours(image: Tensor, index: Tensor) -> Tensor:
    """``[3, H, W]``: each superpixel in its mean colour.

    Args:
        image: ``[3, H, W]``.
        index: of each pixel's superpixel, int64 ``[H, W]``.
    """
    flat, place = image.flatten(1), index.flatten()
    count = torch.bincount(place)
    total = image.new_zeros(len(image), len(count)).index_add_(1, place, flat)
    return (total / count)[:, place].view_as(image)


def perturbed(
    image: Tensor, replacement: Tensor, index: Tensor, shown: Tensor, batch_size: int
) -> Iterator[Tensor]:
    """The image with the superpixels that each sample hides replaced, in batches.

    Args:
        image: ``[3, H, W]``.
        replacement: what is seen where a superpixel is hidden; goes into ``[3, H, W]``.
        index: of each pixel's superpixel, int64 ``[H, W]``.
        shown: bool ``[S, d]``.
        batch_size: images at once.

    Yields:
        ``[at most batch_size, 3, H, W]``.
    """
    place = index.flatten()
    for rows in torch.split(shown, batch_size):
        seen = rows.index_select(1, place).view(len(rows), 1, *index.shape)
        yield torch.where(seen, image, replacement)
