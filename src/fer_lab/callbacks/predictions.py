"""Per-sample predictions, the facts that every figure of a run can be recomputed from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from fer_lab.callbacks.stages import EvaluationCallback, audited_split, face_data, write_joined
from fer_lab.data.predictions.own import sample_columns
from fer_lab.data.predictions.table import PROBABILITY


class PredictionWriter(EvaluationCallback):
    """Write ``predictions/{val,test}.parquet`` after each pass over the chosen checkpoint.

    Columns: ``id``, ``dataset``, ``label`` and ``prediction`` (names), ``prob_<class>`` (float32),
    every audited attribute (names, ``unknown`` among them) with its ``<attribute>_source`` where
    the data say it, ``subject`` where any is known, and ``fold`` (missing without folds). Labels
    and attributes are categorical: classes and groups that nobody has are known all the same.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._index: list[Tensor] = []
        self._probabilities: list[Tensor] = []
        self._written: Path | None = None

    def start(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        self._index, self._probabilities, self._written = [], [], None

    def batch(self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any) -> None:
        if audited_split(trainer) is not None:
            self._index.append(batch["index"])
            self._probabilities.append(outputs["logits"].float().softmax(dim=1))

    def end(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        if audited_split(trainer) is not None:
            self.write(trainer, split)

    def write(self, trainer: Trainer, split: str) -> Path:
        """Write the table of the pass that ends, once, whoever asks first.

        All processes must call it.

        Returns:
            The file, complete on return.
        """
        if self._written is None:
            path = self.folder / "predictions" / f"{split}.parquet"
            write_joined(trainer, self._frame(trainer), path, by=["id"])
            self._written = path
            self._index, self._probabilities = [], []
        return self._written

    def _frame(self, trainer: Trainer) -> pd.DataFrame:
        data = face_data(trainer)
        classes = pd.Index(data.classes)
        if self._index:
            rows = torch.cat(self._index).cpu().numpy()
            probabilities = torch.cat(self._probabilities).cpu().numpy()
        else:
            rows = np.empty(0, dtype=np.int64)
            probabilities = np.empty((0, len(classes)), dtype=np.float32)
        columns, behind = sample_columns(data.manifest, rows, data.classes, data.groups)
        columns["prediction"] = pd.Categorical.from_codes(probabilities.argmax(axis=1), classes)
        columns |= {f"{PROBABILITY}{name}": probabilities[:, c] for c, name in enumerate(classes)}
        return pd.DataFrame(columns | behind)
