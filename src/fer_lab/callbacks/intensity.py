"""How strong expressions are, over the whole test set: the published ranks, and ranks by score."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from fer_lab.callbacks.stages import EvaluationCallback, audited_split, face_data, write_joined
from fer_lab.data.splitting.subsets import balanced_subset
from fer_lab.data.splitting.target import EXPRESSION
from fer_lab.data.vocabulary import INTENSITY_RANKS
from fer_lab.errors import ConfigError
from fer_lab.explain.attribution.lrp import COMPOSITES, check, relevance_of
from fer_lab.explain.intensity import histogram, rank
from fer_lab.explain.intensity_scores import Terciles, log_odds, neutral_margin
from fer_lab.explain.intensity_table import (
    BINS,
    PUBLISHED,
    known_intensity,
    ranked_by_score,
    summarise,
)
from fer_lab.files import atomic_path, write_json

log = logging.getLogger(__name__)


class IntensityRanks(EvaluationCallback):
    """Rank the intensity of correctly predicted faces that are not neutral, and judge the ranks.

    The pass over the test set (over validation, where there is no test set) leaves
    ``explanations/intensity.parquet``, a row for each face examined:

    - ``id``, ``label``, ``prediction``;
    - ``bin_1`` … ``bin_10``: counts of signed relevance of the predicted class, and the published
      ranks ``counts_signed`` and ``counts_positive``; empty for faces that are not ranked;
    - ``score``: `neutral_margin`, or `log_odds` where there is no neutral class, of the logits'
      mean over image and mirror image; a column of that name has the ranks;
    - ``truth`` and ``intensity``: as `fer_lab.explain.intensity_table.known_intensity`;

    and the figures in ``explanations/intensity.json``. Scores are cut into ranks where they part
    the faces of the validation pass before into thirds of each predicted expression; these faces
    are in ``explanations/intensity_calibration.parquet``. Without such a pass the cuts come from
    the faces examined.

    A model that relevance gets lost in has the ranks by score only, and data whose target is no
    expression turn the callback off; either is said once.

    Args:
        folder: the run's folder.
        enabled: False does nothing at all.
        max_samples: faces examined at most, the same in every run on the data; None examines all.
        balance_by: attribute over whose groups, and over the classes, few faces are balanced.
        composite: of propagation rules, see `fer_lab.explain.attribution.lrp.COMPOSITES`.

    Raises:
        ConfigError: for another composite.

    Source: the intensity study (LRP ranking); scores and their worth: docs/intensity.md.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        enabled: bool = True,
        max_samples: int | None = None,
        balance_by: str = "gender",
        composite: str = "epsilon_gamma_box",
    ) -> None:
        if composite not in COMPOSITES:
            raise ConfigError(
                f"there is no composite {composite!r}",
                where="callbacks.intensity.composite",
                hint=f"choose one of {', '.join(COMPOSITES)}",
            )
        self.folder = Path(folder) / "explanations"
        self.enabled = enabled
        self.max_samples = max_samples
        self.balance = ("label", balance_by)
        self.composite = composite
        self._looked = False
        self._refused: str | None = None
        self._reported = ""
        self._collecting = False
        self._chosen: Tensor | None = None
        self._seen: list[dict[str, Tensor]] = []
        self._calibration: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find out, once, whether there is anything to rank and whether the model can be."""
        if not self.enabled or self._looked or getattr(trainer, "datamodule", None) is None:
            return  # bare loaders are refused when a pass over them is to be ranked
        self._looked = True
        data = face_data(trainer)
        if data.target != EXPRESSION:
            self.enabled = False
            log.warning(
                "note: the target is %s, so expressions are not ranked by intensity; "
                "explain.intensity=false silences this note",
                data.target,
            )
            return
        try:
            check(pl_module, data.image_size, composite=self.composite)
        except ConfigError as error:
            self._refused = error.what
            log.warning("note: intensity is ranked by score only, not as published: %s", error.what)

    def start(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Begin a table when this is the pass to report, or the one to calibrate on."""
        self._seen, self._chosen = [], None
        self._collecting = self.enabled and audited_split(trainer) is not None
        if not self._collecting:
            return
        data = face_data(trainer)
        self._reported = "test" if len(data.test_rows) else "val"
        if split == "val":
            self._calibration = None
        if split == self._reported and self.max_samples is not None:
            rows = data.test_rows if split == "test" else data.val_rows
            places = balanced_subset(
                data.manifest.iloc[rows], self.max_samples, self.balance, data.split.seed
            )
            self._chosen = torch.from_numpy(rows[places])

    def batch(self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any) -> None:
        if not self._collecting:
            return
        image, label, index = batch["image"], batch["label"], batch["index"]
        logits = outputs["logits"].float()
        if self._chosen is not None:
            kept = torch.isin(index, self._chosen.to(index))
            image, label, index, logits = image[kept], label[kept], index[kept], logits[kept]
        if len(index) == 0:
            return
        classes = face_data(trainer).classes
        prediction = logits.argmax(1)
        mean = (logits + model(image.flip(-1)).float()) / 2
        seen = {
            "index": index,
            "prediction": prediction,
            "score": _score(mean, prediction, classes),
        }
        if audited_split(trainer) == self._reported and self._refused is None:
            ranked = prediction == label
            if "neutral" in classes:
                ranked &= label != classes.index("neutral")
            seen["counts"] = self._counts(model, image, prediction, ranked)
        self._seen.append(seen)

    def end(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Write the faces to calibrate on, or the ranks and their figures."""
        if not self._collecting:
            return
        self._collecting = False
        data = face_data(trainer)
        rows = data.test_rows if split == "test" else data.val_rows
        known, truth = known_intensity(data.manifest.iloc[rows])
        reported = split == self._reported
        table = self._table(trainer, known, published=reported and self._refused is None)
        self._seen = []
        if not reported:
            self._calibration = self.folder / "intensity_calibration.parquet"
            columns = ["id", "prediction", "score"]
            write_joined(trainer, table[columns], self._calibration, by=["id"])
            return
        path = self.folder / "intensity.parquet"
        write_joined(trainer, table, path, by=["id"])
        if trainer.is_global_zero:
            self._judge(trainer, path, split, truth)
        self._calibration = None

    def _counts(
        self, model: LightningModule, image: Tensor, prediction: Tensor, ranked: Tensor
    ) -> Tensor:
        """Histograms of signed and of positive relevance, ``[B, 2, 10]``, -1 where not ranked."""
        counts = torch.full((len(image), len(PUBLISHED), len(BINS)), -1, device=image.device)
        if ranked.any():
            _, relevance = relevance_of(
                model, image[ranked], prediction[ranked], composite=self.composite
            )
            both = [histogram(relevance, scaling=each) for each in ("signed", "positive")]
            counts[ranked] = torch.stack(both, dim=1)
        return counts

    def _table(self, trainer: Trainer, known: pd.DataFrame, *, published: bool) -> pd.DataFrame:
        """The rows of this process, without what needs those of all."""
        data = face_data(trainer)
        rows = self._collected("index", torch.int64)
        classes = pd.Index(data.classes)
        faces = data.manifest.iloc[rows]
        ids = faces["id"].astype(str)
        columns: dict[str, Any] = {
            "id": ids.to_numpy(),
            "label": pd.Categorical(faces["label"].astype(str), categories=classes),
            "prediction": pd.Categorical.from_codes(
                self._collected("prediction", torch.int64), classes
            ),
        }
        if published:
            counts = self._collected("counts", torch.int64, len(PUBLISHED), len(BINS))
            unranked = counts[:, 0, 0] < 0
            for place, name in enumerate(BINS):
                columns[name] = pd.arrays.IntegerArray(counts[:, 0, place], unranked)
            for place, name in enumerate(PUBLISHED):
                ranks = np.full(len(rows), None, dtype=object)
                ranks[~unranked] = rank(torch.from_numpy(counts[~unranked, place]))
                columns[name] = _categorical(ranks)
        columns["score"] = self._collected("score", torch.float32)
        columns["truth"] = _categorical(known["truth"].loc[ids])
        columns["intensity"] = known["intensity"].loc[ids].to_numpy()
        return pd.DataFrame(columns)

    def _collected(self, name: str, dtype: torch.dtype, *shape: int) -> NDArray[Any]:
        """What all batches gave; ``shape`` is that of a row."""
        parts = [each[name] for each in self._seen]
        nothing = torch.empty(0, *shape, dtype=dtype)
        found: NDArray[Any] = (torch.cat(parts) if parts else nothing).cpu().numpy()
        return found

    def _judge(self, trainer: Trainer, path: Path, split: str, truth: str | None) -> None:
        """Rank by score in the joined table, and write the figures."""
        data = face_data(trainer)
        table = pd.read_parquet(path)
        before = table if self._calibration is None else pd.read_parquet(self._calibration)
        cuts = Terciles.fit(before["score"], before["prediction"].astype(str).tolist())
        own = _own(data.classes)
        table[own] = _categorical(ranked_by_score(table, cuts))
        order = [*table.columns.drop([own, "truth", "intensity"]), own, "truth", "intensity"]
        with atomic_path(path) as temporary:
            table[order].to_parquet(temporary, index=False)
        published = () if self._refused is not None else PUBLISHED
        found = summarise(table, {name: name for name in published} | {own: "score"})
        facts = {
            "split": split,
            "composite": self.composite,
            "rule": "counts",
            "split_samples": len(data.test_rows if split == "test" else data.val_rows),
            "max_samples": self.max_samples,
            "truth": truth,
            "calibrated_on": split if self._calibration is None else "val",
            "cuts": {name: list(each) for name, each in cuts.cuts.items()},
            "not_ranked": {} if published else dict.fromkeys(PUBLISHED, self._refused),
            **found,
        }
        write_json(self.folder / "intensity.json", facts)
        for name, figures in found["estimators"].items():
            # Positive relevance ranks nearly everything minimal, which is no news.
            if figures["warning"] is not None and name != "counts_positive":
                log.warning("intensity by %s: %s", name, figures["warning"])


def _own(classes: Sequence[str]) -> str:
    """The estimator that suits the classes."""
    return "neutral_margin" if "neutral" in classes else "log_odds"


def _score(logits: Tensor, prediction: Tensor, classes: Sequence[str]) -> Tensor:
    if _own(classes) == "neutral_margin":
        return neutral_margin(logits, classes.index("neutral"), prediction)
    return log_odds(logits, prediction)


def _categorical(ranks: Any) -> pd.Categorical:
    return pd.Categorical(ranks, categories=pd.Index(INTENSITY_RANKS))
