"""High-impact patches: the squares of the images that carry most attribution within a region.

Source: FaceX; ``V[i,q,r] = Σ(G⊙M_r⊙P_q)`` for image i, patch q and region r.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError

if TYPE_CHECKING:
    from pytorch_lightning.strategies import Strategy


@dataclass(frozen=True, eq=False)
class Patches:
    """The patches of one region, best first.

    Attributes:
        image: pixels, uint8 ``[k, Z, Z, 3]`` RGB.
        score: attribution of the region within the patch, ``[k]``, positive.
        index: which image, int64 ``[k]``.
        position: row and column of the upper left pixel, int64 ``[k, 2]``.
    """

    image: Tensor
    score: Tensor
    index: Tensor
    position: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        """Image, score, index, position."""
        return iter((self.image, self.score, self.index, self.position))


def top_patches(
    image: Tensor,
    attribution: Tensor,
    regions: Tensor,
    size: int = 16,
    k: int = 20,
    per_image_best: bool = False,
) -> dict[str, Patches]:
    """The ``k`` patches with the highest impact in each region.

    Patches are the squares of a grid from the upper left corner; where the image's side is no
    multiple of ``size``, the remainder at the right and at the bottom belongs to none.

    Args:
        image: ``[N, 3, H, W]``, float in [0, 1] or uint8.
        attribution: ``[N, H, W]`` in [0, 1].
        regions: index of each pixel's region in ``vocabulary.REGIONS``, ``[N, H, W]``.
        size: side Z of a patch in pixels.
        k: patches kept per region.
        per_image_best: only the best patch of each image is in the running.

    Returns:
        Patches by region name, in vocabulary order; regions without a positive score are left out.
        ``index`` counts the given images.

    Raises:
        ConfigError: if the images are smaller than a patch.

    Source: FaceX, high-impact patches.
    """
    collector = PatchCollector(size=size, k=k, per_image_best=per_image_best)
    collector.update(image, attribution, regions, torch.arange(len(image)))
    return collector.compute()


class PatchCollector:
    """``top_patches`` over many batches, and over several processes.

    Only the best so far are kept: ``len(names) × k`` patches. The result does not depend on how
    the images were shared out, up to the choice between equal scores.

    Args:
        size: side Z of a patch in pixels.
        k: patches kept per region.
        per_image_best: only the best patch of each image is in the running.
        names: the regions' names by index.
    """

    def __init__(
        self,
        size: int = 16,
        k: int = 20,
        *,
        per_image_best: bool = False,
        names: Sequence[str] = REGIONS,
    ) -> None:
        if size < 1 or k < 1:
            raise ConfigError(
                f"patch size {size} and number {k} must be positive", where="explain.patch_size"
            )
        self.size, self.k, self.per_image_best = size, k, per_image_best
        self.names = tuple(names)
        slots = (len(self.names), k)
        # A score of 0 marks an empty slot.
        self._kept = Patches(
            image=torch.zeros(*slots, size, size, 3, dtype=torch.uint8),
            score=torch.zeros(slots),
            index=torch.full(slots, -1),
            position=torch.zeros(*slots, 2, dtype=torch.int64),
        )

    def update(
        self, image: Tensor, attribution: Tensor, regions: Tensor, index: Tensor | None = None
    ) -> None:
        """Enter a batch into the running.

        Args:
            image: ``[N, 3, H, W]``, float in [0, 1] or uint8.
            attribution: ``[N, H, W]`` in [0, 1].
            regions: index of each pixel's region, ``[N, H, W]``; indices from ``len(names)`` on
                mean no region.
            index: by which each image will be known, int64 ``[N]``; 0 to N−1 by default.

        Raises:
            ConfigError: if the images are smaller than a patch.
        """
        size = self.size
        rows, columns = attribution.shape[1] // size, attribution.shape[2] // size
        if not rows or not columns:
            raise ConfigError(
                f"images of {attribution.shape[1]}×{attribution.shape[2]} px are smaller than a "
                f"patch of {size}×{size}",
                where="explain.patch_size",
                hint="use smaller patches or larger images",
            )
        if not len(image):
            return
        score = self._scores(attribution, regions, rows, columns)
        if self.per_image_best:
            score, patch = score.max(1)
            best, which = score.T.topk(min(self.k, score.shape[0]))
            where_in_image = patch.T.gather(1, which)
        else:
            flat = score.flatten(0, 1)
            best, found = flat.T.topk(min(self.k, flat.shape[0]))
            which, where_in_image = found // (rows * columns), found % (rows * columns)
        row, column = where_in_image // columns, where_in_image % columns
        names = torch.arange(len(image)) if index is None else index
        self._merge(
            Patches(
                image=_cut(image, which, row, column, size).cpu(),
                score=best.float().cpu(),
                index=names.to(which.device)[which].cpu(),
                position=torch.stack([row, column], dim=-1).cpu() * size,
            )
        )

    def state(self) -> dict[str, Tensor]:
        """What has been kept, to be merged elsewhere."""
        return dict(vars(self._kept))

    def merge(self, state: dict[str, Tensor]) -> None:
        """Enter what another collector with the same settings has kept."""
        self._merge(Patches(**state))

    def gather(self, strategy: Strategy) -> PatchCollector:
        """The best over all processes, on each of them; every process must call this."""
        gathered = {
            name: strategy.all_gather(kept[None].to(strategy.root_device)).cpu()
            for name, kept in self.state().items()
        }
        everyone = PatchCollector(
            self.size, self.k, per_image_best=self.per_image_best, names=self.names
        )
        own = self.state()
        # A strategy of one process hands its input back; others put a dimension before it.
        shares = {name: kept.reshape(-1, *own[name].shape) for name, kept in gathered.items()}
        for share in range(len(shares["score"])):
            everyone.merge({name: kept[share] for name, kept in shares.items()})
        return everyone

    def arrays(self, ids: Sequence[str] | NDArray[Any]) -> dict[str, NDArray[Any]]:
        """``<region>/image``, ``/score``, ``/id`` and ``/position`` for ``numpy.savez``.

        Args:
            ids: name of the image known by each ``index``.
        """
        names = np.asarray(ids, dtype=object)
        arrays: dict[str, NDArray[Any]] = {}
        for region, best in self.compute().items():
            arrays[f"{region}/image"] = best.image.numpy()
            arrays[f"{region}/score"] = best.score.numpy()
            # Fixed-width text: object arrays would need pickle to be read again.
            arrays[f"{region}/id"] = names[best.index.numpy()].astype(np.str_)
            arrays[f"{region}/position"] = best.position.numpy()
        return arrays

    def compute(self) -> dict[str, Patches]:
        """Patches by region name; regions without a positive score are left out."""
        filled = (self._kept.score > 0).sum(1).tolist()
        return {
            name: Patches(*(field[region, : filled[region]] for field in self._kept))
            for region, name in enumerate(self.names)
            if filled[region]
        }

    def _scores(self, attribution: Tensor, regions: Tensor, rows: int, columns: int) -> Tensor:
        """``V``: attribution of each region within each patch, ``[N, rows·columns, R]``."""
        number = len(self.names)
        values = _squares(attribution, rows, columns, self.size)
        index = _squares(regions, rows, columns, self.size).to(torch.int64).clamp_max_(number)
        total = values.new_zeros(*values.shape[:2], number + 1)
        return total.scatter_add_(2, index, values)[..., :number]

    def _merge(self, other: Patches) -> None:
        both = Patches(
            *(torch.cat([mine, theirs], 1) for mine, theirs in zip(self._kept, other, strict=True))
        )
        # Equal scores stand in the order of image and place, not of arrival.
        order = torch.arange(both.score.shape[1]).expand(both.score.shape)
        keys = (both.position[..., 1], both.position[..., 0], both.index, -both.score)
        for key in keys:
            order = order.gather(1, key.gather(1, order).argsort(dim=1, stable=True))
        order = order[:, : self.k]
        region = torch.arange(len(self.names))[:, None]
        self._kept = Patches(*(field[region, order] for field in both))


def _squares(values: Tensor, rows: int, columns: int, size: int) -> Tensor:
    """``[N, H, W]`` cut into patches, ``[N, rows·columns, size·size]``."""
    cropped = values[:, : rows * size, : columns * size]
    cells = cropped.reshape(-1, rows, size, columns, size).transpose(2, 3)
    return cells.reshape(len(values), rows * columns, size * size)


def _cut(image: Tensor, which: Tensor, row: Tensor, column: Tensor, size: int) -> Tensor:
    """Pixels of the patches, uint8 ``[R, k, size, size, 3]``."""
    within = torch.arange(size, device=image.device)
    y = (row * size)[..., None, None] + within[:, None]
    x = (column * size)[..., None, None] + within
    # Advanced indices around the slice put the channels last.
    pixels = image[which[..., None, None], :, y, x]
    if pixels.is_floating_point():
        pixels = (pixels * 255).round_().clamp_(0, 255)
    return pixels.to(torch.uint8)
