"""Batches with their maps, and what they add up to: figures of regions, merged heatmaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from fer_lab.callbacks.region_masks import RegionMasks
from fer_lab.callbacks.stages import summed
from fer_lab.data.datamodule import FaceDataModule
from fer_lab.data.manifest import attribute_column, group_values
from fer_lab.data.vocabulary import REGIONS
from fer_lab.explain.attribution import explain_prediction, method_for, options_of
from fer_lab.explain.face_space import normal_triangles, normalized
from fer_lab.explain.merged import BLOCKS, Merged, MergedSums, block_of
from fer_lab.explain.normal_form import SIZE
from fer_lab.explain.regions import region_statistics
from fer_lab.explain.summary import FIGURES, tidy


@dataclass(frozen=True)
class Explained:
    """A batch and its maps.

    Attributes:
        image: float ``[B, 3, H, W]``.
        label: int64 ``[B]``.
        prediction: the class that is explained, int64 ``[B]``.
        index: rows of the manifest, int64 ``[B]``.
        attribution: ``[B, H, W]`` in [0, 1].
        regions: uint8 ``[B, H, W]``, or None where the data have no masks.
        landmarks: ``[B, 68, 2]``, or None where the data have none.
    """

    image: Tensor
    label: Tensor
    prediction: Tensor
    index: Tensor
    attribution: Tensor
    regions: Tensor | None
    landmarks: Tensor | None


class Explainer:
    """Explains what a model predicts for batches of one dataset.

    Args:
        data: after its set-up.
        masks: where region masks come from.
        method: an attribution method, or ``auto`` for the one that the model states.
        options: what the method takes.

    Attributes:
        grid: height and width of the last maps before they were enlarged.
    """

    def __init__(
        self,
        data: FaceDataModule,
        masks: RegionMasks,
        method: str = "auto",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.data = data
        self.masks = masks
        self.method = method
        self.options = dict(options or {})
        self.grid: tuple[int, int] | None = None

    def options_for(self, model: nn.Module, index: Tensor) -> dict[str, Any]:
        """The options, with the images' ids where the method seeds its draws by them."""
        if "ids" not in options_of(method_for(model, self.method)):
            return self.options
        ids = self.data.manifest["id"].iloc[index.tolist()].tolist()
        return self.options | {"ids": ids}

    def __call__(
        self, model: nn.Module, batch: Mapping[str, Any], *, keep: bool = False
    ) -> Explained:
        """A batch with the maps of its predicted classes.

        Args:
            model: image -> logits.
            batch: as a validation step sees it.
            keep: these rows come again: what a parser says of them is remembered.
        """
        options = self.options_for(model, batch["index"])
        found = explain_prediction(model, batch["image"], method=self.method, **options)
        self.grid = found.grid
        return Explained(
            image=batch["image"],
            label=batch["label"],
            prediction=found.logits.argmax(1),
            index=batch["index"],
            attribution=found.attribution,
            regions=self.masks.of(batch, keep=keep) if self.masks else None,
            landmarks=batch.get("landmarks"),
        )

    def facts(self, model: nn.Module) -> dict[str, Any]:
        """How the maps were made."""
        method = method_for(model, self.method)
        layer = self.options.get("layer") or getattr(model, "attribution_layer", None)
        return {
            "method": method,
            "layer": str(layer) if "layer" in options_of(method) else "image",
            "options": {name: value for name, value in self.options.items() if name != "layer"},
            "grid": list(self.grid or ()),
            "target": "predicted",
        }


