"""Fairness of the model, at every validation as scalars and at the end with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning import LightningModule, Trainer

from fer_lab.callbacks.predictions import PredictionWriter
from fer_lab.callbacks.stages import EvaluationCallback, audited_split, face_data
from fer_lab.data.predictions import own_predictions
from fer_lab.errors import ConfigError
from fer_lab.files import write_json
from fer_lab.metrics import FairnessReport
from fer_lab.metrics.functional import Combine, Reduction
from fer_lab.metrics.headline import Variants
from fer_lab.metrics.provenance import audit_document
from fer_lab.metrics.rates import Balance


class FairnessAudit(EvaluationCallback):
    """Log fairness per epoch, write ``metrics/{val,test}.json`` for the chosen checkpoint.

    The scalars come from counts that are summed while a pass goes on, the files from the table
    that a `PredictionWriter` leaves: ``fer-lab evaluate predictions=`` finds the same in it.

    Args:
        folder: the run's folder.
        min_count: a rate whose denominator is smaller enters no gap.
        resamples: bootstrap and permutation samples behind intervals and nulls.
        level: of the intervals.
        seed: of the resampling.
        combine: how the two gaps of equalized odds are joined: ``worst``, ``mean`` or ``fpr``.
        reduction: how groups are compared: ``range``, ``mean_pairwise`` or ``to_overall``.
        balance: of errors, in treatment equality: ``share``, ``rate_ratio`` or ``count_ratio``.
        **options: of `fer_lab.metrics.predictions.audit_predictions`.

    Raises:
        ConfigError: at the start, when nobody writes predictions.

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
        combine: Combine = "worst",
        reduction: Reduction = "range",
        balance: Balance = "share",
        **options: Any,
    ) -> None:
        self.folder = Path(folder)
        self.min_count = min_count
        self.options = {
            **options,
            "min_count": min_count,
            "resamples": resamples,
            "level": level,
            "seed": seed,
            "combine": combine,
            "reduction": reduction,
            "balance": balance,
        }
        self.variants = Variants(combine, reduction, balance)
        self._report: FairnessReport | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse to start what could not be finished."""
        _writer(trainer)

    def start(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        if self._report is None:
            data = face_data(trainer)
            self._report = FairnessReport(
                data.classes, data.groups, min_count=self.min_count, variants=self.variants
            )
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
        if audited_split(trainer) is None:
            return
        table = _writer(trainer).write(trainer, split)
        if trainer.is_global_zero:
            predictions = own_predictions(pd.read_parquet(table), face_data(trainer).groups)
            facts = audit_document(predictions, split, **self.options)
            write_json(self.folder / "metrics" / f"{split}.json", facts)


def _writer(trainer: Trainer) -> PredictionWriter:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, PredictionWriter):
            return callback
    raise ConfigError(
        "the fairness audit is computed from the predictions, which nobody writes",
        where="callbacks",
        hint="add a PredictionWriter, or leave the FairnessAudit out as well",
    )
