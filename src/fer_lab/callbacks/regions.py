"""Which regions of the face the model looks at, at validation time and over the whole test set."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from fer_lab.callbacks.stages import EvaluationCallback, audited_split, face_data, write_joined
from fer_lab.data.manifest import attribute_column
from fer_lab.data.splitting.subsets import balanced_subset
from fer_lab.data.vocabulary import REGIONS
from fer_lab.explain.attribution import check, explain_prediction, method_for, options_of
from fer_lab.explain.patches import PatchCollector
from fer_lab.explain.regions import region_statistics
from fer_lab.explain.summary import FIGURES, summarise, tidy
from fer_lab.files import atomic_path, write_json

log = logging.getLogger(__name__)


class RegionSummaries(EvaluationCallback):
    """Log region IoR per epoch on fixed images, summarise the whole test set at the end.

    During training, ``val/ior/<region>`` and ``val/lift/<region>`` come from at most
    ``max_samples`` validation images, balanced over class × gender and the same every epoch. The
    pass over the test set (over validation, where there is no test set) explains every image, or
    at most ``max_test_samples`` chosen likewise, and leaves ``explanations/region_ior.parquet``,
    ``patches.npz`` and ``summary.json``. The class explained is the predicted one.

    The model's mode, gradients and hooks are as before afterwards. Data without region masks turn
    the callback off, which is said once.

    Args:
        folder: the run's folder.
        method: an attribution method, or ``auto`` for the one that the model states.
        layer: the layer explained; by default the one that the model states.
        options: what else the method takes.
        max_samples: images explained at each validation; None explains all.
        max_test_samples: images explained in the last pass; None explains all.
        every_n_epochs: how often.
        patch_size: side of the high-impact patches, in pixels.
        num_patches: high-impact patches kept for each region.

    Source: FaceX, IoR and high-impact patches.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        method: str = "auto",
        layer: str | None = None,
        options: Mapping[str, Any] | None = None,
        max_samples: int | None = 256,
        max_test_samples: int | None = None,
        every_n_epochs: int = 1,
        patch_size: int = 16,
        num_patches: int = 20,
    ) -> None:
        self.folder = Path(folder)
        self.method = method
        self.layer = layer
        self.options = dict(options or {}) | ({} if layer is None else {"layer": layer})
        self.max_samples = max_samples
        self.max_test_samples = max_test_samples
        self.every_n_epochs = every_n_epochs
        self.patch_size = patch_size
        self.num_patches = num_patches
        self._off = False
        self._rows: list[Tensor] = []
        self._statistics: list[Tensor] = []
        self._grid: tuple[int, int] | None = None
        self._patches: PatchCollector | None = None
        self._chosen: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what cannot be explained before time is spent on it."""
        if getattr(trainer, "datamodule", None) is None:
            return  # bare loaders are refused when a pass over them is to be explained
        data = face_data(trainer)
        if data.has_regions:
            check(pl_module, self.method, image_size=data.image_size, **self.options)

    def start(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Find out whether there are masks; begin a summary when this is the pass to summarise."""
        data = face_data(trainer)
        if not data.has_regions and not self._off:
            log.warning(
                "note: this dataset has no region masks, so region summaries are off; masks join a "
                "manifest as the column mask_path, and explain=none silences this note"
            )
        self._off = not data.has_regions
        summarised = "test" if len(data.test_rows) else "val"
        self._rows, self._statistics = [], []
        wanted = audited_split(trainer) == summarised and not self._off
        self._patches = PatchCollector(self.patch_size, self.num_patches) if wanted else None
        self._chosen = None
        if wanted and self.max_test_samples is not None:
            rows = data.test_rows if summarised == "test" else data.val_rows
            places = balanced_subset(
                data.manifest.iloc[rows], self.max_test_samples, seed=data.split.seed
            )
            self._chosen = torch.from_numpy(rows[places])

    def batch(self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any) -> None:
        if self._patches is not None:
            batch = self._only_chosen(batch)
            if len(batch["index"]) == 0:
                return
            statistics, maps = self._explain(trainer, model, batch)
            self._statistics.append(statistics)
            self._rows.append(batch["index"])
            self._patches.update(batch["image"], maps, batch["regions"], batch["index"])

    def end(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Write the summary; during training, log the regions' figures on the fixed images."""
        if self._patches is not None:
            self._write(trainer, model, split)
            self._patches = None
        due = trainer.current_epoch % self.every_n_epochs == 0
        if audited_split(trainer) is None and due and not self._off:
            self._log(trainer, model)

    def _log(self, trainer: Trainer, model: LightningModule) -> None:
        batches = face_data(trainer).audit_dataloader("val", self.max_samples)
        found = [
            self._explain(trainer, model, batch)[0] for batch in _on_device(batches, trainer, model)
        ]
        own = torch.cat(found) if found else _nothing(model)
        means = _means_over_processes(own, trainer).cpu()
        for name in ("ior", "lift"):
            for region, value in zip(REGIONS, means[FIGURES.index(name)], strict=True):
                if not value.isnan():
                    model.log(f"val/{name}/{region}", value, sync_dist=False)

    def _only_chosen(self, batch: dict[str, Any]) -> dict[str, Any]:
        if self._chosen is None:
            return batch
        kept = torch.isin(batch["index"], self._chosen.to(batch["index"]))
        return {name: batch[name][kept] for name in ("image", "regions", "index")}

    def _explain(
        self, trainer: Trainer, model: LightningModule, batch: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """Figures of each image, ``[B, 5, R]``, and its map, ``[B, H, W]``."""
        method = method_for(model, self.method)
        options = dict(self.options)
        if "ids" in options_of(method):
            options["ids"] = (
                face_data(trainer).manifest["id"].iloc[batch["index"].tolist()].tolist()
            )
        found = explain_prediction(model, batch["image"], method=method, **options)
        self._grid = found.grid
        statistics = region_statistics(found.attribution, batch["regions"], len(REGIONS))
        figures = torch.stack([getattr(statistics, name) for name in FIGURES], dim=1)
        return figures, found.attribution

    def _write(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        assert self._patches is not None
        data = face_data(trainer)
        folder = self.folder / "explanations"
        own = torch.cat(self._statistics) if self._statistics else _nothing(model)
        rows = torch.cat(self._rows).cpu().numpy() if self._rows else np.empty(0, dtype=np.int64)
        ids = data.manifest["id"].to_numpy()
        table = folder / "region_ior.parquet"
        write_joined(
            trainer, tidy(own.cpu().numpy(), ids[rows], REGIONS), table, by=["id", "region"]
        )
        patches = (
            self._patches.gather(trainer.strategy) if trainer.world_size > 1 else self._patches
        )
        if not trainer.is_global_zero:
            return
        groups = pd.DataFrame(
            {
                name: data.manifest[attribute_column(data.manifest, name)].astype(str).to_numpy()
                for name in data.groups
            },
            index=ids,
        )
        method = method_for(model, self.method)
        of_a_layer = "layer" in options_of(method)
        facts = {
            "split": split,
            "method": method,
            "layer": self.layer or str(model.attribution_layer) if of_a_layer else "image",
            "options": self.options,
            "grid": list(self._grid or ()),
            "target": "predicted",
            "split_samples": len(data.test_rows if split == "test" else data.val_rows),
            "max_samples": self.max_test_samples,
            **summarise(pd.read_parquet(table), groups),
        }
        write_json(folder / "summary.json", facts)
        with atomic_path(folder / "patches.npz") as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **patches.arrays(ids))


def _on_device(
    batches: Iterable[dict[str, Any]], trainer: Trainer, model: LightningModule
) -> Iterator[dict[str, Any]]:
    """Batches as a validation step sees them."""
    for batch in batches:
        yield trainer.strategy.batch_to_device(batch, model.device)


def _nothing(model: LightningModule) -> Tensor:
    return torch.empty(0, len(FIGURES), len(REGIONS), device=model.device)


def _means_over_processes(own: Tensor, trainer: Trainer) -> Tensor:
    """Mean of each figure and region over the images of all processes that have the region.

    An all-zero map has no lift and is left out.
    """
    usable = ~own[:, FIGURES.index("lift")].isnan()
    sums = own.where(usable[:, None], 0).sum(dim=0)
    state = torch.cat([sums, usable.sum(dim=0, keepdim=True).to(sums)])
    if trainer.world_size > 1:
        state = trainer.strategy.reduce(state, reduce_op="sum")
    return state[:-1] / state[-1]
