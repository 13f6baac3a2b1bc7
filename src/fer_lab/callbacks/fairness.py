"""Fairness of the model, at every validation as scalars and at the end with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer

from fer_lab.callbacks.stages import EvaluationCallback, audited_split, face_data
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.files import write_json
from fer_lab.metrics import FairnessReport


class FairnessAudit(EvaluationCallback):
    """Log fairness per epoch, write ``metrics/{val,test}.json`` for the chosen checkpoint.

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

    def start(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        if self._report is None:
            data = face_data(trainer)
            self._report = FairnessReport(data.classes, data.groups, min_count=self.min_count)
        self._report.to(model.device).reset()

    def batch(self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any) -> None:
        assert self._report is not None
        self._report.update(outputs["logits"].argmax(dim=1), batch["label"], batch["group"])

    def end(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        assert self._report is not None
        scalars = self._report.compute()
        # The model logs its own accuracy; the same name twice would be an error.
        model.log_dict(
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
