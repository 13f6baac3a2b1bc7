"""The summary of a pass over a whole split: collected batch by batch, written at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer

from fer_lab.callbacks.explained import (
    Explained,
    Explainer,
    MergedMaps,
    RegionFigures,
    group_names,
)
from fer_lab.callbacks.stages import summed, write_joined
from fer_lab.explain.attribute_differences import attribute_differences
from fer_lab.explain.merged_files import write_merged
from fer_lab.explain.patches import PatchCollector
from fer_lab.explain.summary import summarise
from fer_lab.files import atomic_path


class Gathered(NamedTuple):
    """A summary over all processes.

    Attributes:
        facts: the content of ``summary.json`` as far as it is known.
        patches: the arrays of ``patches.npz``.
        differences: the table of ``group_differences.parquet``.
    """

    facts: dict[str, Any]
    patches: dict[str, NDArray[Any]]
    differences: pd.DataFrame


class PassSummary:
    """Regions, patches and merged heatmaps of the images of one pass.

    Args:
        explainer: what explains them.
        model: the model explained.
        patch_size: side of the high-impact patches, in pixels.
        num_patches: high-impact patches kept for each region.
        merged_by: attribute whose groups get merged heatmaps; None makes none.
    """

    def __init__(
        self,
        explainer: Explainer,
        model: LightningModule,
        *,
        patch_size: int,
        num_patches: int,
        merged_by: str | None = None,
    ) -> None:
        self.explainer = explainer
        self.model = model
        self.images = 0
        self.figures = RegionFigures()
        self._patches = PatchCollector(patch_size, num_patches)
        self._merged: MergedMaps | None = None
        if merged_by is not None and explainer.data.has_landmarks:
            self._merged = MergedMaps(explainer.data, merged_by, model.device)

    def update(self, explained: Explained) -> None:
        """Add a batch."""
        self.images += len(explained.index)
        if explained.regions is not None:
            self.figures.update(explained)
            self._patches.update(
                explained.image, explained.attribution, explained.regions, explained.index
            )
        if self._merged is not None and explained.landmarks is not None:
            self._merged.update(explained)

    def write(
        self, trainer: Trainer, folder: Path, split: str, *, samples: int = 1000, seed: int = 0
    ) -> dict[str, Any]:
        """Write the tables of regions and differences, the patches and the merged heatmaps.

        All processes must call it.

        Args:
            trainer: of the pass.
            folder: where the files go.
            split: whose images they are.
            samples: draws behind the intervals of differences.
            seed: of the draws.

        Returns:
            The content of ``summary.json`` as far as it is known; empty on other processes than
            the first.
        """
        merged = None if self._merged is None else self._merged.gather(trainer)
        found = self.gather(
            trainer, split, folder / "region_ior.parquet", samples=samples, seed=seed
        )
        if found is None:
            return {}
        if merged is not None:
            heatmaps, facts = merged
            write_merged(folder, split, heatmaps, self.explainer.facts(self.model) | facts)
        with atomic_path(folder / "patches.npz") as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **found.patches)
        with atomic_path(folder / "group_differences.parquet") as temporary:
            found.differences.to_parquet(temporary, index=False)
        return found.facts

    def gather(
        self, trainer: Trainer, split: str, table: Path, *, samples: int = 1000, seed: int = 0
    ) -> Gathered | None:
        """What all processes have seen, on the first of them; all must call it.

        Args:
            trainer: of the pass.
            split: whose images they are.
            table: where the figures of each image and region go.
            samples: draws behind the intervals of differences.
            seed: of the draws.
        """
        data = self.explainer.data
        write_joined(trainer, self.figures.table(data), table, by=["id", "region"])
        patches = self._patches
        if trainer.world_size > 1:
            patches = patches.gather(trainer.strategy)
        images = summed(trainer, torch.tensor(self.images, device=self.model.device))
        if not trainer.is_global_zero:
            return None
        frame = pd.read_parquet(table)
        groups = group_names(data)
        people = data.manifest.set_index("id")["subject"]
        facts = {
            "split": split,
            **self.explainer.facts(self.model),
            "region_source": self.explainer.masks.facts(),
            **summarise(frame, groups, samples=int(images)),
        }
        differences = attribute_differences(
            frame,
            groups,
            subjects=people if people.notna().any() else None,
            samples=samples,
            seed=seed,
        )
        return Gathered(facts, patches.arrays(data.manifest["id"].to_numpy()), differences)
