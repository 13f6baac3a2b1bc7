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
from fer_lab.data.manifest import attribute_column


class PredictionWriter(EvaluationCallback):
    """Write ``predictions/{val,test}.parquet`` after each pass over the chosen checkpoint.

    Columns: ``id``, ``dataset``, ``label`` and ``prediction`` (names), ``prob_<class>`` (float32),
    every audited attribute (names, ``unknown`` among them) and ``fold`` (missing without folds).

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._index: list[Tensor] = []
        self._probabilities: list[Tensor] = []

    def start(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        self._index, self._probabilities = [], []

    def batch(self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any) -> None:
        if audited_split(trainer) is not None:
            self._index.append(batch["index"])
            self._probabilities.append(outputs["logits"].float().softmax(dim=1))

    def end(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        if audited_split(trainer) is not None:
            path = self.folder / "predictions" / f"{split}.parquet"
            write_joined(trainer, self._frame(trainer), path, by=["id"])

    def _frame(self, trainer: Trainer) -> pd.DataFrame:
        data = face_data(trainer)
        classes = np.asarray(data.classes, dtype=object)
        if self._index:
            rows = torch.cat(self._index).cpu().numpy()
            probabilities = torch.cat(self._probabilities).cpu().numpy()
        else:
            rows = np.empty(0, dtype=np.int64)
            probabilities = np.empty((0, len(classes)), dtype=np.float32)
        seen = data.manifest.iloc[rows]
        columns: dict[str, Any] = {
            "id": seen["id"].to_numpy(),
            "dataset": seen["dataset"].astype(str).to_numpy(),
            "label": seen["label"].astype(str).to_numpy(),
            "prediction": classes[probabilities.argmax(axis=1)],
        }
        columns |= {f"prob_{name}": probabilities[:, c] for c, name in enumerate(classes)}
        for attribute in data.groups:
            column = attribute_column(data.manifest, attribute)
            columns[attribute] = seen[column].astype(str).to_numpy()
        fold = seen["fold"].to_numpy() if "fold" in seen else [pd.NA] * len(rows)
        columns["fold"] = pd.array(fold, dtype="Int64")
        return pd.DataFrame(columns)
