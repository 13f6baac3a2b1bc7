"""Batches of a manifest's rows: pixels, labels, groups, collated as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from fer_lab.data.manifest import attribute_column, group_values
from fer_lab.data.pixels.images import Images
from fer_lab.errors import FerLabError


class Batch(TypedDict):
    """Samples side by side; a single sample has the same entries without the first dimension.

    Attributes:
        image: uint8 ``[B, 3, H, W]``, RGB, channels last in memory; after the transfer to the
            device float32 in [0, 1].
        label: int64 ``[B]``, index in the datamodule's ``classes``.
        group: by attribute, int64 ``[B]``, index in the datamodule's ``groups``, -1 for unknown.
        index: int64 ``[B]``, row of the datamodule's manifest.
        variant: int64 ``[B]``, in training on an expanded set: which variant of the row's image.
        monitored: bool ``[B]``, whether the row is among those the model learns from and is
            chosen by (``split.where``).
        regions: uint8 ``[B, H, W]``, index in ``vocabulary.REGIONS``.
        landmarks: float32 ``[B, 68, 2]``, x and y in pixels; NaN where a face has none.
        intensity: float32 ``[B]``, NaN where it is not known.
        weight: float32 ``[B]``, of a sample in the loss.
        second_label: int64 ``[B]``, in training on mixed images: label of the second face. All
            other entries are of the first one, which has at least half of the image.
        second_share: float32 ``[B]``, share of the second face, in [0, 0.5].
        second_weight: float32 ``[B]``, weight of the sample that the second face comes from.
    """

    image: Tensor
    label: Tensor
    group: dict[str, Tensor]
    index: Tensor
    variant: NotRequired[Tensor]
    monitored: Tensor
    regions: NotRequired[Tensor]
    landmarks: NotRequired[Tensor]
    intensity: NotRequired[Tensor]
    weight: NotRequired[Tensor]
    second_label: NotRequired[Tensor]
    second_share: NotRequired[Tensor]
    second_weight: NotRequired[Tensor]


class FaceDataset(Dataset[Batch]):
    """Rows of a manifest with their pixels.

    A DataLoader takes whole batches from :meth:`__getitems__`, so its ``collate_fn`` has nothing
    left to do: pass :func:`collated`.

    Args:
        manifest: the rows; a ``weight`` column, where there is one, goes into the batches.
        images: the pixels of row n under n.
        classes: the expressions, in the order of the labels.
        attributes: whose groups go into ``group``.
        in_split: truth values by row, what ``monitored`` says.
        annotated: whether ``regions`` and ``landmarks`` are part of the batches.
        variants: how many variants each row has in an expanded training set; indices are then
            visits, ``row · variants + variant``, and batches say the ``variant``.
    """

    def __init__(
        self,
        manifest: pd.DataFrame,
        images: Images,
        *,
        classes: Sequence[str],
        attributes: Sequence[str],
        in_split: NDArray[np.bool_],
        annotated: bool = True,
        variants: int | None = None,
    ) -> None:
        self.images = images
        self.annotated = annotated
        self.variants = variants
        self.label = _codes(manifest["label"], classes)
        self.group = {
            name: _codes(manifest[attribute_column(manifest, name)], group_values(manifest, name))
            for name in attributes
        }
        self.monitored = torch.from_numpy(np.array(in_split, dtype=bool))
        self.numbers = {
            name: torch.from_numpy(manifest[name].to_numpy(dtype=np.float32, copy=True))
            for name in ("intensity", "weight")
            if name in manifest
        }

    def __len__(self) -> int:
        return len(self.label) * (self.variants or 1)

    def __getitem__(self, index: int) -> Batch:
        """One sample."""
        batch = self._batch([index])
        sample: dict[str, object] = {
            name: value[0] for name, value in batch.items() if isinstance(value, Tensor)
        }
        sample["group"] = {name: codes[0] for name, codes in batch["group"].items()}
        return cast(Batch, sample)

    def __getitems__(self, indices: Sequence[int]) -> Batch | FerLabError:
        """A batch of samples, in the order of ``indices``.

        A loading process gives back a mistake that it has met, for the loader to raise: torch
        would put a traceback into its words.
        """
        try:
            return self._batch(indices)
        except FerLabError as error:
            if get_worker_info() is None:
                raise
            return error

    def _batch(self, indices: Sequence[int]) -> Batch:
        visit = torch.as_tensor(indices, dtype=torch.int64)
        index = visit if self.variants is None else visit // self.variants
        pixels = self.images.read(index.numpy())
        batch: Batch = {
            "image": torch.from_numpy(pixels.image).permute(0, 3, 1, 2),
            "label": self.label[index],
            "group": {name: codes[index] for name, codes in self.group.items()},
            "index": index,
            "monitored": self.monitored[index],
        }
        if self.variants is not None:
            batch["variant"] = visit % self.variants
        if "intensity" in self.numbers:
            batch["intensity"] = self.numbers["intensity"][index]
        if "weight" in self.numbers:
            batch["weight"] = self.numbers["weight"][index]
        if self.annotated and pixels.regions is not None:
            batch["regions"] = torch.from_numpy(pixels.regions)
        if self.annotated and pixels.landmarks is not None:
            batch["landmarks"] = torch.from_numpy(pixels.landmarks)
        return batch


def collated(batch: object) -> Batch:
    """A DataLoader's ``collate_fn`` for batches that come collated."""
    return cast(Batch, batch)


def _codes(column: pd.Series, names: Sequence[str]) -> Tensor:
    """Place of every value among the names, -1 for one that is not there."""
    codes = pd.Index(list(names), dtype="str").get_indexer(pd.Index(column.astype("str")))
    return torch.from_numpy(codes.astype(np.int64))
