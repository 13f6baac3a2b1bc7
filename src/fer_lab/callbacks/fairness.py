"""Fairness of the model, at every validation as scalars and at the end with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from fer_lab.callbacks.stages import audited_split, face_data
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.files import write_json
from fer_lab.metrics import FairnessReport


class FairnessAudit(Callback):
    """Log METHODS 1 per epoch, write ``metrics/{val,test}.json`` for the chosen checkpoint.

    Args:
        folder: the run's folder.
        min_count: a rate whose denominator is smaller enters no gap.
        resamples: bootstrap and permutation samples behind intervals and nulls.
        level: of the intervals.
        seed: of the resampling.

    Source: Hosseini et al. 2025, "Faces of Fairness", Eqs. 8–14; Olate 2025.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        min_count: int = 30,
        resamples: int = 1000,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.folder = Path(folder)
        self.min_count = min_count
        self.resamples = resamples
        self.level = level
        self.seed = seed
        self._report: FairnessReport | None = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        if self._report is None:
            data = face_data(trainer)
            self._report = FairnessReport(data.classes, data.groups, min_count=self.min_count)
        self._report.to(pl_module.device).reset()

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_batch_end(  # noqa: D102
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        assert self._report is not None
        self._report.update(outputs["logits"].argmax(dim=1), batch["label"], batch["group"])

    on_test_batch_end = on_validation_batch_end

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        self._conclude(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        self._conclude(trainer, pl_module, "test")

    def _conclude(self, trainer: Trainer, pl_module: LightningModule, split: str) -> None:
        assert self._report is not None
        scalars = self._report.compute()
        # The model logs its own accuracy; the same name twice would be an error.
        pl_module.log_dict(
            {f"{split}/{name}": value for name, value in scalars.items() if name != "accuracy"},
            sync_dist=False,
        )
        if audited_split(trainer) is not None:
            facts = self._report.report(samples=self.resamples, level=self.level, seed=self.seed)
            data = face_data(trainer)
            for attribute, section in facts["attributes"].items():
                source = data.sources_of.get(attribute, "none")
                section["source"] = source
                section["inferred"] = source not in ("annotated", "synthetic", "none", UNKNOWN)
            if trainer.is_global_zero:
                write_json(self.folder / "metrics" / f"{split}.json", {"split": split, **facts})