class RegionFigures:
    """Figures of each image and region, as a table."""

    def __init__(self) -> None:
        self._figures: list[Tensor] = []
        self._rows: list[Tensor] = []

    def update(self, explained: Explained) -> None:
        """Add a batch that has masks."""
        assert explained.regions is not None
        statistics = region_statistics(explained.attribution, explained.regions, len(REGIONS))
        self._figures.append(torch.stack([getattr(statistics, name) for name in FIGURES], dim=1))
        self._rows.append(
            torch.stack([explained.index, explained.label, explained.prediction], dim=1)
        )

    def figures(self, device: torch.device | str = "cpu") -> Tensor:
        """``[N, 5, R]`` in the order of ``FIGURES``; NaN where a region is absent."""
        nothing = torch.empty(0, len(FIGURES), len(REGIONS))
        return (torch.cat(self._figures) if self._figures else nothing).to(device)

    def table(self, data: FaceDataModule) -> pd.DataFrame:
        """As `fer_lab.explain.summary.tidy`, with the names of the true and predicted class."""
        rows = torch.cat(self._rows).cpu().numpy() if self._rows else np.empty((0, 3), np.int64)
        figures = self.figures().numpy()
        ids = data.manifest["id"].to_numpy()[rows[:, 0]]
        frame = tidy(figures, ids.tolist(), REGIONS)
        place = pd.Index(ids).get_indexer(pd.Index(frame["id"]))
        classes = pd.Index(data.classes)
        for column, codes in (("label", rows[:, 1]), ("prediction", rows[:, 2])):
            frame[column] = pd.Categorical.from_codes(codes[place], classes)
        return frame


class MergedMaps:
    """Sums of maps in face space, by group and expression.

    Args:
        data: after its set-up.
        attribute: whose groups are kept apart; where none is known there is a group ``all``.
        device: where the sums are.
    """

    def __init__(self, data: FaceDataModule, attribute: str, device: torch.device) -> None:
        column = data.manifest[attribute_column(data.manifest, attribute)].astype(str)
        known = [name for name in group_values(data.manifest, attribute) if (column == name).any()]
        self.attribute = attribute if known else None
        groups = known or ["all"]
        codes = pd.Index(groups).get_indexer(pd.Index(column)) if known else np.zeros(len(column))
        self._group = torch.from_numpy(codes.astype(np.int64)).to(device)
        self.cells = tuple((group, name) for group in groups for name in data.classes)
        self._classes = len(data.classes)
        self._sums = MergedSums(len(self.cells), SIZE, device=str(device))
        blocks = block_of(data.manifest["id"].astype(str).tolist())
        self._blocks = torch.from_numpy(blocks).to(device)
        self._images = torch.zeros(len(self.cells), dtype=torch.int64, device=device)
        # Faces, unusable ones, faces with a folded triangle, folded triangles.
        self._counts = torch.zeros(4, dtype=torch.int64, device=device)

    def update(self, explained: Explained) -> None:
        """Add a batch that has landmarks."""
        assert explained.landmarks is not None
        warped = normalized(explained.attribution, explained.landmarks)
        group = self._group[explained.index]
        cell = torch.where(
            (group >= 0) & warped.usable, group * self._classes + explained.label, -1
        )
        self._sums.update(warped.values, cell, self._blocks[explained.index])
        self._images += torch.bincount(cell + 1, minlength=len(self.cells) + 1)[1:]
        usable, folded = warped.usable, warped.folded
        found = (torch.ones_like(usable), ~usable, folded > 0, folded)
        self._counts += torch.stack([each.sum() for each in found])

    def gather(self, trainer: Trainer) -> tuple[Merged, dict[str, Any]]:
        """The heatmaps over all processes and what is to be known of them; all must call this."""
        parts = (self._sums.total, self._sums.count, self._images, self._counts)
        total, count, images, counts = (summed(trainer, each).cpu().numpy() for each in parts)
        faces, unusable, folded, triangles = counts.tolist()
        facts = {
            "attribute": self.attribute,
            "size": list(SIZE),
            "blocks": BLOCKS,
            "images": {"/".join(c): n for c, n in zip(self.cells, images.tolist(), strict=True)},
            "faces": faces,
            "unusable": unusable,
            "folded": folded,
            "triangles": len(normal_triangles()),
            "folded_triangles": triangles,
        }
        return Merged(self.cells, total, count), facts


def group_names(data: FaceDataModule) -> pd.DataFrame:
    """Names of the audited groups of every row, indexed by id."""
    return pd.DataFrame(
        {
            name: data.manifest[attribute_column(data.manifest, name)].astype(str).to_numpy()
            for name in data.groups
        },
        index=data.manifest["id"].to_numpy(),
    )
