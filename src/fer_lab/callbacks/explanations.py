"""Where the model looks: each epoch on fixed images, over the whole test set at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from fer_lab.callbacks.explained import Explainer
from fer_lab.callbacks.region_masks import RegionMasks
from fer_lab.callbacks.stages import EvaluationCallback, audited_split, face_data, summed
from fer_lab.callbacks.summary import Gathered, PassSummary
from fer_lab.callbacks.trust import TrustChecks
from fer_lab.data.manifest import attribute_column
from fer_lab.data.progress import track
from fer_lab.data.splitting.subsets import balanced_subset
from fer_lab.data.vocabulary import REGIONS
from fer_lab.explain.attribution import check
from fer_lab.explain.summary import FIGURES
from fer_lab.faces.region_source import ORDER
from fer_lab.files import write_json

log = logging.getLogger(__name__)


class Explanations(EvaluationCallback):
    """Log region IoR per epoch on fixed images, summarise the whole test set at the end.

    During training, ``val/ior/<region>`` and ``val/lift/<region>`` come from at most
    ``max_samples`` validation images, balanced over class × ``balance_by`` and the same every
    epoch. The pass over the test set (over validation, where there is no test set) explains every
    image, or at most ``max_test_samples`` chosen likewise, and leaves in ``explanations/``:

    - ``summary.json``, ``region_ior.parquet``, ``patches.npz``: regions and patches;
    - ``group_differences.parquet``: which regions are used more for which group;
    - ``merged_<split>.npz`` and ``.json``: heatmaps in face space, where there are landmarks;
    - ``faithfulness.parquet``: tests of the maps themselves, on ``check_samples`` images.

    The class explained is the predicted one. The model's mode, gradients, weights and hooks are as
    before afterwards. What the data lack, masks or landmarks, is left out, and said once.

    Args:
        folder: the run's folder.
        method: an attribution method, or ``auto`` for the one that the model states.
        layer: the layer explained; by default the one that the model states.
        options: what else the method takes.
        max_samples: images explained at each validation; None explains all.
        max_test_samples: images explained in the last pass; None explains all.
        every_n_epochs: how often.
        pictures_every_n_epochs: how often ``latest`` is renewed; 0 never.
        balance_by: attribute over whose groups, and over the classes, few images are balanced.
        merged_by: attribute whose groups get merged heatmaps of their own; None makes none.
        check_samples: images on which the maps themselves are tested; 0 tests none.
        patch_size: side of the high-impact patches, in pixels.
        num_patches: high-impact patches kept for each region.
        parser: of faces without masks: ``bisenet``, ``parsenet``, or None.
        parser_dir: folder of the parser's weights; None is ``face_models`` in the cache folder.
        region_sources: where masks come from, best first.
        seed: of the draws behind intervals and tests.

    Attributes:
        latest: what the last pictured epoch has shown.

    Source: FaceX, IoR and high-impact patches; the gender-split study, merged heatmaps.
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
        pictures_every_n_epochs: int = 0,
        balance_by: str = "gender",
        merged_by: str | None = "gender",
        check_samples: int = 32,
        patch_size: int = 16,
        num_patches: int = 20,
        parser: str | None = None,
        parser_dir: str | Path | None = None,
        region_sources: Sequence[str] = ORDER,
        seed: int = 0,
    ) -> None:
        self.folder = Path(folder)
        self.method = method
        self.options = dict(options or {}) | ({} if layer is None else {"layer": layer})
        self.max_samples = max_samples
        self.max_test_samples = max_test_samples
        self.every_n_epochs = every_n_epochs
        self.pictures_every_n_epochs = pictures_every_n_epochs
        self.balance = ("label", balance_by)
        self.merged_by = merged_by
        self.check_samples = check_samples
        self.patch_size = patch_size
        self.num_patches = num_patches
        self.parser = parser
        self.parser_dir = parser_dir
        self.region_sources = tuple(region_sources)
        self.seed = seed
        self.latest: Gathered | None = None
        self._explainer: Explainer | None = None
        self._pass: PassSummary | None = None
        self._chosen: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what cannot be explained before time is spent on it."""
        if getattr(trainer, "datamodule", None) is None:
            return  # bare loaders are refused when a pass over them is to be explained
        data = face_data(trainer)
        check(pl_module, self.method, image_size=data.image_size, **self.options)
        for name in (self.balance[1], self.merged_by):
            if name is not None:
                attribute_column(data.manifest, name)
        if self._explainer is None or self._explainer.data is not data:
            masks = RegionMasks(
                data, parser=self.parser, parser_dir=self.parser_dir, order=self.region_sources
            )
            self._explainer = Explainer(data, masks, self.method, self.options)
            _say(masks)

    @property
    def began(self) -> bool:
        """Whether the data in use are known."""
        return self._explainer is not None

    @property
    def explainer(self) -> Explainer:
        """What explains the images of the data in use."""
        assert self._explainer is not None, "a pass began without its set-up"
        return self._explainer

    def start(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Begin a summary when this is the pass to summarise."""
        data = face_data(trainer)
        summarised = "test" if len(data.test_rows) else "val"
        self._pass, self._chosen = None, None
        if audited_split(trainer) != summarised:
            return
        self._pass = self._summary(model, self.merged_by)
        if self.max_test_samples is not None:
            rows = data.test_rows if summarised == "test" else data.val_rows
            places = balanced_subset(
                data.manifest.iloc[rows], self.max_test_samples, self.balance, data.split.seed
            )
            self._chosen = torch.from_numpy(rows[places])

    def batch(self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any) -> None:
        if self._pass is None:
            return
        batch = _only(batch, self._chosen)
        if len(batch["index"]):
            self._pass.update(self.explainer(model, batch))

    def end(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Write the summary; during training, log the regions' figures on the fixed images."""
        if self._pass is not None:
            self._write(trainer, model, self._pass, "test" if split == "test" else "val")
            self._pass = None
        due = trainer.current_epoch % self.every_n_epochs == 0
        if audited_split(trainer) is None and due and self.explainer.masks:
            self._log(trainer, model)

    def _summary(self, model: LightningModule, merged_by: str | None = None) -> PassSummary:
        return PassSummary(
            self.explainer,
            model,
            patch_size=self.patch_size,
            num_patches=self.num_patches,
            merged_by=merged_by,
        )

    def _fixed(
        self,
        trainer: Trainer,
        model: LightningModule,
        split: Literal["val", "test"],
        count: int | None,
    ) -> Iterator[dict[str, Any]]:
        """This process's share of a balanced choice that is always the same, on the device."""
        for batch in face_data(trainer).audit_dataloader(split, count, self.balance):
            yield trainer.strategy.batch_to_device(batch, model.device)

    def _log(self, trainer: Trainer, model: LightningModule) -> None:
        seen = self._summary(model)
        every = self.pictures_every_n_epochs
        pictured = every > 0 and trainer.current_epoch % every == 0
        for batch in self._fixed(trainer, model, "val", self.max_samples):
            explained = self.explainer(model, batch, keep=True)
            (seen if pictured else seen.figures).update(explained)
        means = _means_over_processes(seen.figures.figures(model.device), trainer).cpu()
        for name in ("ior", "lift"):
            for region, value in zip(REGIONS, means[FIGURES.index(name)], strict=True):
                if not value.isnan():
                    model.log(f"val/{name}/{region}", value, sync_dist=False)
        if pictured:
            table = self.folder / "explanations" / "val_region_ior.parquet"
            self.latest = seen.gather(trainer, "val", table, samples=200, seed=self.seed)

    def _write(
        self,
        trainer: Trainer,
        model: LightningModule,
        seen: PassSummary,
        split: Literal["val", "test"],
    ) -> None:
        folder = self.folder / "explanations"
        data = self.explainer.data
        facts = seen.write(trainer, folder, split, seed=self.seed)
        facts["split_samples"] = len(data.test_rows if split == "test" else data.val_rows)
        facts["max_samples"] = self.max_test_samples
        if self.check_samples:
            checks = TrustChecks(self.explainer, model, self.seed)
            batches = list(self._fixed(trainer, model, split, self.check_samples))
            for batch in track(batches, total=len(batches), description="testing the maps"):
                checks.update(batch)
            facts |= checks.write(trainer, folder)
        if trainer.is_global_zero:
            write_json(folder / "summary.json", facts)


def _say(masks: RegionMasks) -> None:
    for found in masks.sources.values():
        log.info("region masks of %s", found)
    if not masks:
        log.warning(
            "note: this dataset has no region masks, so there are no figures of regions; masks "
            "join a manifest as the column mask_path, landmarks give outlines, and explain=none "
            "silences this note (docs/regions.md)"
        )


def _only(batch: dict[str, Any], rows: Tensor | None) -> dict[str, Any]:
    """The part of a batch that is among ``rows``; all of it for None."""
    if rows is None:
        return batch
    kept = torch.isin(batch["index"], rows.to(batch["index"]))
    return {
        name: {group: codes[kept] for group, codes in value.items()}
        if isinstance(value, dict)
        else value[kept]
        for name, value in batch.items()
    }


def _means_over_processes(own: Tensor, trainer: Trainer) -> Tensor:
    """Mean of each figure and region over the images of all processes that have the region.

    An all-zero map has no lift and is left out.
    """
    usable = ~own[:, FIGURES.index("lift")].isnan()
    sums = own.where(usable[:, None], 0).sum(dim=0)
    state = summed(trainer, torch.cat([sums, usable.sum(dim=0, keepdim=True).to(sums)]))
    return state[:-1] / state[-1]
